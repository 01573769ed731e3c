"""Plate maps: what was in which well.

Read under the Broad's, JUMP's, CellProfiler's and plain column names; joined to rows by plate and well.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256
from cytoimagenet_hf.tables.cells import differ, spelled, typed
from cytoimagenet_hf.tables.features import FeatureTable
from cytoimagenet_hf.tables.layouts import read_layout
from cytoimagenet_hf.tables.tabular import read_table, sheet_names
from cytoimagenet_hf.tables.vocabulary import columns_of, key_of, plain_name
from cytoimagenet_hf.tables.wells import normalise_well, with_wells

from .steps import with_step


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


def read_plate_map(
    path: str | Path,
    *,
    barcodes: str | Path | None = None,
    sheet: str | None = None,
    encoding: str | None = None,
) -> PlateMap:
    """Read a plate map.

    Wells stand in `well`, `well_position`, `Metadata_Well`, …, or in columns of rows and columns; `A1`, `a01` and
    `A01` are one well. Or the file is drawn as a plate (`tables.layouts`). A map without a column of plates is one
    layout for all plates. Identities are the text of the file, measures are numbers (`tables.vocabulary`).

    Args:
        path: CSV, TSV, Parquet or Excel.
        barcodes: the Broad's `barcode_platemap.csv`: which plate (`Assay_Plate_Barcode`) has which layout
            (`Plate_Map_Name`). Needed where the map holds several layouts.
        sheet: of a workbook, by name or number; by default the first, or all that are drawn as plates.
        encoding: of text that is not UTF-8, such as `cp1252`.

    Raises:
        InputError: no wells, names that are not wells, a well with two different rows, several layouts without
            barcodes.
    """
    path = Path(path)
    notes: list[str] = []
    layout = read_layout(path, sheet=sheet, encoding=encoding)
    if layout is not None:
        frame = layout.rows
        notes += layout.notes
    else:
        frame = read_table(path, sheet=sheet, encoding=encoding).rename(columns=lambda name: plain_name(str(name)))
    twice = list(frame.columns[frame.columns.str.lower().duplicated()])
    if twice:
        raise InputError(f"{path}: column {twice[0]!r} occurs twice once Metadata_ is left out: drop one")
    if sheet is None and not {"well", "row"} & columns_of(frame).keys() and len(sheets := sheet_names(path)) > 1:
        raise InputError(
            f"{path}: the first sheet, {sheets[0]}, has no column of wells; name another with --sheet: "
            f"{', '.join(sheets[1:])}"
        )
    frame = _with_wells(typed(frame), path, notes)
    frame = _with_plates(frame, path, barcodes, encoding, notes)
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
    row_keys, map_keys = (pd.MultiIndex.from_frame(frame[keys].map(spelled)) for frame in (metadata, rows))
    places = map_keys.get_indexer(row_keys)
    matched = places >= 0
    if not matched.any():
        raise InputError(_no_match(plate_map, keys, row_keys, map_keys))
    for name in rows.columns.difference(keys, sort=False):
        values = rows[name].reindex(places).reset_index(drop=True)  # -1 is not a row: missing
        # `Compound` of the features and `compound` of the map are one fact; what both say has to agree.
        for same in (own_name for own_name in table.metadata if key_of(str(own_name)) == key_of(str(name))):
            before = metadata[same]
            differs = matched & differ(before, values, str(name))
            if differs.any():
                row = int(differs.nonzero()[0][0])
                raise InputError(
                    f"{name} of {int(differs.sum())} rows differs between the features and the plate map: "
                    f"{table.ids[row]!r} has {spelled(before[row])!r} and {spelled(values[row])!r}; drop the column "
                    "from one of them"
                )
            if same == name:
                values = before.where(before.notna(), values)
        metadata[name] = values
    lost = sorted({"/".join(key) for key in row_keys[~matched]})
    unused = np.setdiff1d(np.arange(len(rows)), places).tolist()
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
    return with_step(table, step, metadata=metadata)


def _no_match(plate_map: PlateMap, keys: list[str], row_keys: pd.MultiIndex, map_keys: pd.MultiIndex) -> str:
    ours, theirs = (" ".join(map(str, index[0])) for index in (row_keys, map_keys))
    zeros = {tuple(part.lstrip("0") for part in key) for key in map_keys} & {
        tuple(part.lstrip("0") for part in key) for key in row_keys
    }
    lost = ". A spreadsheet took zeros in front of a number away: write them in both" if zeros else ""
    return (
        f"no row has a well of {plate_map.source.get('file', 'the plate map')}: it says {' and '.join(keys)} "
        f"{theirs!r}, the features {ours!r}; write both alike, or leave the column of plates out for one layout{lost}"
    )


def _with_wells(frame: pd.DataFrame, path: Path, notes: list[str]) -> pd.DataFrame:
    header = columns_of(frame, ("well",)).get("well")
    respelled = with_wells(frame, str(path), first_line=2)  # the heading is line 1
    if header is not None:
        written = frame[header.text].astype(str)
        changed = int((written.to_numpy() != respelled["well"].to_numpy()).sum())
        if changed:
            notes.append(f"{changed} wells are written as {respelled['well'].iloc[0]} here, not as {written.iloc[0]}")
    return respelled


def _with_plates(
    frame: pd.DataFrame, path: Path, barcodes: str | Path | None, encoding: str | None, notes: list[str]
) -> pd.DataFrame:
    headers = columns_of(frame, ("plate", "plate_map"))
    if barcodes is not None and ("plate" in headers or "plate_map" not in headers):
        has = f"names its plates ({headers['plate'].text})" if "plate" in headers else "has no column of layouts"
        raise InputError(f"{path} {has}, so that {barcodes} says nothing of it: leave --barcodes out")
    if "plate" in headers:
        plate = headers["plate"].text
        if count := int(frame[plate].isna().sum()):
            raise InputError(f"{path}: {count} rows have no {plate}: fill it, or leave the column out")
        return frame.rename(columns={plate: "plate"})
    if "plate_map" not in headers:
        notes.append("the map names no plates: one layout for all")
        return frame
    layout = headers["plate_map"].text
    layouts = frame[layout].dropna().unique()
    if barcodes is not None:
        pairs = typed(read_table(barcodes, encoding=encoding))
        named = columns_of(pairs, ("plate", "plate_map"))
        if len(named) < 2:
            raise InputError(
                f"{barcodes}: Assay_Plate_Barcode and Plate_Map_Name expected, found {', '.join(map(str, pairs))}"
            )
        plate_column, layout_column = named["plate"].text, named["plate_map"].text
        if (empty := pairs[[plate_column, layout_column]].isna().any(axis=1)).any():
            raise InputError(f"{barcodes}: {int(empty.sum())} rows lack {plate_column} or {layout_column}: fill them")
        pairs = pairs[[plate_column, layout_column]].set_axis(["plate", layout], axis=1)
        if missing := sorted(set(pairs[layout]) - set(layouts)):
            some = ", ".join(missing[:3])
            notes.append(f"{len(missing)} layouts of {Path(barcodes).name} are not in the map: {some}")
        joined = frame.merge(pairs, on=layout, how="inner")
        if joined.empty:
            raise InputError(
                f"{barcodes} names none of the layouts of {path}: it says {pairs[layout].iloc[0]!r}, the map "
                f"{', '.join(map(repr, layouts[:3]))}"
            )
        return joined
    if len(layouts) > 1:
        raise InputError(
            f"{path} holds {len(layouts)} layouts ({', '.join(layouts[:3])}) and no plates: say which plate has which "
            "with barcodes (--barcodes barcode_platemap.csv)"
        )
    notes.append(f"one layout, {layouts[0] if len(layouts) else 'without a name'}, for all plates")
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
