"""OME-Zarr 0.1 to 0.4 (Zarr 2), 0.5 and 0.6 (Zarr 3): plates, wells and images, each at its full resolution.

The metadata is read as it lies in `.zattrs` or `zarr.json`, so that finding needs no package. A well may hold images
of several acquisitions, and processed copies beside its images (`0_illum_corr` beside `0`, as Fractal writes them):
`acquisition` and `derived` choose, and of copies the caller is asked.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.jsontext import parse_json
from cytoimagenet_hf.core.numbers import whole_or_none
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.remote import concurrently, is_remote
from cytoimagenet_hf.images.source import Ignored, Source, natural
from cytoimagenet_hf.images.stores.zarr import absent_chunks, array_facts
from cytoimagenet_hf.options.source import SourceOptions

_SEPARATOR = re.compile(r"[_.-]")


@dataclass(frozen=True)
class _Field:
    """An image of a plate or a store of its own, before its metadata is read."""

    store: Path
    path: str
    name: str
    plate: str = ""
    well: str = ""
    site: str = ""
    acquisition: str = ""
    derived: str = ""
    problem: str = ""


def matches(source: Source, options: SourceOptions) -> bool:
    """A Zarr store, or a folder that holds some."""
    return bool(source.stores)


def find(source: Source, options: SourceOptions) -> Findings:
    """Planes of all plates and images, without the acquisitions and the processed copies that are not asked for."""
    fields = [field for store in source.stores for field in _fields(source.root / store, store)]
    chosen, passed = _chosen(fields, source.text, options)
    planes: list[FoundPlane] = []
    channels: dict[Channel, None] = {}
    absent: dict[str, int] = {}
    remote = is_remote(source.root)
    for field, of_field in zip(
        chosen, concurrently(lambda field: _planes(field, options), chosen, remote=remote), strict=True
    ):
        planes += of_field
        channels |= dict.fromkeys(plane.channel for plane in of_field)
        if count := of_field[0].metadata.get("absent_chunks", 0):
            absent[field.name] = count
    ignored = [*passed, *(Ignored(name, "no part of a Zarr store") for name in source.files)]
    notes = []
    if total := sum(absent.values()):
        notes.append(
            f"{total:,} chunk{'s are' if total > 1 else ' is'} absent in {len(absent):,} of {len(chosen):,} images, "
            f"such as {next(iter(absent))}: read as the fill value, as the format says, and counted in absent_chunks"
        )
    return Findings(planes, ignored, [channel for channel in channels if channel.key], notes)


def _chosen(fields: list[_Field], where: str, options: SourceOptions) -> tuple[list[_Field], list[Ignored]]:
    """The images of the acquisition and of the kind (original, or copies of one name) that are asked for."""
    passed: list[Ignored] = []
    wanted, acquisitions = options.acquisition, sorted({field.acquisition for field in fields if field.acquisition})
    if wanted is not None:
        if wanted not in acquisitions:
            raise InputError(f"{where} has no acquisition {wanted!r}: it has {', '.join(acquisitions) or 'one only'}")
        passed += [Ignored(field.name, "of another acquisition") for field in fields if field.acquisition != wanted]
        fields = [field for field in fields if field.acquisition == wanted]
    copies = sorted({field.derived for field in fields if field.derived})
    if options.derived is None:
        if copies:
            copy = next(field for field in fields if field.derived)
            raise InputError(
                f"{where} holds images and processed copies of them, such as {copy.path}: they are not sites "
                f"of their own; choose --derived none for the originals, or --derived {' or '.join(copies)}"
            )
        return fields, passed
    kind = "" if options.derived == "none" else options.derived
    if kind and kind not in copies:
        raise InputError(f"{where} has no copies {kind!r}: it has {', '.join(copies) or 'originals only'}")
    reason = "a processed copy" if not kind else f"not of the copies {kind}"
    passed += [Ignored(field.name, reason) for field in fields if field.derived != kind and not field.problem]
    return [field for field in fields if field.derived == kind or field.problem], passed


def attributes_of(folder: Path) -> dict[str, Any]:
    """The OME metadata of a group, of either version; an `InputError` where there are none."""
    for name in ("zarr.json", ".zattrs"):
        try:
            content = parse_json((folder / name).read_bytes(), where=folder / name)
        except OSError:
            continue
        if not isinstance(content, dict):
            raise InputError(f"{folder / name} is not a JSON object")
        attributes = content.get("attributes", {}) if name == "zarr.json" else content
        if isinstance(attributes, dict):
            ome = attributes.get("ome", attributes)
            return ome if isinstance(ome, dict) else {}
    raise InputError(f"{folder} has no metadata: neither .zattrs nor zarr.json")


@contextmanager
def _understood(folder: Path) -> Iterator[None]:
    """Metadata of another form than expected become an `InputError` that names their folder."""
    try:
        yield
    except InputError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise InputError(f"the metadata of {folder} cannot be understood: {error!r}") from error


def _fields(store: Path, name: str) -> Iterator[_Field]:
    stem = _stem(name)
    try:
        with _understood(store):
            attributes = attributes_of(store)
            if "plate" in attributes:
                yield from _plate(store, stem, attributes["plate"])
            elif "well" in attributes:
                yield from _well(store, "", stem, plate="", well="", paths=_of_images([attributes], "path"))
            elif "multiscales" in attributes:
                yield _Field(store, "", stem)
            elif (store / "0").is_dir() and "bioformats2raw.layout" in attributes:
                for child in _series(store):
                    yield _Field(store, child, f"{stem}/{child}")
            else:
                raise InputError(
                    f"{store} is a Zarr store without OME metadata (plate, well or multiscales): for its arrays "
                    "alone, give their axes (--axes CYX)"
                )
    except InputError as error:
        yield _Field(store, "", stem, problem=str(error))


def _series(store: Path) -> list[str]:
    """Images of a store that bioformats2raw wrote, as it lists them, else by their folders."""
    try:
        listed = attributes_of(store / "OME").get("series")
    except InputError:
        listed = None
    if isinstance(listed, list):
        return [str(name) for name in listed]
    return sorted((child.name for child in store.iterdir() if child.name.isdecimal()), key=natural)


def _plate(store: Path, stem: str, plate: Mapping[str, Any]) -> Iterator[_Field]:
    name = str(plate.get("name") or stem.rpartition("/")[2])
    wells = [(str(well["path"]), _well_name(plate, well)) for well in plate["wells"]]

    def of_well(well: tuple[str, str]) -> dict[str, Any]:
        try:
            return attributes_of(_below(store, well[0]))
        except InputError:
            return {}

    attributes = concurrently(of_well, wells, remote=is_remote(store))
    paths, several = _of_images(attributes, "path"), len(_of_images(attributes, "acquisition")) > 1
    for path, well in wells:
        for field in _well(store, path, stem, plate=name, well=well, paths=paths):
            yield field if several else replace(field, acquisition="")


def _well_name(plate: Mapping[str, Any], well: Mapping[str, Any]) -> str:
    """`B2` of the path `B/2`, else by the indices into rows and columns."""
    parts = str(well["path"]).split("/")
    if len(parts) == 2 and parts[0].isalpha():
        return "".join(parts)
    return f"{plate['rows'][well['rowIndex']]['name']}{plate['columns'][well['columnIndex']]['name']}"


def _of_images(wells: list[dict[str, Any]], key: str) -> set[str]:
    """What the images of wells have under a key."""
    return {str(image.get(key)) for well in wells for image in well.get("well", {}).get("images", [])}


def _copied(path: str, paths: set[str]) -> tuple[str, str]:
    """(`0`, `illum_corr`) of a copy `0_illum_corr` where some well has an image `0`; else the path and nothing."""
    for match in _SEPARATOR.finditer(path):
        if match.start() and match.end() < len(path) and path[: match.start()] in paths:
            return path[: match.start()], path[match.end() :]
    return path, ""


def _well(store: Path, path: str, stem: str, *, plate: str, well: str, paths: set[str]) -> Iterator[_Field]:
    try:
        images = attributes_of(_below(store, path))["well"]["images"]
    except (InputError, KeyError, TypeError) as error:
        reason = str(error) if isinstance(error, InputError) else f"{store / path} has no metadata of a well"
        yield _Field(store, path, f"{stem}/{path}", plate, well, problem=reason)
        return
    first = 0 if not paths or "0" in paths else 1  # fields count from 0, unless no field anywhere is called 0
    for image in images:
        field = str(image["path"])
        base, derived = _copied(field, paths)
        number = whole_or_none(base)
        site = base if number is None else str(number + 1 - first)
        inner = f"{path}/{field}" if path else field
        acquisition = str(image.get("acquisition", ""))
        yield _Field(store, inner, f"{stem}/{inner}", plate, well, site, acquisition, derived)


def _planes(image: _Field, options: SourceOptions) -> list[FoundPlane]:
    """All planes of one image; where they cannot be known, one without a channel that carries the problem."""
    whole = FoundPlane(
        PlaneRef(image.store, kind="zarr"),
        Channel(""),
        image.name,
        plate=image.plate,
        well=image.well,
        site=image.site,
        origin=str(image.store),
        metadata={name: value for name in ("acquisition", "derived") if (value := getattr(image, name))},
    )
    try:
        with _understood(image.store / image.path):
            if image.problem:
                raise InputError(image.problem)
            return list(_described(image, whole, options))
    except InputError as error:
        return [replace(whole, problem=str(error))]


def _described(image: _Field, whole: FoundPlane, options: SourceOptions) -> Iterator[FoundPlane]:
    attributes = attributes_of(_below(image.store, image.path))
    if not attributes.get("multiscales"):
        raise InputError(f"{image.store / image.path} has no multiscales metadata")
    scales = attributes["multiscales"][0]
    array = "/".join(part for part in (image.path, str(scales["datasets"][0]["path"])) if part)
    folder = _below(image.store, array)
    facts = array_facts(folder, max_pixels=options.max_pixels)
    shape, absent = facts.shape, absent_chunks(folder, facts)
    axes = _axes(scales)
    if len(axes) != len(shape) or axes[-2:] != ["y", "x"] or not set(axes[:-2]) <= set("tcz"):
        raise InputError(f"{image.store / array} has axes {','.join(axes)} for shape {shape}; known are t, c, z, y, x")
    # what a viewer is told may be absent or null
    labels = [str(channel.get("label") or "") for channel in (attributes.get("omero") or {}).get("channels") or ()]
    sizes = dict(zip(axes, shape, strict=True))
    named = labels if len(labels) == sizes.get("c", 1) and len(set(labels)) == len(labels) else []
    outer = axes[:-2]
    for indices in product(*(range(sizes[axis]) for axis in outer)):
        at = dict(zip(outer, indices, strict=True))
        c = at.get("c", 0)
        yield replace(
            whole,
            ref=replace(whole.ref, place=(array, *indices)),
            channel=Channel(str(c + 1), named[c] if named else ""),
            z=at["z"] + 1 if sizes.get("z", 1) > 1 else None,
            t=at["t"] + 1 if "t" in at else None,
            metadata={**whole.metadata, **({"absent_chunks": absent} if absent else {})},
        )


def _axes(scales: Mapping[str, Any]) -> list[str]:
    """Names of the axes of an image, slowest first.

    Since 0.6 they stand with a coordinate system: of several, the one that the full resolution is transformed into.
    0.3 and older name axes by letters, still older ones not at all: always t, c, z, y, x.
    """
    systems = scales.get("coordinateSystems")
    axes: Any = scales.get("axes")
    if systems:
        steps = scales["datasets"][0].get("coordinateTransformations") or [{}]
        output = steps[-1].get("output")
        name = output.get("name") if isinstance(output, dict) else output
        axes = next((system for system in systems if system.get("name") == name), systems[0])["axes"]
    return [str(axis["name"] if isinstance(axis, dict) else axis).lower() for axis in axes or "tczyx"]


def _below(store: Path, path: str) -> Path:
    """A place in a store that its metadata name."""
    if path.startswith("/") or ".." in path.split("/"):
        raise InputError(f"{store} names {path!r}, which lies outside it")
    return store / path


def _stem(name: str) -> str:
    for ending in (".ome.zarr", ".zarr"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
