"""OME-Zarr 0.4 (Zarr 2) and 0.5 (Zarr 3): plates, wells and single images; of a pyramid, only its full resolution.

The metadata is read as it lies in `.zattrs` or `zarr.json`, so that finding needs no package.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.options import Options
from cytoimagenet_hf.images.source import Ignored, Source
from cytoimagenet_hf.images.stores.zarr import array_facts


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
    problem: str = ""


def matches(source: Source, options: Options) -> bool:
    """A Zarr store, or a folder that holds some."""
    return bool(source.stores)


def find(source: Source, options: Options) -> Findings:
    """Planes of all plates and images."""
    planes: list[FoundPlane] = []
    channels: dict[Channel, None] = {}
    for store in source.stores:
        for image in _fields(source.root / store, store):
            found = _planes(image)
            planes += found
            channels |= dict.fromkeys(plane.channel for plane in found)
    ignored = [Ignored(name, "no part of a Zarr store") for name in source.files]
    return Findings(planes, ignored, [channel for channel in channels if channel.key])


def attributes_of(folder: Path) -> dict[str, Any]:
    """The OME metadata of a group, of either version.

    Raises:
        InputError: there is none.
    """
    for name in ("zarr.json", ".zattrs"):
        try:
            content = json.loads((folder / name).read_bytes())
        except OSError:
            continue
        except ValueError as error:
            raise InputError(f"{folder / name} is no JSON: {error}") from error
        attributes = content.get("attributes", {}) if name == "zarr.json" else content
        if isinstance(attributes, dict):
            ome = attributes.get("ome", attributes)
            return ome if isinstance(ome, dict) else {}
    raise InputError(f"{folder} has no metadata: neither .zattrs nor zarr.json")


def _fields(store: Path, name: str) -> Iterator[_Field]:
    stem = _stem(name)
    try:
        attributes = attributes_of(store)
        if "plate" in attributes:
            yield from _plate(store, stem, attributes["plate"])
        elif "well" in attributes:
            yield from _well(store, "", stem, plate="", well="", first=_first([attributes]))
        elif "multiscales" in attributes:
            yield _Field(store, "", stem)
        elif (store / "0").is_dir() and "bioformats2raw.layout" in attributes:
            series = sorted((child.name for child in store.iterdir() if child.name.isdecimal()), key=int)
            for child in series:
                yield _Field(store, child, f"{stem}/{child}")
        else:
            raise InputError(f"{store} is a Zarr store without OME metadata (plate, well or multiscales)")
    except InputError as error:
        yield _Field(store, "", stem, problem=str(error))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        yield _Field(store, "", stem, problem=f"the metadata of {store} cannot be understood: {error!r}")


def _plate(store: Path, stem: str, plate: Mapping[str, Any]) -> Iterator[_Field]:
    name = str(plate.get("name") or stem.rpartition("/")[2])
    wells = [(str(well["path"]), _well_name(plate, well)) for well in plate["wells"]]
    attributes = []
    for path, _ in wells:
        try:
            attributes.append(attributes_of(_below(store, path)))
        except InputError:
            attributes.append({})
    first, several = _first(attributes), len(_acquisitions(attributes)) > 1
    for path, well in wells:
        for field in _well(store, path, stem, plate=name, well=well, first=first):
            yield field if several else replace(field, acquisition="")


def _well_name(plate: Mapping[str, Any], well: Mapping[str, Any]) -> str:
    """`B2` of the path `B/2`, else by the indices into rows and columns."""
    parts = str(well["path"]).split("/")
    if len(parts) == 2 and parts[0].isalpha():
        return "".join(parts)
    return f"{plate['rows'][well['rowIndex']]['name']}{plate['columns'][well['columnIndex']]['name']}"


def _first(wells: list[dict[str, Any]]) -> int:
    """The number that fields are counted from: 0, unless no field anywhere is called 0."""
    paths = [str(image.get("path")) for well in wells for image in well.get("well", {}).get("images", [])]
    return 0 if not paths or "0" in paths else 1


def _acquisitions(wells: list[dict[str, Any]]) -> set[str]:
    return {str(image.get("acquisition")) for well in wells for image in well.get("well", {}).get("images", [])}


def _well(store: Path, path: str, stem: str, *, plate: str, well: str, first: int) -> Iterator[_Field]:
    try:
        images = attributes_of(_below(store, path))["well"]["images"]
    except (InputError, KeyError, TypeError) as error:
        reason = str(error) if isinstance(error, InputError) else f"{store / path} has no metadata of a well"
        yield _Field(store, path, f"{stem}/{path}", plate, well, problem=reason)
        return
    for image in images:
        field = str(image["path"])
        site = str(int(field) + 1 - first) if field.isdecimal() else field
        inner = f"{path}/{field}" if path else field
        acquisition = str(image.get("acquisition", ""))
        yield _Field(store, inner, f"{stem}/{inner}", plate, well, site, acquisition)


def _planes(image: _Field) -> list[FoundPlane]:
    """All planes of one image; where they cannot be known, one without a channel that carries the problem."""
    try:
        if image.problem:
            raise InputError(image.problem)
        return list(_described(image))
    except InputError as error:
        return [_plane(image, PlaneRef(image.store, kind="zarr"), Channel(""), None, None, str(error))]
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        reason = f"the metadata of {image.store / image.path} cannot be understood: {error!r}"
        return [_plane(image, PlaneRef(image.store, kind="zarr"), Channel(""), None, None, reason)]


def _described(image: _Field) -> Iterator[FoundPlane]:
    attributes = attributes_of(_below(image.store, image.path))
    if not attributes.get("multiscales"):
        raise InputError(f"{image.store / image.path} has no multiscales metadata")
    scales = attributes["multiscales"][0]
    array = "/".join(part for part in (image.path, str(scales["datasets"][0]["path"])) if part)
    shape = array_facts(_below(image.store, array)).shape
    # 0.3 and older name axes by letters, still older ones not at all: always t, c, z, y, x.
    axes = [axis["name"] if isinstance(axis, dict) else axis for axis in scales.get("axes") or "tczyx"]
    axes = [str(axis).lower() for axis in axes]
    if len(axes) != len(shape) or axes[-2:] != ["y", "x"] or not set(axes[:-2]) <= set("tcz"):
        raise InputError(f"{image.store / array} has axes {','.join(axes)} for shape {shape}; known are t, c, z, y, x")
    labels = [str(channel.get("label") or "") for channel in attributes.get("omero", {}).get("channels", [])]
    sizes = dict(zip(axes, shape, strict=True))
    named = labels if len(labels) == sizes.get("c", 1) and len(set(labels)) == len(labels) else []
    outer = axes[:-2]
    for indices in product(*(range(sizes[axis]) for axis in outer)):
        at = dict(zip(outer, indices, strict=True))
        c = at.get("c", 0)
        yield _plane(
            image,
            PlaneRef(image.store, kind="zarr", place=(array, *indices)),
            Channel(str(c + 1), named[c] if named else ""),
            at["z"] + 1 if sizes.get("z", 1) > 1 else None,
            at["t"] + 1 if "t" in at else None,
        )


def _plane(
    image: _Field, ref: PlaneRef, channel: Channel, z: int | None, t: int | None, problem: str = ""
) -> FoundPlane:
    return FoundPlane(
        ref,
        channel,
        image.name,
        plate=image.plate,
        well=image.well,
        site=image.site,
        z=z,
        t=t,
        origin=str(image.store),
        metadata={"acquisition": image.acquisition} if image.acquisition else {},
        problem=problem,
    )


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
