"""Features in two dimensions: UMAP where it is installed, else principal components; the result says which."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_LEAST = 15  # rows for UMAP: below, its neighbourhoods are the whole set
_COMPONENTS = 50
_DEAD = 1e-12  # of the largest deviation: features that vary less are rounding, which scaling would blow up


@dataclass(frozen=True)
class Embedding:
    """(n, 2) coordinates, what the axes are called, and how they were made."""

    places: npt.NDArray[np.float64]
    axes: tuple[str, str]
    method: str


def embed(values: npt.NDArray[np.floating], *, seed: int) -> Embedding:
    """Two coordinates per row of (n, d) values: features scaled, their principal components, and UMAP of these.

    Example:
        >>> embed(np.eye(3), seed=0).places.shape
        (3, 2)
    """
    from sklearn.decomposition import PCA

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
    plain = Embedding(
        components[:, :2],
        (f"component 1 ({shares[0]:.0%} of the variance)", f"component 2 ({shares[1]:.0%})"),
        "principal components",
    )
    if len(x) < _LEAST:
        return plain
    try:
        import umap
    except ImportError:
        method = 'principal components (for UMAP: pip install "cytoimagenet-hf[bench]")'
        return Embedding(plain.places, plain.axes, method)
    neighbours = min(15, len(x) - 1)
    places = umap.UMAP(n_neighbors=neighbours, min_dist=0.3, random_state=seed, n_jobs=1).fit_transform(components)
    return Embedding(np.asarray(places, float), ("UMAP 1", "UMAP 2"), f"UMAP, {neighbours} neighbours, seed {seed}")
