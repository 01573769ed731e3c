"""Which rendered images go into the dataset: exact copies under several labels, classes too large or too small.

Near-duplicates are counted: images whose difference hashes differ in at most three of 128 bits.

Arrays in, a mask and rejections out; nothing depends on the order of the rows.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from builder.recipe import Recipe
from builder.stage import Rejection
from cytoimagenet_hf.core.graphs import components
from cytoimagenet_hf.core.seeding import derive_rng

Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
_REASONS = ("", "source_left_out", "duplicate_conflict", "under_min_images", "over_max_images")

# Two hashes that differ in at most three bits agree in at least one of four bands.
_BANDS = 4
_MOST_BITS = _BANDS - 1
# Larger groups are flat or repetitive images: comparing all pairs of them would tell nothing and take for ever.
_LARGEST_GROUP = 300


def balance(
    images: pa.Table, recipe: Recipe, *, seed: int, sources: Collection[str] | None = None
) -> tuple[Mask, list[Rejection]]:
    """Choose images: sources that take part, then conflicting copies, then the size of each class (paper §2.3).

    Args:
        images: one row per rendered image: `image_id`, `idx`, `dir_name`, `label`, `sha256`.
        recipe: the rules.
        seed: of the down-sampling of each class.
        sources: `dir_name` of the sources that take part; all when None.

    Returns:
        A mask of the rows to keep, and one rejection for each other row.
    """
    reason = np.zeros(len(images), np.int8)  # positions in _REASONS
    if sources is not None:
        left_out = ~pc.is_in(images["dir_name"], value_set=pa.array(sorted(sources))).to_numpy()
        reason[left_out] = _REASONS.index("source_left_out")
    rank = ranks(images["image_id"])
    labels, names = codes(images["label"])
    taking_part = np.flatnonzero(reason == 0)
    for conflict in _conflicts(codes(images["sha256"])[0][taking_part], labels[taking_part]):
        rows = taking_part[conflict]
        first = rows[np.argmin(rank[rows])]
        if recipe.duplicate_conflict == "keep_first":
            reason[rows[rows != first]] = _REASONS.index("duplicate_conflict")
        elif recipe.duplicate_conflict == "drop_all":
            reason[rows] = _REASONS.index("duplicate_conflict")
    left = np.flatnonzero(reason == 0)
    left = left[np.argsort(labels[left], kind="stable")]
    bounds = np.searchsorted(labels[left], np.arange(len(names) + 1))
    for code, name in enumerate(names):
        rows = left[bounds[code] : bounds[code + 1]]
        if len(rows) < recipe.min_images:
            reason[rows] = _REASONS.index("under_min_images")
        elif len(rows) > recipe.max_images:
            drawn = derive_rng(seed, "balance", name).permutation(len(rows))[recipe.max_images :]
            reason[rows[np.argsort(rank[rows])][drawn]] = _REASONS.index("over_max_images")
    return reason == 0, list(_rejections(images, reason))


def copy_counts(values: pa.ChunkedArray, labels: pa.ChunkedArray, sources: pa.ChunkedArray) -> dict[str, int]:
    """How many values occur more than once, in how many rows, and across labels and sources.

    Example:
        >>> copy_counts(*(pa.chunked_array([row]) for row in (["x", "x", "y"], ["a", "b", "a"], ["s", "s", "s"])))
        {'groups': 1, 'images': 2, 'across_labels': 1, 'across_sources': 0}
    """
    encoded = codes(values)[0]
    sizes = np.bincount(encoded)
    return {
        "groups": int((sizes > 1).sum()),
        "images": int(sizes[sizes > 1].sum()),
        "across_labels": int((_distinct(encoded, codes(labels)[0]) > 1).sum()),
        "across_sources": int((_distinct(encoded, codes(sources)[0]) > 1).sum()),
    }


def codes(column: pa.ChunkedArray) -> tuple[Codes, list[Any]]:
    """A column as codes of its distinct values in sorted order; it must have no nulls."""
    values = pc.unique(column).sort()
    return pc.index_in(column, value_set=values).to_numpy().astype(np.int32), values.to_pylist()


def ranks(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The place of each row in sorted order."""
    rank = np.empty(len(column), dtype=np.int64)
    rank[pc.sort_indices(column).to_numpy()] = np.arange(len(column))
    return rank


def near_groups(hashes: Sequence[str] | npt.NDArray[np.bytes_]) -> npt.NDArray[np.int32]:
    """Number the groups of near-duplicates: equal numbers are linked by a chain of near pairs.

    `hashes` have 32 hex digits each, see `builder.render.difference_hash`.

    Example:
        >>> near_groups(["0" * 32, "f" * 32, "0" * 31 + "7"]).tolist()
        [0, 1, 0]
    """
    distinct, member = np.unique(np.array(hashes, dtype="S32"), return_inverse=True)
    bits = np.frombuffer(bytes.fromhex(b"".join(distinct.tolist()).decode()), dtype=np.uint8).reshape(-1, 16)
    pairs = [pair for band in range(_BANDS) for pair in _near_pairs(bits, band)]
    component = components(*np.array(pairs, dtype=np.int64).reshape(-1, 2).T, nodes=len(distinct))
    return np.unique(component[member], return_inverse=True)[1].astype(np.int32)


def _conflicts(contents: Codes, labels: Codes) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of each content that stands under more than one label."""
    conflicting = _distinct(contents, labels) > 1
    rows = np.flatnonzero(conflicting[contents])
    order = rows[np.argsort(contents[rows], kind="stable")]
    yield from np.split(order, np.flatnonzero(np.diff(contents[order])) + 1) if len(order) else ()


def _distinct(groups: Codes, values: Codes) -> npt.NDArray[np.int64]:
    """How many distinct values each group holds."""
    width = int(values.max(initial=0)) + 1
    pairs = np.unique(groups.astype(np.int64) * width + values)
    return np.bincount(pairs // width, minlength=int(groups.max(initial=-1)) + 1)


def _rejections(images: pa.Table, reason: npt.NDArray[np.int8]) -> Iterator[Rejection]:
    out = images.select(["idx", "image_id", "dir_name"]).filter(pa.array(reason != 0))
    for row, why in zip(out.to_pylist(), reason[reason != 0].tolist(), strict=True):
        yield Rejection(row["idx"], "publish", _REASONS[why], image_id=row["image_id"], dir_name=row["dir_name"])


def _near_pairs(bits: npt.NDArray[np.uint8], band: int) -> Iterator[tuple[int, int]]:
    """Pairs that agree in one band and differ in at most three bits in all."""
    width = bits.shape[1] // _BANDS
    values = np.ascontiguousarray(bits[:, band * width : (band + 1) * width]).view(np.uint32).ravel()
    order = np.argsort(values, kind="stable")
    bounds = np.r_[0, np.flatnonzero(np.diff(values[order])) + 1, len(values)]
    sizes = np.diff(bounds)
    for number in np.flatnonzero((sizes > 1) & (sizes <= _LARGEST_GROUP)):
        group = order[bounds[number] : bounds[number + 1]]
        different = np.unpackbits(bits[group][:, None] ^ bits[group][None], axis=2).sum(axis=2)
        for first, second in zip(*np.nonzero(np.triu(different <= _MOST_BITS, 1)), strict=True):
            yield int(group[first]), int(group[second])
