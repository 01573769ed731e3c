"""Single cells: a box around each centre that a table or a label image gives, an `Image` per cell.

Centres come from CellProfiler (`Nuclei_Location_Center_X`, or `Location_Center_X`, and `_Y`; x is the column, y
the row, both from 0), from DeepProfiler's `<plate>/<well>-<site>-Nuclei.csv`, or from label images, where 0 is
background. A mask of two values says only where cells are: each of its connected parts is one. Nothing is segmented.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import whole_or_none
from cytoimagenet_hf.core.settings import build, shows_fields
from cytoimagenet_hf.options.cells import CellOptions
from cytoimagenet_hf.tables.cells import parse_numbers, text_column

from .base import Box, Image, ObjectRef, PlaneRef
from .collect import Found, as_found
from .labels import Labels, connected_parts, find_objects, is_binary, overlaps, require_labels
from .masks import CELLS, NUCLEI, FieldKey, Masks, field_key, find_masks, images_by_place
from .remote import concurrently, is_remote, place_at
from .source import Ignored, open_source
from .tables import TABLES, place_of, places, rows_of

_FIELDS_AT_ONCE = 8  # whose masks are fetched and looked at, each with 50 MB for 1,080² pixels
_CENTRES = (
    ("Nuclei_Location_Center_X", "Nuclei_Location_Center_Y"),
    ("Location_Center_X", "Location_Center_Y"),
    ("Cells_Location_Center_X", "Cells_Location_Center_Y"),
)
_NUMBERS = ("ObjectNumber", "Nuclei_Number_Object_Number", "Number_Object_Number", "Nuclei_ObjectNumber")
_IMAGE_NUMBERS = ("ImageNumber", "Nuclei_ImageNumber")
_TABLE_NUMBERS = ("TableNumber", "Nuclei_TableNumber")  # of the run, where CellProfiler's tables were united


@dataclass(frozen=True)
class _Cell:
    """A cell of a field; all but number and centre are known where label images show it."""

    number: str  # unique within its field
    x: float  # column of the centre, from 0
    y: float
    image_number: str = ""  # CellProfiler's, where a table says it
    frame: tuple[int, int] | None = None  # height and width of the label image
    extent: tuple[int, int, int, int] | None = None  # first row, first column, row and column after the last
    area: int | None = None  # pixels
    objects: tuple[ObjectRef, ...] = ()  # the cell itself first
    nuclei: int | None = None  # how many lie in it
    problem: str = ""  # why it cannot be used


@shows_fields(CellOptions)
def find_cells(found: Found | Iterable[Image], cells: str | Path | CellOptions, **fields: Any) -> Found:
    """The cells of images, each as an image.

    Args:
        found: what `look` found, or images.
        cells: a table of centres with plate, well and site, with the id of the image (`id`), or with `ImageNumber` and
            an `Image.csv` beside it; or a folder of `<plate>/<well>-<site>-Nuclei.csv`; or a folder of label images,
            or an OME-Zarr store with labels, see `masks.find_masks`; each also at an address. In a binary
            mask (0 and one other value), connected parts are cells; pixels that touch at a corner are connected. Or
            all options.
        **fields: of `options.cells.CellOptions`: `size` or `scale`, `border`, `masked`, `patterns`, `rows`.

    Returns:
        A cell per centre: id `<id of the image>/<number>`, or by its place where it has no number; metadata of the
        image, `cell`, `ImageNumber` and `ObjectNumber` as CellProfiler counts them, `Location_Center_X` and
        `Location_Center_Y`, and where label images show it `cell_area`, `cell_border` (1 where it touches the border
        of its field) and `<kind>_Number_Object_Number`. Images that cannot be used stay as they are; images without
        cells, and rows and masks without an image, are counted in the notes.

    Raises:
        InputError: no such table or folder, no columns of centres, nothing that joins cells with images, a place
            or number that several images share, outlines instead of masks, or kinds that overlap nowhere.

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
    options = cells if isinstance(cells, CellOptions) else build(CellOptions, {"cells": cells}, name="cells")
    options = build(CellOptions, fields, name="cells", base=options)
    if options.cells is None or (options.size is None and options.scale is None):
        raise InputError(
            "a cell's box needs a side in pixels (--cell-size) or a multiple of the cell itself (--cell-box): give one"
        )
    found = as_found(found)
    path = place_at(options.cells, found.storage)
    from_table = path.name.lower().endswith(TABLES)
    if from_table and options.patterns:
        raise InputError(f"{path} is a table of centres: patterns (--cells-pattern) name label images")
    usable = [image for image in found.images if not image.reason_against()]
    ignored: list[Ignored] = []
    notes: list[str] = []
    by_image = _in_table(path, usable, notes) if from_table else _in_folder(path, usable, options, ignored, notes)
    numbers = {image.id: number for number, image in enumerate(found.images, 1)}
    crops: list[Image] = []
    empty = 0
    for image in usable:
        centres = by_image.get(image.id, [])
        empty += not centres
        crops += [_cut_out(image, cell, numbers[image.id], options) for cell in _distinct(centres, ignored, image.id)]
    if not crops:
        why = f": {ignored[0].path}: {ignored[0].reason}" if ignored else ""
        raise InputError(
            f"no cell of {path} belongs to an image of {found.source}: compare plates, wells and sites{why}"
        )
    boxes = f"{options.size} x {options.size} pixels" if options.size else f"{options.scale:g} x each cell"
    masked = ", masked" if options.masked else ""
    counts = f"{len(crops):,} cells of {len(usable) - empty:,} images"
    notes.insert(0, f"{counts}; boxes of {boxes}{masked}, border: {options.border}")
    if empty:
        notes.append(f"{empty:,} images have no cells in {path}")
    if ignored:
        reasons = Counter(left_out.reason for left_out in ignored)
        most = "; ".join(f"{count:,} {reason}" for reason, count in reasons.most_common(3))
        notes.append(
            f"{len(ignored):,} of the masks or cells in {path} were left out, such as {ignored[0].path}: {most}"
        )
    images = [*(image for image in found.images if image.reason_against()), *crops]
    return replace(found, images=images, ignored=(*found.ignored, *ignored), notes=(*found.notes, *notes))


def _cut_out(image: Image, cell: _Cell, number: int, options: CellOptions) -> Image:
    """The image of a cell; `number` counts its field where nothing says an `ImageNumber`."""
    size, scale, masked = options.size, options.scale, options.masked
    if (scale is not None or masked) and cell.extent is None:
        asked = "--masked" if masked else "--cell-box"
        raise InputError(
            f"{asked} needs label images, which say what belongs to a cell; for centres give --cell-size, the "
            "side of the box in pixels"
        )
    metadata = {
        **image.metadata,
        "cell": cell.number,
        "ImageNumber": whole_or_none(cell.image_number or str(image.metadata.get("ImageNumber", ""))) or number,
        "ObjectNumber": whole_or_none(cell.number),
        "Location_Center_X": cell.x,
        "Location_Center_Y": cell.y,
    }
    if metadata["ObjectNumber"] is None:
        del metadata["ObjectNumber"]
    y, x = cell.y, cell.x
    if cell.extent is not None and cell.frame is not None:
        top, left, bottom, right = cell.extent
        edge = min(top, left) == 0 or bottom == cell.frame[0] or right == cell.frame[1]
        metadata |= {"cell_area": cell.area, "cell_border": int(edge)}
        if len(cell.objects) > 1:
            metadata |= {f"{ref.kind}_Number_Object_Number": ref.number for ref in cell.objects if ref.number}
        if cell.nuclei is not None:
            metadata["Children_Nuclei_Count"] = cell.nuclei
        if scale is not None:
            size = max(1, ceil(scale * max(bottom - top, right - left)))
            y, x = (top + bottom - 1) / 2, (left + right - 1) / 2
    side, mirror = size or 1, options.border == "mirror"
    box = Box(round(y) - side // 2, round(x) - side // 2, side, mirror, cell.frame, masked)
    name = f"{image.id}/{cell.number}"
    return replace(image, id=name, metadata=metadata, box=box, objects=cell.objects, problem=cell.problem)


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
    by_place = images_by_place(images)
    placed = places(columns)
    if "well" in placed or {"row", "column"} <= placed.keys():
        return _grouped(rows, [_image_at(place, by_place) for place in _places_of(rows, placed)], path, notes)
    beside = path.parent / "Image.csv"
    if not (set(_IMAGE_NUMBERS) & set(columns) and beside.is_file()):
        raise InputError(
            f"{path} says of no cell which image it is in: it needs plate, well and site, or id, or ImageNumber and "
            f"{beside.name} beside it; it has {', '.join(columns)}"
        )
    of_number = _places_by_number(beside, runs=bool(set(_TABLE_NUMBERS) & set(columns)))
    at = [of_number.get(number) for number in _numbers_of(rows)]
    return _grouped(rows, [None if place is None else _image_at(place, by_place) for place in at], path, notes)


def _places_by_number(path: Path, *, runs: bool) -> dict[tuple[str, ...], FieldKey]:
    """Number of an image, and of the run where cells have one, → its place, by CellProfiler's table of images."""
    rows = rows_of(path)
    columns = [str(column) for column in rows.columns]
    placed = places(columns)
    needed = [("ImageNumber", _IMAGE_NUMBERS), *([("TableNumber", _TABLE_NUMBERS)] if runs else [])]
    if not ("well" in placed or {"row", "column"} <= placed.keys()) or any(
        set(names).isdisjoint(columns) for _, names in needed
    ):
        lacking = ", ".join(name for name, _ in needed)
        raise InputError(f"{path} needs {lacking}, Metadata_Plate, Metadata_Well and Metadata_Site")
    of_number: dict[tuple[str, ...], FieldKey] = {}
    for number, place in zip(_numbers_of(rows, runs=runs), _places_of(rows, placed), strict=True):
        if of_number.setdefault(number, place) != place:
            raise InputError(
                f"{path} has two images of number {' of run '.join(number)}, {of_number[number]} and {place}: where "
                "tables of several runs are united, both need the column TableNumber"
            )
    return of_number


def _numbers_of(rows: pd.DataFrame, *, runs: bool = True) -> list[tuple[str, ...]]:
    """(number of the image, number of the run where there is one) of every row."""
    kinds = (_IMAGE_NUMBERS, _TABLE_NUMBERS) if runs else (_IMAGE_NUMBERS,)
    columns = [next((name for name in names if name in rows.columns), None) for names in kinds]
    return list(zip(*(rows[name] for name in columns if name is not None), strict=True))


def _image_at(place: FieldKey, by_place: Mapping[FieldKey, Sequence[str]]) -> str | None:
    """The image at a place, if there is one; of several, such as time points, the place does not tell which."""
    ids = by_place.get(place, ())
    if len(ids) > 1:
        raise InputError(f"{ids[0]} and {ids[1]} lie at one plate, well and site: name the image of each cell by `id`")
    return ids[0] if ids else None


def _places_of(rows: pd.DataFrame, placed: Mapping[str, str]) -> list[FieldKey]:
    return [field_key(place_of(row, placed)[0]) for row in rows[list(placed.values())].to_dict("records")]


def _grouped(rows: pd.DataFrame, keys: Sequence[str | None], path: Path, notes: list[str]) -> dict[str, list[_Cell]]:
    """Image → its cells; rows whose image is not here are counted in a note."""
    cells = _cells_of(rows, path)
    column = next((name for name in _IMAGE_NUMBERS if name in rows.columns), None)
    if column is not None:
        cells = [replace(cell, image_number=str(number)) for cell, number in zip(cells, rows[column], strict=True)]
    by_image: dict[str, list[_Cell]] = {}
    for key, cell in zip(keys, cells, strict=True):
        if key is not None:
            by_image.setdefault(key, []).append(cell)
    if orphans := [line for line, key in enumerate(keys, 2) if key is None]:
        notes.append(
            f"{len(orphans):,} of {len(rows):,} cells of {path} belong to no image that can be used, in line "
            f"{orphans[0]} first"
        )
    return by_image


def _cells_of(rows: pd.DataFrame, path: Path) -> list[_Cell]:
    columns = [str(column) for column in rows.columns]
    pair = next((pair for pair in _CENTRES if set(pair) <= set(columns)), None)
    if pair is None:
        wanted = " or ".join(f"{x}, {y}" for x, y in _CENTRES[:2])
        raise InputError(f"{path} has no columns of centres ({wanted}): it has {', '.join(columns)}")
    xs, ys = (parse_numbers(text_column(rows[column])).values for column in pair)
    odd = ~(np.isfinite(xs) & np.isfinite(ys))
    if odd.any():
        row = int(odd.argmax())
        cells = " and ".join(repr(rows[column].iloc[row]) for column in pair)
        raise InputError(f"{path}, line {row + 2}: a centre is not a number, among {cells}")
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


def _in_folder(
    folder: Path, images: list[Image], options: CellOptions, ignored: list[Ignored], notes: list[str]
) -> dict[str, list[_Cell]]:
    tables = open_source(folder).with_suffix(".csv", ".csv.gz")
    if tables and not options.patterns:
        return _in_tables(folder, tables, images, ignored)
    masks = find_masks(folder, images, options.patterns)
    ignored += masks.ignored
    return _in_masks(masks, options.rows, ignored, notes)


@dataclass
class _Field:
    """The label images of one field, by kind, and the cells that they show: None without the kind of the rows."""

    image: str
    planes: Mapping[str, PlaneRef]
    labels: dict[str, Labels] = field(default_factory=dict)
    binary: dict[str, bool] = field(default_factory=dict)
    ignored: list[Ignored] = field(default_factory=list)
    cells: list[_Cell] | None = None

    def ref(self, kind: str, number: int) -> ObjectRef:
        return ObjectRef(kind, self.planes[kind], number, self.binary[kind])


def _in_masks(masks: Masks, rows: str | None, ignored: list[Ignored], notes: list[str]) -> dict[str, list[_Cell]]:
    kinds = sorted({kind for planes in masks.of.values() for kind in planes})
    first = _rows_kind(masks, kinds, rows)
    others = [kind for kind in kinds if kind != first]
    by_image: dict[str, list[_Cell]] = {}
    binary: Counter[str] = Counter()
    joined: Counter[str] = Counter()
    crowded = 0
    look_at = partial(_look_at, first=first, others=others)
    for seen in concurrently(look_at, masks.of.items(), remote=_any_remote(masks), threads=_FIELDS_AT_ONCE):
        ignored += seen.ignored
        binary.update(kind for kind, split in seen.binary.items() if split)
        if seen.cells is None:
            ignored.append(Ignored(seen.image, f"no label image of {first}, which rows stand for"))
            continue
        by_image[seen.image] = seen.cells
        for cell in seen.cells:
            joined.update(ref.kind for ref in cell.objects[1:] if ref.number)
            crowded += (cell.nuclei or 0) > 1
    for kind in others:
        if by_image and not joined[kind]:
            raise InputError(f"no object of {kind} overlaps one of {first} in any field: are they of the same images?")
    for kind, count in sorted(binary.items()):
        notes.append(
            f"{count:,} of {len(masks.of):,} {kind} masks are binary (0 and one other value): each of their "
            "connected parts is one, so objects that touch are one"
        )
    if others:
        notes.append(f"a row per object of {first}; {', '.join(others)} joined by overlap")
    if crowded:
        notes.append(f"{crowded:,} cells hold several nuclei or share their cell: see Children_Nuclei_Count")
    return by_image


def _rows_kind(masks: Masks, kinds: Sequence[str], rows: str | None) -> str:
    if rows is not None:
        chosen = next((kind for kind in kinds if kind.lower() == rows.lower()), None)
        if chosen is None:
            raise InputError(f"no masks of {rows}: there are {', '.join(kinds) or 'none'}")
        return chosen
    if CELLS in kinds and NUCLEI in kinds:
        planes = (of_field[CELLS] for of_field in masks.of.values() if CELLS in of_field)
        binary = concurrently(_shows_parts, planes, remote=_any_remote(masks), threads=_FIELDS_AT_ONCE)
        return NUCLEI if any(binary) else CELLS
    return next((kind for kind in (CELLS, NUCLEI) if kind in kinds), kinds[0] if kinds else CELLS)


def _any_remote(masks: Masks) -> bool:
    return any(is_remote(plane.path) for planes in masks.of.values() for plane in planes.values())


def _shows_parts(plane: PlaneRef) -> bool:
    try:
        return is_binary(plane.read())
    except (InputError, ValueError):
        return False


def _look_at(masks: tuple[str, Mapping[str, PlaneRef]], *, first: str, others: Sequence[str]) -> _Field:
    image, planes = masks
    seen = _Field(image, planes)
    for kind, plane in planes.items():
        try:
            labels = require_labels(plane.read(), plane.path)
        except InputError as error:
            seen.ignored.append(Ignored(plane.path.name, str(error)))
            continue
        seen.binary[kind] = is_binary(labels)
        seen.labels[kind] = connected_parts(labels) if seen.binary[kind] else labels
    if first in seen.labels:
        seen.cells = list(_cells_in(seen, first, others))
    seen.labels.clear()  # 50 MB a field
    return seen


def _cells_in(seen: _Field, first: str, others: Sequence[str]) -> Iterator[_Cell]:
    labels = seen.labels[first]
    objects = find_objects(labels)
    partners, problems = {}, {}
    for kind in others:
        other = seen.labels.get(kind)
        if other is None:
            problems[kind] = f"its field has no label image of {kind} that can be used"
        elif other.shape != labels.shape:
            first_size, other_size = (" x ".join(map(str, plane.shape)) for plane in (labels, other))
            problems[kind] = f"the label image of {first} is {first_size} and that of {kind} is {other_size}"
        else:
            partners[kind] = _partners(labels, other, within=first == CELLS)
            if not partners[kind][0]:
                problems[kind] = f"no object of {kind} overlaps one of {first} in its field"
    if first == NUCLEI and CELLS in partners:  # cytoplasm lies around a nucleus and overlaps the cell only
        of_cell = partners[CELLS][0]
        for kind in partners.keys() - {CELLS}:
            through, _ = _partners(seen.labels[CELLS], seen.labels[kind], within=True)
            chosen = {number: through[cell] for number, cell in of_cell.items() if cell in through}
            if chosen:
                partners[kind] = chosen, {}
                problems.pop(kind, None)
    frame = (labels.shape[0], labels.shape[1])
    for number, (y, x), extent, area in zip(
        objects.numbers.tolist(), objects.centres.tolist(), objects.boxes.tolist(), objects.areas.tolist(), strict=True
    ):
        refs, problem = [seen.ref(first, number)], ""
        for kind in others:
            partner = partners.get(kind, ({}, {}))[0].get(number, 0)
            if partner:
                refs.append(seen.ref(kind, partner))
            else:
                problem = problem or problems.get(kind) or f"no object of {kind} overlaps it"
        nuclei = None
        if first == CELLS and NUCLEI in partners:
            nuclei = partners[NUCLEI][1].get(number, 0)
        elif first == NUCLEI and CELLS in partners:
            of_cell = partners[CELLS][0]
            nuclei = sum(1 for cell in of_cell.values() if cell == of_cell.get(number, 0)) or None
        top, left, bottom, right = extent
        yield _Cell(str(number), x, y, "", frame, (top, left, bottom, right), area, tuple(refs), nuclei, problem)


def _partners(labels: Labels, other: Labels, *, within: bool) -> tuple[dict[int, int], dict[int, int]]:
    """Object → the object of another kind that it shares most pixels with, and how many of that kind are its own.

    With `within`, an object of the other kind belongs to one object only: the one that it overlaps most.
    """
    shared = overlaps(labels, other)
    if within:
        best: dict[int, tuple[int, int]] = {}
        for (number, partner), count in shared.items():
            best[partner] = max(best.get(partner, (0, 0)), (count, number))
        shared = {(number, partner): count for partner, (count, number) in best.items()}
    chosen: dict[int, tuple[int, int]] = {}
    for (number, partner), count in shared.items():
        chosen[number] = max(chosen.get(number, (0, 0)), (count, -partner))
    return {number: -partner for number, (_, partner) in chosen.items()}, Counter(number for number, _ in shared)


def _in_tables(folder: Path, tables: list[str], images: list[Image], ignored: list[Ignored]) -> dict[str, list[_Cell]]:
    by_place = images_by_place(images)
    by_name = {f"{plate}/{well}-{site}": (plate, well, site) for plate, well, site in by_place if plate}
    of_image: dict[str, list[_Cell]] = {}
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
            of_image[str(image)] = cells
    return of_image
