"""`knn` at the size of the paper's tasks, beside scikit-learn, faiss and NumPy; the floor is the product alone."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer

from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.scoring.knn import kneighbors

from .common import in_child, in_turn

Matrix = npt.NDArray[np.float32]
_K = 11
_BLOCK = 1024


def run(
    rows: Annotated[int, typer.Option(help="Training rows and queries.")] = 20_000,
    features: Annotated[int, typer.Option(help="Features: two channels of 1280.")] = 2560,
    repeat: Annotated[int, typer.Option(help="Rounds; the fastest of each counts.")] = 3,
    checked: Annotated[int, typer.Option(help="Queries compared with a float64 search.")] = 500,
    coos7: Annotated[bool, typer.Option(help="Measure memory at COOS-7's size as well.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of the features.")] = 0,
) -> dict[str, Any]:
    """Leave-one-out search, 11 neighbours, each in a process of its own; agreement with float64; peak memory.

    Example: python scripts/bench.py knn --rows 6000
    """
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "features.npy"
        # Also made in processes of their own: a child's peak counts what its parent held when it was started.
        in_child(save_features, file, rows, features, seed)
        agreement = in_child(agreement_with_float64, file, checked).result
        turns = in_turn({what: partial(in_child, timed, what, file) for what in SEARCHES if has(what)}, repeat=repeat)
        best = {
            what: {key: min(run.result[key] for run in runs) for key in runs[0].result}
            | {"peak_mb": min(run.peak_mb for run in runs)}
            for what, runs in turns.items()
        }
        notes = [
            f"{rows:,} x {rows:,} x {features:,} float32, k = {_K}, {torch.get_num_threads()} threads; "
            f"fastest of {repeat}",
            f"neighbours equal to float64's for {agreement:.2%} of {checked} queries",
        ]
        result: dict[str, Any] = {
            "equal_to_float64": agreement,
            "goals": {"cpu_times_floor": 1.3, "coos7_peak_mb": 1500},
        }
        if coos7:
            query = file.with_name("query.npy")
            in_child(save_features, file, 41_456, features, seed)
            in_child(save_features, query, 32_596, features, seed + 1)
            child = in_child(coos7_size, file, query)
            result["coos7"] = {"peak_mb": child.peak_mb, "shape": [41_456, 32_596, features]} | child.result
            notes.append(
                f"COOS-7, train against test 3, {features:,} features: {child.result['seconds']:.1f} s, peak "
                f"{child.peak_mb:,.0f} MB, of which features {(41_456 + 32_596) * features * 4 / 1e6:,.0f} MB"
            )
    return {"table": with_ratios(best), "notes": notes, **result}


def with_ratios(best: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Rows of the table; ratios are of CPU seconds, which other work on the machine does not stretch."""
    floor, package = best["floor: product alone"]["cpu_seconds"], best["this package"]["cpu_seconds"]
    return [
        {
            "what": what,
            **numbers,
            "cpu_times_floor": numbers["cpu_seconds"] / floor,
            "cpu_times_ours": numbers["cpu_seconds"] / package,
        }
        for what, numbers in best.items()
    ]


def save_features(file: Path, rows: int, features: int, seed: int) -> None:
    """Write features as `.npy`."""
    np.save(file, make_features(rows, features, seed))


def timed(what: str, file: Path) -> dict[str, float]:
    """Seconds of one search, imports and reading left out."""
    values = np.load(file, allow_pickle=False)
    SEARCHES[what](values[:64])  # imports, thread pools
    started, cpu_started = time.perf_counter(), time.process_time()
    SEARCHES[what](values)
    return {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu_started}


def make_features(rows: int, features: int, seed: int) -> Matrix:
    """Rows around twenty centres, standardised in all but name: neighbours are near, classes overlap."""
    rng = derive_rng(seed, "bench-knn")
    values = rng.standard_normal((rows, features), dtype=np.float32)
    values += 0.5 * rng.standard_normal((20, features), dtype=np.float32)[rng.integers(0, 20, rows)]
    return values


def ours(values: Matrix) -> Any:
    """The search of this package."""
    return kneighbors(values, values, _K, exclude=np.arange(len(values)))


def sklearn_brute(values: Matrix) -> Any:
    """The search most people would write."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=_K + 1, algorithm="brute").fit(values).kneighbors(values)


def faiss_flat(values: Matrix) -> Any:
    """Faiss' exact index, all queries in one call."""
    import faiss

    index = faiss.IndexFlatL2(values.shape[1])
    index.add(values)
    return index.search(values, _K + 1)


def numpy_blocks(values: Matrix) -> None:
    """Norms, product and argpartition, a block of queries at a time."""
    squares = np.einsum("ij,ij->i", values, values)
    for start in range(0, len(values), _BLOCK):
        scores = squares - 2 * (values[start : start + _BLOCK] @ values.T)
        np.argpartition(scores, _K + 1, axis=1)[:, : _K + 1]


def torch_topk(values: Matrix) -> None:
    """The product with the norms folded in, and top-k: float32, no second look."""
    rows = torch.from_numpy(values)
    squares = rows.square().sum(1)
    for part in torch.split(rows, _BLOCK):
        torch.topk(torch.addmm(squares, part, rows.T, alpha=-2), _K + 1, largest=False)


def product_alone(values: Matrix) -> None:
    """What every exact search has to compute."""
    rows = torch.from_numpy(values)
    for part in torch.split(rows, _BLOCK):
        torch.mm(part, rows.T)


SEARCHES: dict[str, Callable[[Matrix], Any]] = {
    "this package": ours,
    "scikit-learn brute": sklearn_brute,
    "faiss IndexFlatL2": faiss_flat,
    "numpy, blocks": numpy_blocks,
    "torch addmm + topk": torch_topk,
    "floor: product alone": product_alone,
}


def has(what: str) -> bool:
    """Whether a search can run: faiss-cpu is optional, and its row is left out without it."""
    return not what.startswith("faiss") or find_spec("faiss") is not None


def agreement_with_float64(file: Path, queries: int) -> float:
    """Share of queries with the same neighbours in the same order as a float64 search by differences."""
    from scipy.spatial.distance import cdist

    values = np.load(file, allow_pickle=False)
    chosen = np.arange(min(queries, len(values)))
    _, ours = kneighbors(values, values[chosen], _K, exclude=chosen)
    equal = 0
    for part in np.array_split(chosen, max(1, len(chosen) // 100)):
        distances = cdist(values[part], values)
        distances[np.arange(len(part)), part] = np.inf
        equal += int((np.argsort(distances, axis=1, kind="stable")[:, :_K] == ours[part]).all(1).sum())
    return equal / len(chosen)


def coos7_size(train: Path, query: Path) -> dict[str, float]:
    """Search the largest test set of COOS-7 in its training set."""
    rows, queries = (np.load(file, allow_pickle=False) for file in (train, query))
    started = time.perf_counter()
    kneighbors(rows, queries, _K)
    return {"seconds": time.perf_counter() - started}
