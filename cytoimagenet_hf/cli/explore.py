"""`cytoimagenet explore`: a window to look through a dataset."""

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import json_text
from cytoimagenet_hf.core.settings import check_fields, setting
from cytoimagenet_hf.options.source import ImageColumns

from .arguments import takes_settings

_HERE = ("127.0.0.1", "localhost")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What of a dataset is shown, and the network that compares its images."""

    model: str | None = setting(None, "Model for neighbours and the map; browsing needs none.")
    limit: int = setting(5000, "Show a sample of at most this many images.", low=1)
    seed: int = setting(0, "Seed of the sample.")
    cache: Path | None = setting(None, "Folder of extracted features; by default among the caches of the Hub.")

    def __post_init__(self) -> None:
        check_fields(self, name="explore")


@dataclass(frozen=True, kw_only=True)
class Window:
    """Where the explorer listens."""

    host: str = setting("127.0.0.1", "Address to listen on.")
    port: int | None = setting(None, "Port; by default a free one from 7860 on.", low=1, high=65535)
    browser: bool | None = setting(None, "Open the page in a browser; by default when started at a terminal here.")

    def __post_init__(self) -> None:
        check_fields(self, name="explore")


@takes_settings
def command(
    dataset: Annotated[
        str, typer.Argument(help="A built folder, or any dataset with images: a folder, OWNER/NAME or hf:NAME:SPLIT.")
    ],
    shown: Shown,
    columns: ImageColumns,
    window: Window,
    as_json: Annotated[bool, typer.Option("--json", help="Print what would be shown as JSON and exit.")] = False,
) -> None:
    """Browse a dataset, find the images nearest to one's own, see a map of its features.

    Example: cytoimagenet explore demo/cytoimagenet --model demo/model
    """
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the explorer needs gradio: pip install 'cytoimagenet-hf[explore]'")
    if shown.model is not None:
        _require_model(shown.model)
    _say("loading the libraries (half a minute on a cold start)")  # before torch is imported
    from cytoimagenet_hf.explore.app import launch
    from cytoimagenet_hf.explore.gallery import Gallery

    gallery = Gallery(dataset, columns=columns, report=_say, **vars(shown))
    if as_json:
        if gallery.has_model:
            gallery.extract()
        for rejection in gallery.rejected:
            typer.secho(f"no features for {rejection.id}: {rejection.reason}", err=True, fg="yellow")
        choices = {column: list(gallery.choices(column)) for column in gallery.filters}
        typer.echo(json_text({"images": len(gallery.rows), "of": gallery.total, "choices": choices}))
        return
    _say("opening the window")
    at_terminal = sys.stdout.isatty() and "SSH_CONNECTION" not in os.environ and window.host in _HERE
    launch(gallery, **vars(window) | {"browser": at_terminal if window.browser is None else window.browser})


def _say(line: str) -> None:
    """A line of progress, at once."""
    typer.secho(f"explore: {line} …", err=True, dim=True)


def _require_model(model: str) -> None:
    """Refuse a folder that is no model before anything is imported; other names are looked up first of all later.

    Raises:
        InputError: no such folder, or one without a configuration.
    """
    path = Path(model).expanduser()
    if path.is_dir() and not (path / "config.json").is_file():
        raise InputError(f"--model {model}: this folder holds no model (no config.json)")
    if not path.exists() and (model.startswith((".", "/", "~", "\\")) or model.count("/") > 1):
        raise InputError(f"--model {model}: no such folder; `cytoimagenet models` lists networks by name")
