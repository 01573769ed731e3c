"""An annotation table at full scale: real numbers of images per label where they are at hand, simulated ones if not.

Forty sources, all seven label columns. The label a source was annotated by has the counts of the public inventory;
what the inventory does not count (stains, cell lines, mechanisms, the gene of an siRNA) is drawn, seeded,
with the repetitions such tables have.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cytoimagenet_hf.schema import ANNOTATION_SCHEMA
from cytoimagenet_hf.seeding import derive_rng

SOURCES = 40
# Which column the inventory's labels of a source belong to; the others are listed there as cell type or component.
_MAIN_COLUMN = {
    "compound": ("rec_rxrx19a", "rec_rxrx19b", "rec_rxrx2", "idr0088", "idr0016", "idr0017", "idr0081", "idr0094"),
    "sirna": ("rec_rxrx1", "idr0009", "idr0056", "idr0093", "bbbc017"),
    "gene": ("idr0008", "idr0012", "idr0028", "idr0030", "idr0001", "idr0003"),
}
_LISTED_AS = {"cell_component": "cell_visible", "": "phenotype"}
_KINDS = ("compound", "sirna", "gene", "phenotype", "cell_type", "cell_component")
_ORGANISMS = ("human", "mouse", "yeast", "fly", "nematode")
_STAINS = 38
_CELL_TYPES = 44
_MECHANISMS = 300


def write_scale_table(target: Path, *, counts: Path | None, rows: int, seed: int) -> str:
    """Write an `annotations.parquet` of `rows` fields; returns where its counts are from."""
    inventory, origin = _inventory(counts, seed)
    rng = derive_rng(seed, "bench-select", "rows")
    drawn = np.sort(rng.choice(int(inventory.n_images.sum()), rows, replace=rows > inventory.n_images.sum()))
    label_of_row = np.searchsorted(np.cumsum(inventory.n_images), drawn, side="right")
    column_of_label = inventory.column.to_numpy()
    texts = {name: np.full(len(inventory), None, object) for name in ("sirna", "compound", "gene", "phenotype")}
    for number, (column, label) in enumerate(zip(inventory.column, inventory.label, strict=True)):
        if column in texts:
            texts[column][number] = label
        if column == "compound" and number % 3:
            mechanisms = rng.choice(_MECHANISMS, 1 + number % 2, replace=False)
            texts["phenotype"][number] = "|".join(f"mechanism {m} inhibitor" for m in mechanisms)
        if column == "sirna":
            texts["gene"][number] = f"{label} targeted"
    source, names = pd.factorize(inventory.dir_name)
    columns: dict[str, pa.Array] = {name: _repeat(values.tolist(), label_of_row) for name, values in texts.items()}
    columns["dir_name"] = _repeat(list(names), source[label_of_row])
    organisms = [_ORGANISMS[min(int(rng.exponential(0.6)), 4)] for _ in names]
    columns["organism"] = _repeat(organisms, source[label_of_row])
    for name, kinds, most in (("cell_type", _CELL_TYPES, 1), ("cell_visible", _STAINS, 5)):
        # Three values per source, a tenth of its rows unknown; labels of the inventory where it lists the column.
        choices = []
        for _ in range(3 * len(names)):
            picked = np.sort(rng.choice(kinds, rng.integers(1, most + 1), replace=False))
            choices.append("|".join(f"{name.split('_')[1]} {value}" for value in picked))
        drawn_code = np.where(rng.random(rows) < 0.1, -1, 3 * source[label_of_row] + rng.integers(0, 3, rows))
        own = column_of_label[label_of_row] == name
        codes = np.where(own, len(choices) + label_of_row, drawn_code)
        columns[name] = _repeat(choices + inventory.label.tolist(), codes)
    suffix = rng.integers(0, 1 << 40, rows)
    directory = names.to_numpy()[source[label_of_row]]
    columns["idx"] = pa.array([f"{d}-{s:010x}{n:x}" for d, s, n in zip(directory, suffix, range(rows), strict=True)])
    columns["licence"] = _repeat(["cc0", "cc-by-4.0", "cc-by-nc-4.0"], source[label_of_row] % 3)
    columns["path"] = _repeat([f"{name}/images" for name in names], source[label_of_row])
    for field in ANNOTATION_SCHEMA:
        columns.setdefault(field.name, pa.nulls(rows, field.type))
    table = pa.table([columns[field.name] for field in ANNOTATION_SCHEMA], schema=ANNOTATION_SCHEMA)
    pq.write_table(table.sort_by("idx"), target)  # as annotate leaves it
    return origin


def _inventory(counts: Path | None, seed: int) -> pd.DataFrame:
    """dir_name, column, label, n_images of the forty largest sources."""
    if counts is not None and counts.is_file():
        table, origin = pd.read_csv(counts, keep_default_na=False), "real label counts"
    else:
        table, origin = _simulated(derive_rng(seed, "bench-select", "counts")), "simulated label counts"
    table = table[(table.n_images > 0) & (table.dir_name != "bbbc021")].reset_index(drop=True)
    largest = table.groupby("dir_name").n_images.sum().nlargest(SOURCES).index
    table = table[table.dir_name.isin(largest)].reset_index(drop=True)
    main = {source: column for column, sources in _MAIN_COLUMN.items() for source in sources}
    table["column"] = table.dir_name.map(main).fillna(table.label_list_column.replace(_LISTED_AS)).fillna("phenotype")
    nameless = table.label == ""
    table.loc[nameless, "label"] = table.dir_name[nameless] + " " + table.index[nameless].astype(str)
    table["label"] = table.label.str.lower()
    return table, origin


def _simulated(rng: np.random.Generator) -> pd.DataFrame:
    """Counts of the same shape: a few labels of tens of thousands, a thousand of hundreds, many of one or two."""
    parts = []
    for source in range(SOURCES):
        labels = int(rng.choice([5, 30, 250, 1500, 15_000], p=[0.35, 0.25, 0.2, 0.15, 0.05]))
        total = int(rng.uniform(5_000, 130_000))
        sizes = np.maximum(1, np.round(total * rng.dirichlet(np.full(labels, 0.3)))).astype(int)
        name = f"sim{source:02d}"
        parts.append(
            pd.DataFrame(
                {
                    "dir_name": name,
                    "label_list_column": _KINDS[source % len(_KINDS)],
                    "label": [f"{name} (label) {number}" for number in range(labels)],
                    "n_images": sizes,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _repeat(values: list[str | None], codes: npt.NDArray[np.int64]) -> pa.Array:
    """Values at codes as strings; a code of -1 or a value of None is null."""
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string())).cast(pa.string())
