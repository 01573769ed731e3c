"""The `cytoimagenet` command: one thin module per command in `commands/`."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from cytoimagenet_hf.core.boundary import DEBUG, run_app
from cytoimagenet_hf.core.versions import project_version

COMMANDS = {
    "extract": "Features from images: any model, any bit depth, several channels.",
    "profile": "Profiles of wells from features: a plate map, normalisation, Z' and dose response.",
    "benchmark": "The kNN transfer benchmarks on models or ready features.",
    "leaderboard": "Results of several runs as one sortable page.",
    "models": "The networks that can be named: inputs, outputs, weights.",
    "diversity": "A dataset seen through features: distances within and between labels.",
    "convert-keras": "Published Keras weights to a transformers checkpoint.",
    "leaks": "Groups and exact copies on both sides of a split.",
    "push": "A dataset, model or metric to the Hub.",
    "explore": "A window to look through a dataset.",
}
"""Command name → its line in `--help`; the function is `commands.<name>.command`."""


_HELP = f"""Features of microscopy plates by any network, benchmarks of networks, and a dataset to pretrain on.

{DEBUG}

Example: cytoimagenet extract plate/ --list
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the program's name; those of the process by default.

    Returns:
        The exit code: 0, 1, 2, 70 or 130, as `boundary` explains.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    # Before torch allocates anything: maps of large fields come in huge pages (1.5 times as fast at 1080 x 1080).
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    return run_app(lambda: _app(arguments), program="cytoimagenet", arguments=arguments)


def _app(arguments: Sequence[str]) -> typer.Typer:
    app = typer.Typer(add_completion=False, no_args_is_help=True, help=_HELP)
    app.callback()(options)
    asked = next((argument for argument in arguments if not argument.startswith("-")), "")
    for name, line in COMMANDS.items():
        # Only the command that runs is imported, so `--help` needs neither torch nor datasets.
        if name == asked:
            app.command(name)(_imported(name))
        else:
            app.command(name, help=line)(_listed)
    return app


def print_version(asked: bool) -> None:
    """Print the version and end; the callback of `--version`."""
    if asked:
        typer.echo(f"cytoimagenet-hf {project_version()}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
]


def options(version: Version = False) -> None:
    """What stands before the command's name."""


def _imported(name: str) -> Callable[..., None]:
    module = importlib.import_module(f"cytoimagenet_hf.cli.{name.replace('-', '_')}")
    command: Callable[..., None] = module.command
    return command


def _listed() -> None:
    """Stands in for a command that is listed but not run."""
