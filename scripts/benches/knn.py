"""`knn` at the size of the paper's tasks, beside scikit-learn, faiss and NumPy; the floor is the product alone."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer

from cytoimagenet_hf.knn import kneighbors
from cytoimagenet_hf.seeding import derive_rng

from .common import in_child, side_by_side

Matrix = npt.NDArray[np.float32]
_K = 11
_BLOCK = 1024


def run(
    rows: Annotated[int, typer.Option(help="Training rows and queries.")] = 20_000,
    features: Annotated[int, typer.Option(help="Features: two channels of 1280.")] = 2560,
    repeat: Annotated[int, typer.Option(help="Runs of each; the median counts.")] = 1,
    checked: Annotated[int, typer.Option(help="Queries compared with a float64 search.")] = 500,
    coos7: Annotated[bool, typer.Option(help="Measure memory at COOS-7's size as well.")] = True,
    seed: Annotated[int, typer.Option(help="Of the features.")] = 0,
) -> dict[str, Any]:
    """Leave-one-out search, 11 neighbours; agreement with float64; peak memory in a process of its own.

    Example: python scripts/bench.py knn --rows 6000
    """
    values = make_features(rows, features, seed)
    functions: dict[str, Callable[[], Any]] = {
        "this package": lambda: kneighbors(values, values, _K, exclude=np.arange(rows)),
        "scikit-learn brute": lambda: sklearn_brute(values),
        "faiss IndexFlatL2": lambda: faiss_flat(values),
        "numpy, blocks": lambda: numpy_blocks(values),
        "torch addmm + topk": lambda: torch_topk(values),
        "floor: product alone": lambda: product_alone(values),
    }
    if not has_faiss():
        del functions["faiss IndexFlatL2"]
    seconds = side_by_side(functions, repeat=repeat)
    floor, ours = seconds["floor: product alone"], seconds["this package"]
    table = [
        {"what": name, "seconds": value, "times_floor": value / floor, "times_ours": value / ours}
        for name, value in seconds.items()
    ]
    notes = [f"{rows:,} x {rows:,} x {features:,} float32, k = {_K}, {torch.get_num_threads()} threads"]
    result: dict[str, Any] = {"table": table, "notes": notes, "goals": {"times_floor": 1.3, "coos7_peak_mb": 1500}}
    agreement = agreement_with_float64(values, checked)
    notes.append(f"neighbours equal to float64's for {agreement:.2%} of {checked} queries")
    result["equal_to_float64"] = agreement
    if coos7:
        child = in_child(coos7_size, features=1280, seed=seed)
        result["coos7"] = {"seconds": child.seconds, "peak_mb": child.peak_mb, "shape": [41_456, 32_596, 1280]}
        notes.append(
            f"COOS-7 train against test 3, 1280 features: {child.seconds:.1f} s, peak {child.peak_mb:,.0f} MB"
        )
    return result


def make_features(rows: int, features: int, seed: int) -> Matrix:
    """Rows around twenty centres, standardised in all but name: neighbours are near, classes overlap."""
    rng = derive_rng(seed, "bench-knn")
    values = rng.standard_normal((rows, features), dtype=np.float32)
    values += 0.5 * rng.standard_normal((20, features), dtype=np.float32)[rng.integers(0, 20, rows)]
    return values


def sklearn_brute(values: Matrix) -> Any:
    """The search most people would write."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=_K + 1, algorithm="brute").fit(values).kneighbors(values)


def has_faiss() -> bool:
    """Whether faiss-cpu is installed; without it, its row is left out."""
    from importlib.util import find_spec

    return find_spec("faiss") is not None


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


def agreement_with_float64(values: Matrix, queries: int) -> float:
    """Share of queries with the same neighbours in the same order as a float64 search by differences."""
    from scipy.spatial.distance import cdist

    chosen = np.arange(min(queries, len(values)))
    _, ours = kneighbors(values, values[chosen], _K, exclude=chosen)
    equal = 0
    for part in np.array_split(chosen, max(1, len(chosen) // 100)):
        distances = cdist(values[part], values)
        distances[np.arange(len(part)), part] = np.inf
        equal += int((np.argsort(distances, axis=1, kind="stable")[:, :_K] == ours[part]).all(1).sum())
    return equal / len(chosen)


def coos7_size(features: int, seed: int) -> int:
    """Search the largest test set of COOS-7 in its training set."""
    train = make_features(41_456, features, seed)
    query = make_features(32_596, features, seed + 1)
    return len(kneighbors(train, query, _K)[0])
