"""RxRx3-core: do genes that work together look alike? Scored from ready embeddings of wells, without any image.

Profiles of CRISPR wells are normalised by the EMPTY_control wells of each plate (TVN), averaged per gene, and all
pairs of genes compared by cosine. Of the pairs that a database annotates, the share in the outer 5 % + 5 % of all
cosines is the recall (Celik et al. 2024); 10 % is chance.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cytoimagenet_hf.benchmarks.base import Array, Benchmark, Score, column, ids_of, labelled
from cytoimagenet_hf.benchmarks.recipes import BenchmarkRecipe
from cytoimagenet_hf.benchmarks.scaling import unit_rows
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.profiles.profile import tvn
from cytoimagenet_hf.profiles.shrinkage import group_means
from cytoimagenet_hf.tables import FeatureTable, make_table
from cytoimagenet_hf.tables.cells import explain_odd, parse_numbers
from cytoimagenet_hf.tables.tabular import as_text, read_table, read_typed, require_filled

METADATA = "metadata_rxrx3_core.csv"
DATABASES = ("CORUM", "HuMAP", "Reactome", "SIGNOR", "StringDB")
"""Tables of gene pairs, `<name>.csv` or `.parquet` with the columns entity1 and entity2."""

WHERE = (
    f"download {METADATA} (21 MB) and OpenPhenom_rxrx3_core_embeddings.parquet (532 MB) from "
    "https://huggingface.co/datasets/recursionpharma/rxrx3-core, and gene pairs (CORUM.csv, HuMAP.csv, Reactome.csv, "
    "SIGNOR.csv, StringDB.csv) from https://github.com/recursionpharma/EFAAR_benchmarking, into one folder"
)
_CONTROL = "EMPTY_control"
_TAIL = 0.05  # of all cosines, at either end


def load(root: Path, recipe: BenchmarkRecipe, *, images: bool = True) -> list[Image]:
    """CRISPR wells of single genes and EMPTY_control wells, without pixels."""
    file = root / METADATA
    if not file.is_file():
        raise InputError(f"{file} is missing: {WHERE}")
    _databases(root)  # missing pairs are noticed before any features are made
    table = read_table(file, required=("well_id", "experiment_name", "plate", "gene", "perturbation_type"))
    require_filled(table, ("well_id", "experiment_name", "plate"), file)
    empty = (table["gene"] == _CONTROL) | (table.get("treatment", table["gene"]) == _CONTROL)
    gene = table["gene"].notna() & ~table["gene"].fillna("").str.lower().str.endswith("_control")
    crispr = table["perturbation_type"].fillna("").str.upper() == "CRISPR"
    chosen = table[empty | (crispr & gene)].assign(empty=empty)
    if not len(chosen) or not (~chosen["empty"]).any():
        raise InputError(f"{file} has no CRISPR wells of genes: {WHERE}")
    return [
        labelled(
            str(row["well_id"]),
            (),
            _CONTROL if row["empty"] else str(row["gene"]),
            facts={
                "plate": f"{row['experiment_name']}/{row['plate']}",
                "batch": str(row["experiment_name"]),
                "control": "yes" if row["empty"] else "no",
            },
        )
        for row in chosen.to_dict("records")
    ]


def score(
    features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe, seed: int, *, root: Path
) -> list[Score]:
    """Recall of the annotated pairs of each database, one outcome per pair."""
    wells = features.rows(ids_of(items))
    controls = np.array([_is_control(item) for item in items], dtype=bool)
    if recipe.postprocess == "none":
        plates = pd.DataFrame({"plate": column(items, "plate").astype(str)})
        wells = tvn(replace(wells, metadata=plates), controls, drop_constant=True)
    genes, cosines = gene_cosines(wells.values[~controls], column(items, "label")[~controls])
    if len(genes) < 3:
        raise InputError(f"{len(genes)} genes: pairs of three or more are compared")
    below, above = np.quantile(cosines[np.triu_indices(len(cosines), k=1)], [_TAIL, 1 - _TAIL])
    scores = []
    for name, file in _databases(root).items():
        pairs = _pairs(file)
        places = pairs[pairs["first"].isin(genes) & pairs["second"].isin(genes)]
        if not len(places):
            continue
        first, second = (pd.Index(genes).get_indexer(pd.Index(places[side])) for side in ("first", "second"))
        near = cosines[first, second]
        scores.append(
            Score(
                f"rxrx3-core · {name}",
                ids=(places["first"] + " | " + places["second"]).to_numpy(object),
                references=np.full(len(places), name, dtype=object),
                shares=((near >= above) | (near <= below)).astype(np.float64),
                clusters=places["first"].to_numpy(object),
                cluster_name="first gene",
                measure="recall of pairs",
                details={
                    "protocol": f"{len(genes)} genes, outer 5 % + 5 % of all cosines; chance 10 %",
                    "postprocess": "tvn" if recipe.postprocess == "none" else recipe.postprocess,
                    "controls": int(controls.sum()),
                },
            )
        )
    if not scores:
        raise InputError(f"no annotated pair of the {len(genes)} genes is known in {root}: {WHERE}")
    return scores


def gene_cosines(values: Array, genes: Array) -> tuple[list[str], Array]:
    """Genes by name, and the cosines (G, G) of their mean profiles.

    Example:
        >>> names, cosines = gene_cosines(np.array([[2.0, 0], [0, 2], [0, 4], [1, 0]]), np.array(["b", "a", "a", "c"]))
        >>> names, cosines.round(3).tolist()
        (['a', 'b', 'c'], [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    """
    names, codes = np.unique(genes.astype(str), return_inverse=True)
    unit = unit_rows(group_means(values, codes))
    return names.tolist(), unit @ unit.T


def ready(root: Path) -> dict[str, Callable[[], FeatureTable]]:
    """The embeddings beside the metadata: `<model>_rxrx3_core_embeddings.parquet`."""
    files = sorted(root.glob("*_rxrx3_core_embeddings.parquet")) if root.is_dir() else []
    return {file.name.removesuffix("_rxrx3_core_embeddings.parquet"): partial(_embeddings, file) for file in files}


def _is_control(item: Image) -> bool:
    return bool(item.metadata.get("control") == "yes")


RXRX3 = Benchmark(
    name="rxrx3-core",
    title="RxRx3-core (gene pairs, ready embeddings)",
    channels=(),
    where=WHERE,
    protocol="TVN on EMPTY_control per plate, gene means, recall of annotated pairs in the outer 5 % + 5 % of cosines",
    load=load,
    score=score,
    is_control=_is_control,
    ready=ready,
    needs_root=True,
)


def _databases(root: Path) -> dict[str, Path]:
    """Database → the table of its pairs."""
    files = [file for file in sorted(root.rglob("*")) if file.is_file()]
    tables = {name: [file for file in files if file.stem.lower() == name.lower()] for name in DATABASES}
    if not any(tables.values()):
        raise InputError(f"{root} has no table of gene pairs ({', '.join(DATABASES)}): {WHERE}")
    return {name: places[0] for name, places in tables.items() if places}


def _pairs(file: Path) -> pd.DataFrame:
    """Pairs of genes, each once and in alphabetical order."""
    table = read_table(file, required=("entity1", "entity2")).dropna(subset=["entity1", "entity2"])
    both = np.sort(table[["entity1", "entity2"]].astype(str).to_numpy(), axis=1)
    pairs = pd.DataFrame(both, columns=["first", "second"]).drop_duplicates()
    return pairs[pairs["first"] != pairs["second"]].reset_index(drop=True)


def _embeddings(file: Path) -> FeatureTable:
    table = read_typed(file, required=("well_id",))
    ids = as_text(table.select(["well_id"])).to_pandas()
    require_filled(ids, ("well_id",), file)
    names = [name for name in table.column_names if name != "well_id"]
    numbers = {name: parse_numbers(table[name]) for name in names}
    if odd := [name for name, parsed in numbers.items() if parsed.odd.any()]:
        raise InputError(f"{file}: {explain_odd(table[odd[0]].to_pylist(), numbers[odd[0]], odd[0])}")
    return make_table(
        ids["well_id"].tolist(),
        np.stack([parsed.values for parsed in numbers.values()], axis=1).astype(np.float32),
        names=names,
        about={"file": file.name},
    )
