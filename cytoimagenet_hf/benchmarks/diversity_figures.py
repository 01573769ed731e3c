"""Figures of a dataset's diversity: distances of labels, and where crops lie beside whole images."""

from typing import Any

import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cytoimagenet_hf.profiles.embedding import embed

_COLOURED = 12  # values of a column that get a colour of their own


def distance_scatter(distances: pd.DataFrame, *, threshold: float) -> Figure:
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


def crop_figure(features: npt.NDArray[Any], about: pd.DataFrame, *, seed: int) -> Figure:
    """What the crops did: whole images above, cropped ones below, coloured by label, source and scaling.

    Args:
        features: (n, d).
        about: (n,) columns `label`, and `crop`, `dir_name`, `scaling` where the dataset has them.
        seed: of the projection.
    """
    frequent = about["label"].value_counts().index[:_COLOURED]  # those with the most images
    rows = about["label"].isin(frequent).to_numpy()
    embedding = embed(features[rows], seed=seed)
    points = embedding.places
    some = about[rows].reset_index(drop=True)
    cropped = some["crop"].fillna(False).astype(bool) if "crop" in some else pd.Series(False, index=some.index)
    columns = [name for name in ("label", "dir_name", "scaling") if name in some]
    figure = Figure(figsize=(4.2 * len(columns), 7), layout="constrained")
    grid = figure.subplots(2, len(columns), squeeze=False)
    for line, (title, kept) in enumerate((("whole", ~cropped), ("cropped", cropped))):
        for place, column in enumerate(columns):
            _scatter(grid[line, place], points[kept.to_numpy()], some.loc[kept, column].astype(str))
            grid[line, place].set_title(f"{title}, by {column.replace('dir_name', 'source')}", fontsize=9)
    figure.suptitle(embedding.method, fontsize=8)
    return figure


def _scatter(axes: Axes, points: npt.NDArray[Any], values: pd.Series) -> None:
    names = values.value_counts().index[:_COLOURED]
    for number, name in enumerate(names):
        members = points[(values == name).to_numpy()]
        axes.scatter(
            members[:, 0], members[:, 1], s=5, linewidths=0, color=colormaps["tab20"](number % 20), label=name
        )
    axes.set_xticks([])
    axes.set_yticks([])
    if len(names):
        axes.legend(fontsize=5, frameon=False, markerscale=2)
