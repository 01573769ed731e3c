"""The picture at the top of README: `python -m scripts.pages.front` writes docs/images/front.png and its dark twin.

Two plates from wells to dose responses, drawn from docs/benchmarks/screen.json (`python scripts/bench.py screen`). The
cells shown are drawn by the simulator; no image of the real plate is shown. Letters are large enough to read on a
phone, where the picture is 400 pixels wide.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cytoimagenet_hf.core.colours import PALETTE
from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.imaging import normalize
from cytoimagenet_hf.profiles.screens import DoseResponse
from scripts.simulate.cells import draw_field
from scripts.simulate.phenotypes import mix
from scripts.simulate.plan import plate_optics
from scripts.simulate.screen_plate import PLATE, STAINS, UNTREATED, plate_wells

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / "docs" / "benchmarks" / "screen.json"
TARGETS = {False: ROOT / "docs" / "images" / "front.png", True: ROOT / "docs" / "images" / "front-dark.png"}
"""For light pages, and for dark ones."""
BLUE, ORANGE, GREEN = PALETTE[:3]
COLOURS = (GREEN, ORANGE)  # of the two compounds
_SHOWN = (
    "A01",
    "A08",
    "A03",
    "E03",
)  # untreated, a middle dose and the highest of one compound, the highest of the other
_SIDE = 128
_LETTERS = 15  # points: at 400 pixels on 8 inches, ten pixels high


def draw(measured: Mapping[str, Any], *, dark: bool = False) -> Figure:
    """Two plates in rows; wells and dose responses in columns.

    Args:
        measured: content of docs/benchmarks/screen.json.
        dark: light letters on the background of a dark page.
    """
    page, ink = ("#0d1117", "#e6edf3") if dark else ("#ffffff", "#1b1f24")
    letters = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), ink)
    with matplotlib.rc_context(letters | {"font.size": _LETTERS, "axes.facecolor": page, "figure.facecolor": page}):
        figure = Figure(figsize=(8, 8.6), layout="constrained")
        rows = figure.subfigures(2, 1, hspace=0.06)
        titles = {"real": "REAL plate: BBBC013, 96 wells", "simulated": "SIMULATED plate of make demo, 96 wells"}
        for row, (kind, title) in zip(rows, titles.items(), strict=True):
            plate = measured["plates"][kind]
            row.suptitle(title, x=0.01, ha="left", fontsize=_LETTERS + 2, fontweight="bold")
            wells, doses = row.subfigures(1, 2, width_ratios=[1, 1.25])
            if kind == "real":
                _map(wells.subplots(), plate, ink)
            else:
                _cells(wells.subplots(2, 2).ravel(), plate)
            _responses(doses.subplots(), plate, ink)
    return figure


def _cells(axes: Sequence[Axes], plate: Mapping[str, Any]) -> None:
    known = {well.well: well for well in plate_wells()}
    for axis, name in zip(axes, _SHOWN, strict=True):
        well = known[name]
        axis.imshow(_coloured(name))
        dose = f"{well.concentration:g} {plate['unit']}" if well.concentration else "untreated"
        axis.set_title(f"{well.compound if well.concentration else dose}", fontsize=_LETTERS - 3)
        if well.concentration:
            axis.set_xlabel(dose, fontsize=_LETTERS - 3, labelpad=2)
        axis.set(xticks=[], yticks=[])


def _coloured(name: str) -> npt.NDArray[np.float64]:
    """A well of the simulated plate: tubulin red, actin green, DNA blue."""
    well = next(well for well in plate_wells() if well.well == name)
    optics = plate_optics(0, "plate", PLATE, severity=0.2)
    look = mix(UNTREATED, well.effect, well.strength)
    drawn = draw_field(derive_rng(0, "front", name), look, _SIDE, list(STAINS.values()), optics=optics)
    planes = {stain: normalize(drawn[structure]) for stain, structure in STAINS.items()}
    return np.stack([planes["tubulin"], planes["actin"], planes["dna"]], axis=-1).clip(0, 1)


def _map(axis: Axes, plate: Mapping[str, Any], ink: str) -> None:
    """Wells by their features, near where they are alike; darker for a higher dose."""
    wells = plate["wells"]
    places = np.array([well["place"] for well in wells])
    low, high = _decades([well for well in wells if well["role"] == "treatment"])
    for number, compound in enumerate(one["compound"] for one in plate["responses"]):
        chosen = [i for i, well in enumerate(wells) if well["role"] == "treatment" and well["compound"] == compound]
        share = [0.2 + 0.8 * _share(wells[i]["dose"], low[compound], high[compound]) for i in chosen]
        axis.scatter(*places[chosen].T, color=COLOURS[number], alpha=share, s=70, marker="os"[number], linewidths=0)
    untreated = [i for i, well in enumerate(wells) if well["role"] == "negative"]
    axis.scatter(*places[untreated].T, facecolors="none", edgecolors=ink, s=95, linewidths=2)
    axis.set(xticks=[], yticks=[])
    axis.set_title("wells by their features", fontsize=_LETTERS)
    axis.set_xlabel("○ untreated;\nstronger colour, higher dose", fontsize=_LETTERS - 2)


def _decades(treated: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Lowest and highest dose of each compound."""
    doses: dict[str, list[float]] = {}
    for well in treated:
        doses.setdefault(well["compound"], []).append(well["dose"])
    return {name: min(own) for name, own in doses.items()}, {name: max(own) for name, own in doses.items()}


def _share(dose: float, low: float, high: float) -> float:
    return float(np.log(dose / low) / np.log(high / low))


def _responses(axis: Axes, plate: Mapping[str, Any], ink: str) -> None:
    for one, colour, marker in zip(plate["responses"], COLOURS, "os", strict=True):
        dose, response = np.array(one["dose"]), np.array(one["response"])
        said = f"{one['compound']}\nrank {one['spearman']:.2f}, Z′ {plate['z_prime'][one['compound']]:.2f}"
        axis.scatter(dose, response, s=40, color=colour, alpha=0.75, marker=marker, linewidths=0, label=said)
        if one["curve"] is not None:
            curve = DoseResponse(**one["curve"], interval=(np.nan, np.nan), r2=np.nan)
            at = np.geomspace(dose.min() / 1.5, dose.max() * 1.3, 100)
            axis.plot(at, curve.at(at), color=colour, linewidth=3)
    axis.set_xscale("log")
    for level in (0, 1):
        axis.axhline(level, color=ink, alpha=0.25, linewidth=1, zorder=0)
    axis.set_ylim(-0.25, 1.95)
    axis.set_yticks([0, 1], ["untreated", "positive"], rotation=90, va="center")
    axis.set_title("response to the dose", fontsize=_LETTERS)
    axis.set_xlabel(f"dose, {plate['unit']}")
    axis.legend(fontsize=_LETTERS - 2, frameon=False, loc="upper left", borderpad=0, handletextpad=0.1)
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    content = json.loads(MEASURED.read_text(encoding="utf-8"))
    for dark, target in TARGETS.items():
        with atomic_path(target) as temporary:
            figure = draw(content, dark=dark)
            figure.savefig(temporary, dpi=120, format="png", facecolor=figure.get_facecolor())
