"""Exact nearest neighbours and the published vote: arrays in, arrays out.

Distances are first estimated by a float32 matrix product, chunk by chunk; every training row whose estimate lies
within the worst-case rounding error of the k-th is then measured again in float64. The neighbours are therefore those
of a float64 search at the price of the float32 product, on a CPU or a GPU. Votes follow FACTS §4.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .errors import InputError

Metric = Literal["euclidean", "cosine"]

_GROUP = 32  # columns that share one minimum in the first pass over the estimates
_SPARE = 16  # estimates kept beyond the k-th; rows that need more take the slower path
_RERANK_BYTES = 1 << 25  # float64 rows measured at a time: stays within the last-level cache
_COSINE_DECIMALS = 12  # below this, two directions are one: the rest is rounding


def kneighbors(
    train: npt.ArrayLike,
    query: npt.ArrayLike,
    k: int,
    *,
    metric: Metric = "euclidean",
    exclude: Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    device: str | torch.device | None = None,
    chunk_bytes: int = 1 << 27,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The k nearest training rows of each query, nearest first; equal distances in the order of the training rows.

    Args:
        train: (n_train, n_features), finite.
        query: (n_query, n_features), finite.
        k: neighbours per query, at most the training rows a query may see.
        metric: `"euclidean"`, or `"cosine"` (1 - cosine similarity, equal to 12 decimals counts as equal).
        exclude: (n_query,) the training row that query i must not see, -1 for none; leave-one-out is
            `kneighbors(x, x, k, exclude=range(len(x)))`.
        device: where the matrix product runs; default: a CUDA device when there is one, else the CPU.
        chunk_bytes: size of the block of estimates; the working memory is about twice this.

    Returns:
        distances (n_query, k) float64 and indices (n_query, k) int64.

    Raises:
        InputError: shapes that do not fit, NaN or infinite values, k out of range, zero vectors under cosine.

    Example:
        >>> distances, indices = kneighbors([[0.0], [1.0], [5.0]], [[0.9]], 2)
        >>> indices.tolist(), distances.round(3).tolist()
        ([[1, 0]], [[0.1, 0.9]])
    """
    if metric not in ("euclidean", "cosine"):
        raise InputError(f"unknown metric {metric!r}: use 'euclidean' or 'cosine'")
    rows, queries = _matrix(train, "train"), _matrix(query, "query")
    if rows.shape[1] != queries.shape[1]:
        raise InputError(f"train has {rows.shape[1]} features, query has {queries.shape[1]}: extract both alike")
    excluded = _excluded(exclude, len(queries), len(rows))
    visible = len(rows) - int(excluded is not None and bool((excluded >= 0).any()))
    if not 1 <= k <= visible:
        raise InputError(f"k = {k}, but a query may see {visible} training rows: choose k between 1 and {visible}")
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    distances, indices = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
    with torch.inference_mode(), _full_float32():
        space = _Space(rows, metric, place)
        step = max(1, chunk_bytes // (4 * len(rows)))
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            hidden = None if excluded is None else excluded[part].to(place)
            distances[part], indices[part] = _search(space, queries[part].to(place), k, hidden)
    return distances, indices


def vote(neighbour_labels: npt.ArrayLike, distances: npt.ArrayLike) -> npt.NDArray[Any]:
    """One label per query: the most frequent; of equally frequent ones the smallest; the nearest if all k differ.

    Args:
        neighbour_labels: (n_query, k) label codes or names; "smallest" is their sort order.
        distances: (n_query, k), of the same neighbours.

    Example:
        >>> vote([[3, 1, 1, 3], [2, 0, 1, 3]], [[1, 2, 3, 4], [1, 2, 3, 4]]).tolist()
        [1, 2]
    """
    labels, far = np.asarray(neighbour_labels), np.asarray(distances)
    if labels.ndim != 2 or labels.shape != far.shape or labels.shape[1] == 0:
        raise InputError(f"labels {labels.shape} and distances {far.shape} must both be (n_query, k), k at least 1")
    names, flat = np.unique(labels, return_inverse=True)
    codes = flat.reshape(labels.shape)  # (Q, k)
    counts = np.stack([(codes == column[:, None]).sum(1) for column in codes.T], axis=1)  # (Q, k)
    most = counts.max(1, keepdims=True)
    winner = np.where(counts == most, codes, len(names)).min(1)
    nearest = np.take_along_axis(codes, far.argmin(1)[:, None], 1)[:, 0]
    return names[np.where(most[:, 0] == 1, nearest, winner)]


class _Space:
    """The training rows as the search needs them: float32 for estimates, the originals for measuring."""

    def __init__(self, rows: Tensor, metric: Metric, device: torch.device) -> None:
        self.metric = metric
        self.exact = rows.to(device)
        norms = _norms(self.exact)
        _check_norms(norms, self.exact, "train", metric)
        self.rows = self.exact
        if metric == "cosine":  # |a - b|² = 2 (1 - cos) for unit vectors: the same search
            self.rows = (self.rows / norms[:, None]).float()
        mean = self.rows.mean(0)
        # Far from the origin the product loses the digits that tell neighbours apart. Moving the origin costs a copy.
        self.centre = mean if bool(mean.double().square().sum() > 0.25 * _norms(self.rows).square().mean()) else None
        self.rows = (self.rows if self.centre is None else self.rows - self.centre).float()
        sizes = _norms(self.rows)
        self.squares = sizes.square().float()
        self.radius = sizes.max()

    def place(self, queries: Tensor, norms: Tensor) -> Tensor:
        """Queries where the rows are: (B, D) float32."""
        if self.metric == "cosine":
            queries = (queries / norms[:, None]).float()
        return (queries if self.centre is None else queries - self.centre).float()

    def measure(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Float64 distances from differences, never from norms: (B, D) against (B, C, D) or (C, D) → (B, C)."""
        left, right = queries.double(), rows.double()
        if self.metric == "cosine":
            left, right = (x / x.square().sum(-1, keepdim=True).sqrt() for x in (left, right))
        # Without the product every pair is summed alike, so equal rows get equal distances.
        found = torch.cdist(left[..., None, :], right, compute_mode="donot_use_mm_for_euclid_dist")[..., 0, :]
        if self.metric == "cosine":
            found = torch.round(found.square() / 2, decimals=_COSINE_DECIMALS)
        return found


def _search(
    space: _Space, queries: Tensor, k: int, excluded: Tensor | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    norms = _norms(queries)
    _check_norms(norms, queries, "query", space.metric)
    placed = space.place(queries, norms)
    scores = torch.addmm(space.squares, placed, space.rows.T, alpha=-2)  # (B, N): squared distance less |query|²
    if excluded is not None:
        hit = (excluded >= 0).nonzero()[:, 0]
        scores[hit, excluded[hit]] = torch.inf
    count = min(k + _SPARE, scores.shape[1])
    values, columns = _smallest(scores, count)
    limit = values[:, k - 1].double() + 2 * _rounding(space, _norms(placed))
    within = values.double() <= limit[:, None]  # (B, count)
    distances, indices = _rerank(space, queries, columns, within, k)
    if count < scores.shape[1]:
        for row in within[:, -1].nonzero()[:, 0].tolist():
            near = (scores[row].double() <= limit[row]).nonzero()[:, 0]
            distances[row], indices[row] = _rank_one(space, queries[row], near, k)
    return distances.cpu().numpy(), indices.cpu().numpy()


def _rounding(space: _Space, norms: Tensor) -> Tensor:
    """Worst-case error of an estimate (Higham, Accuracy and Stability, §3.1): γ (|q| + |t|)², and what underflows."""
    dim = space.rows.shape[1]
    slack = (dim + 8) * 2.0**-24
    return slack / (1 - slack) * (norms + space.radius).square() + 4 * dim * float(np.finfo(np.float32).tiny)


def _smallest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` smallest values of each row, ascending, and their columns.

    The `count` smallest values lie in the `count` groups with the smallest minima, so the costly selection sees a few
    hundred columns instead of all.
    """
    rows, width = scores.shape
    groups = width // _GROUP
    if groups < 2 * count:
        return torch.topk(scores, count, largest=False)
    minima = scores[:, : groups * _GROUP].view(rows, _GROUP, groups).amin(1)
    chosen = torch.topk(minima, count, largest=False, sorted=False).indices  # (B, count)
    members = chosen[:, None, :] + groups * torch.arange(_GROUP, device=scores.device)[:, None]
    rest = torch.arange(groups * _GROUP, width, device=scores.device).expand(rows, -1)
    columns = torch.cat([members.flatten(1), rest], dim=1)
    values, position = torch.topk(scores.gather(1, columns), count, largest=False)
    return values, columns.gather(1, position)


def _rerank(space: _Space, queries: Tensor, columns: Tensor, within: Tensor, k: int) -> tuple[Tensor, Tensor]:
    width = int(within.sum(1).max())
    columns, order = columns[:, :width].sort(1)  # by training row, so that a stable sort keeps that order among equals
    within = within[:, :width].gather(1, order)
    distances = torch.empty(columns.shape, dtype=torch.float64, device=queries.device)
    step = max(1, _RERANK_BYTES // (8 * width * queries.shape[1]))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        distances[part] = space.measure(queries[part], space.exact[columns[part]])
    distances[~within] = torch.inf
    distances, order = distances.sort(dim=1, stable=True)
    return distances[:, :k], columns.gather(1, order)[:, :k]


def _rank_one(space: _Space, query: Tensor, near: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The same for one query with many near ties; `near` ascends."""
    step = max(1, _RERANK_BYTES // (8 * len(query)))
    found = torch.cat([space.measure(query, space.exact[part]) for part in torch.split(near, step)])
    distances, order = found.sort(stable=True)
    return distances[:k], near[order[:k]]


def _matrix(array: npt.ArrayLike, name: str) -> Tensor:
    values = np.asarray(array)
    if values.ndim != 2 or values.shape[1] == 0 or (name == "train" and len(values) == 0):
        raise InputError(f"{name} has shape {values.shape}: expected (rows, features), neither empty")
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    # torch has no read-only arrays and warns; nothing here writes to its input.
    return torch.from_numpy(values if values.flags.writeable and values.flags.c_contiguous else values.copy())


def _excluded(exclude: Any, queries: int, rows: int) -> Tensor | None:
    if exclude is None:
        return None
    found = np.asarray(exclude)
    if found.shape != (queries,) or not np.issubdtype(found.dtype, np.integer):
        raise InputError(f"exclude has shape {found.shape} and type {found.dtype}: expected {queries} training rows")
    if queries and (found.max() >= rows or found.min() < -1):
        raise InputError(f"exclude names rows {found.min()}..{found.max()}, the training set has 0..{rows - 1}")
    return torch.from_numpy(found.astype(np.int64))


def _norms(rows: Tensor, step: int = 1024) -> Tensor:
    """Euclidean norm of each row, summed in float64 a block at a time."""
    if len(rows) == 0:
        return torch.zeros(0, dtype=torch.float64, device=rows.device)
    return torch.cat([torch.linalg.vector_norm(part, dim=1, dtype=torch.float64) for part in torch.split(rows, step)])


def _check_norms(norms: Tensor, rows: Tensor, name: str, metric: Metric) -> None:
    odd = (~norms.isfinite()).nonzero()[:, 0].tolist()
    if odd:
        raise InputError(f"{name} rows {odd[:5]} ({len(odd)} in all) hold NaN or infinite values: extract them again")
    if bool((norms > 1e18).any()):
        raise InputError(f"{name} holds values whose squares overflow float32: standardise the features first")
    zero = (norms == 0).nonzero()[:, 0].tolist() if metric == "cosine" else []
    if zero:
        raise InputError(f"{name} rows {zero[:5]} ({len(zero)} in all) are zero vectors: their cosine is undefined")


@contextmanager
def _full_float32() -> Iterator[None]:
    """Keep TF32 and bfloat16 products out: the error bound is that of float32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
