"""Zarr arrays without OME metadata, one per site, as JUMP-Lite holds them: the caller says what their axes are.

Either the store itself, whose arrays are all taken, or a table with a row per site and `--root STORE.zarr`. An array
lies under the key that the table gives, or that its columns make: `<source>__<batch>__<plate>__<well>__<site>`.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import plain_number
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.remote import concurrently, is_remote
from cytoimagenet_hf.images.source import Source, natural
from cytoimagenet_hf.images.stores.zarr import array_facts, files_below
from cytoimagenet_hf.images.tables import ImageTable, is_metadata, is_table, own_name, places
from cytoimagenet_hf.options.source import SourceOptions

from .omezarr import attributes_of

_KEY = ("source", "batch", "plate", "well", "site")
_KEY_COLUMNS = ("key", "zarr_key", "site_key", "array")


def matches(source: Source, options: SourceOptions) -> bool:
    """A table whose root is a Zarr store; or, where axes are given, one store without OME metadata."""
    if is_table(source):
        return options.root is not None and options.root.name.lower().endswith(".zarr")
    if options.axes is None or not (source.single and source.stores):
        return False
    try:
        attributes = attributes_of(source.root / source.stores[0])
    except InputError:
        attributes = {}
    return not attributes.keys() & {"plate", "well", "multiscales", "bioformats2raw.layout"}


def find(source: Source, options: SourceOptions) -> Findings:
    """An image per array."""
    axes = (options.axes or "").lower()
    if axes[-2:] != "yx" or not set(axes[:-2]) <= set("tcz") or len(set(axes)) != len(axes):
        raise InputError(
            f"{source.text}: arrays without OME metadata do not say their axes: give --axes CYX (of T, C and Z, then "
            "YX), and the channels in their order, --stains agp,dna,er,mito,rna"
        )
    sites = list(_in_table(source, options) if source.files else _in_store(source))
    if not sites:
        raise InputError(f"{source.text} holds no arrays")
    remote = is_remote(sites[0].ref.path)
    read = partial(_planes, axes=axes, options=options)
    planes = [plane for of_site in concurrently(read, sites, remote=remote) for plane in of_site]
    return Findings(planes)


def _in_store(source: Source) -> Iterator[FoundPlane]:
    store = source.root / source.stores[0]
    names = files_below(store)
    if names is None:
        raise InputError(f"{store}: a web server cannot list its arrays: give a table of them, and --root {store}")
    metadata = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in (".zarray", "zarr.json")}
    for key in sorted(metadata - {""}, key=natural):
        parts = key.split("__")
        facts: dict[str, Any] = {}
        if len(parts) == len(_KEY):
            facts = dict(zip(_KEY, [*parts[:-1], plain_number(parts[-1])], strict=True))
            facts["metadata"] = {name: facts.pop(name) for name in _KEY[:2]}
        yield FoundPlane(PlaneRef(store, kind="zarr"), Channel(""), key, **facts)


def _in_table(source: Source, options: SourceOptions) -> Iterator[FoundPlane]:
    table = ImageTable(source, options)
    columns = table.columns
    by_name = {own_name(column).lower(): column for column in columns}
    wanted = (options.id_column,) if options.id_column else ()
    key = next((name for name in (*wanted, *_KEY_COLUMNS) if name in columns), None)
    placed = places([column for column in columns if column != key])
    made_of = [placed.get(name) or by_name.get(name) for name in _KEY]
    if key is None and None in made_of:
        raise InputError(
            f"{table.path} has no column {' or '.join(_KEY_COLUMNS)}, nor {', '.join(_KEY)} to make the keys of "
            "arrays from: name the column of keys (--id-column)"
        )
    root = options.root if options.root is not None else table.path.parent
    kept = [column for column in columns if is_metadata(column) and column not in placed.values() and column != key]
    kept += [column for column in ("source", "batch") if column in columns]
    for line, row, _, facts in table.rows(placed, {column: own_name(column) for column in kept}):
        name = str(row[key]) if key else "__".join(str(row[column]) for column in made_of)
        if not name or ".." in name.split("/"):
            facts["problem"] = facts["problem"] or f"{table.path}, line {line}: {name!r} is no key of an array"
        facts |= {"row": str(line), "id": name if options.id_column else ""}
        yield FoundPlane(PlaneRef(root, kind="zarr"), Channel(""), name.strip("/"), **facts)


def _planes(site: FoundPlane, *, axes: str, options: SourceOptions) -> list[FoundPlane]:
    """The planes of a site, which is named by the key of its array."""
    try:
        if site.problem:
            raise InputError(site.problem)
        array = site.ref.path / site.name
        shape = array_facts(array, max_pixels=options.max_pixels).shape
        if len(shape) != len(axes):
            raise InputError(f"{array} has the shape {shape}, which is not {axes.upper()}")
    except InputError as error:
        return [replace(site, t=None, problem=str(error))]
    sizes = dict(zip(axes, shape, strict=True))
    planes = []
    for indices in product(*(range(sizes[axis]) for axis in axes[:-2])):
        at = dict(zip(axes, indices, strict=False))
        planes.append(
            replace(
                site,
                ref=replace(site.ref, place=(site.name, *indices)),
                channel=Channel(str(at.get("c", 0) + 1)),
                z=at["z"] + 1 if sizes.get("z", 1) > 1 else None,
                t=at["t"] + 1 if "t" in at else site.t,
            )
        )
    return planes
