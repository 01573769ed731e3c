"""Which label image belongs to which field: by id, by the name of an image file, by a pattern, or within a store."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import plain_number
from cytoimagenet_hf.tables.cells import spelled
from cytoimagenet_hf.tables.wells import spell_well, well_at

from .base import Image, PlaneRef
from .formats.omezarr import attributes_of
from .names import compile_pattern
from .source import SUFFIXES, Ignored, Source, open_source, suffix_of, without_suffix
from .stores.zarr import array_facts

CELLS, NUCLEI, CYTOPLASM = "Cells", "Nuclei", "Cytoplasm"
_KINDS = {
    **dict.fromkeys(("cell", "cells"), CELLS),
    **dict.fromkeys(("nuc", "nuclei", "nucleus"), NUCLEI),
    **dict.fromkeys(("cyto", "cytoplasm"), CYTOPLASM),
}
_PLAIN = {"", "cp", "seg", "mask", "masks", "label", "labels"}  # a file's name says that it is a mask, not of what
_LINES = re.compile(r"outlines?", re.IGNORECASE)
_KIND_IN_TEXT = re.compile(r"(?i)(?<![a-z])(cells?|nuc|nuclei|nucleus|cyto|cytoplasm)(?![a-z])")
_OBJECT = "object"
FieldKey = tuple[str, str, str]
"""Plate, well and site of a field, spelled as everywhere; empty where nothing says it."""


@dataclass
class Masks:
    """Label images by image and kind of object."""

    of: dict[str, dict[str, PlaneRef]] = field(default_factory=dict)  # id of an image → kind → its label image
    ignored: list[Ignored] = field(default_factory=list)  # files that are of no image, and why

    def add(self, image: str, kind: str, plane: PlaneRef, name: str) -> None:
        """Take a label image, if no other of this kind is there."""
        of_image = self.of.setdefault(image, {})
        if kind in of_image:
            raise InputError(
                f"{of_image[kind].path.name} and {name} are both masks of {kind} for {image}: keep one, or name the "
                "files that are meant (--cells-pattern)"
            )
        of_image[kind] = plane


def kind_of_objects(text: str) -> str:
    """How a kind of object is called in tables."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", text)]
    telling = [word for word in words if word not in _PLAIN]
    if not telling:
        return CELLS
    return _KINDS.get("".join(telling)) or "".join(word.capitalize() for word in telling)


def find_masks(place: Path, images: Sequence[Image], patterns: Sequence[str] = ()) -> Masks:
    """The label images of fields, from a folder of them or from an OME-Zarr store with `labels`.

    Patterns are of names, such as `{well}_s{site}_Nuclei.tif`; `{object}` is the kind of object. By default a mask is
    named as the id of its image, or as one of its image's files, and then the kind of its objects.
    """
    source = open_source(place)
    if source.stores and not patterns:
        return _in_stores(source, images)
    names = [name for name in source.files if suffix_of(name) in SUFFIXES]
    if not names:
        raise InputError(f"{place} holds neither tables of centres nor label images")
    masks = Masks()
    matched = _by_pattern(names, images, patterns) if patterns else _by_name(names, images)
    for name, image, kind, reason in matched:
        if reason:
            masks.ignored.append(Ignored(name, reason))
        else:
            masks.add(image, kind, PlaneRef(source.root / name, kind="labels"), name)
    if not masks.of and masks.ignored and all("outlines" in file.reason for file in masks.ignored):
        raise InputError(f"{source.root / masks.ignored[0].path}: {masks.ignored[0].reason}")
    return masks


_Match = tuple[str, str, str, str]  # file, image, kind, why it cannot be used


def _by_name(names: Iterable[str], images: Sequence[Image]) -> Iterator[_Match]:
    stems = _stems(images)
    for name in names:
        stem = without_suffix(name)
        image, rest = _longest(stem, stems)
        if not image:
            yield name, "", "", "no image has this name"
        elif _LINES.search(rest):
            yield name, "", "", _OUTLINES
        else:
            yield name, image, kind_of_objects(rest), ""


_OUTLINES = (
    "its name says outlines: lines drawn for the eye, from which the pixels of objects that touch cannot be told; "
    "save the objects as label images (CellProfiler: ConvertObjectsToImage, then SaveImages)"
)


def _stems(images: Sequence[Image]) -> dict[str, str]:
    """What the name of a mask may begin with → id; empty where two images share that beginning."""
    stems: dict[str, str] = {}
    for image in images:
        spellings = {image.id, image.id.replace("/", "_"), image.id.replace("/", "-")}
        files = (plane.path for planes in image.planes for plane in planes if plane.kind == "file")
        spellings |= {without_suffix(PurePath(path).name) for path in files}
        for stem in spellings:
            stems[stem] = "" if stems.get(stem, image.id) != image.id else image.id
    return stems


def _longest(stem: str, stems: Mapping[str, str]) -> tuple[str, str]:
    """The image whose stem a name begins with, the longest first, and what follows; also below a folder."""
    for whole in dict.fromkeys((stem, stem.rpartition("/")[2])):
        for end in range(len(whole), 0, -1):
            rest = whole[end:]
            starts = not rest or rest[0] in "_-. " or re.match("[Mm]ask|[A-Z][a-z]", rest)
            if starts and stems.get(whole[:end]) and not re.search(r"[/\d]", rest):
                return stems[whole[:end]], rest
    return "", ""


def _by_pattern(names: Sequence[str], images: Sequence[Image], patterns: Sequence[str]) -> Iterator[_Match]:
    by_place = images_by_place(images)
    for (plate, well, _), ids in list(by_place.items()):  # a pattern without sites names the only one of a well
        by_place[plate, well, ""] = list(dict.fromkeys([*by_place.get((plate, well, ""), []), *ids]))
    expressions = [(compile_pattern(pattern), _literal_kind(pattern)) for pattern in patterns]
    is_any = False
    for name in names:
        for expression, kind in expressions:
            match = expression.fullmatch(name)
            if match is None:
                continue
            is_any = True
            values = {key: value for key, value in match.groupdict().items() if value}
            ids = by_place.get(field_key(values), [])
            kind = kind_of_objects(values[_OBJECT]) if _OBJECT in values else kind
            if len(ids) > 1:
                raise InputError(f"{name} is of plate, well and site of both {ids[0]} and {ids[1]}: name one")
            reason = "" if ids else "no image has this plate, well and site"
            yield name, ids[0] if ids else "", kind, _OUTLINES if _LINES.search(name) else reason
            break
        else:
            yield name, "", "", f"does not match {' or '.join(patterns)}"
    if not is_any:
        raise InputError(f"no mask matches {' or '.join(patterns)}: there are {len(names)} images, such as {names[0]}")


def _literal_kind(pattern: str) -> str:
    kinds = _KIND_IN_TEXT.findall(re.sub(r"\{\w*\}", " ", pattern).replace("_", " "))
    return kind_of_objects(kinds[-1]) if kinds else CELLS


def field_key(values: Mapping[str, str]) -> FieldKey:
    """The key of a field, by what a file's name or a table's row says: plate, well (or row and column), site.

    Example:
        >>> field_key({"plate": "p1", "well": "b2", "site": "03"}), field_key({"row": "B", "column": "2"})
        (('p1', 'B02', '3'), ('', 'B02', ''))
    """
    well = spell_well(values.get("well", ""))
    if "row" in values:
        with suppress(InputError):
            well = well_at(values["row"], values["column"])
    return values.get("plate", ""), well, plain_number(values.get("site", ""))


def images_by_place(images: Sequence[Image]) -> dict[FieldKey, list[str]]:
    """(plate, well, site) → ids; also without the plate, where one plate is all there is."""
    ids: dict[FieldKey, list[str]] = {}
    plates = {str(image.metadata.get("plate", "")) for image in images}
    for image in images:
        plate, well, site = (spelled(image.metadata.get(key, "")) for key in ("plate", "well", "site"))
        for key in {(plate, well, site), *([("", well, site)] if len(plates) == 1 else [])}:
            ids.setdefault(key, []).append(image.id)
    return ids


# OME-Zarr: <image>/labels/<name>


def _in_stores(source: Source, images: Sequence[Image]) -> Masks:
    masks = Masks()
    stores = [source.root / name for name in source.stores]
    for image in images:
        planes = [plane for stack in image.planes for plane in stack if plane.kind == "zarr"]
        if not planes:
            raise InputError(f"{source.text} is OME-Zarr and {image.id} is not: give a folder of label images")
        group = str(planes[0].place[0]).rpartition("/")[0]
        named = [store for store in stores if store.name == planes[0].path.name]
        same = [store for store in named if store.resolve() == planes[0].path.resolve()]
        if len(same or named) != 1:
            continue
        store, folder = (same or named)[0], f"{group}/labels".lstrip("/")
        try:
            names = [str(name) for name in attributes_of(store / folder).get("labels", [])]
        except InputError:
            continue
        for name in names:
            try:
                plane = _label_plane(store, f"{folder}/{name}")
            except (InputError, KeyError, TypeError, IndexError, AttributeError) as error:
                masks.ignored.append(Ignored(f"{store.name}/{group}/labels/{name}", f"cannot be understood: {error}"))
            else:
                masks.add(image.id, kind_of_objects(name), plane, name)
    if not masks.of:
        raise InputError(f"{source.text} has no labels: its images hold no group labels with label images")
    return masks


def _label_plane(store: Path, path: str) -> PlaneRef:
    """The full resolution of a label image."""
    if ".." in path.split("/"):
        raise InputError(f"{store} names {path!r}, which lies outside it")
    scales = attributes_of(store / path)["multiscales"][0]
    array = f"{path}/{scales['datasets'][0]['path']}"
    shape = array_facts(store / array).shape
    if any(size != 1 for size in shape[:-2]):
        raise InputError(f"{path} holds {' x '.join(map(str, shape))} labels: one plane is needed")
    return PlaneRef(store, kind="zarr", place=(array, *(0 for _ in shape[:-2])))
