"""Figures of a results record. Each returns a matplotlib `Figure` of its own: no pyplot, no global state."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.figure import Figure

from cytoimagenet_hf.files import atomic_path

from .suite import Results

Array = npt.NDArray[Any]


def save_figures(results: Results, folder: Path, *, seed: int) -> list[Path]:
    """Write every figure the results have as PNG: bars, confusion per set and model, gains, features."""
    record = results.record
    kinds = {entry["name"]: entry["kind"] for entry in record["entries"]}
    figures = {"accuracy": accuracy_bars(record)}
    for score in record["scores"]:
        if kinds[score["entry"]] in ("model", "fusion"):
            figures[f"confusion {score['set']} {score['entry']}"] = confusion(score)
    models = [name for name, kind in kinds.items() if kind in ("model", "fusion")]
    for name in dict.fromkeys(score["set"] for score in record["scores"]):
        scored = {score["entry"]: score for score in record["scores"] if score["set"] == name}
        for entry in models[1:]:
            if entry in scored and models[0] in scored:
                figures[f"gain {name} {entry}"] = class_gain(scored[models[0]], scored[entry])
    for (entry, task), sample in results.samples.items():
        if len(sample.values) > 2:
            figures[f"features {task} {entry}"] = feature_scatter(
                sample.values, sample.labels, title=f"{task}: {entry}", seed=seed
            )
    return [_save(figure, folder / f"{_safe(name)}.png") for name, figure in figures.items()]


def accuracy_bars(record: dict[str, Any]) -> Figure:
    """Accuracy with 95 % Wald intervals: a group of bars per scored set, a bar per entry."""
    scores = record["scores"]
    sets = list(dict.fromkeys(score["set"] for score in scores))
    entries = list(dict.fromkeys(score["entry"] for score in scores))
    figure = Figure(figsize=(max(5.0, 0.28 * len(sets) * (len(entries) + 1) + 2), 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(entries)
    for number, entry in enumerate(entries):
        own = {score["set"]: score for score in scores if score["entry"] == entry}
        places = [place for place, name in enumerate(sets) if name in own]
        axes.bar(
            [place - 0.4 + (number + 0.5) * width for place in places],
            [100 * own[sets[place]]["accuracy"] for place in places],
            width,
            yerr=[100 * own[sets[place]]["wald_half_width"] for place in places],
            label=entry,
            color=colormaps["tab20"](number % 20),
            error_kw={"elinewidth": 0.8, "capsize": 2},
        )
    axes.set_xticks(range(len(sets)), sets)
    axes.set_ylabel("accuracy, %")
    axes.set_ylim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=min(4, len(entries)), fontsize=8, frameon=False)
    return figure


def confusion(score: dict[str, Any]) -> Figure:
    """Confusion matrix of one entry on one set: share of each true class (rows)."""
    classes, counts = score["confusion"]["classes"], np.array(score["confusion"]["counts"], float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(3.5, 0.32 * len(classes) + 2)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=7)
    axes.set_yticks(range(len(classes)), classes, fontsize=7)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{score['set']}: {score['entry']}", fontsize=9)
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    return figure


def class_gain(first: dict[str, Any], second: dict[str, Any]) -> Figure:
    """By class, how many points the second entry gains over the first, largest gain on top."""
    common = sorted(set(first["per_class"]) & set(second["per_class"]))
    gains = sorted((100 * (second["per_class"][name] - first["per_class"][name]), name) for name in common)
    figure = Figure(figsize=(5, max(2.5, 0.25 * len(gains) + 1)), layout="constrained")
    axes = figure.subplots()
    axes.barh(
        [name for _, name in gains],
        [gain for gain, _ in gains],
        color=["tab:blue" if gain >= 0 else "tab:red" for gain, _ in gains],
    )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(f"points, {second['entry']} − {first['entry']}")
    axes.set_title(first["set"], fontsize=9)
    axes.tick_params(labelsize=7)
    return figure


def feature_scatter(values: Array, labels: Sequence[str], *, title: str, seed: int) -> Figure:
    """Features in the plane by UMAP, where umap-learn is installed, else by their first principal components."""
    points, method = project(values, seed=seed)
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    for code, name in enumerate(names[:40]):
        own = points[codes == code]
        axes.scatter(own[:, 0], own[:, 1], s=5, color=colormaps["tab20"](code % 20), label=name, linewidths=0)
    axes.set_title(f"{title} ({method})", fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    if len(names) <= 24:
        figure.legend(loc="outside right center", fontsize=6, frameon=False, markerscale=2)
    return figure


def project(values: Array, *, seed: int) -> tuple[Array, str]:
    """Two coordinates per row, and the name of the method: standardised, then UMAP or PCA."""
    from sklearn.decomposition import PCA

    from .scaling import standardise

    scaled = standardise(values)
    components = PCA(min(50, *scaled.shape), svd_solver="randomized", random_state=seed).fit_transform(scaled)
    try:
        from umap import UMAP
    except ImportError:
        return np.pad(components[:, :2], ((0, 0), (0, max(0, 2 - components.shape[1])))), "PCA"
    neighbours = min(15, len(values) - 1)
    return np.asarray(UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(components)), "UMAP"


def _save(figure: Figure, path: Path) -> Path:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    return path


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "+-." else "-" for letter in name)
