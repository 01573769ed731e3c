"""The picture at the top of README: `python -m scripts.pages.front` writes docs/images/front.png.

Two plates from raw wells to features to dose responses, drawn from the numbers of docs/benchmarks/screen.json
(`python scripts/bench.py screen`). The cells shown are drawn by the simulator; no image of the real plate is shown.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cytoimagenet_hf.core.colours import PALETTE
from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.imaging import normalize
from cytoimagenet_hf.profiles.report.heatmap import row_and_column
from cytoimagenet_hf.profiles.screens import DoseResponse
from scripts.simulate.cells import draw_field
from scripts.simulate.phenotypes import mix
from scripts.simulate.plan import plate_optics
from scripts.simulate.screen_plate import PLATE, STAINS, UNTREATED, plate_wells

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / "docs" / "benchmarks" / "screen.json"
TARGET = ROOT / "docs" / "images" / "front.png"
BLUE, ORANGE, GREEN = PALETTE[:3]
GRAY = "#8a929c"
_SHOWN = (
    "A01",
    "A08",
    "A03",
    "E03",
)  # untreated, a middle dose and the highest of one compound, the highest of the other
_SIDE = 128


def draw(measured: Mapping[str, Any]) -> Figure:
    """Two plates in rows; raw wells, features and dose responses in columns.

    Args:
        measured: content of docs/benchmarks/screen.json.
    """
    figure = Figure(figsize=(12.4, 7.0), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)  # type: ignore[union-attr]
    rows = figure.subfigures(2, 1)
    named = {
        "real": "REAL: BBBC013, 96 wells of human cells, two compounds in nine doses",
        "simulated": "SIMULATED: the plate of `make demo`, 96 wells of drawn cells, two compounds in nine doses",
    }
    for row, (kind, title) in zip(rows, named.items(), strict=True):
        plate = measured["plates"][kind]
        row.suptitle(title.replace("`", ""), x=0.01, ha="left", fontsize=12.5, fontweight="bold", color="#1b1f24")
        raw, features, doses = row.subfigures(1, 3, width_ratios=[1.05, 0.95, 1.3])
        if kind == "real":
            _brightness(raw.subplots(), plate)
        else:
            _cells(raw.subplots(2, 2).ravel(), plate)
            raw.suptitle("1  raw wells: DNA, tubulin, actin", fontsize=11)
        _map(features.subplots(), plate)
        _responses(doses.subplots(1, len(plate["responses"]), sharey=True), plate)
        doses.suptitle("3  response of the wells to the dose", fontsize=11)
    return figure


def _brightness(axis: Axes, plate: Mapping[str, Any]) -> None:
    places = [row_and_column(well["well"]) for well in plate["wells"]]
    grid = np.full((8, 12), np.nan)
    for (row, column), well in zip(places, plate["wells"], strict=True):
        grid[row, column] = well["brightness"]
        mark = {"negative": "−", "positive": "+", "empty": "∅"}.get(well["role"], "")
        axis.text(column, row, mark, ha="center", va="center", fontsize=8, color="white")
    axis.imshow(grid, cmap="gray", vmin=0)
    axis.set_xticks(range(12), [str(number) for number in range(1, 13)], fontsize=7)
    axis.set_yticks(range(8), list("ABCDEFGH"), fontsize=7)
    axis.tick_params(length=0)
    axis.set_title(f"1  raw wells: mean brightness, {plate['channel'].upper()}", fontsize=11)
    axis.set_xlabel("− negative, + positive controls, ∅ empty", fontsize=8.5, color=GRAY)


def _cells(axes: Sequence[Axes], plate: Mapping[str, Any]) -> None:
    known = {well.well: well for well in plate_wells()}
    for axis, name in zip(axes, _SHOWN, strict=True):
        well = known[name]
        axis.imshow(_coloured(name))
        dose = f"{well.concentration:g} {plate['unit']}" if well.concentration else "untreated"
        axis.set_title(f"{well.compound}\n{dose}", fontsize=8)
        axis.set(xticks=[], yticks=[])


def _coloured(name: str) -> npt.NDArray[np.float64]:
    """A well of the simulated plate: tubulin red, actin green, DNA blue."""
    well = next(well for well in plate_wells() if well.well == name)
    optics = plate_optics(0, "plate", PLATE, severity=0.2)
    look = mix(UNTREATED, well.effect, well.strength)
    drawn = draw_field(derive_rng(0, "front", name), look, _SIDE, list(STAINS.values()), optics=optics)
    planes = {stain: normalize(drawn[structure]) for stain, structure in STAINS.items()}
    return np.stack([planes["tubulin"], planes["actin"], planes["dna"]], axis=-1).clip(0, 1)


def _map(axis: Axes, plate: Mapping[str, Any]) -> None:
    wells = plate["wells"]
    places = np.array([well["place"] for well in wells])
    treated = np.array([well["role"] == "treatment" for well in wells])
    low, high = _decades([well for well in wells if well["role"] == "treatment"])
    for compound, marker in zip([one["compound"] for one in plate["responses"]], "os", strict=True):
        own = np.flatnonzero(treated & np.array([well["compound"] == compound for well in wells]))
        share = [_share(wells[i]["dose"], low[compound], high[compound]) for i in own]
        dots = axis.scatter(
            *places[own].T, c=share, cmap="viridis_r", vmin=0, vmax=1, s=30, marker=marker, label=compound
        )
    for role, colour, marker in (("negative", BLUE, "o"), ("positive", ORANGE, "^")):
        own = np.flatnonzero([well["role"] == role for well in wells])
        axis.scatter(
            *places[own].T, facecolors="none", edgecolors=colour, s=62, linewidths=1.8, marker=marker, label=role
        )
    axis.set(xticks=[], yticks=[])
    axis.set_title("2  features: each well a point", fontsize=11)
    axis.legend(fontsize=7.5, frameon=False, loc="best")
    bar = axis.figure.colorbar(dots, ax=axis, shrink=0.75, pad=0.02, ticks=[0, 1])
    bar.ax.set_yticklabels(["lowest\ndose", "highest\ndose"], fontsize=7.5)


def _decades(treated: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Lowest and highest dose of each compound."""
    doses: dict[str, list[float]] = {}
    for well in treated:
        doses.setdefault(well["compound"], []).append(well["dose"])
    return {name: min(own) for name, own in doses.items()}, {name: max(own) for name, own in doses.items()}


def _share(dose: float, low: float, high: float) -> float:
    return float(np.log(dose / low) / np.log(high / low))


def _responses(axes: Sequence[Axes], plate: Mapping[str, Any]) -> None:
    for axis, one in zip(axes, plate["responses"], strict=True):
        dose, response = np.array(one["dose"]), np.array(one["response"])
        none = dose.min() / 5  # where the wells without a dose stand on a logarithmic axis
        untreated = np.array(one["untreated"])
        jitter = derive_rng(0, "front", one["compound"]).uniform(0.85, 1.18, len(untreated))
        axis.scatter(none * jitter, untreated, s=20, color=BLUE, alpha=0.8, linewidths=0)
        axis.scatter(dose, response, s=20, color="#1b1f24", alpha=0.7, linewidths=0)
        said = f"rank correlation {one['spearman']:.2f}, Z′ {plate['z_prime'][one['compound']]:.2f}"
        if one["curve"] is not None:
            curve = DoseResponse(**one["curve"], interval=(np.nan, np.nan), r2=np.nan)
            at = np.geomspace(dose.min() / 1.5, dose.max() * 1.3, 100)
            axis.plot(at, curve.at(at), color=GREEN, linewidth=2)
            axis.axvline(curve.ec50, color=GREEN, linewidth=1, linestyle=":")
        axis.set_xscale("log")
        axis.axhline(0, color="#dfe3e8", linewidth=0.8, zorder=0)
        axis.axhline(1, color="#dfe3e8", linewidth=0.8, zorder=0)
        axis.set_title(f"{one['compound']}\n{said}", fontsize=9)
        axis.set_xlabel(f"dose, {plate['unit']} (blue: untreated)", fontsize=8.5)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("0 negative, 1 positive controls", fontsize=8.5)


if __name__ == "__main__":
    with atomic_path(TARGET) as temporary:
        draw(json.loads(MEASURED.read_text(encoding="utf-8"))).savefig(
            temporary, dpi=130, format="png", facecolor="white"
        )
