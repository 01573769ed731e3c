"""Feature tables from disk, whoever wrote them: folders of shards, Parquet files, CSV, profiles of CellProfiler.

One reader for all, one writer; `pandas.read_parquet` opens everything that is written here.
"""

import gzip
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path, read_json_object

from .cells import differ, explain_odd, parse_numbers, typed
from .columns import facts_of
from .features import NAMES_KEY, FeatureTable, make_table
from .tabular import open_parquet, read_parquet, read_typed
from .textrows import first_bytes
from .vocabulary import TIMES, columns_of, read_header
from .wells import spell_wells, with_wells

SHARDS = "features-*-of-*.parquet"
"""Name pattern of the shards of one table in a folder."""


def read_features(
    path: str | Path, *, drop_nan: bool = False, encoding: str | None = None, sheet: str | None = None
) -> FeatureTable:
    """Read a feature table.

    Args:
        path: a folder that `cytoimagenet extract` wrote; a `.parquet` file; a wide CSV (`.csv`, `.csv.gz`, `.tsv`) or
            Parquet table with one numeric column per feature and either an `id` column or plate and well
            (`Metadata_Plate`, `Metadata_Well`, also with the prefix `Image_`, or by another name of the vocabulary),
            as CellProfiler and pycytominer write.
        drop_nan: leave out the feature columns that hold NaN, infinite values or text, instead of refusing the table;
            `about["steps"]` names them.
        encoding: of text that is not UTF-8, such as `cp1252`.
        sheet: of a workbook; by default the first.

    Raises:
        InputError: none of these; shards missing or made by different models; ids that repeat; NaN or text in a
            column of features; wells that are none.

    Returns:
        Rows in the order of the files; `values` float32 from folders, float64 from wide tables. Facts that are
        identities are text, wells are spelled `A01`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "profiles.csv"
        ...     _ = path.write_text("Metadata_Plate,Metadata_Well,Cells_Area\\np1,A01,120.5\\np1,A02,98\\n")
        ...     wells = read_features(path)
        >>> wells.ids.tolist(), wells.names, wells.values.tolist()
        (['p1/A01', 'p1/A02'], ('Cells_Area',), [[120.5], [98.0]])
    """
    path = Path(path)
    if path.is_dir():
        return _typed(_read_folder(path))
    if not path.is_file():
        raise InputError(f"{path} is not a file: pass a folder of features, a .parquet file or a CSV table")
    if _names_its_features(path):
        return _typed(_feature_table(read_parquet(path), path))
    table = read_typed(path, encoding=encoding, sheet=sheet)
    return _from_wide(table, where=str(path), about={"file": path.name}, drop_nan=drop_nan)


def write_features(table: FeatureTable, path: str | Path) -> None:
    """Write a table with one column per feature, atomically: Parquet, or CSV by its ending (`.csv`, `.csv.gz`).

    Args:
        table: features; `about` is kept in Parquet alone.
        path: the file; what stood there is replaced.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_features(make_table(["a"], [[0.5]], {"well": ["A01"]}), f"{folder}/features.parquet")
        ...     pd.read_parquet(f"{folder}/features.parquet").columns.tolist()
        ['id', 'Metadata_Well', 'Image_all_x_0000']
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        if path.name.endswith((".csv", ".csv.gz", ".tsv", ".txt")):
            text = table.to_pandas().to_csv(index=False, sep="\t" if ".tsv" in path.name else ",").encode()
            temporary.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
        else:
            pq.write_table(table.to_arrow(), temporary, compression="zstd")


def _read_folder(folder: Path) -> FeatureTable:
    files = sorted(folder.glob(SHARDS))
    if not files:
        raise InputError(f"{folder} holds no feature table: pass a folder with {SHARDS}, or a file")
    totals = sorted({file.stem.rpartition("-")[2] for file in files})
    if len(totals) > 1:
        raise InputError(
            f"{folder} holds shards of {len(totals)} extractions (of {' and of '.join(totals)}): keep those of one"
        )
    wanted = int(re.sub(r"\D", "", totals[0]) or 0)
    if len(files) != wanted:
        raise InputError(f"{folder} has {len(files)} of {wanted} shards: run the same extraction again to complete it")
    tables = [read_parquet(file) for file in files]
    for file, table in zip(files, tables, strict=True):
        if not table.schema.equals(tables[0].schema, check_metadata=True):
            width, first = _width(table.schema), _width(tables[0].schema)
            what = f"{width} features, not {first}" if width != first else "another model or settings"
            raise InputError(f"{file} was made with {what} as {files[0].name}: extract into a new folder")
    whole = _feature_table(pa.concat_tables(tables), folder)
    ranges = folder / "_ranges.json"
    if ranges.is_file():
        by_plate = read_json_object(ranges, remedy="run the same extraction again")
        if not all(isinstance(facts, dict) and "ranges" in facts for facts in by_plate.values()):
            raise InputError(f"{ranges} is damaged (it holds no ranges of plates): run the same extraction again")
        whole.about["ranges"] = {plate: facts["ranges"] for plate, facts in by_plate.items()}
    with suppress(InputError):  # the shards are whole without it
        plan = read_json_object(folder / "_extraction.json")
        whole.about.update({key: plan[key] for key in ("backend_choice",) if key in plan})
    return whole


def _width(schema: pa.Schema) -> int:
    """How many features are packed into one column; 0 where they have columns of their own."""
    kind = schema.field("features").type if "features" in schema.names else pa.null()
    return int(kind.list_size) if pa.types.is_fixed_size_list(kind) else 0


def _feature_table(table: pa.Table, path: Path) -> FeatureTable:
    try:
        return FeatureTable.from_arrow(table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _names_its_features(path: Path) -> bool:
    """Whether a file is a table of this package, which says itself what its columns are."""
    if not first_bytes(path).startswith(b"PAR1"):
        return False
    schema = open_parquet(path).schema_arrow
    return _width(schema) > 0 or NAMES_KEY in (schema.metadata or {})


def _typed(table: FeatureTable) -> FeatureTable:
    """A table of this package with its facts by their kind, for who made it may have had numbers for plates."""
    facts = typed(table.metadata)
    if "well" in facts:
        facts["well"] = pd.Series(spell_wells(facts["well"]), index=facts.index, dtype="str")
    return FeatureTable(table.ids, table.values, facts, table.names, table.about)


def _from_wide(table: pa.Table, *, where: str, about: dict[str, Any], drop_nan: bool) -> FeatureTable:
    facts = facts_of(table.column_names)
    features, text = _features(table.select([name for name in table.column_names if name not in facts]))
    facts |= {name: name for name in text}
    if not features:
        raise InputError(f"{where}: no numeric feature columns beside {sorted(map(str, facts))}")
    odd = {name: fault for name, (_, fault) in features.items() if fault}
    if odd and not drop_nan:
        raise InputError(
            f"{where}: {next(iter(odd.values()))}"
            + (f" (and {len(odd) - 1} more columns)" if len(odd) > 1 else "")
            + ". Correct it, call the column Metadata_… if it is no feature, or leave it out with --drop-nan "
            "(drop_nan=True)"
        )
    metadata = table.select(list(facts)).to_pandas(ignore_metadata=True).rename(columns=facts)
    metadata = typed(_one_column_each(metadata, facts, where)).reset_index(drop=True)
    metadata = _spelled_wells(metadata, where)
    ids = _ids(metadata, where, list(table.column_names[:8]))
    names = list(features)
    values = np.stack([column for column, _ in features.values()], axis=1)
    finite: npt.NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=0))
    broken = [name for name, good in zip(names, finite, strict=True) if not good]
    if broken and not drop_nan:
        raise InputError(
            f"{where}: {len(broken)} of {len(names)} feature columns hold NaN or infinite values, such as "
            f"{broken[:3]}, in rows such as {ids[~np.isfinite(values).all(axis=1)][:3].tolist()}: leave them out with "
            "drop_nan=True (--drop-nan)"
        )
    if len(broken) == len(names):
        raise InputError(f"{where}: all {len(broken)} feature columns hold NaN or infinite values: none is left")
    if broken:
        some = ", ".join(broken[:5])
        note = f"{len(broken)} feature columns with NaN, infinite values or text were left out: {some}"
        about = about | {"steps": [{"step": "drop_nan", "dropped": broken, "notes": [note]}]}
        names, values = [name for name in names if name not in set(broken)], values[:, finite]
    try:
        return make_table(ids, values, metadata.drop(columns="id", errors="ignore"), names=names, about=about)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


_COMPARTMENTS = ("Cells_", "Nuclei_", "Cytoplasm_", "Image_")
"""What CellProfiler's features begin with."""


def _features(columns: pa.Table) -> tuple[dict[str, tuple[npt.NDArray[np.float64], str]], list[str]]:
    """Features by name, each with its values and what is wrong with its cells; and the columns that are text.

    A column of numbers with some text in it is a feature with a fault, not text: `#DIV/0!` in one cell would lose the
    feature in silence.
    """
    features: dict[str, tuple[npt.NDArray[np.float64], str]] = {}
    text = []
    for name in columns.column_names:
        column = columns.column(name)
        if pa.types.is_large_string(column.type) or pa.types.is_string(column.type):
            numbers = parse_numbers(column)
            wrong, right = int(numbers.odd.sum()), int(np.isfinite(numbers.values).sum())
            of_cells = name.startswith(_COMPARTMENTS)
            broken = wrong and all(cell.startswith("#") for cell in column.filter(pa.array(numbers.odd)).to_pylist())
            if (not of_cells and _is_code(column)) or (wrong and not broken and right < (1 if of_cells else wrong)):
                text.append(name)
            else:
                features[name] = (numbers.values, explain_odd(column.to_pylist(), numbers, name) if wrong else "")
        elif any(is_kind(column.type) for is_kind in _NUMERIC):
            features[name] = (np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), np.float64), "")
        else:
            text.append(name)
    return features, text


_NUMERIC = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)


def _is_code(column: pa.ChunkedArray) -> bool:
    """Whether text looks like numbers but is a code: `007` with zeros in front, or more digits than float64 holds."""
    return bool(pc.any(pc.match_substring_regex(column, r"^\s*(?:0\d+|\d{17,})\s*$")).as_py())


def _spelled_wells(metadata: pd.DataFrame, where: str) -> pd.DataFrame:
    """Wells as `A01`, of a column of wells or of rows and columns; without any of them, the table as it is."""
    headers = columns_of(metadata, ("well", "row", "column"))
    if "well" in metadata and metadata["well"].isna().any():
        return metadata  # a row without a well is refused by its number where ids are made
    if "well" in metadata or ("row" in headers and "column" in headers and "id" not in metadata):
        return with_wells(metadata, where)
    return metadata


def _one_column_each(metadata: pd.DataFrame, facts: dict[str, str], where: str) -> pd.DataFrame:
    """One column for each fact; programs repeat the plate and the well under several names."""
    kept = metadata.loc[:, ~metadata.columns.duplicated()]
    for fact in dict.fromkeys(metadata.columns[metadata.columns.duplicated()]):
        spellings = metadata.loc[:, metadata.columns == fact]
        for place in range(1, spellings.shape[1]):
            unequal = differ(spellings.iloc[:, 0], spellings.iloc[:, place], str(fact))
            if unequal.any():
                row = int(unequal.argmax())
                named = [column for column, name in facts.items() if name == fact]
                raise InputError(
                    f"{where}: {' and '.join(named)} both tell {fact} and disagree, as in row {row + 1} "
                    f"({' and '.join(map(str, spellings.iloc[row]))}): remove the wrong one"
                )
    return kept


def _ids(metadata: pd.DataFrame, where: str, columns: list[str]) -> Any:
    named = ["id"] if "id" in metadata else ["plate", "well", *(["site"] if "site" in metadata else [])]
    if set(named) <= set(metadata.columns):
        empty = metadata[named].isna().any(axis=1).to_numpy()
        if empty.any():
            raise InputError(
                f"{where}: {int(empty.sum())} rows have no {' or no '.join(named)}, row {int(empty.argmax()) + 1} "
                "first: rows are known by them"
            )
        ids = metadata[named].astype(str).agg("/".join, axis=1)
        times = [str(name) for name in metadata if read_header(str(name)).term in TIMES]
        if ids.duplicated().any() and "id" not in metadata and times:
            named += times
            ids = metadata[named].astype(str).agg("/".join, axis=1)
        if (shared := ids.duplicated(keep=False)).any():
            raise InputError(
                f"{where}: {int(shared.sum())} rows share {', '.join(named)} with another, such as "
                f"{ids[shared].iloc[0]!r}: rows are known by them; give cells and others their own in a column `id`"
            )
        return ids.to_numpy(object)
    raise InputError(
        f"{where}: found neither an `id` column nor plate and well (Metadata_Plate, Metadata_Well, or with the "
        f"prefix Image_) among {columns} …"
    )
