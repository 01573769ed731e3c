"""Speed and memory, side by side in one run: ours, the alternatives, the floor.

    python scripts/bench.py select
    python scripts/bench.py --output /elsewhere select --rows 200000

Each benchmark is one module of `scripts/benches/` with one function `run(...)`: its options are the command's, its
docstring the command's help. It returns a dict whose `table` is a list of rows to print; all of it is written to
`docs/benchmarks/<name>.json` together with the machine it was measured on.
"""

import functools
import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cytoimagenet_hf.core.boundary import DEBUG, run_app

ROOT = Path(__file__).resolve().parents[1]
BENCHES = {
    "labels": "Labels of both recipes beside those of the paper.",
    "select": "Weak labels of 2.7 million fields of view.",
    "render": "Fields of view to encoded crops.",
    "knn": "Exact nearest neighbours.",
    "import": "The published archive at its full size, 890,737 tiny images.",
    "growth": "What a row costs at 1, 10 and 100 times a small size, step by step.",
    "load": "A built dataset, read whole and streamed.",
    "push": "What a second push sends after 1 % of the rows changed.",
    "extract": "Features of images.",
    "short": "Short extractions: auto beside each fixed backend.",
    "plate": "A plate from files to features.",
    "remote": "A plate on the internet beside the same plate on the disk.",
    "cells": "Cells of label images: crops, a network, measurements.",
    "cells_agreement": "Measurements of real cells beside CellProfiler's own.",
    "screen": "A real plate and its simulated neighbour, from files to doses.",
    "train": "Training steps.",
    "recipes": "The two training recipes.",
    "keras_parity": "Features of the Keras weights beside those of Keras.",
    "gpu": "Training, extraction and resuming on one GPU, in less than ten minutes.",
    "suite": "The benchmark suite of the demo.",
    "metrics": "The evaluate metrics beside the command.",
    "spread": "The demo's scores over several seeds.",
    "repairs": "What each repair of the original's evaluation changes, on a finished demo.",
}
"""Name → its line in `--help`; the function is `benches.<name>.run`."""


def main() -> int:
    """Run one benchmark; only its module is imported."""
    sys.path.insert(0, str(ROOT))  # builder and tests are run from the checkout, not installed
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        help=f"{(__doc__ or '').partition(chr(10))[0]}\n\n{DEBUG}\n\nExample: python scripts/bench.py knn --rows 6000",
    )
    folder = ROOT / "docs" / "benchmarks"

    @app.callback()
    def options(output: Annotated[Path, typer.Option(help="Folder of the JSON files.")] = folder) -> None:
        nonlocal folder
        folder = output

    for name, line in BENCHES.items():
        if name in sys.argv:
            run = importlib.import_module(f"benches.{name}").run
            app.command(name)(_reported(run, name, lambda: folder))
        else:
            app.command(name, help=line)(_listed)
    return run_app(lambda: app, program="scripts/bench.py", arguments=sys.argv[1:])


def _reported(run: Any, name: str, folder: Any) -> Any:
    """`run`, followed by its table on the screen and its JSON in the folder."""
    from benches import common

    @functools.wraps(run)
    def command(**options: Any) -> None:
        result = run(**options)
        common.show(result, title=f"bench {name}")
        file = result.pop("name", name)
        typer.echo(f"written to {common.write(result, folder() / f'{file}.json')}")

    return command


def _listed() -> None:
    """Stands in for a benchmark that is listed but not run."""


if __name__ == "__main__":
    sys.exit(main())
