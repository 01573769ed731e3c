"""The `cytoimagenet` command: one thin module per command beside this one."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
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
"""Command name → its line in `--help`; the function is `cli.<name>.command`."""


JOURNEYS = """Five journeys; every command explains itself with --help and ends with an example.

  Load      python -c "import cytoimagenet_hf as c; print(c.load_cytoimagenet('OWNER/cytoimagenet'))"
            cytoimagenet explore OWNER/cytoimagenet --model dinov2-small
  Profile   cytoimagenet extract plate/ --list
            cytoimagenet extract plate/ --model dinov2-small --output features
            cytoimagenet profile features --metadata platemap.csv --output wells.parquet --report plate.html
  Compare   cytoimagenet benchmark --model A --model B --task bbbc021 --data bbbc021 --output runs/ab
  Curate    python -m builder build --raw archives --output cytoimagenet
  Pretrain  accelerate launch scripts/train.py --dataset cytoimagenet --output runs/b0

All commands: cytoimagenet --help. Networks by name: cytoimagenet models."""
"""What the command shows without arguments."""

_HELP = f"""Features of microscopy plates by any network, benchmarks of networks, and a dataset to pretrain on.

{DEBUG}

Example: cytoimagenet extract plate/ --list
"""


_PRINTED = {"--json", "--list", "--help", "-h", "--version", "models", "leaks"}  # their output is what is asked for
_COMPLETE, _COMPLETED = "_CYTOIMAGENET_COMPLETE", "_TYPER_COMPLETE_ARGS"  # variables of the shell's completion


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the program's name; those of the process by default.

    Returns:
        The exit code: 0, 1, 2, 70 or 130, as `boundary` explains.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments and _COMPLETE not in os.environ:
        print(JOURNEYS)
        return 0
    quiet = "--quiet" in arguments
    if quiet:
        os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported, here and in workers
    # Before torch allocates anything: maps of large fields come in huge pages (1.5 times as fast at 1080 x 1080).
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    with _without_summary() if quiet and not _PRINTED & set(arguments) else nullcontext():
        return run_app(lambda: _app(arguments), program="cytoimagenet", arguments=arguments)


@contextmanager
def _without_summary() -> Iterator[None]:
    """Standard output goes nowhere; warnings and errors are on standard error."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield


def _app(arguments: Sequence[str]) -> typer.Typer:
    app = typer.Typer(add_completion=True, no_args_is_help=True, help=_HELP)
    app.callback()(options)
    # While the shell completes a line, its words stand in the environment.
    words = os.environ[_COMPLETED].split()[1:] if _COMPLETED in os.environ else arguments
    asked = next((word for word in words if not word.startswith("-")), "")
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


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="No progress and no summary, only warnings and errors; with any command.")
    ] = False,
) -> None:
    """What stands before the command's name."""


def _imported(name: str) -> Callable[..., None]:
    module = importlib.import_module(f"cytoimagenet_hf.cli.{name.replace('-', '_')}")
    command: Callable[..., None] = module.command
    return command


def _listed() -> None:
    """Stands in for a command that is listed but not run."""
