"""The `cytoimagenet` command: one thin module per command in `commands/`."""

import importlib
import sys
from collections.abc import Callable

import typer

from .errors import InputError

COMMANDS = {
    "extract": "Features from images: any model, any bit depth, several channels.",
    "benchmark": "The kNN transfer benchmarks on models or ready features.",
    "leaderboard": "Results of several runs as one sortable page.",
    "diversity": "A dataset seen through features: distances within and between labels.",
    "convert-keras": "Published Keras weights to a transformers checkpoint.",
    "leaks": "Groups and exact copies on both sides of a split.",
    "push": "A dataset, model or metric to the Hub.",
    "explore": "A window to look through a dataset.",
}
"""Command name → its line in `--help`; the function is `commands.<name>.command`."""


def main() -> None:
    """Run the command line: an `InputError` is printed without a traceback and exits 2."""
    app = typer.Typer(
        add_completion=False, no_args_is_help=True, help="Load, extract from and benchmark CytoImageNet."
    )
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    for name, line in COMMANDS.items():
        # Only the command that runs is imported, so `--help` needs neither torch nor datasets.
        function = _imported(name) if name == asked else _listed
        app.command(name, help=None if name == asked else line)(function)
    try:
        app()
    except InputError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        raise SystemExit(2) from None


def _imported(name: str) -> Callable[..., None]:
    module = importlib.import_module(f"cytoimagenet_hf.commands.{name.replace('-', '_')}")
    command: Callable[..., None] = module.command
    return command


def _listed() -> None:
    """Stands in for a command that is listed but not run."""
