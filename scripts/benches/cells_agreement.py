"""Measurements of real cells beside CellProfiler's own numbers: which agree, and to what."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import tifffile
import typer
from scipy import ndimage

from cytoimagenet_hf.images import Image, find_cells, look
from cytoimagenet_hf.imaging import read_image
from cytoimagenet_hf.networks import load_encoder
from cytoimagenet_hf.networks.kinds.cp_measure import CellMeasures

FAMILIES = ("AreaShape", "Intensity", "Texture", "Granularity", "RadialDistribution", "Correlation")
PATTERN = "{well}_01_{_}_{site}_{c}_001.tif"
STAINS = {"2": "AGP", "3": "RNA", "5": "DNA"}
_SAME = 1e-6
_LEVELS = ("Min", "Mean", "Median", "Max", "Std")


def run(
    folder: Annotated[Path, typer.Argument(help="Holds nf1/ and jump/: images, masks or outlines, and profiles.")],
) -> dict[str, Any]:
    """Nuclei of two public screens, five each: cp_measure through extract beside CellProfiler's tables.

    Example: python scripts/bench.py cells_agreement real/cells
    """
    measures = cast(CellMeasures, load_encoder("cp_measure"))
    rows = []
    cells = [*_nf1(folder / "nf1", measures), *_jump(folder / "jump")]
    for same in (True, False):
        nuclei = [one for one in cells if one["screen"] == "nf1" and one["same pixels"] is same]
        rows += _compared(f"nf1, {len(nuclei)} nuclei with {'the same' if same else 'nearly the same'} pixels", nuclei)
    rows += _compared("jump, 5 nuclei filled from outlines", [one for one in cells if one["screen"] == "jump"])
    each = [{key: one[key] for key in ("screen", "cell", "area", "area of CellProfiler")} for one in cells]
    return {"table": rows, "cells": each, "offsets": list(_offsets(cells)), "tolerance": _SAME}


def _offsets(cells: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """How far intensities lie above CellProfiler's, in grey values, for nuclei of the same pixels."""
    for one in cells:
        for stain in ("DAPI", "GFP", "RFP") if one["same pixels"] else ():
            pairs = {kind: one["values"].get(f"Nuclei_Intensity_{kind}Intensity_{stain}") for kind in _LEVELS}
            apart = {kind: 65535 * (pair[0] - pair[1]) for kind, pair in pairs.items() if pair is not None}
            if apart:
                levels = [value for kind, value in apart.items() if kind != "Std"]
                yield {
                    "cell": one["cell"],
                    "channel": stain,
                    "least": round(min(levels), 1),
                    "most": round(max(levels), 1),
                    "deviation": round(apart["Std"], 1),
                }


def _nf1(folder: Path, measures: CellMeasures) -> Iterator[dict[str, Any]]:
    """The nuclei of the profiles by image number of the well and object number: binary masks count as CellProfiler."""
    profiles = pd.read_parquet(folder / "cellprofiler_profiles.parquet")
    fields = look(folder / "images", pattern=PATTERN)
    cells = find_cells(fields, folder / "masks", scale=1.0, patterns=["{well}_01_{_}_{site}_DAPI_001_MaskNuclei.tiff"])
    by_place = {(image.metadata["well"], image.metadata["cell"]): image for image in cells.images}
    for row in profiles.to_dict("records"):
        well = re.sub(r"^([A-Z])(\d)$", r"\g<1>0\2", str(row["Image_Metadata_Well_x"]))
        image = by_place[well, str(row["Metadata_Nuclei_Number_Object_Number"])]
        (unit,) = measures.units_of(image)
        names = measures.names(image.channels, ["Nuclei"])
        yield _cell("nf1", image, dict(zip(names, unit[0, 0].tolist(), strict=True)), row)


def _jump(folder: Path) -> Iterator[dict[str, Any]]:
    """Nuclei filled from their outlines, for this comparison alone: five that touch no other."""
    profiles = pd.read_parquet(folder / "cellprofiler_profiles.parquet")
    lines = read_image(next((folder / "outlines").glob("*nuclei*")))
    lines = lines if lines.ndim == 2 else lines.max(axis=2)
    labels, _ = ndimage.label(ndimage.binary_fill_holes(lines > 0), np.ones((3, 3)))
    measures = cast(CellMeasures, load_encoder("cp_measure:shape"))
    with tempfile.TemporaryDirectory() as scratch:
        for file in (folder / "images").iterdir():
            tifffile.imwrite(Path(scratch) / f"A01_{STAINS[file.name.split('-ch')[1][0]]}.tif", read_image(file))
        tifffile.imwrite(Path(scratch) / "A01_Nuclei.png.tif", labels.astype(np.uint16))
        fields = look(f"{scratch}/A01_[ADR]*.tif", pattern="{well}_{c}.tif")
        cells = find_cells(fields, scratch, scale=1.0, patterns=["{well}_Nuclei.png.tif"])
        names = measures.names(cells.images[0].channels, ["Nuclei"])
        centres = np.array(
            [(one.metadata["Location_Center_X"], one.metadata["Location_Center_Y"]) for one in cells.images]
        )
        for row in profiles.to_dict("records"):
            wanted = np.array([row["Nuclei_Location_Center_X"], row["Nuclei_Location_Center_Y"]], float)
            image = cells.images[int(np.abs(centres - wanted).sum(axis=1).argmin())]
            yield _cell("jump", image, dict(zip(names, measures.units_of(image)[0][0, 0].tolist(), strict=True)), row)


def _cell(screen: str, image: Image, ours: Mapping[str, float], row: Mapping[Any, Any]) -> dict[str, Any]:
    area = float(row["Nuclei_AreaShape_Area"])
    theirs = {name: float(row[name]) for name in ours if name in row and pd.notna(row[name])}
    return {
        "screen": screen,
        "cell": image.id.partition("/")[2],  # without the folder
        "area": image.metadata["cell_area"],
        "area of CellProfiler": area,
        "same pixels": image.metadata["cell_area"] == area,
        "values": {name: (ours[name], value) for name, value in theirs.items()},
    }


def _compared(title: str, cells: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for family in FAMILIES:
        pairs = [
            (name, *pair) for one in cells for name, pair in one["values"].items() if name.split("_")[1] == family
        ]
        if not pairs:
            continue
        ours, theirs = (np.array([pair[place] for pair in pairs], float) for place in (1, 2))
        apart = _relative(ours, theirs)
        worst: dict[str, float] = {}
        for (name, _, _), value in zip(pairs, apart.tolist(), strict=True):
            kind = re.sub(r"_(DAPI|GFP|RFP|DNA|RNA|AGP).*|_\d.*", "", name.removeprefix(f"Nuclei_{family}_"))
            worst[kind] = max(worst.get(kind, 0.0), value)
        otherwise = sorted(kind for kind, value in worst.items() if value > 0.01)
        yield {
            "cells": title,
            "measures": family,
            "values": len(pairs),
            "within 1e-6": f"{(apart <= _SAME).mean():.0%}",
            "within 1 %": f"{(apart <= 0.01).mean():.0%}",
            "median difference": f"{np.median(apart):.1e}",
            "beyond 1 %": ", ".join(otherwise),
        }


def _relative(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Differences by the size of CellProfiler's number; float32 noise of numbers near 0 counts as nothing."""
    return np.asarray(np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-6))
