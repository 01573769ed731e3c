"""One plate written as each instrument or program writes it: ImageXpress, Phenix, LoadData, OME-TIFF, OME-Zarr.

Fields go in with their pixels; files come out in the layout's names, indices and metadata. The same fields in every
layout are what tests of the readers compare.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from .plates import file_uuid


@dataclass(frozen=True)
class PlateField:
    """One field of view: its well as `B02`, its site from 1, and per stain a (H, W) or (Z, H, W) array."""

    well: str
    site: int
    planes: dict[str, NDArray[Any]]

    @property
    def row(self) -> int:
        """Row from 1."""
        return ord(self.well[0]) - ord("A") + 1

    @property
    def column(self) -> int:
        """Column from 1."""
        return int(self.well[1:])

    def stack(self, stain: str) -> NDArray[Any]:
        """The planes of a stain, (Z, H, W)."""
        return self.planes[stain] if self.planes[stain].ndim == 3 else self.planes[stain][None]


def write_imagexpress(folder: Path, plate: str, fields: Sequence[PlateField], *, seed: int) -> Path:
    """`<folder>/<plate>/TimePoint_1/[ZStep_1/]<plate>_B02_s1_w1<UUID>.tif`, with thumbnails and an .HTD."""
    stains = list(fields[0].planes)
    root = folder / plate
    root.mkdir(parents=True, exist_ok=True)
    lines = ['"HTSInfoFile", Version 1.0', '"TimePoints", 1', '"Waves", TRUE', f'"NWavelengths", {len(stains)}']
    lines += [f'"WaveName{number}", "{stain.upper()}"' for number, stain in enumerate(stains, 1)]
    (root / f"{plate}.HTD").write_bytes("\r\n".join([*lines, '"EndFile"', ""]).encode("cp1252"))
    for field in fields:
        for wave, stain in enumerate(stains, 1):
            stack = field.stack(stain)
            for z, plane in enumerate(stack, 1):
                below = root / "TimePoint_1" / (f"ZStep_{z}" if len(stack) > 1 else "")
                below.mkdir(parents=True, exist_ok=True)
                stem = f"{plate}_{field.well}_s{field.site}_w{wave}"
                _write_tiff(below / f"{stem}{file_uuid(seed, f'{stem}/{z}')}.tif", plane)
                thumbnail = below / f"{stem}_thumb{file_uuid(seed, f'{stem}/{z}/thumb')}.tif"
                _write_tiff(thumbnail, np.ascontiguousarray(plane[::8, ::8]))
    return root


def write_phenix(
    folder: Path, plate: str, fields: Sequence[PlateField], *, seed: int, version: int = 6, index: bool = True
) -> Path:
    """`<folder>/<plate>__2024-01-31T09_00_00-Measurement 1/Images/r02c02f01p01-ch1sk1fk1fl1.tiff` with Index.idx.xml.

    Version 5 of the index names channels with every image, 6 in the maps. Without `index` it is not written. `seed` is
    not used; layouts share one signature.
    """
    stains = list(fields[0].planes)
    root = folder / f"{plate}__2024-01-31T09_00_00-Measurement 1"
    images = root / "Images"
    images.mkdir(parents=True, exist_ok=True)
    entries = []
    for field in fields:
        for channel, stain in enumerate(stains, 1):
            for z, plane in enumerate(field.stack(stain), 1):
                name = f"r{field.row:02d}c{field.column:02d}f{field.site:02d}p{z:02d}-ch{channel}sk1fk1fl1.tiff"
                _write_tiff(images / name, plane)
                label = f"<ChannelName>{escape(stain.upper())}</ChannelName>" if version == 5 else ""
                entries.append(
                    f"<Image><id>{field.row:02d}{field.column:02d}K1F{field.site}P{z}R{channel}</id><State>Ok</State>"
                    f"<URL>{name}</URL><Row>{field.row}</Row><Col>{field.column}</Col><FieldID>{field.site}</FieldID>"
                    f"<PlaneID>{z}</PlaneID><TimepointID>0</TimepointID><ChannelID>{channel}</ChannelID>{label}</Image>"
                )
    if index:
        (images / "Index.idx.xml").write_text(_harmony_index(plate, fields, stains, entries, version), "utf-8-sig")
    return root


def _harmony_index(
    plate: str, fields: Sequence[PlateField], stains: Sequence[str], entries: Sequence[str], version: int
) -> str:
    named = "".join(
        f'<Entry ChannelID="{channel}"><ChannelName>{escape(stain.upper())}</ChannelName></Entry>'
        for channel, stain in enumerate(stains, 1)
    )
    maps = f'<Maps><Map><Entry ChannelID="1"><FlatfieldProfile/></Entry></Map><Map>{named}</Map></Maps>'
    wells = "".join(
        f'<Well><id>{well}</id><Row>{int(well[:2])}</Row><Col>{int(well[2:])}</Col><Image id="{well}K1F1P1R1"/></Well>'
        for well in dict.fromkeys(f"{field.row:02d}{field.column:02d}" for field in fields)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<EvaluationInputData xmlns="http://www.perkinelmer.com/PEHH/HarmonyV{version}" Version="1">'
        f"<Plates><Plate><PlateID>{escape(plate)}</PlateID><Name>{escape(plate)}</Name></Plate></Plates>"
        f"<Wells>{wells}</Wells>{maps if version > 5 else ''}<Images>{''.join(entries)}</Images></EvaluationInputData>"
    )


def write_loaddata(folder: Path, plate: str, fields: Sequence[PlateField], *, seed: int) -> Path:
    """`<folder>/load_data.csv` beside `<folder>/images/<plate>/…`, columns as CellProfiler reads them."""
    stains = list(fields[0].planes)
    images = folder / "images" / plate
    images.mkdir(parents=True, exist_ok=True)
    rows = []
    for field in fields:
        row: dict[str, object] = {}
        for stain in stains:
            stack = field.stack(stain)
            name = f"{file_uuid(seed, f'{plate}{field.well}{field.site}{stain}')}.tif"
            _write_tiff(images / name, stack[0])
            row |= {f"FileName_{stain.upper()}": name, f"PathName_{stain.upper()}": f"images/{plate}"}
        row |= {"Metadata_Plate": plate, "Metadata_Well": field.well, "Metadata_Site": field.site}
        rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "load_data.csv", index=False)
    return folder / "load_data.csv"


def write_ometiff(folder: Path, plate: str, fields: Sequence[PlateField], *, seed: int) -> Path:
    """`<folder>/<plate>_B02_s1.ome.tiff`: a stack per field, its channels named; read by the pattern of that name."""
    folder.mkdir(parents=True, exist_ok=True)
    for field in fields:
        stack = np.stack([field.stack(stain) for stain in field.planes])  # (C, Z, H, W)
        deep = stack.shape[1] > 1
        tifffile.imwrite(
            folder / f"{plate}_{field.well}_s{field.site}.ome.tiff",
            stack if deep else stack[:, 0],
            ome=True,
            metadata={
                "axes": "CZYX" if deep else "CYX",
                "Channel": {"Name": [stain.upper() for stain in field.planes]},
                "UUID": file_uuid(seed, f"{plate}{field.well}{field.site}"),
            },
        )
    return folder


def write_omezarr(folder: Path, plate: str, fields: Sequence[PlateField], *, seed: int, version: str = "0.5") -> Path:
    """`<folder>/<plate>.zarr/B/2/0/0`: a plate of OME-Zarr 0.5 or 0.6 (Zarr 3) or 0.4 (Zarr 2), uncompressed."""
    root = folder / f"{plate}.zarr"
    sites: dict[str, list[PlateField]] = {}
    for field in fields:
        sites.setdefault(field.well, []).append(field)
    rows = sorted({well[0] for well in sites})
    columns = sorted({int(well[1:]) for well in sites})
    places = {well: (well[0], int(well[1:])) for well in sites}
    wells = [
        {"path": f"{row}/{column}", "rowIndex": rows.index(row), "columnIndex": columns.index(column)}
        for row, column in places.values()
    ]
    attributes = {
        "name": plate,
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": str(column)} for column in columns],
        "wells": wells,
        "field_count": max(map(len, sites.values())),
    }
    _write_group(root, {"plate": attributes}, version)
    for row in rows:
        _write_group(root / row, {}, version)
    for well, those in sites.items():
        path = root / well[0] / str(int(well[1:]))
        _write_group(path, {"well": {"images": [{"path": str(field.site - 1)} for field in those]}}, version)
        for field in those:
            stack = np.stack([field.stack(stain) for stain in field.planes])  # (C, Z, H, W)
            _write_group(path / str(field.site - 1), _image_attributes(list(field.planes), plate, version), version)
            _write_array(path / str(field.site - 1) / "0", stack, version)
    return root


_ZARR_3 = ("0.5", "0.6")


def _image_attributes(stains: Sequence[str], name: str, version: str) -> dict[str, Any]:
    axes = [{"name": "c", "type": "channel"}, *({"name": axis, "type": "space"} for axis in "zyx")]
    scale: list[dict[str, Any]] = [{"type": "scale", "scale": [1.0, 1.0, 1.0, 1.0]}]
    stated: dict[str, Any] = {"axes": axes}
    if version == "0.6":
        stated = {"coordinateSystems": [{"name": "physical", "axes": axes}]}
        scale[0] |= {"input": "0", "output": "physical"}
    window = {"min": 0, "max": 65535, "start": 0, "end": 65535}
    channels = [{"label": stain.upper(), "color": "FFFFFF", "window": window, "active": True} for stain in stains]
    return {
        "multiscales": [{"name": name, **stated, "datasets": [{"path": "0", "coordinateTransformations": scale}]}],
        "omero": {"channels": channels},
    }


def _write_group(folder: Path, attributes: dict[str, Any], version: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if version in _ZARR_3:
        ome = {"ome": {"version": version, **attributes}} if attributes else {}
        _write_json(folder / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": ome})
        return
    for kind in ("plate", "well"):
        if kind in attributes:
            attributes = attributes | {kind: attributes[kind] | {"version": version}}
    if "multiscales" in attributes:
        attributes = attributes | {"multiscales": [attributes["multiscales"][0] | {"version": version}]}
    _write_json(folder / ".zgroup", {"zarr_format": 2})
    _write_json(folder / ".zattrs", attributes)


def _write_array(folder: Path, stack: NDArray[Any], version: str) -> None:
    """An array of one chunk per plane, little-endian, without compression."""
    folder.mkdir(parents=True, exist_ok=True)
    shape, chunks = list(stack.shape), [1, 1, *stack.shape[2:]]
    little = stack.dtype.newbyteorder("<")
    if version in _ZARR_3:
        _write_json(
            folder / "zarr.json",
            {
                "zarr_format": 3,
                "node_type": "array",
                "shape": shape,
                "data_type": stack.dtype.name,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
                "dimension_names": list("czyx"),
                "fill_value": 0,
                "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
                "attributes": {},
            },
        )
    else:
        facts = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": little.str, "order": "C"}
        _write_json(
            folder / ".zarray",
            facts | {"fill_value": 0, "compressor": None, "filters": None, "dimension_separator": "/"},
        )
    for c, z in product(*map(range, stack.shape[:2])):
        chunk = folder / ("c" if version in _ZARR_3 else "") / str(c) / str(z) / "0" / "0"
        chunk.parent.mkdir(parents=True, exist_ok=True)
        chunk.write_bytes(np.ascontiguousarray(stack[c, z].astype(little)).tobytes())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")


def _write_tiff(path: Path, plane: NDArray[Any]) -> None:
    tifffile.imwrite(path, plane, metadata=None, software=False, datetime=False)


PLATE_LAYOUTS: dict[str, Callable[..., Path]] = {
    "imagexpress": write_imagexpress,
    "phenix": write_phenix,
    "loaddata": write_loaddata,
    "ometiff": write_ometiff,
    "omezarr": write_omezarr,
}
"""Name → writer: (folder, plate, fields, seed=) → what a reader is given."""


def write_jump_lite(
    folder: Path, plate: str, fields: Sequence[PlateField], *, codec: str = "zstd"
) -> tuple[Path, Path]:
    """`<folder>/<codec>.zarr/<source>__<batch>__<plate>__<well>__<site>`: an array (C, H, W) per site, one chunk each.

    The codec is `zstd` (Zarr 3) or `jpegxl` (Zarr 2, lossless here). Returns the store and the table of its sites.
    """
    import imagecodecs.numcodecs
    import zarr

    folder.mkdir(parents=True, exist_ok=True)
    store = folder / f"{codec}.zarr"
    root = zarr.open_group(store, mode="w", zarr_format=3 if codec == "zstd" else 2)
    imagecodecs.numcodecs.register_codecs("imagecodecs_jpegxl", verbose=False)
    rows = []
    for field in fields:
        stack = np.stack([field.stack(stain)[0] for stain in sorted(field.planes)])
        key = f"source_4__2021_04_26_Batch1__{plate}__{field.well}__{field.site}"
        packed: dict[str, Any] = {"compressors": zarr.codecs.BloscCodec(cname="zstd")}
        if codec == "jpegxl":
            packed = {"compressors": imagecodecs.numcodecs.Jpegxl(lossless=True, numthreads=1)}
        array = root.create_array(key, shape=stack.shape, chunks=stack.shape, dtype=stack.dtype, **packed)
        array[:] = stack
        rows.append(dict(zip(("source", "batch", "plate", "well", "site"), key.split("__"), strict=True)))
    index = pd.DataFrame(rows).add_prefix("Metadata_")
    for stain in sorted(fields[0].planes):
        index[f"URL_Orig{stain.upper()}"] = f"s3://cellpainting-gallery/elsewhere/{stain}.tiff"
    index.to_parquet(folder / "site_index.parquet", index=False)
    return store, folder / "site_index.parquet"
