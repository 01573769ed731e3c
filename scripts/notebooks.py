"""The notebooks of the docs with their outputs: run on a demo, stored, and compared when the tests run them again.

    python scripts/notebooks.py --demo demo
    python scripts/notebooks.py --demo demo --check

Only simulated images are shown. What a run prints on standard error is a fault of the notebook or of the library.
"""

import base64
import io
import itertools
import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import nbclient
import nbformat
import typer
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))
VARIES = "varies"
"""Tag of a cell whose words depend on the demo: names of labels and wells."""
_NUMBER = re.compile(r"[-+−]?\d[\d,_]*(?:\.\d+)?(?:e[-+]?\d+)?")


def main(
    demo: Annotated[Path, typer.Option(help="Folder of a finished demo.")] = ROOT / "demo",
    only: Annotated[list[str] | None, typer.Option(help="Names that begin so; by default all.")] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Store nothing; exit with 1 where a stored number is not that of this demo."),
    ] = False,
) -> None:
    """Run the notebooks and store their outputs.

    Example: python scripts/notebooks.py --demo demo --only 01
    """
    differing = 0
    for path in NOTEBOOKS:
        if only and not path.stem.startswith(tuple(only)):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            notebook = execute(path, demo.resolve(), Path(scratch))
        if noise := [text for cell in notebook.cells for text in errors(cell)]:
            raise typer.BadParameter(f"{path.name} writes to standard error: {noise[0][:300]}")
        if check:
            stored = nbformat.read(path, as_version=4)
            for old, new in zip(stored.cells, notebook.cells, strict=True):
                for pair in different_numbers(old, new):
                    differing += 1
                    typer.echo(f"{path.name}: stored {pair[0]}, now {pair[1]}: {new.source.splitlines()[0]}")
            continue
        nbformat.write(notebook, path)
        typer.echo(f"{path.name}: {path.stat().st_size / 1e3:.0f} KB")
    if differing:
        raise typer.Exit(1)


def execute(path: Path, demo: Path, scratch: Path) -> Any:
    """A notebook after a run on a finished demo, in an empty folder: working directory, caches and temporary files."""
    before = dict(os.environ)
    os.environ.update(
        CYTOIMAGENET_DEMO=str(demo),
        CYTOIMAGENET_CHECKOUT=str(ROOT),
        HF_HOME=str(scratch / "home"),
        IPYTHONDIR=str(scratch / "ipython"),
        JUPYTER_RUNTIME_DIR=str(scratch / "runtime"),
        TMPDIR=str(scratch),
        TQDM_DISABLE="1",  # progress is for those who wait
        PYTHONWARNINGS="ignore:IProgress not found",  # tqdm, where ipywidgets are not installed
    )
    notebook = nbformat.read(path, as_version=4)
    try:
        client = nbclient.NotebookClient(
            notebook, timeout=1200, record_timing=False, resources={"metadata": {"path": str(scratch)}}
        )
        client.execute()
    finally:
        os.environ.clear()
        os.environ.update(before)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/jpeg", None)  # the same picture as the PNG
            _without_places(output, {str(demo): "demo", str(scratch): "."})
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def errors(cell: Mapping[str, Any]) -> list[str]:
    """What a cell wrote to standard error."""
    return ["".join(out["text"]) for out in cell.get("outputs", []) if out.get("name") == "stderr"]


def outline(cell: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What is alike in the outputs of two runs on different demos: kinds, sizes of pictures, words without numbers.

    Example:
        >>> printed = {"output_type": "stream", "name": "stdout", "text": "0.75 of 8 wells"}
        >>> outline({"metadata": {}, "outputs": [printed]})
        [('stdout', '# of # wells')]
    """
    varies = VARIES in cell["metadata"].get("tags", [])
    return [(kind, "" if varies and kind != "image/png" else text) for kind, text in _parts(cell)]


def different_numbers(stored: Mapping[str, Any], ran: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Numbers that two runs of a cell print differently, by more than a twentieth: threads change the last digits.

    A number that one of them lacks is paired with an empty text.

    Example:
        >>> old, new = ({"outputs": [{"name": "stdout", "text": f"Z' {value} of 96"}]} for value in (0.37, 0.53))
        >>> different_numbers(old, new)
        [('0.37', '0.53')]
    """
    pairs = itertools.zip_longest(_numbers(stored), _numbers(ran), fillvalue="")
    return [(old, new) for old, new in pairs if not _alike(old, new)]


def _numbers(cell: Mapping[str, Any]) -> Iterator[str]:
    for output in cell.get("outputs", []):
        yield from _NUMBER.findall("".join(output.get("text", output.get("data", {}).get("text/plain", ""))))


def _alike(old: str, new: str) -> bool:
    if not (old and new):
        return False
    first, second = (float(text.replace("−", "-").replace(",", "").replace("_", "")) for text in (old, new))
    return math.isclose(first, second, rel_tol=0.05, abs_tol=0.005)


def _parts(cell: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for output in cell.get("outputs", []):
        if "text" in output:
            yield output["name"], _words("".join(output["text"]))
        for kind, content in sorted(output.get("data", {}).items()):
            if kind == "image/png":
                with Image.open(io.BytesIO(base64.b64decode("".join(content)))) as picture:
                    yield kind, f"{picture.width} x {picture.height}"
            elif kind == "text/plain":
                yield kind, _words("".join(content))
            else:  # HTML says again what the text says; an SVG has as many points as the demo has wells
                yield kind, ""


def _words(text: str) -> str:
    return " ".join(_NUMBER.sub("#", text).split())


def _without_places(output: dict[str, Any], places: Mapping[str, str]) -> None:
    """Folders of this run by their names: nobody else has them."""
    for holder, kinds in ((output, ("text",)), (output.get("data", {}), ("text/plain", "text/html"))):
        for kind in kinds:
            if kind in holder:
                text = "".join(holder[kind])
                for place, name in places.items():
                    text = text.replace(place, name)
                holder[kind] = text


if __name__ == "__main__":
    typer.run(main)
