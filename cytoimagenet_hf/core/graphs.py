"""Connected components of pairs: rows that share a field of view or their pixels, images that are near copies."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .errors import InputError

_MOST = int(np.iinfo(np.int32).max)


def components(source: npt.ArrayLike, target: npt.ArrayLike, *, nodes: int) -> npt.NDArray[np.int32]:
    """Number the connected components of an undirected graph.

    Args:
        source: one end of each edge, (E,), from 0 to `nodes` - 1.
        target: the other end, (E,).
        nodes: how many there are; those without an edge are components of their own.

    Returns:
        (nodes,): equal numbers within a component, counted from 0 in the order of their first nodes.

    Raises:
        InputError: more nodes than 32 bits count.

    Example:
        >>> components([0, 3], [2, 1], nodes=5).tolist()
        [0, 1, 0, 1, 2]
    """
    if nodes > _MOST:
        raise InputError(f"{nodes:,} rows and values cannot be linked: at most {_MOST:,}")
    # 32 bits: scipy before 1.12 prints an error for indices of 64 and goes on with components that are wrong.
    ends = np.asarray(source, np.int32), np.asarray(target, np.int32)
    graph = sparse.coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(nodes, nodes))
    numbers: npt.NDArray[np.int32] = sparse.csgraph.connected_components(graph, directed=False)[1]
    return numbers
