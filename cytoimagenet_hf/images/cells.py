"""Single cells: a box around each centre that a table or a label image gives, an `Image` per cell.

Centres come from CellProfiler (`Nuclei_Location_Center_X`, or `Location_Center_X`, and `_Y`; x is the column, y
the row, both from 0), from DeepProfiler's `<plate>/<well>-<site>-Nuclei.csv`, or from label images, where 0 is
background. A mask of two values says only where cells are: each of its connected parts is one. Nothing is segmented.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging import read_image
from cytoimagenet_hf.tables.cells import spelled
from cytoimagenet_hf.tables.wells import normalise_well

from .base import Box, Image
from .find import Found
from .source import SUFFIXES, Ignored, open_source, suffix_of, without_suffix
from .tables import place_of, places, rows_of

_CENTRES = (
    ("Nuclei_Location_Center_X", "Nuclei_Location_Center_Y"),
    ("Location_Center_X", "Location_Center_Y"),
    ("Cells_Location_Center_X", "Cells_Location_Center_Y"),
)
_NUMBERS = ("ObjectNumber", "Nuclei_Number_Object_Number", "Number_Object_Number", "Nuclei_ObjectNumber")
_IMAGE_NUMBERS = ("ImageNumber", "Nuclei_ImageNumber")
_TABLE_NUMBERS = ("TableNumber", "Nuclei_TableNumber")  # of the run, where CellProfiler's tables were united
_MASK_ENDINGS = ("", "_mask", "_masks", "_cp_masks", "_label", "_labels", "-mask", "-labels")

_Place = tuple[str, str, str]


@dataclass(frozen=True)
class _Cell:
    number: str
    x: float
    y: float
    frame: tuple[int, int] | None = None  # size of the label image it is from


def find_cells(found: Found, cells: str | Path, *, size: int, border: str = "mirror") -> Found:
    """The cells of images, each as an image.

    Args:
        found: what `look` found.
        cells: a table of centres with plate, well and site, with the id of the image (`id`), or with `ImageNumber` and
            an `Image.csv` beside it; or a folder of `<plate>/<well>-<site>-Nuclei.csv`; or a folder of label images
            named as the images' ids, `_mask`, `_masks`, `_cp_masks` or `_labels` added or not. In a binary mask (0
            and one other value), connected parts are cells; pixels that touch at a corner are connected.
        size: side of the box in pixels.
        border: `"mirror"` fills what a box lacks beyond the border by mirroring the image there; `"leave"` leaves such
            cells out, each with its reason.

    Returns:
        A cell per centre: id `<id of the image>/<number>`, or by its place where it has no number; metadata of the
        image, `cell`, `Location_Center_X` and `Location_Center_Y`. Images that cannot be used stay as they are;
        images without cells, and rows without an image, are counted in the notes.

    Raises:
        InputError: no such table or folder, no columns of centres, nothing that joins cells with images, or a place
            or number that several images share.

    Example:
        >>> import tempfile, tifffile
        >>> from cytoimagenet_hf.images import look
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     field = np.arange(400, dtype=np.uint16).reshape(20, 20)
        ...     tifffile.imwrite(f"{folder}/p1_B02_s1_w1.tif", field)
        ...     _ = (Path(folder) / "Nuclei.csv").write_text(
        ...         "Metadata_Well,Metadata_Site,ObjectNumber,Location_Center_X,Location_Center_Y\\nB02,1,7,4,10\\n"
        ...     )
        ...     images = look(f"{folder}/*.tif", pattern="{plate}_{well}_s{site}_w{c}.tif")
        ...     (cell,) = find_cells(images, f"{folder}/Nuclei.csv", size=2).images
        ...     cell.id, cell.read()[0].tolist()
        ('p1/B02/1/7', [[183, 184], [203, 204]])
    """
    if size < 1:
        raise InputError(f"cell size {size}: the side of a box is 1 pixel or more")
    if border not in ("mirror", "leave"):
        raise InputError(f"border {border!r}: choose mirror or leave")
    path = Path(cells)
    usable = [image for image in found.images if not image.reason_against()]
    ignored: list[Ignored] = []
    notes: list[str] = []
    by_image = _in_folder(path, usable, ignored, notes) if path.is_dir() else _in_table(path, usable, notes)
    crops: list[Image] = []
    empty = 0
    for image in usable:
        centres = by_image.get(image.id, [])
        empty += not centres
        crops += [_crop(image, cell, size, border) for cell in _distinct(centres, ignored, image.id)]
    if not crops:
        raise InputError(f"no cell of {path} belongs to an image of {found.source}: compare plates, wells and sites")
    shown = f"{len(crops):,} cells of {len(usable) - empty:,} images"
    notes.insert(0, f"{shown}; boxes of {size} x {size} pixels, border: {border}")
    if empty:
        notes.append(f"{empty:,} images have no cells in {path}")
    images = [*(image for image in found.images if image.reason_against()), *crops]
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


def _in_table(path: Path, images: list[Image], notes: list[str]) -> dict[str, list[_Cell]]:
    rows = rows_of(path)
    columns = [str(column) for column in rows.columns]
    ids = {image.id for image in images}
    if "id" in columns:
        return _grouped(rows, [name if name in ids else None for name in rows["id"]], path, notes)
    by_place = _by_place(images)
    placed = places(columns)
    if "well" in placed or {"row", "column"} <= placed.keys():
        return _grouped(rows, [_image_at(place, by_place) for place in _places_of(rows, placed)], path, notes)
    beside = path.with_name("Image.csv")
    if not (set(_IMAGE_NUMBERS) & set(columns) and beside.is_file()):
        raise InputError(
            f"{path} says of no cell which image it is in: it needs plate, well and site, or id, or ImageNumber and "
            f"{beside.name} beside it; it has {', '.join(columns)}"
        )
    of_number = _places_by_number(beside, runs=bool(set(_TABLE_NUMBERS) & set(columns)))
    found = (of_number.get(number) for number in _numbers_of(rows))
    return _grouped(rows, [None if place is None else _image_at(place, by_place) for place in found], path, notes)


def _places_by_number(path: Path, *, runs: bool) -> dict[tuple[str, ...], _Place]:
    """Number of an image, and of the run where cells have one, → its place, by CellProfiler's table of images.

    Raises:
        InputError: it lacks columns, or two rows have one number.
    """
    listed = rows_of(path)
    columns = [str(column) for column in listed.columns]
    known = places(columns)
    needed = [("ImageNumber", _IMAGE_NUMBERS), *([("TableNumber", _TABLE_NUMBERS)] if runs else [])]
    if not ("well" in known or {"row", "column"} <= known.keys()) or any(
        set(names).isdisjoint(columns) for _, names in needed
    ):
        lacking = ", ".join(name for name, _ in needed)
        raise InputError(f"{path} needs {lacking}, Metadata_Plate, Metadata_Well and Metadata_Site")
    found: dict[tuple[str, ...], _Place] = {}
    for number, place in zip(_numbers_of(listed, runs=runs), _places_of(listed, known), strict=True):
        if found.setdefault(number, place) != place:
            raise InputError(
                f"{path} has two images of number {' of run '.join(number)}, {found[number]} and {place}: where "
                "tables of several runs are united, both need the column TableNumber"
            )
    return found


def _numbers_of(rows: pd.DataFrame, *, runs: bool = True) -> list[tuple[str, ...]]:
    """(number of the image, number of the run where there is one) of every row."""
    kinds = (_IMAGE_NUMBERS, _TABLE_NUMBERS) if runs else (_IMAGE_NUMBERS,)
    columns = [next((name for name in names if name in rows.columns), None) for names in kinds]
    return list(zip(*(rows[name] for name in columns if name is not None), strict=True))


def _by_place(images: list[Image]) -> dict[_Place, list[str]]:
    """(plate, well, site) → ids; also without the plate, where one plate is all there is."""
    found: dict[_Place, list[str]] = {}
    plates = {str(image.metadata.get("plate", "")) for image in images}
    for image in images:
        plate, well, site = (spelled(image.metadata.get(key, "")) for key in ("plate", "well", "site"))
        for key in {(plate, well, site), *([("", well, site)] if len(plates) == 1 else [])}:
            found.setdefault(key, []).append(image.id)
    return found


def _image_at(place: _Place, by_place: Mapping[_Place, Sequence[str]]) -> str | None:
    """The image at a place, if there is one.

    Raises:
        InputError: there are several, such as time points: the place does not tell which one a cell is in.
    """
    ids = by_place.get(place, ())
    if len(ids) > 1:
        raise InputError(f"{ids[0]} and {ids[1]} lie at one plate, well and site: name the image of each cell by `id`")
    return ids[0] if ids else None


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


def _grouped(rows: pd.DataFrame, keys: Sequence[str | None], path: Path, notes: list[str]) -> dict[str, list[_Cell]]:
    """Image → its cells; rows whose image is not here are counted in a note."""
    cells = _cells_of(rows, path)
    found: dict[str, list[_Cell]] = {}
    for key, cell in zip(keys, cells, strict=True):
        if key is not None:
            found.setdefault(key, []).append(cell)
    if orphans := [line for line, key in enumerate(keys, 2) if key is None]:
        notes.append(
            f"{len(orphans):,} of {len(rows):,} cells of {path} belong to no image that can be used, in line "
            f"{orphans[0]} first"
        )
    return found


def _cells_of(rows: pd.DataFrame, path: Path) -> list[_Cell]:
    columns = [str(column) for column in rows.columns]
    pair = next((pair for pair in _CENTRES if set(pair) <= set(columns)), None)
    if pair is None:
        wanted = " or ".join(f"{x}, {y}" for x, y in _CENTRES[:2])
        raise InputError(f"{path} has no columns of centres ({wanted}): it has {', '.join(columns)}")
    xs, ys = (pd.to_numeric(rows[column], errors="coerce") for column in pair)
    odd = ~(np.isfinite(xs) & np.isfinite(ys)).to_numpy()
    if odd.any():
        raise InputError(f"{path}, line {int(odd.argmax()) + 2}: a centre is not a number")
    numbered = next((column for column in _NUMBERS if column in columns), None)
    if numbered is None:
        # No number: the place stands for it, since rows may come in any order.
        numbers = [f"x{x:.1f}y{y:.1f}" for x, y in zip(xs, ys, strict=True)]
    else:
        numbers = [str(number).removesuffix(".0") for number in rows[numbered]]
        if "" in numbers:
            raise InputError(f"{path}, line {numbers.index('') + 2}: a cell has no {numbered}")
    return [_Cell(number, float(x), float(y)) for number, x, y in zip(numbers, xs, ys, strict=True)]


# Folders


def _in_folder(folder: Path, images: list[Image], ignored: list[Ignored], notes: list[str]) -> dict[str, list[_Cell]]:
    source = open_source(folder)
    tables = source.with_suffix(".csv", ".csv.gz")
    if tables:
        return _in_tables(folder, tables, images, ignored)
    masks = {without_suffix(name): name for name in source.files if suffix_of(name) in SUFFIXES}
    if not masks:
        raise InputError(f"{folder} holds neither tables of centres nor label images")
    found: dict[str, list[_Cell]] = {}
    taken: set[str] = set()
    binary = 0
    for image in images:
        name = next((name for name in _mask_names(image.id) if name in masks), None)
        if name is None:
            continue
        taken.add(name)
        try:
            labels = _read_labels(folder / masks[name])
        except InputError as error:
            ignored.append(Ignored(masks[name], str(error)))
            continue
        parts = _connected_parts(labels)
        binary += parts is not None
        found[image.id] = list(_labelled(labels if parts is None else parts))
    if binary:
        notes.append(
            f"{binary:,} of {len(found):,} masks are binary (0 and one other value): each of their connected parts is "
            "a cell, so cells that touch are one"
        )
    ignored += [Ignored(masks[name], "no image has this name") for name in masks if name not in taken]
    return found


def _in_tables(folder: Path, tables: list[str], images: list[Image], ignored: list[Ignored]) -> dict[str, list[_Cell]]:
    by_place = _by_place(images)
    by_name = {f"{plate}/{well}-{site}": (plate, well, site) for plate, well, site in by_place if plate}
    found: dict[str, list[_Cell]] = {}
    for name in tables:
        stem = name.removesuffix(".gz").removesuffix(".csv").removesuffix("-Nuclei")
        if stem not in by_name:
            ignored.append(Ignored(name, "no image has this plate, well and site"))
            continue
        image = _image_at(by_name[stem], by_place)
        try:
            cells = _cells_of(rows_of(folder / name), folder / name)
        except InputError as error:
            ignored.append(Ignored(name, str(error)))
        else:
            found[str(image)] = cells
    return found


def _mask_names(name: str) -> Iterator[str]:
    for stem in dict.fromkeys((name, name.replace("/", "_"), name.replace("/", "-"))):
        for ending in _MASK_ENDINGS:
            yield stem + ending


def _read_labels(path: Path) -> npt.NDArray[Any]:
    """A label image or a binary mask.

    Raises:
        InputError: it cannot be read, or has colours or fractions.
    """
    labels = read_image(path)
    if labels.ndim != 2 or labels.dtype.kind not in "bui":
        raise InputError(f"{path} is not a label image: one plane of whole numbers, 0 for background")
    return labels


def _connected_parts(labels: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """The connected parts of a binary mask, numbered from 1; None for a label image, and where all is one part."""
    inside = labels > 0
    values = labels[inside]
    if values.size == 0 or (values != values[0]).any():
        return None
    parts, count = ndimage.label(inside, structure=np.ones((3, 3), bool))
    return np.asarray(parts) if count > 1 or values[0] in (255, np.iinfo(labels.dtype).max) else None


def _labelled(labels: npt.NDArray[Any]) -> Iterator[_Cell]:
    """The centre of mass of every label; 0 is background."""
    numbers = np.unique(labels)
    numbers = numbers[numbers > 0]
    centres = ndimage.center_of_mass(labels > 0, labels, numbers)
    for number, (y, x) in zip(numbers, centres, strict=True):
        yield _Cell(str(int(number)), float(x), float(y), (labels.shape[0], labels.shape[1]))
