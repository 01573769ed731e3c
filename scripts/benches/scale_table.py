"""An annotation table of the forty sources with complete downloads: real labels where they are at hand.

Rows per source are those its facts expect. Their labels come, in this order, from the source's own table (read by its
adapter) where the folder of tables holds all of it, from the public inventory of the original project (labels and
images per label), or are drawn, seeded, in the numbers the source states. What no table of a source tells (the gene
of an siRNA, the plate, the condition beside a compound) is drawn as well: the page that shows figures says so.
"""

import ast
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from builder.select.fields import text_at
from builder.sources import SOURCES
from builder.sources.base import Archive, Source
from builder.vocabulary import Vocabulary, load_vocabulary
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.dataset.schema import ANNOTATION_SCHEMA, CATEGORIES

_LABELS = (*CATEGORIES, "plate")
_PLATE = 2_000  # fields of view on a drawn plate: 384 wells, some five sites
_NUCLEUS_ACTIN = ("nucleus|actin",)
_PAINTED = ("nucleus|er|nucleoli|rna|actin|golgi|cell membrane|mitochondria",)
_RECURSION = ("nucleus|er|actin|nucleoli|mitochondria|golgi",)


@dataclass(frozen=True)
class Shape:
    """What the rows of a source carry where no table is at hand.

    Attributes:
        main: column of the labels that the inventory counts.
        labels: how many labels to draw where there is no inventory; (number, rows of a typical one) pairs.
        constant: column → values, drawn evenly.
    """

    main: str | None = None
    labels: tuple[tuple[int, int], ...] = ()
    constant: Mapping[str, Sequence[str]] | None = None


def _shape(main: str | None = None, *labels: tuple[int, int], **constant: Sequence[str]) -> Shape:
    return Shape(main, labels, constant)


SHAPES: dict[str, Shape] = {
    "bbbc005": _shape(cell_type=["u2os"], cell_visible=["nucleus", "cell body"]),
    "bbbc006": _shape(cell_type=["u2os"], cell_visible=["nucleus", "actin"]),
    "bbbc010": _shape(phenotype=["wildtype", "dead"], cell_visible=["intestine", ""]),
    "bbbc011": _shape(phenotype=["wildtype", "fat"]),
    "bbbc012": _shape(phenotype=["wildtype", "infected"], cell_visible=["intestine", "pharynx", ""]),
    "bbbc013": _shape(cell_type=["u2os"], compound=["wortmannin", "ly294002"], cell_visible=["nucleus", "cell body"]),
    "bbbc014": _shape(cell_type=["mcf7", "a549"], cell_visible=["nucleus", "cell body"]),
    "bbbc015": _shape(cell_type=["u2os"], cell_visible=["nucleus|cell membrane"]),
    "bbbc017": _shape("gene", (867, 60), (3, 2_150), cell_type=["ht29"], cell_visible=_NUCLEUS_ACTIN),
    "bbbc020": _shape(cell_type=["macrophage"], cell_visible=["nucleus", "cell membrane"]),
    "bbbc022": _shape(
        "compound", (1_546, 36), (1, 11_520), cell_type=["u2os"], cell_visible=["nucleus|er|nucleoli|actin|golgi"]
    ),
    "bbbc025": _shape(
        cell_type=["u2os"], cell_visible=["er", "nucleoli|rna", "nucleus", "mitochondria", "actin|golgi|cell membrane"]
    ),
    "bbbc026": _shape(cell_type=["hepatocyte|fibroblast"], cell_visible=["nucleus"]),
    "bbbc038": _shape(cell_visible=["nucleus"]),
    "bbbc041": _shape(
        "cell_type",
        (1, 80_000),
        cell_type=["red blood cell"] * 44 + ["trophozoite", "trophozoite", "ring", "difficult"],
    ),
    "bbbc045": _shape(cell_type=["white blood cell"]),
    "bbbc048": _shape("phenotype", (7, 14_000), cell_type=["jurkat"], cell_visible=["nucleus", "cell body", ""]),
    "bbbc051": _shape("cell_type", (8, 29_000), cell_visible=["nucleus"]),
    "cil_kinome": _shape(cell_type=["hela"], cell_visible=["kinase"]),
    "idr0003": _shape("phenotype", (4, 49_000), cell_type=["y6545"], cell_visible=["cell body"]),
    "idr0009": _shape("gene", (17_600, 22), cell_type=["hela"], cell_visible=["nucleus|cell membrane"]),
    "idr0016": _shape(
        "compound", (30_000, 26), (1, 158_000), cell_type=["u2os"], cell_visible=["er|nucleoli|nucleus|mitochondria"]
    ),
    "idr0017": _shape("compound", (1_280, 104), (1, 14_000), cell_visible=_NUCLEUS_ACTIN),
    "idr0021": _shape(cell_type=["hela"], cell_visible=["centrosome"]),
    "idr0037": _shape("cell_type", (115, 500), cell_visible=["nucleus|cell membrane", "cell body"]),
    "idr0041": _shape("gene", (28, 720), cell_type=["hela"], cell_visible=["nucleus"]),
    "idr0067": _shape("cell_visible", (21, 16), cell_type=["sk1"]),
    "idr0072": _shape(
        "gene", (36, 1_250), cell_type=["mcf 10a", "nmumg", "nmumg", "nmumg"], organism=["human", "mouse"]
    ),
    "idr0080": _shape("gene", (58, 500), cell_type=["a549", "es2", "hcc44"], cell_visible=_PAINTED),
    "idr0081": _shape("compound", (1_152, 8), (1, 2_560), cell_type=["a549"], cell_visible=["nucleus"]),
    "idr0088": _shape("compound", (1_176, 720), (1, 100_000), cell_type=["a549", "hepg2", "wpmy-1"]),
    "idr0093": _shape("sirna", (21_587, 11), cell_type=["hela"], cell_visible=["nucleus|pcna|rna|cell body"]),
    "kag_cell_cycle": _shape(phenotype=["interphase", "mitosis"], cell_visible=["nucleus"]),
    "kag_hpa": _shape("cell_visible", (28, 5_000)),
    "kag_hpa_single": _shape("cell_visible", (19, 4_000), cell_type=["u2os"]),
    "kag_leukemia": _shape("phenotype", (2, 6_000), cell_type=["white blood cell"]),
    "rec_rxrx1": _shape("sirna", (1_138, 110), cell_type=["huvec", "rpe", "hepg2", "u2os"], cell_visible=_RECURSION),
    "rec_rxrx19a": _shape("compound", (1_669, 158), cell_type=["hrce", "vero"], cell_visible=_RECURSION),
    "rec_rxrx19b": _shape("compound", (1_856, 35), cell_type=["huvec"], cell_visible=_RECURSION),
    "rec_rxrx2": _shape("compound", (433, 287), cell_type=["huvec"], cell_visible=_RECURSION),
}
# What the release states beside a compound, and beside none.
_CONDITIONS = {
    "rec_rxrx19a": ("active sars-cov-2", ("mock", "uv inactivated sars-cov-2")),
    "rec_rxrx19b": ("storm-severe", ("healthy", "storm-severe")),
}


def write_scale_table(
    target: Path, *, inventory: Path | None, tables: Path | None, rows: int | None, seed: int
) -> dict[str, str]:
    """Write an `annotations.parquet` of some rows (of all 4.7 million when None); source → where its labels are from.

    `inventory` is `datasets_info.csv` of the original project, packed or not; `tables` a folder with one folder of
    tables per source, as for `annotate --raw`, images not needed. Origins are `table`, `inventory` and `drawn`.
    """
    counts = {} if inventory is None else read_inventory(inventory)
    vocabulary = load_vocabulary()
    total = sum(_fields(SOURCES[name]) for name in SHAPES)
    origins: dict[str, str] = {}
    with pq.ParquetWriter(target, ANNOTATION_SCHEMA) as writer:
        for name in sorted(SHAPES, key=lambda name: name + "-"):  # the order of idx
            source, rng = SOURCES[name], derive_rng(seed, "scale-table", name)
            frame = None if tables is None else _from_table(source, tables / name)
            origins[name] = "table" if frame is not None else "inventory" if name in counts else "drawn"
            frame = _drawn(name, counts.get(name), rng) if frame is None else frame
            frame = _spread(frame, _fields(source), rng)
            if rows is not None and rows < total:
                frame = frame.iloc[np.sort(rng.permutation(len(frame))[: max(round(len(frame) * rows / total), 1)])]
            writer.write_table(_arrow(source, frame, vocabulary))
    return origins


def read_inventory(path: Path) -> dict[str, list[tuple[str, int]]]:
    """Source → its labels and images per label, from the table the original project published.

    Its lists of labels and of numbers are both in falling order and differ by a few entries: they are paired by rank.
    """
    labels_of = {}
    # Lists of labels fill cells of a million characters: more than a table from outside may hold.
    for row in pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records"):
        sizes = _listed(row["class_sizes"])
        if row["dir_name"] not in SHAPES or not sizes:
            continue
        names = max((_listed(row[name]) for name in ("phenotype", "cell_type", "cell_component")), key=len)
        labels = [str(names[n]) if n < len(names) else f"{row['dir_name']} {n}" for n in range(len(sizes))]
        labels_of[row["dir_name"]] = [(label, int(size)) for label, size in zip(labels, sizes, strict=True)]
    return labels_of


def _listed(cell: str) -> list[Any]:
    try:
        value = ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return []
    return list(value) if isinstance(value, (list, tuple)) else []


def _fields(source: Source) -> int:
    return next(count.number for count in source.expected if count.what == "fields")


def _from_table(source: Source, folder: Path) -> pd.DataFrame | None:
    """Rows of the source's own table, when all of it is there."""
    module = importlib.import_module(f"builder.sources.{source.dir_name}")
    if not folder.is_dir() or not hasattr(module, "rows"):
        return None
    try:
        frame = module.rows(Archive(folder, source))
    except InputError:
        return None
    wells = next((c.number for c in source.expected if "well" in c.what or c.what == "rows of the table"), None)
    if wells is None or len(frame) < 0.9 * wells:
        return None
    if "left_out" in frame:
        frame = frame[frame["left_out"] == ""]
    if "protein" in frame and "cell_visible" not in frame:
        frame = frame.assign(cell_visible=["nucleus|" + protein for protein in frame["protein"]])
    frame = frame.reset_index(drop=True)
    for name, values in (SHAPES[source.dir_name].constant or {}).items():
        if name not in frame:
            frame[name] = [values[n % len(values)] for n in range(len(frame))]
    return frame.reindex(columns=_LABELS)


def _drawn(name: str, counts: list[tuple[str, int]] | None, rng: np.random.Generator) -> pd.DataFrame:
    shape = SHAPES[name]
    total = _fields(SOURCES[name])
    frame = pd.DataFrame({column: pd.Series([None] * total, dtype=object) for column in _LABELS})
    for column, values in (shape.constant or {}).items():
        frame[column] = np.array(values, object)[rng.integers(0, len(values), total)]
    if shape.main and (counts or shape.main not in (shape.constant or {})):
        if counts is None:
            counts = [
                (f"{name} {part}.{number}", max(1, round(size * rng.uniform(0.5, 1.5))))
                for part, (many, size) in enumerate(shape.labels)
                for number in range(many)
            ]
        labels, sizes = [label for label, _ in counts], np.array([size for _, size in counts])
        # The inventory counts wells where the source has several sites; labels of one field may be several.
        scale = min(total / sizes.sum(), round(total / sizes.sum()) or 1)
        owner = np.repeat(np.arange(len(labels)), np.maximum((sizes * scale).astype(int), 1))[:total]
        cells = np.array([*labels, None], object)
        frame[shape.main] = cells[rng.permutation(np.pad(owner, (0, total - len(owner)), constant_values=len(labels)))]
        if name in _CONDITIONS:
            beside, without = _CONDITIONS[name]
            frame["phenotype"] = np.array(without, object)[rng.integers(0, len(without), total)]
            frame.loc[frame["compound"].notna(), "phenotype"] = beside
        if name == "idr0009":  # some three siRNAs against each gene
            frame["sirna"] = [
                f"si {gene} {n}" for gene, n in zip(frame["gene"], rng.integers(0, 3, total), strict=True)
            ]
    frame["plate"] = [f"plate {number}" for number in np.arange(total) // _PLATE]
    return frame


def _spread(frame: pd.DataFrame, total: int, rng: np.random.Generator) -> pd.DataFrame:
    """As many rows as the source has fields, each row of a table as often as another, in the random order of idx."""
    positions = np.arange(total, dtype=np.int64) % len(frame)
    return frame.iloc[rng.permutation(positions)].reset_index(drop=True)


def _arrow(source: Source, frame: pd.DataFrame, vocabulary: Vocabulary) -> pa.Table:
    height = len(frame)
    constant = {"database": source.database, "name": source.name, "dir_name": source.dir_name}
    columns: dict[str, pa.Array] = {name: _same(value, height) for name, value in constant.items()}
    columns["licence"] = _same(source.licence, height)
    columns["path"] = _same(f"{source.dir_name}/images", height)
    columns["idx"] = pa.array([f"{source.dir_name}-{number:016x}" for number in range(height)])
    for name in CATEGORIES:
        codes, values = pd.factorize(frame[name], use_na_sentinel=True)
        texts = [vocabulary.label(name, value).text for value in values]
        missing = vocabulary.label(name, source.organism).text if name == "organism" else None
        columns[name] = text_at([*texts, missing], np.where(codes < 0, len(texts), codes))
    codes, values = pd.factorize(frame["plate"], use_na_sentinel=True)
    columns["plate"] = text_at([str(value) for value in values], codes)
    for field in ANNOTATION_SCHEMA:
        columns.setdefault(field.name, pa.nulls(height, field.type))
    return pa.table([columns[field.name] for field in ANNOTATION_SCHEMA], schema=ANNOTATION_SCHEMA)


def _same(value: str, height: int) -> pa.Array:
    return pa.repeat(pa.scalar(value), height)
