"""The demo's page: self-contained HTML from the measured record; no number is made here."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure
from PIL import Image

from cytoimagenet_hf.benchmarks.figures import accuracy_dots
from cytoimagenet_hf.core.files import write_text
from cytoimagenet_hf.core.simulated import SENTENCE, is_simulated, stamp_figure
from cytoimagenet_hf.scoring.results import ResultsRecord

from .demo_pictures import feature_map, headline, look, neighbours, rejected, transfer

TEMPLATE = Path(__file__).with_name("report.html.jinja")


def write_report(
    output: Path, record: Mapping[str, Any], results: ResultsRecord, *, sheet: Image.Image, seed: int
) -> None:
    """Write `report.html` into the folder of a demo: `record` is that of results.json, `sheet` the contact sheet."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    looked = look(output / "cytoimagenet", output / "model", seed=seed)
    lost = rejected(output / "cytoimagenet", output / "raw")
    pictures = {
        "transfer": _drawn(transfer(results)),
        "accuracy": _drawn(accuracy_dots(results, ("model", "fusion", "baseline"))),
        "controls": _drawn(accuracy_dots(results, ("fusion", "control"))),
        "neighbours": _drawn(neighbours(looked, seed=seed)),
        "map": _drawn(feature_map(looked, seed=seed)),
        "curves": _picture(output / "run" / "curves.png"),
        "predictions": _picture(output / "run" / "predictions.png"),
        "plate": _svg(output / "plate" / "plate.svg"),
        "rejected": _drawn(lost) if lost is not None else None,
        "contact_sheet": _data_uri(sheet),
    }
    networks = results.names("model")
    page = template.render(
        record=record,
        results=results,
        scores=results.by_entry(),
        pictures=pictures,
        minutes=_minutes,
        simulated=SENTENCE if is_simulated(output / "cytoimagenet") else "",
        has_leaderboard=(output / "leaderboard.html").is_file(),
        explore=f"cytoimagenet explore {output.name}/cytoimagenet --model {output.name}/model",
        headline=headline(
            record,
            untrained=_gains(results, "Pretrained", [name for name in networks if name.startswith("Random")]),
            pixels=_gains(results, "Pretrained", results.names("baseline")),
            default=_gains(results, "Default", results.names("baseline")),
        ),
    )
    write_text(output / "report.html", page)


def _minutes(seconds: float) -> str:
    """A duration as people say it.

    Example:
        >>> _minutes(1056.2), _minutes(42.0)
        ('18 minutes', '42 seconds')
    """
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def _gains(results: ResultsRecord, entry: str, others: Sequence[str]) -> list[float]:
    """By set, what an entry scores above the best of others."""
    scores = results.by_entry()
    return [scores[entry, name].value - max(scores[other, name].value for other in others) for name in results.sets]


def _drawn(figure: Figure) -> str:
    """A figure of the demo, whose images are always drawn."""
    stream = io.BytesIO()
    stamp_figure(figure)
    figure.savefig(stream, dpi=110, format="png")
    return _data_uri(Image.open(stream))


def _picture(path: Path) -> str:
    with Image.open(path) as image:
        return _data_uri(image)


def _svg(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def _data_uri(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
