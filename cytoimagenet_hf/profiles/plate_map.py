"""Plate maps: what was in which well.

Read under the Broad's, JUMP's, CellProfiler's and plain column names; joined to rows by plate and well.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256
from cytoimagenet_hf.tables.features import FeatureTable
from cytoimagenet_hf.tables.tabular import read_table
from cytoimagenet_hf.tables.wells import normalise_well, well_at

_PLATE = ("plate", "assay_plate_barcode", "plate_barcode", "barcode", "plateid", "plate_id", "plate_name", "platename")
_MAP = ("plate_map_name", "platemap", "plate_map", "platemap_name")
_WELL = ("well", "well_position", "wellid", "well_id", "well_name", "wellname", "wellposition")
_ROW = ("row", "row_name", "well_row", "wellrow", "rowname")
_COLUMN = ("column", "col", "column_name", "well_column", "well_col", "wellcolumn", "columnname")


@dataclass(frozen=True)
class PlateMap:
    """Facts of wells.

    Attributes:
        rows: `well` (`A01`), `plate` where the map names plates, and every other column under its own name without
            `Metadata_`; one row per well.
        source: where it came from.
        notes: what was noticed while reading, a sentence each.
    """

    rows: pd.DataFrame
    source: dict[str, Any]
    notes: tuple[str, ...] = ()


def read_plate_map(path: str | Path, *, barcodes: str | Path | None = None) -> PlateMap:
    """Read a plate map.

    Wells stand in `well`, `well_position`, `Metadata_Well`, …, or in columns of rows and columns; `A1`, `a01` and
    `A01` are one well. A map without a column of plates is one layout for all plates.

    Args:
        path: CSV, TSV, Parquet or Excel.
        barcodes: the Broad's `barcode_platemap.csv`: which plate (`Assay_Plate_Barcode`) has which layout
            (`Plate_Map_Name`). Needed where the map holds several layouts.

    Raises:
        InputError: no wells, names that are no wells, a well with two different rows, several layouts without
            barcodes.
    """
    path = Path(path)
    frame = read_table(path, dtype=None).rename(columns=lambda name: re.sub(r"(?i)^(image_)?metadata_", "", str(name)))
    twice = list(frame.columns[frame.columns.str.lower().duplicated()])
    if twice:
        raise InputError(f"{path}: column {twice[0]!r} occurs twice once Metadata_ is left out: drop one")
    notes: list[str] = []
    frame = _with_wells(frame, path, notes)
    frame = _with_plates(frame, path, barcodes, notes)
    keys = [key for key in ("plate", "well") if key in frame]
    frame = _one_row_each(frame, keys, path, notes)
    others = [name for name in frame if name not in keys]
    source = {"file": path.name, "sha256": file_sha256(path), "wells": len(frame)}
    return PlateMap(frame[[*keys, *others]].reset_index(drop=True), source, tuple(notes))


def annotate(table: FeatureTable, plate_map: PlateMap) -> FeatureTable:
    """Add the facts of a plate map to the rows, joined by plate and well; no row is lost.

    The step counts the rows that found their well, names the wells that the map lacks (their facts stay empty), and
    counts the wells of the map that no row has.

    Args:
        table: rows with `well`, and `plate` where the map names plates.
        plate_map: of `read_plate_map`.

    Raises:
        InputError: rows without a well or plate; no row has a well of the map; a fact that the rows already have with
            other values.

    Example:
        >>> from cytoimagenet_hf.tables import make_table
        >>> rows = pd.DataFrame({"well": ["A01", "A02"], "compound": ["dmso", "taxol"]})
        >>> layout = PlateMap(rows, {"file": "map.csv"})
        >>> wells = make_table(["x", "y"], [[0.1], [0.9]], {"well": ["A2", "A1"]})
        >>> annotate(wells, layout).metadata["compound"].tolist()
        ['taxol', 'dmso']
    """
    metadata, rows = table.metadata.reset_index(drop=True).copy(), plate_map.rows
    keys = [key for key in ("plate", "well") if key in rows]
    for key in keys:
        if key not in metadata or metadata[key].isna().any():
            raise InputError(
                f"the plate map is joined by {' and '.join(keys)}, but rows have no {key}: extract with a format or "
                f"pattern that names it"
            )
    metadata["well"] = [normalise_well(str(well)) for well in metadata["well"]]
    own = pd.MultiIndex.from_frame(metadata[keys].astype(str))
    places = pd.MultiIndex.from_frame(rows[keys].astype(str)).get_indexer(own)
    matched = places >= 0
    if not matched.any():
        theirs, ours = (" ".join(map(str, index[0])) for index in (pd.MultiIndex.from_frame(rows[keys]), own))
        raise InputError(
            f"no row has a well of {plate_map.source.get('file', 'the plate map')}: it says {' and '.join(keys)} "
            f"{theirs!r}, the features {ours!r}; write both alike, or leave the column of plates out for one layout"
        )
    for name in rows.columns.difference(keys, sort=False):
        values = rows[name].reindex(places).reset_index(drop=True)  # -1 is no row: missing
        if name in metadata:
            known = metadata[name]
            differs = matched & known.notna().to_numpy() & (known.astype(str) != values.astype(str)).to_numpy()
            if differs.any():
                row = int(differs.nonzero()[0][0])
                raise InputError(
                    f"{name} of {int(differs.sum())} rows differs between the features and the plate map: "
                    f"{table.ids[row]!r} has {known[row]!r} and {values[row]!r}; drop the column from one of them"
                )
            values = known.where(known.notna(), values)
        metadata[name] = values
    lost = sorted({"/".join(key) for key, found in zip(own, matched, strict=True) if not found})
    unused = sorted(set(range(len(rows))) - set(places.tolist()))
    plates = set(metadata["plate"].astype(str)) if "plate" in keys else set()
    here = [not plates or str(plate) in plates for plate in rows.get("plate", pd.Series("", index=rows.index))]
    step = {
        "step": "annotate",
        "map": plate_map.source,
        "by": keys,
        "rows": len(table),
        "rows_annotated": int(matched.sum()),
        "wells_not_in_map": lost,
        "map_wells_unused": len(unused),
        "map_wells_without_rows": ["/".join(map(str, rows.loc[place, keys])) for place in unused if here[place]],
        "notes": list(plate_map.notes),
    }
    about = table.about | {"steps": [*table.about.get("steps", []), step]}
    return FeatureTable(table.ids, table.values, metadata, table.names, about)


def _named(frame: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    lower = {str(column).strip().lower().replace(" ", "_"): str(column) for column in frame}
    return next((lower[name] for name in names if name in lower), None)


def _with_wells(frame: pd.DataFrame, path: Path, notes: list[str]) -> pd.DataFrame:
    well, row, column = _named(frame, _WELL), _named(frame, _ROW), _named(frame, _COLUMN)
    if well is None and (row is None or column is None):
        raise InputError(
            f"{path}: no column of wells (well, well_position, Metadata_Well, or row and column) among "
            f"{', '.join(map(str, frame))}"
        )
    names, odd = [], []
    given = [(cell,) for cell in frame[well]] if well else list(zip(frame[row], frame[column], strict=True))
    for line, cells in enumerate(given, 2):  # the heading is line 1
        try:
            if any(pd.isna(cell) for cell in cells):
                raise InputError("empty")
            plain = [str(cell).strip().removesuffix(".0") for cell in cells]
            names.append(normalise_well(plain[0]) if well else well_at(plain[0], plain[1]))
        except InputError as error:
            odd.append(f"row {line}: {error}")
    if odd:
        raise InputError(f"{path}: {len(odd)} of {len(given)} rows name no well; {'; '.join(odd[:3])}")
    if well:
        respelled = sum(str(cells[0]) != name for cells, name in zip(given, names, strict=True))
        if respelled:
            notes.append(f"{respelled} wells are written as {names[0]} here, not as {given[0][0]}")
    gone = [well] if well else [row, column]
    return frame.drop(columns=[name for name in gone if name]).assign(well=names)


def _with_plates(frame: pd.DataFrame, path: Path, barcodes: str | Path | None, notes: list[str]) -> pd.DataFrame:
    plate, layout = _named(frame, _PLATE), _named(frame, _MAP)
    if plate is not None:
        empty = frame[plate].isna()
        if empty.any():
            raise InputError(f"{path}: {int(empty.sum())} rows have no {plate}: fill it, or leave the column out")
        named = frame.rename(columns={plate: "plate"})
        return named.assign(plate=named["plate"].astype(str).str.strip().str.removesuffix(".0"))
    if layout is None:
        notes.append("the map names no plates: one layout for all")
        return frame
    layouts = frame[layout].astype(str).unique()
    if barcodes is not None:
        pairs = read_table(barcodes, dtype=str)
        own, theirs = _named(pairs, _PLATE), _named(pairs, _MAP)
        if own is None or theirs is None:
            raise InputError(
                f"{barcodes}: Assay_Plate_Barcode and Plate_Map_Name expected, found {', '.join(map(str, pairs))}"
            )
        if (empty := pairs[[own, theirs]].isna().any(axis=1)).any():
            raise InputError(f"{barcodes}: {int(empty.sum())} rows lack {own} or {theirs}: fill them")
        missing = sorted(set(pairs[theirs]) - set(layouts))
        if missing:
            notes.append(
                f"{len(missing)} layouts of {Path(barcodes).name} are not in the map: {', '.join(missing[:3])}"
            )
        joined = frame.astype({layout: str}).merge(
            pairs[[own, theirs]].rename(columns={own: "plate", theirs: layout}), on=layout, how="inner"
        )
        if joined.empty:
            raise InputError(f"{barcodes} names none of the layouts of {path}: {', '.join(layouts[:3])}")
        return joined
    if len(layouts) > 1:
        raise InputError(
            f"{path} holds {len(layouts)} layouts ({', '.join(layouts[:3])}) and no plates: say which plate has which "
            "with barcodes (--barcodes barcode_platemap.csv)"
        )
    notes.append(f"one layout, {layouts[0]}, for all plates")
    return frame


def _one_row_each(frame: pd.DataFrame, keys: list[str], path: Path, notes: list[str]) -> pd.DataFrame:
    unique = frame.drop_duplicates()
    repeated = [key for key, count in Counter(zip(*(unique[key] for key in keys), strict=True)).items() if count > 1]
    if repeated:
        some = ", ".join(" ".join(map(str, key)) for key in repeated[:3])
        raise InputError(f"{path}: {len(repeated)} wells have two rows that differ: {some}; keep one of each")
    if len(unique) < len(frame):
        notes.append(f"{len(frame) - len(unique)} rows stood in the map twice")
    return unique
