"""Exact nearest neighbours and the published vote: arrays in, arrays out.

Distances are first estimated by a float32 matrix product, block by block; every training row whose estimate lies
within the worst-case rounding error of the k-th is then measured again in float64. The neighbours are therefore those
of a float64 search at the price of the float32 product, on a CPU or a GPU. Training rows and queries may be memory
maps larger than the memory: a block of each is all that is copied. Votes follow docs/paper.md.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from cytoimagenet_hf.core.errors import InputError

Metric = Literal["euclidean", "cosine"]
Matrix = npt.NDArray[Any]
_Hidden = npt.NDArray[np.int64] | npt.NDArray[np.bool_]

_BLOCK = 1 << 14  # training rows in one product
_GROUP = 32  # columns that share one minimum in the first pass over the estimates
_SPARE = 16  # estimates kept beyond the k-th; rows that need more take the slower path
_MEASURED = 4096  # rows measured at a time when many tie: bounds the float64 copy
_COSINE_DECIMALS = 12  # below this, two directions are one: the rest is rounding


def kneighbors(
    train: npt.ArrayLike,
    query: npt.ArrayLike,
    k: int,
    *,
    metric: Metric = "euclidean",
    exclude: Sequence[int] | npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_] | None = None,
    device: str | torch.device | None = None,
    chunk_bytes: int = 1 << 26,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The k nearest training rows of each query, nearest first; equal distances in the order of the training rows.

    Args:
        train: (n_train, n_features), finite; `numpy.load(…, mmap_mode="r")` where it is larger than the memory.
        query: (n_query, n_features), finite.
        k: neighbours per query, at most the training rows a query may see.
        metric: `"euclidean"`, or `"cosine"` (1 - cosine similarity, equal to 12 decimals counts as equal).
        exclude: (n_query,) the training row that query i must not see, -1 for none; leave-one-out is
            `kneighbors(x, x, k, exclude=range(len(x)))`. Or (n_query, n_train) booleans, true where it must not.
        device: where the matrix product runs; default: a CUDA device when there is one, else the CPU.
        chunk_bytes: size of the block of estimates, which decides how many queries share one pass over the training
            rows; the working memory is about twice this and a block of 16,384 training rows.

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
    hidden = _hidden(exclude, len(queries), len(rows))
    visible = len(rows) - _most_hidden(hidden)
    if not isinstance(k, (int, np.integer)) or not 1 <= k <= visible:
        raise InputError(
            f"k = {k!r}, but a query may see {visible} training rows: choose a whole number between 1 and {visible}"
        )
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    distances, indices = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
    with torch.inference_mode(), _full_float32():
        space = _Space(rows, metric, place)
        step = max(1, chunk_bytes // (4 * min(len(rows), _BLOCK)))
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            hidden_here = None if hidden is None else hidden[part]
            distances[part], indices[part] = _search(space, queries[part], k, hidden_here, first=start)
    return distances, indices


def vote(neighbour_labels: npt.ArrayLike, distances: npt.ArrayLike) -> npt.NDArray[Any]:
    """One label per query: the most frequent; of equally frequent ones the smallest; the nearest if all k differ.

    Args:
        neighbour_labels: (n_query, k) label codes or names; "smallest" is their sort order.
        distances: (n_query, k), of the same neighbours.

    Raises:
        InputError: shapes that differ, k of 0, distances that are NaN or infinite, or labels that are NaN.

    Example:
        >>> vote([[3, 1, 1, 3], [2, 0, 1, 3]], [[1, 2, 3, 4], [1, 2, 3, 4]]).tolist()
        [1, 2]
    """
    labels, far = np.asarray(neighbour_labels), np.asarray(distances)
    if labels.ndim != 2 or labels.shape != far.shape or labels.shape[1] == 0:
        raise InputError(f"labels {labels.shape} and distances {far.shape} must both be (n_query, k), k at least 1")
    if far.dtype.kind not in "buif" or not np.isfinite(far).all():
        raise InputError("distances must be finite numbers: NaN would win every vote")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise InputError("neighbour labels hold NaN: leave out the training rows without a label")
    names, flat = np.unique(labels, return_inverse=True)
    codes = flat.reshape(labels.shape)  # (Q, k)
    counts = np.stack([(codes == column[:, None]).sum(1) for column in codes.T], axis=1)  # (Q, k)
    most = counts.max(1, keepdims=True)
    winner = np.where(counts == most, codes, len(names)).min(1)
    nearest = np.take_along_axis(codes, far.argmin(1)[:, None], 1)[:, 0]
    return names[np.where(most[:, 0] == 1, nearest, winner)]


class _Space:
    """The training rows as the estimates need them, a block at a time: float32, near the origin, on the device."""

    def __init__(self, rows: Matrix, metric: Metric, device: torch.device) -> None:
        self.rows, self.metric, self.device = rows, metric, device
        self.centre: Tensor | None = None
        total = torch.zeros(rows.shape[1], dtype=torch.float64, device=device)
        norms = []
        for start in range(0, len(rows), _BLOCK):
            placed, lengths = self._placed(rows[start : start + _BLOCK], "train", first=start)
            total += placed.sum(0, dtype=torch.float64)
            norms.append(lengths)
        mean, lengths = total / len(rows), torch.cat(norms)
        # Far from the origin the product loses the digits that tell neighbours apart.
        if bool(mean.square().sum() > 0.25 * lengths.square().mean()):
            self.centre = mean.float().double()  # the same for float32 and float64 rows
            lengths = torch.cat([_norms(block, torch.float32) for _, block in self.blocks()])
        self.squares, self.radius = lengths.square().float(), lengths.max().double()

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Which rows, and these rows, (T, D) float32."""
        for start in range(0, len(self.rows), _BLOCK):
            part = slice(start, min(start + _BLOCK, len(self.rows)))
            yield part, self.place(self.rows[part], "train")[0]

    def place(self, rows: Matrix, name: str, *, first: int = 0) -> tuple[Tensor, Tensor]:
        """Rows where the estimates are made, (B, D) float32, and their norms (B,)."""
        placed, norms = self._placed(rows, name, first=first)
        if self.centre is not None:
            placed = (placed - self.centre.to(placed.dtype)).float()
            norms = _norms(placed, torch.float32)
        return placed.float(), norms.double()

    def _placed(self, rows: Matrix, name: str, *, first: int) -> tuple[Tensor, Tensor]:
        # A copy of their own: memory maps and read-only arrays are none of torch's.
        placed = torch.from_numpy(np.array(rows, np.float32 if rows.dtype == np.float32 else np.float64))
        placed = placed.to(self.device)
        norms = _norms(placed, torch.float64 if self.metric == "cosine" else placed.dtype)
        _check_norms(norms, placed, name, self.metric, first=first)
        if self.metric == "cosine":  # |a - b|² = 2 (1 - cos) for unit vectors: the same search
            return placed / norms[:, None], torch.ones_like(norms)  # float64, for a centre to be taken off
        return placed, norms


def _search(
    space: _Space, queries: Matrix, k: int, hidden: _Hidden | None, *, first: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The nearest of a block of queries: estimated over all blocks of training rows, then measured."""
    placed, norms = space.place(queries, "query", first=first)
    count = min(k + _SPARE, len(space.rows))
    values = torch.empty((len(queries), 0), device=space.device)
    columns = torch.empty((len(queries), 0), dtype=torch.int64, device=space.device)
    for part, scores in _scores(space, placed, hidden):
        smallest, position = _smallest(scores, min(count, scores.shape[1]))
        values, columns = torch.cat([values, smallest], 1), torch.cat([columns, position + part.start], 1)
        if part.start:
            values, order = torch.topk(values, min(count, values.shape[1]), largest=False)
            columns = columns.gather(1, order)
    limits = values[:, k - 1].double() + 2 * _rounding(space, norms)  # finite: every query sees k rows
    within, places = (values.double() <= limits[:, None]).cpu().numpy(), columns.cpu().numpy()  # (B, count)
    # Where more near ties were met than are kept, all training rows are looked at once more.
    spilt = (within[:, -1] & (count < len(space.rows))).nonzero()[0]
    nearest = [(np.empty(0), np.empty(0, np.int64))] * len(queries)
    for row in sorted(set(range(len(queries))) - set(spilt.tolist())):
        near = np.sort(places[row][within[row]])
        nearest[row] = _nearest(queries[row], space, near, k, nearest[row])
    if len(spilt):
        again = None if hidden is None else hidden[spilt]
        for part, scores in _scores(space, placed[spilt], again):
            near_ties = (scores.double() <= limits[spilt][:, None]).cpu().numpy()
            for row, ties in zip(spilt.tolist(), near_ties, strict=True):
                near = ties.nonzero()[0] + part.start
                nearest[row] = _nearest(queries[row], space, near, k, nearest[row])
    distances, indices = zip(*nearest, strict=True)
    return np.stack(distances), np.stack(indices)


def _scores(space: _Space, placed: Tensor, hidden: _Hidden | None) -> Iterator[tuple[slice, Tensor]]:
    """For each block of training rows, which they are and (B, T) squared distances less |query|²; inf where hidden."""
    excluded = None if hidden is None else torch.from_numpy(hidden).to(space.device)
    for part, rows in space.blocks():
        scores = torch.addmm(space.squares[part], placed, rows.T, alpha=-2)
        if excluded is not None and excluded.dtype == torch.bool:
            scores[excluded[:, part]] = torch.inf
        elif excluded is not None:
            hit = ((excluded >= part.start) & (excluded < part.stop)).nonzero()[:, 0]
            scores[hit, excluded[hit] - part.start] = torch.inf
        yield part, scores


def _nearest(
    query: Matrix, space: _Space, near: Matrix, k: int, before: tuple[Matrix, Matrix]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The k nearest of some training rows, ascending, and of earlier ones that were measured already."""
    distances = np.concatenate([before[0], _measure(query, space.rows, near, space.metric)])
    order = np.argsort(distances, kind="stable")[:k]  # equals stay in the order of the training rows
    return distances[order], np.concatenate([before[1], near])[order]


def _measure(query: Matrix, rows: Matrix, near: Matrix, metric: Metric) -> npt.NDArray[np.float64]:
    """Float64 distances from differences, never from norms, so that equal rows get equal distances."""
    distances = np.empty(len(near))
    for start in range(0, len(near), _MEASURED):
        part = slice(start, start + _MEASURED)
        left, right = query[None], rows[near[part]]
        if metric == "cosine":
            left, right = _unit(left), _unit(right)
            distances[part] = np.round(cdist(left, right, "sqeuclidean")[0] / 2, _COSINE_DECIMALS)
        else:
            distances[part] = cdist(left, right)[0]
    return distances


def _unit(rows: Matrix) -> npt.NDArray[np.float64]:
    exact = rows.astype(np.float64)
    return exact / np.sqrt((exact * exact).sum(-1, keepdims=True))


def _rounding(space: _Space, norms: Tensor) -> Tensor:
    """Worst-case error of an estimate (Higham, Accuracy and Stability, §3.1): γ (|q| + |t|)², and what underflows.

    Of cosines also what their own rounding makes equal.
    """
    dim = space.rows.shape[1]
    slack = (1.01 * dim + 16) * 2.0**-24  # a little more for the norms, which are rounded too
    equal = 2 * 10.0**-_COSINE_DECIMALS if space.metric == "cosine" else 0.0
    return slack / (1 - slack) * (norms + space.radius).square() + 4 * dim * float(np.finfo(np.float32).tiny) + equal


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


def _matrix(array: npt.ArrayLike, name: str) -> Matrix:
    try:
        values = np.asarray(array)
        values = values if values.dtype.kind == "f" else values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be rows of numbers, all of one length: {error}") from error
    if values.ndim != 2 or values.shape[1] == 0 or (name == "train" and len(values) == 0):
        raise InputError(f"{name} has shape {values.shape}: expected (rows, features), neither empty")
    return values


def _hidden(exclude: Any, queries: int, rows: int) -> _Hidden | None:
    """The row that each query must not see, or which of all rows."""
    if exclude is None:
        return None
    hidden = np.asarray(exclude)
    if hidden.dtype == bool and hidden.shape == (queries, rows):
        return hidden
    if hidden.shape != (queries,) or not np.issubdtype(hidden.dtype, np.integer):
        raise InputError(
            f"exclude has shape {hidden.shape} and type {hidden.dtype}: expected {queries} training rows, or "
            f"{queries} x {rows} booleans"
        )
    if queries and (hidden.max() >= rows or hidden.min() < -1):
        raise InputError(f"exclude names rows {hidden.min()}..{hidden.max()}, the training set has 0..{rows - 1}")
    return hidden.astype(np.int64)


def _most_hidden(hidden: _Hidden | None) -> int:
    """How many training rows are hidden from the query that sees the fewest."""
    if hidden is None or len(hidden) == 0:
        return 0
    return int((hidden if hidden.ndim == 2 else hidden[:, None] >= 0).sum(axis=1).max())


def _norms(rows: Tensor, dtype: torch.dtype, step: int = 1024) -> Tensor:
    """Euclidean norm of each row, a block at a time."""
    squares = [part.to(dtype).square().sum(1) for part in torch.split(rows, step)]
    return torch.cat([*squares, torch.zeros(0, dtype=dtype, device=rows.device)]).sqrt()


def _check_norms(norms: Tensor, rows: Tensor, name: str, metric: Metric, *, first: int) -> None:
    if bool((~(norms < 1e18)).any()):
        odd = ((~rows.isfinite().all(1)).nonzero()[:, 0] + first).tolist()
        if odd:
            raise InputError(
                f"{name} rows {odd[:5]} ({len(odd)} in all) hold NaN or infinite values: extract them again"
            )
        raise InputError(f"{name} holds values whose squares overflow float32: standardise the features first")
    zero = ((norms == 0).nonzero()[:, 0] + first).tolist() if metric == "cosine" else []
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
