"""The picture at the top of README: `python -m scripts.pages.front` writes docs/images/front.png and its dark twin.

Cells of four wells and dose responses of two plates. The responses are from docs/benchmarks/screen.json
(`python scripts/bench.py screen`). The cells of the real plate are cut from BBBC013v1, provided by Ilya Ravkin under
CC BY 3.0, and kept in docs/images/bbbc013-cells.jpg; `python -m scripts.pages.front FOLDER` cuts them again from the
plate's images. Letters are large enough to read on a phone, where the picture is 400 pixels wide.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from cytoimagenet_hf.core.colours import PALETTE
from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.images import find_images
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
_, ORANGE, GREEN = PALETTE[:3]
PATTERN, REAL_STAINS = "Channel{c}-{_}-{row}-{column}.tif", {"1": "gfp", "2": "draq5"}
COLOURS = (GREEN, ORANGE)  # of the two compounds
CELLS = ROOT / "docs" / "images" / "bbbc013-cells.jpg"
# Untreated, a low dose and the highest of one compound, the highest of the other.
_SHOWN = {"real": ("A01", "A05", "A11", "E11"), "simulated": ("A01", "A08", "A03", "E03")}
_CUT = slice(220, 420)  # rows and columns of each real field
_SIDE = 128
_LETTERS = 15  # points: at 400 pixels on 8 inches, ten pixels high


def draw(measured: Mapping[str, Any], *, dark: bool = False) -> Figure:
    """Two plates in rows; cells and dose responses in columns; dark with light letters for a dark page."""
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
            _cells(wells.subplots(2, 2).ravel(), plate, kind)
            _responses(doses.subplots(), plate, ink)
    return figure


def _cells(axes: Sequence[Axes], plate: Mapping[str, Any], kind: str) -> None:
    wells = {well["well"]: well for well in plate["wells"]}
    real = np.hsplit(np.asarray(Image.open(CELLS)), len(_SHOWN[kind])) if kind == "real" else None
    for place, (axis, name) in enumerate(zip(axes, _SHOWN[kind], strict=True)):
        well = wells[name]
        axis.imshow(_drawn(name) if real is None else real[place])
        axis.set_title(well["compound"] if well["dose"] else "untreated", fontsize=_LETTERS - 3)
        if well["dose"]:
            axis.set_xlabel(f"{well['dose']:,g} {plate['unit']}", fontsize=_LETTERS - 3, labelpad=2)
        axis.set(xticks=[], yticks=[])


def cut_cells(folder: Path) -> None:
    """Cut the shown cells from the images of the real plate: GFP green, DNA blue, both as bright in every well."""
    fields = {image.metadata["well"]: image for image in find_images(folder, pattern=PATTERN, stains=REAL_STAINS)}
    planes = np.stack([fields[well].read() for well in _SHOWN["real"]]).astype(np.float32)  # (wells, 2, H, W)
    low, high = np.percentile(planes, (1, 99.8), axis=(0, 2, 3), keepdims=True)
    gfp, dna = (255 * ((planes - low) / (high - low)).clip(0, 1)).astype(np.uint8)[:, :, _CUT, _CUT].swapaxes(0, 1)
    coloured = np.stack([np.zeros_like(gfp), gfp, dna], axis=-1)  # (wells, H, W, 3)
    with atomic_path(CELLS) as temporary:
        Image.fromarray(np.concatenate(list(coloured), axis=1)).save(temporary, "JPEG", quality=92)


def _drawn(name: str) -> npt.NDArray[np.float64]:
    """A well of the simulated plate: tubulin red, actin green, DNA blue."""
    well = next(well for well in plate_wells() if well.well == name)
    optics = plate_optics(0, "plate", PLATE, severity=0.2)
    look = mix(UNTREATED, well.effect, well.strength)
    drawn = draw_field(derive_rng(0, "front", name), look, _SIDE, list(STAINS.values()), optics=optics)
    planes = {stain: normalize(drawn[structure]) for stain, structure in STAINS.items()}
    return np.stack([planes["tubulin"], planes["actin"], planes["dna"]], axis=-1).clip(0, 1)


def _responses(axis: Axes, plate: Mapping[str, Any], ink: str) -> None:
    for one, colour, marker in zip(plate["responses"], COLOURS, "os", strict=True):
        dose, response = np.array(one["dose"]), np.array(one["response"])
        legend = f"{one['compound']}\nrank {one['spearman']:.2f}, Z′ {plate['z_prime'][one['compound']]:.2f}"
        axis.scatter(dose, response, s=40, color=colour, alpha=0.75, marker=marker, linewidths=0, label=legend)
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
    if folders := sys.argv[1:]:
        cut_cells(Path(folders[0]))
    content = json.loads(MEASURED.read_text(encoding="utf-8"))
    for dark, target in TARGETS.items():
        with atomic_path(target) as temporary:
            figure = draw(content, dark=dark)
            figure.savefig(temporary, dpi=120, format="png", facecolor=figure.get_facecolor())
            colours = Image.open(temporary).convert("RGB").quantize(256, dither=Image.Dither.NONE)  # half the bytes
            colours.save(temporary, "PNG", optimize=True)
