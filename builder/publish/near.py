"""Near-duplicates: images whose difference hashes differ in at most three of 128 bits."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.graphs import components

# Two hashes that differ in at most three bits agree in at least one of four bands.
_BANDS = 4
_MOST_BITS = _BANDS - 1
# Larger groups are flat or repetitive images: comparing all pairs of them would tell nothing and take for ever.
_LARGEST_GROUP = 300


def near_groups(hashes: Sequence[str] | npt.NDArray[np.bytes_]) -> npt.NDArray[np.int32]:
    """Number the groups of near-duplicates: equal numbers are linked by a chain of near pairs.

    Args:
        hashes: 32 hex digits each, see `builder.render.difference_hash`.

    Example:
        >>> near_groups(["0" * 32, "f" * 32, "0" * 31 + "7"]).tolist()
        [0, 1, 0]
    """
    distinct, member = np.unique(np.array(hashes, dtype="S32"), return_inverse=True)
    bits = np.frombuffer(bytes.fromhex(b"".join(distinct.tolist()).decode()), dtype=np.uint8).reshape(
        len(distinct), 16
    )
    pairs = np.array([pair for band in range(_BANDS) for pair in _near_pairs(bits, band)], dtype=np.int64).reshape(
        -1, 2
    )
    component = components(*pairs.T, nodes=len(distinct))
    return np.unique(component[member], return_inverse=True)[1].astype(np.int32)


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
