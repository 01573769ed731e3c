"""The demo's page: self-contained HTML from the measured record; no number is made here."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure
from PIL import Image

from cytoimagenet_hf.benchmarks.figures import accuracy_dots
from cytoimagenet_hf.files import atomic_path
from cytoimagenet_hf.results import ResultsRecord
from cytoimagenet_hf.training.report import plot_curves

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def write_report(target: Path, record: Mapping[str, Any], results: ResultsRecord, *, sheet: Image.Image) -> None:
    """Render the page.

    Args:
        target: HTML file.
        record: what `demo.py` writes to results.json.
        results: of the benchmarks, typed.
        sheet: the contact sheet of the dataset.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    pictures = {
        "contact_sheet": _data_uri(sheet),
        "curves": _curves(record["history"], target.parent),
        "accuracy": _drawn(accuracy_dots(results, ("model", "fusion"))),
        "controls": _drawn(accuracy_dots(results, ("fusion", "control"))),
    }
    page = template.render(record=record, pictures=pictures, results=results, scores=results.by_entry())
    with atomic_path(target) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _drawn(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, dpi=130, format="png")
    return _data_uri(Image.open(stream))


def _curves(history: list[dict[str, Any]], folder: Path) -> str:
    picture = folder / "run" / "curves.png"
    if not picture.is_file():
        plot_curves(history, picture)
    with Image.open(picture) as image:
        return _data_uri(image)


def _data_uri(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
