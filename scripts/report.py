"""The demo's page: self-contained HTML from the measured record; no number is made here."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from cytoimagenet_hf.files import atomic_path
from cytoimagenet_hf.training.report import plot_curves

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def write_report(target: Path, record: Mapping[str, Any], *, sheet: Image.Image) -> None:
    """Render the page.

    Args:
        target: HTML file.
        record: what `demo.py` writes to results.json.
        sheet: the contact sheet of the dataset.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    entries = [entry["name"] for entry in record["benchmarks"]["entries"]]
    scores = {(score["set"], score["entry"]): score for score in record["benchmarks"]["scores"]}
    sets = list(dict.fromkeys(name for name, _ in scores))
    pictures = {
        "contact_sheet": _data_uri(sheet),
        "curves": _curves(record["history"], target.parent),
        "benchmarks": _data_uri(_bars(scores, sets, entries)),
    }
    page = template.render(record=record, pictures=pictures, entries=entries, sets=sets, scores=scores)
    with atomic_path(target) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _bars(scores: Mapping[tuple[str, str], Mapping[str, Any]], sets: list[str], entries: list[str]) -> Image.Image:
    """Accuracy of every entry on every set with its Wald interval; controls are hatched."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    axis = figure.subplots()
    width = 0.8 / len(entries)
    for number, entry in enumerate(entries):
        values = [scores[name, entry]["accuracy"] for name in sets]
        errors = [scores[name, entry]["wald_half_width"] for name in sets]
        hatch = "///" if "shuffled" in entry else None
        axis.bar(
            np.arange(len(sets)) + number * width, values, width, yerr=errors, capsize=2, label=entry, hatch=hatch
        )
    axis.set_xticks(np.arange(len(sets)) + 0.4 - width / 2, sets)
    axis.set(ylabel="accuracy", ylim=(0, 1))
    figure.legend(frameon=False, fontsize=8, ncols=4, loc="outside upper center")
    axis.grid(axis="y", alpha=0.3)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=130, format="png")
    return Image.open(stream)


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
