"""Features in two dimensions: t-SNE, or principal components of few rows; the result says which.

UMAP maps no better from principal components (Kobak and Linderman 2021, doi:10.1038/s41587-020-00809-z), and it
compiles itself for ten seconds in each process.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_LEAST = 15  # rows for t-SNE: below, its neighbourhoods are the whole set
_COMPONENTS = 50
_DEAD = 1e-12  # of the largest deviation: features that vary less are rounding, which scaling would blow up


@dataclass(frozen=True)
class Embedding:
    """(n, 2) coordinates, what the axes are called, and how they were made."""

    places: npt.NDArray[np.float64]
    axes: tuple[str, str]
    method: str


def embed(values: npt.NDArray[np.floating], *, seed: int) -> Embedding:
    """Two coordinates per row of (n, d) values: features scaled, their principal components, and t-SNE of these.

    Example:
        >>> embed(np.eye(3), seed=0).places.shape
        (3, 2)
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    x = values.astype(np.float64)
    x = x - x.mean(axis=0)
    spread = x.std(axis=0)
    alive = spread > _DEAD * np.abs(x).max(axis=0)
    x = x[:, alive] / spread[alive] if alive.any() else np.zeros((len(x), 1))
    solver = "randomized" if min(x.shape) > 10 * _COMPONENTS else "full"
    analysis = PCA(min(_COMPONENTS, *x.shape), svd_solver=solver, random_state=seed)
    with np.errstate(invalid="ignore"):  # rows that are all alike have no variance to share out
        components = analysis.fit_transform(x)
    shares = np.nan_to_num(analysis.explained_variance_ratio_)
    if components.shape[1] < 2:
        components = np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
        shares = np.pad(shares, (0, 1))
    if len(x) < _LEAST:
        axes = (f"component 1 ({shares[0]:.0%} of the variance)", f"component 2 ({shares[1]:.0%})")
        return Embedding(components[:, :2], axes, "principal components")
    perplexity = min(30.0, (len(x) - 1) / 3)
    with threadpool_limits(1, user_api="openmp"):  # threads wait for each other 1,000 times: twice as slow, or more
        places = TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(components)
    return Embedding(
        np.asarray(places, float), ("t-SNE 1", "t-SNE 2"), f"t-SNE, perplexity {perplexity:.0f}, seed {seed}"
    )
