"""Single cells: a box around each centre that a table or a label image gives, an `Image` per cell.

Centres come from CellProfiler (`Nuclei_Location_Center_X`, or `Location_Center_X`, and `_Y`; x is the column, y
the row, both from 0), from DeepProfiler's `<plate>/<well>-<site>-Nuclei.csv`, or from label images, where 0 is
background. Nothing is segmented here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.imaging import read_image

from .base import Box, Image
from .find import Found
from .source import SUFFIXES, Ignored, open_source, suffix_of, without_suffix
from .tables import place_of, places, rows_of
from .wells import normalise_well

_CENTRES = (
    ("Nuclei_Location_Center_X", "Nuclei_Location_Center_Y"),
    ("Location_Center_X", "Location_Center_Y"),
    ("Cells_Location_Center_X", "Cells_Location_Center_Y"),
)
_NUMBERS = ("ObjectNumber", "Nuclei_Number_Object_Number", "Number_Object_Number", "Nuclei_ObjectNumber")
_IMAGE_NUMBERS = ("ImageNumber", "Nuclei_ImageNumber")
_MASK_ENDINGS = ("", "_mask", "_masks", "_cp_masks", "_label", "_labels", "-mask", "-labels")

_Place = tuple[str, str, str]


@dataclass(frozen=True)
class _Cell:
    number: str
    x: float
    y: float
    frame: tuple[int, int] | None = None  # size of the label image it is from


def find_cells(found: Found, cells: str | Path, *, size: int, border: str = "mirror") -> Found:
    """The cells of images, as images of their own.

    Args:
        found: what `look` found.
        cells: a table of centres with plate, well and site, with the id of the image (`id`), or with `ImageNumber` and
            an `Image.csv` beside it; or a folder of `<plate>/<well>-<site>-Nuclei.csv`; or a folder of label images
            named as the images' ids, `_mask`, `_masks`, `_cp_masks` or `_labels` added or not.
        size: side of the box in pixels.
        border: `"mirror"` fills what a box lacks beyond the border by mirroring the image there; `"leave"` leaves such
            cells out, each with its reason.

    Returns:
        A cell per centre: id `<id of the image>/<number>`, or by its place where it has no number; metadata of the
        image, `cell`, `Location_Center_X` and `Location_Center_Y`. Images that cannot be used stay as they are, and
        images without cells are counted in the notes.

    Raises:
        InputError: no such table or folder, no columns of centres, or nothing that joins cells with images.
    """
    if size < 1:
        raise InputError(f"cell size {size}: the side of a box is 1 pixel or more")
    if border not in ("mirror", "leave"):
        raise InputError(f"border {border!r}: choose mirror or leave")
    path = Path(cells)
    usable = [image for image in found.images if not image.reason_against()]
    if path.is_dir():
        by_image, ignored = _in_folder(path, usable)
    else:
        by_image, ignored = _in_table(path, usable), []
    images = [image for image in found.images if image.reason_against()]
    empty = 0
    for image in usable:
        centres = by_image.get(image.id, [])
        empty += not centres
        images += [_crop(image, cell, size, border) for cell in _distinct(centres, ignored, image.id)]
    if not any(by_image.get(image.id) for image in usable):
        raise InputError(f"no cell of {path} belongs to an image of {found.source}: compare plates, wells and sites")
    count = sum(map(len, by_image.values()))
    notes = [f"{count:,} cells of {len(usable) - empty:,} images; boxes of {size} x {size} pixels, border: {border}"]
    if empty:
        notes.append(f"{empty:,} images have no cells in {path}")
    return replace(found, images=images, ignored=(*found.ignored, *ignored), notes=(*found.notes, *notes))


def _crop(image: Image, cell: _Cell, size: int, border: str) -> Image:
    metadata = {
        **image.metadata,
        "cell": cell.number,
        "Location_Center_X": cell.x,
        "Location_Center_Y": cell.y,
    }
    box = Box(round(cell.y) - size // 2, round(cell.x) - size // 2, size, border == "mirror", cell.frame)
    return replace(image, id=f"{image.id}/{cell.number}", metadata=metadata, box=box)


def _distinct(cells: Iterable[_Cell], ignored: list[Ignored], name: str) -> Iterator[_Cell]:
    seen: set[str] = set()
    for cell in cells:
        if cell.number in seen:
            ignored.append(Ignored(f"{name}/{cell.number}", "this cell is there more than once"))
            continue
        seen.add(cell.number)
        yield cell


# Tables


def _in_table(path: Path, images: list[Image]) -> dict[str, list[_Cell]]:
    rows = rows_of(path)
    columns = [str(column) for column in rows.columns]
    ids = {image.id for image in images}
    if "id" in columns:
        keys = rows["id"].map(lambda name: name if name in ids else None)
        return _grouped(rows, keys, path)
    by_place = _by_place(images)
    placed = places(columns)
    if "well" in placed:
        keys = pd.Series([by_place.get(place) for place in _places_of(rows, placed)], dtype=object)
        return _grouped(rows, keys, path)
    number = next((column for column in _IMAGE_NUMBERS if column in columns), None)
    beside = path.with_name("Image.csv")
    if number is None or not beside.is_file():
        raise InputError(
            f"{path} says of no cell which image it is in: it needs plate, well and site, or id, or ImageNumber and "
            f"{beside.name} beside it; it has {', '.join(columns)}"
        )
    listed = rows_of(beside)
    known = places([str(column) for column in listed.columns])
    if "ImageNumber" not in listed.columns or "well" not in known:
        raise InputError(f"{beside} needs ImageNumber, Metadata_Plate, Metadata_Well and Metadata_Site")
    of_number = dict(zip(listed["ImageNumber"], _places_of(listed, known), strict=True))
    keys = rows[number].map(lambda given: by_place.get(of_number.get(given, ("", "", ""))))
    return _grouped(rows, keys, path)


def _by_place(images: list[Image]) -> dict[_Place, str]:
    """(plate, well, site) → id; also without the plate, where one plate is all there is."""
    found = {}
    plates = {str(image.metadata.get("plate", "")) for image in images}
    for image in images:
        plate, well, site = (str(image.metadata.get(key, "")) for key in ("plate", "well", "site"))
        found[plate, well, site] = image.id
        if len(plates) == 1:
            found["", well, site] = image.id
    return found


def _places_of(rows: pd.DataFrame, placed: Mapping[str, str]) -> list[_Place]:
    known: list[_Place] = []
    for row in rows[list(placed.values())].to_dict("records"):
        values, _ = place_of(row, placed)
        try:
            well = normalise_well(values.get("well", ""))
        except InputError:
            well = values.get("well", "")
        known.append((values.get("plate", ""), well, values.get("site", "")))
    return known


def _grouped(rows: pd.DataFrame, keys: "pd.Series[Any]", path: Path) -> dict[str, list[_Cell]]:
    cells = _cells_of(rows, path)
    found: dict[str, list[_Cell]] = {}
    for key, cell in zip(keys, cells, strict=True):
        if isinstance(key, str):
            found.setdefault(key, []).append(cell)
    return found


def _cells_of(rows: pd.DataFrame, path: Path) -> list[_Cell]:
    columns = [str(column) for column in rows.columns]
    pair = next((pair for pair in _CENTRES if set(pair) <= set(columns)), None)
    if pair is None:
        wanted = " or ".join(f"{x}, {y}" for x, y in _CENTRES[:2])
        raise InputError(f"{path} has no columns of centres ({wanted}): it has {', '.join(columns)}")
    xs, ys = (pd.to_numeric(rows[column], errors="coerce") for column in pair)
    if xs.isna().any() or ys.isna().any():
        line = int((xs.isna() | ys.isna()).to_numpy().argmax()) + 2
        raise InputError(f"{path}, line {line}: a centre is no number")
    numbered = next((column for column in _NUMBERS if column in columns), None)
    if numbered is None:
        # No number: the place stands for it, since rows may come in any order.
        numbers = [f"x{x:.1f}y{y:.1f}" for x, y in zip(xs, ys, strict=True)]
    else:
        numbers = [str(number).removesuffix(".0") for number in rows[numbered]]
    return [_Cell(number, float(x), float(y)) for number, x, y in zip(numbers, xs, ys, strict=True)]


# Folders


def _in_folder(folder: Path, images: list[Image]) -> tuple[dict[str, list[_Cell]], list[Ignored]]:
    source = open_source(folder)
    tables = source.with_suffix(".csv", ".csv.gz")
    if tables:
        return _in_tables(folder, tables, images)
    masks = {without_suffix(name): name for name in source.files if suffix_of(name) in SUFFIXES}
    if not masks:
        raise InputError(f"{folder} holds neither tables of centres nor label images")
    found: dict[str, list[_Cell]] = {}
    ignored: list[Ignored] = []
    taken: set[str] = set()
    for image in images:
        name = next((name for name in _mask_names(image.id) if name in masks), None)
        if name is None:
            continue
        taken.add(name)
        try:
            found[image.id] = list(_labelled(folder / masks[name]))
        except InputError as error:
            ignored.append(Ignored(masks[name], str(error)))
    ignored += [Ignored(masks[name], "no image has this name") for name in masks if name not in taken]
    return found, ignored


def _in_tables(folder: Path, tables: list[str], images: list[Image]) -> tuple[dict[str, list[_Cell]], list[Ignored]]:
    by_name = {}
    for image in images:
        plate, well, site = (str(image.metadata.get(key, "")) for key in ("plate", "well", "site"))
        by_name[f"{plate}/{well}-{site}"] = image.id
    found: dict[str, list[_Cell]] = {}
    ignored: list[Ignored] = []
    for name in tables:
        stem = name.removesuffix(".gz").removesuffix(".csv").removesuffix("-Nuclei")
        if stem not in by_name:
            ignored.append(Ignored(name, "no image has this plate, well and site"))
            continue
        try:
            found[by_name[stem]] = _cells_of(rows_of(folder / name), folder / name)
        except InputError as error:
            ignored.append(Ignored(name, str(error)))
    return found, ignored


def _mask_names(name: str) -> Iterator[str]:
    for spelled in dict.fromkeys((name, name.replace("/", "_"), name.replace("/", "-"))):
        for ending in _MASK_ENDINGS:
            yield spelled + ending


def _labelled(path: Path) -> Iterator[_Cell]:
    """The centre of mass of every label; 0 is background."""
    labels = read_image(path)
    if labels.ndim != 2 or labels.dtype.kind not in "bui":
        raise InputError(f"{path} is no label image: one plane of whole numbers, 0 for background")
    numbers = np.unique(labels)
    numbers = numbers[numbers > 0]
    centres = ndimage.center_of_mass(labels > 0, labels, numbers)
    for number, (y, x) in zip(numbers, centres, strict=True):
        yield _Cell(str(int(number)), float(x), float(y), (labels.shape[0], labels.shape[1]))
