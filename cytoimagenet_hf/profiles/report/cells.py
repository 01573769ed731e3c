"""Typical and extreme cells of each treatment: pictures, with outlines of their objects where label images show them.

A cell is typical by its distance from the mean of all cells of its well, over features scaled to equal deviations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.images.base import Box
from cytoimagenet_hf.imaging.opencv import require_opencv
from cytoimagenet_hf.tables.features import FeatureTable

from .montage import Planes, as_gray, coloured, encoded, levels

TYPICAL, EXTREME = 6, 3
"""Cells shown of a treatment: the nearest to the mean of their well, and the farthest from it."""

_TREATMENTS = 24
_ROWS = 1 << 14  # cells whose features are looked at together
_SIDES = (32, 160)  # pixels of a picture, least and most


@dataclass(frozen=True)
class CellPicture:
    """One cell: its picture as `data:image/jpeg;base64,…`, kind of object → outline as a path in SVG, in pixels of the
    picture, and its distance from the mean of its well, in deviations.
    """

    id: str
    picture: str
    outlines: Mapping[str, str]
    distance: float


@dataclass(frozen=True)
class CellSheet:
    """Cells of all treatments: side of every picture in pixels; treatment, its typical and its extreme cells; why some
    could not be read; and how many treatments are left out.
    """

    side: int
    rows: tuple[tuple[str, tuple[CellPicture, ...], tuple[CellPicture, ...]], ...]
    left_out: tuple[str, ...]
    more: int


def make_cell_sheet(
    cells: FeatureTable, images: Sequence[Image], treatments: Mapping[str, Sequence[tuple[str, str]]]
) -> CellSheet:
    """Choose cells and cut them out of their fields.

    Args:
        cells: features of single cells.
        images: of the cells, by id; those of others are not looked at.
        treatments: name → (plate, well) of its wells; a plate of `""` takes any.
    """
    distance = distances(cells)
    image_of = {image.id: image for image in images}
    rows_of: dict[tuple[str, str], list[int]] = {}
    for row, (plate, well) in enumerate(places_of(cells)):
        if str(cells.ids[row]) in image_of:
            rows_of.setdefault((plate, well), []).append(row)
            rows_of.setdefault(("", well), []).append(row)
    chosen: dict[str, tuple[list[int], list[int]]] = {}
    for name, wells in list(treatments.items())[:_TREATMENTS]:
        rows = sorted({row for well in wells for row in rows_of.get(well, ())}, key=lambda row: distance[row])
        if rows:
            chosen[name] = rows[:TYPICAL], rows[max(TYPICAL, len(rows) - EXTREME) :]
    if not chosen:
        raise InputError("no cell that is left belongs to a well of the profiles")
    wanted = sorted({row for pair in chosen.values() for part in pair for row in part})
    side = _side([image_of[str(cells.ids[row])] for row in wanted])
    stacks: dict[int, Planes] = {}
    outlines: dict[int, dict[str, str]] = {}
    left_out = []
    for row in tqdm(wanted, desc="cells", unit="cell", disable=None):
        image = _centred(image_of[str(cells.ids[row])], side)
        try:
            stack = np.stack([as_gray(plane) for plane in image.read()])
            outlines[row] = _outlines(image)
            stacks[row] = stack
        except InputError as error:
            left_out.append(str(error))
    if not stacks:
        raise InputError(f"none of the {len(wanted)} cells can be read; the first: {left_out[0]}")
    count = min(3, min(map(len, stacks.values())))
    limits = [levels([stack[place] for stack in stacks.values()]) for place in range(count)]
    pictures = {
        row: CellPicture(
            str(cells.ids[row]), encoded(coloured(stack[:count], limits)), outlines[row], float(distance[row])
        )
        for row, stack in stacks.items()
    }
    sheet = [
        (name, *(tuple(pictures[row] for row in part if row in pictures) for part in pair))
        for name, pair in chosen.items()
    ]
    return CellSheet(side, tuple(sheet), tuple(left_out), max(0, len(treatments) - _TREATMENTS))  # type: ignore[arg-type]


def distances(cells: FeatureTable) -> npt.NDArray[np.float64]:
    """(n,) distance of each cell from the mean of its well: root mean square over features, in deviations.

    Example:
        >>> from cytoimagenet_hf.tables.features import make_table
        >>> facts = {"well": ["A01", "A01", "A01", "A02"]}
        >>> distances(make_table(list("abcd"), [[0.0], [0.0], [6.0], [2.0]], facts)).round(2).tolist()
        [0.82, 0.82, 1.63, 0.0]
    """
    _, group = np.unique(["\x1f".join(place) for place in places_of(cells)], return_inverse=True)
    blocks = [slice(start, start + _ROWS) for start in range(0, len(cells), _ROWS)]
    means = np.zeros((group.max() + 1, len(cells.names)))
    for block in blocks:
        np.add.at(means, group[block], cells.values[block])
    mean = means.sum(axis=0) / len(cells)
    means /= np.bincount(group)[:, None]
    variance = sum(((cells.values[block] - mean) ** 2).sum(axis=0) for block in blocks) / len(cells)
    varies = variance > 0
    distance = np.empty(len(cells))
    for block in blocks:
        away = (cells.values[block] - means[group[block]])[:, varies] ** 2 / variance[varies]
        distance[block] = np.sqrt(away.sum(axis=1) / max(1, varies.sum()))
    return distance


def places_of(table: FeatureTable) -> list[tuple[str, str]]:
    """(plate, well) of each row; empty text where they are not known."""
    facts = table.metadata.reindex(columns=["plate", "well"], fill_value="")
    return list(zip(map(str, facts["plate"]), map(str, facts["well"]), strict=True))


def _side(images: Sequence[Image]) -> int:
    """Pixels of all pictures: twice the diameter of the median cell, or what was cut out where no area is known."""
    areas = [float(image.metadata["cell_area"]) for image in images if image.metadata.get("cell_area")]
    side = 2.3 * float(np.median(areas)) ** 0.5 if areas else float(np.median([_box(image).size for image in images]))
    return int(np.clip(side, *_SIDES))


def _box(image: Image) -> Box:
    if image.box is None:
        raise InputError(f"{image.id} is no cell")
    return image.box


def _centred(image: Image, side: int) -> Image:
    """The cell with what lies around it, in the middle of a square."""
    box = _box(image)
    beside = box.size // 2 - side // 2
    return replace(image, box=Box(box.top + beside, box.left + beside, side, frame=box.frame))


def _outlines(image: Image) -> dict[str, str]:
    cv2 = require_opencv("outlines of cells")
    outlines = {}
    for ref in image.objects:
        inside = _box(image).inside(ref.labels(), ref.number).astype(np.uint8)
        lines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        # + 0.5: the middle of a pixel
        paths = ("L".join(f"{x + 0.5:g} {y + 0.5:g}" for x, y in line[:, 0].tolist()) for line in lines)
        outlines[ref.kind] = "".join(f"M{path}Z" for path in paths)
    return outlines
