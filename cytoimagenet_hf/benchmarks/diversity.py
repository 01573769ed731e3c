"""A dataset seen through features: how far images of a label are from each other and from other labels.

The author kept 552 of the 894 classes, those whose mean inter-class cosine distance exceeded 0.8 (paper §3); the same
choice here gives a list of labels that `load_cytoimagenet(subset=…)` takes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.seeding import derive_rng

from .figures import project

THRESHOLD = 0.8
_COLOURED = 12  # values of a column that get a colour of their own


def sample_per_label(labels: Sequence[str], ids: Sequence[str], *, per_label: int, seed: int) -> npt.NDArray[np.int64]:
    """Rows of at most `per_label` images of each label, drawn by id: the order of the dataset does not matter.

    Example:
        >>> sample_per_label(["a", "a", "b"], ["1", "2", "3"], per_label=1, seed=0).size
        2
    """
    frame = pd.DataFrame({"label": labels, "id": ids}).sort_values("id")
    chosen = [
        group.index.to_numpy()[derive_rng(seed, "diversity", str(label)).permutation(len(group))[:per_label]]
        for label, group in frame.groupby("label")
    ]
    return np.sort(np.concatenate(chosen))


def label_distances(features: npt.NDArray[Any], labels: Sequence[str]) -> pd.DataFrame:
    """Mean cosine distances of each label's images, to each other and to those of all other labels.

    Args:
        features: (n, d), no zero rows.
        labels: (n,).

    Returns:
        one row per label, ordered by name: `label`, `images`, `intra` (NaN for a single image), `inter`. Every other
        label counts the same, however many images it has.

    Raises:
        InputError: fewer than two labels, NaN or zero vectors.

    Example:
        >>> found = label_distances(np.array([[1.0, 0], [1, 0], [0, 1], [0, 2]]), ["a", "a", "b", "b"])
        >>> found[["intra", "inter"]].to_numpy().tolist()
        [[0.0, 1.0], [0.0, 1.0]]
    """
    values = np.asarray(features, np.float64)
    norms = np.linalg.norm(values, axis=1)
    if not np.isfinite(norms).all() or (norms == 0).any():
        odd = (~np.isfinite(norms) | (norms == 0)).nonzero()[0]
        raise InputError(f"rows {odd[:5].tolist()} hold NaN, or are zero vectors: their cosine is undefined")
    names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise InputError("only one label: there is nothing to be distant from")
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, codes, values / norms[:, None])
    counts = np.bincount(codes)
    means = sums / counts[:, None]
    # Sums of unit vectors hold all pairwise cosines: |Σu|² = n + Σ_{i≠j} cos(i, j).
    pairs = np.maximum(counts * (counts - 1), 1)
    intra = np.where(counts > 1, 1 - ((sums**2).sum(1) - counts) / pairs, np.nan)
    inter = 1 - ((means @ means.sum(0)) - (means**2).sum(1)) / (len(names) - 1)
    # Rounding leaves -1e-17 where all images are equal.
    return pd.DataFrame(
        {"label": names, "images": counts, "intra": np.maximum(intra, 0.0), "inter": np.maximum(inter, 0.0)}
    )


def distant_labels(distances: pd.DataFrame, *, threshold: float = THRESHOLD) -> list[str]:
    """Labels whose mean inter-class distance exceeds the threshold, ready for `subset=`."""
    return sorted(distances.loc[distances["inter"] > threshold, "label"].tolist())


def distance_scatter(distances: pd.DataFrame, *, threshold: float = THRESHOLD) -> Figure:
    """Intra- against inter-class distance, a point per label, coloured by category where the column is there."""
    figure = Figure(figsize=(5.5, 4.2), layout="constrained")
    axes = figure.subplots()
    categories = distances["category"] if "category" in distances else pd.Series("label", index=distances.index)
    for number, (name, group) in enumerate(distances.groupby(categories)):
        colour = colormaps["tab10"](number % 10)
        axes.scatter(group["inter"], group["intra"], s=10, color=colour, label=f"{name} ({len(group)})")
    axes.axvline(threshold, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel("mean cosine distance to other labels")
    axes.set_ylabel("mean cosine distance within the label")
    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    return figure


def crop_figure(features: npt.NDArray[Any], about: pd.DataFrame, *, seed: int, shown: int = _COLOURED) -> Figure:
    """What the crops did: whole images above, cropped ones below, coloured by label, source and scaling.

    Args:
        features: (n, d).
        about: (n,) columns `label`, and `crop`, `dir_name`, `scaling` where the dataset has them.
        seed: of the projection.
        shown: labels with the most images; more colours cannot be distinguished.
    """
    frequent = about["label"].value_counts().index[:shown]
    rows = about["label"].isin(frequent).to_numpy()
    points, method = project(features[rows], seed=seed)
    some = about[rows].reset_index(drop=True)
    cropped = some["crop"].fillna(False).astype(bool) if "crop" in some else pd.Series(False, index=some.index)
    columns = [name for name in ("label", "dir_name", "scaling") if name in some]
    figure = Figure(figsize=(4.2 * len(columns), 7), layout="constrained")
    grid = figure.subplots(2, len(columns), squeeze=False)
    for line, (title, kept) in enumerate((("whole", ~cropped), ("cropped", cropped))):
        for place, column in enumerate(columns):
            _scatter(grid[line, place], points[kept.to_numpy()], some.loc[kept, column].astype(str))
            grid[line, place].set_title(f"{title}, by {column.replace('dir_name', 'source')} ({method})", fontsize=9)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG atomically."""
    from cytoimagenet_hf.files import atomic_path

    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _scatter(axes: Axes, points: npt.NDArray[Any], values: pd.Series) -> None:
    names = values.value_counts().index[:_COLOURED]
    for number, name in enumerate(names):
        own = points[(values == name).to_numpy()]
        axes.scatter(own[:, 0], own[:, 1], s=5, linewidths=0, color=colormaps["tab20"](number % 20), label=name)
    axes.set_xticks([])
    axes.set_yticks([])
    if len(names):
        axes.legend(fontsize=5, frameon=False, markerscale=2)
