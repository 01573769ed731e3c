"""The `cytoimagenet` command: one thin module per command in `commands/`, imported only when it is called for."""

import importlib

import click
import typer
from typer.core import TyperGroup

from .errors import InputError

COMMANDS = {
    "extract": "features from images: any model, any bit depth, several channels",
    "benchmark": "the kNN transfer benchmarks on models or ready features",
    "diversity": "a dataset seen through features: distances within and between labels",
    "convert-keras": "published Keras weights to a transformers checkpoint",
    "leaks": "groups and exact copies on both sides of a split",
    "push": "a dataset, model or metric to the Hub",
    "explore": "a window to look through a dataset",
}
"""Command name → its line in `--help`."""


class _LazyGroup(TyperGroup):
    """Lists every command but imports only the one that runs, so `--help` needs neither torch nor datasets."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return click.Command(cmd_name, help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, command, rest
        module = importlib.import_module(f".commands.{name.replace('-', '_')}", __package__)
        single = typer.Typer(add_completion=False)
        single.command(name)(module.command)
        return name, typer.main.get_command(single), rest


app = typer.Typer(
    cls=_LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    help="Load, look at, extract from and benchmark with CytoImageNet.",
)


@app.callback()
def _main() -> None:
    """Load, look at, extract from and benchmark with CytoImageNet."""


def main() -> None:
    """Run the command line: an `InputError` is printed without a traceback and exits 2."""
    try:
        app()
    except InputError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        raise SystemExit(2) from None
