"""Figures of a results record. Each returns a matplotlib `Figure` of its own: no pyplot, no global state."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cytoimagenet_hf.core.colours import OTHER, PALETTE
from cytoimagenet_hf.core.simulated import save_figure
from cytoimagenet_hf.profiles.embedding import embed
from cytoimagenet_hf.scoring.results import Kind, ResultsRecord, ScoreRecord

from .suite import Results

Array = npt.NDArray[Any]
_COLUMNS = 3  # panels side by side

COLOURS: dict[Kind, str] = {"model": PALETTE[0], "fusion": PALETTE[1], "control": OTHER, "baseline": "#222222"}
"""Kind of entry → colour."""


def save_figures(results: Results, folder: Path, *, seed: int) -> list[Path]:
    """Write every figure the results have as PNG: accuracies, confusion per set and model, gains, features."""
    record = results.record
    figures = {"accuracy": accuracy_dots(record, ("model", "fusion", "baseline"))}
    if record.names("control"):
        figures["controls"] = accuracy_dots(record, ("fusion", "control"))
    scored = record.by_entry()
    for (entry, name), score in scored.items():
        if score.kind in ("model", "fusion") and score.classes:
            figures[f"confusion {name} {entry}"] = confusion(score)
    for pair in record.comparisons:
        gain = class_gain(scored[pair.first, pair.set], scored[pair.second, pair.set])
        figures[f"gain {pair.set} {pair.second} over {pair.first}"] = gain
    for (entry, task), sample in results.samples.items():
        if len(sample.values) > 2:
            figures[f"features {task} {entry}"] = feature_scatter(
                sample.values, sample.labels, title=f"{task}: {entry}", seed=seed
            )
    simulated = bool(record.config.get("simulated"))
    return [
        save_figure(figure, folder / f"{_safe(name)}.png", simulated=simulated) for name, figure in figures.items()
    ]


def accuracy_dots(record: ResultsRecord, kinds: Sequence[Kind]) -> Figure:
    """Accuracy of the entries of these kinds: a panel per set, a row per entry, 95 % intervals.

    The dashed line is the best baseline of the set. Colours tell the kind of entry, never the entry itself, so the
    figure stays readable with any number of models.
    """
    scores, names = record.by_entry(), record.names(*kinds)[::-1]
    columns = min(_COLUMNS, len(record.sets))
    lines = -(-len(record.sets) // columns)
    size = (1.8 + 2.2 * columns, 0.6 + lines * (0.6 + 0.22 * len(names)))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[len(record.sets) :]:
        axes.set_axis_off()
    for axes, name in zip(panels, record.sets, strict=False):
        for row, entry in enumerate(names):
            score = scores.get((entry, name))
            if score is None:
                continue
            low, high = score.interval
            axes.plot([100 * low, 100 * high], [row, row], color=COLOURS[score.kind], linewidth=1.5)
            axes.plot(100 * score.value, row, "o", color=COLOURS[score.kind], markersize=5)
        best = [score.value for (_, where), score in scores.items() if where == name and score.kind == "baseline"]
        if best:
            axes.axvline(100 * max(best), color=COLOURS["baseline"], linewidth=0.8, linestyle="--")
        axes.set_xlim(0, 100)
        axes.set_title(name, fontsize=9)
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.grid(axis="x", linewidth=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    measures = list(dict.fromkeys(score.measure for score in record.scores))
    figure.supxlabel(
        f"{', '.join(measures)}, %" if len(measures) < 4 else "accuracy, or as the set says, %", fontsize=9
    )
    shown = [kind for kind in COLOURS if kind in kinds and record.names(kind)]
    marks = [Line2D([], [], color=COLOURS[kind], marker="o", linewidth=1.5) for kind in shown]
    figure.legend(marks, shown, loc="outside upper center", ncols=len(shown), fontsize=8, frameon=False)
    return figure


def confusion(score: ScoreRecord) -> Figure:
    """Confusion matrix of one entry on one set: share of each true class (rows)."""
    classes, counts = score.classes, np.array(score.confusion, float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(3.5, 0.32 * len(classes) + 2)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=7)
    axes.set_yticks(range(len(classes)), classes, fontsize=7)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{score.set}: {score.entry}", fontsize=9)
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    return figure


def class_gain(first: ScoreRecord, second: ScoreRecord) -> Figure:
    """By class, how many points the second entry gains over the first, largest gain on top."""
    common = sorted(set(first.per_class) & set(second.per_class))
    gains = sorted((100 * (second.per_class[name] - first.per_class[name]), name) for name in common)
    figure = Figure(figsize=(5, max(2.5, 0.25 * len(gains) + 1)), layout="constrained")
    axes = figure.subplots()
    axes.barh(
        [name for _, name in gains],
        [gain for gain, _ in gains],
        color=["tab:blue" if gain >= 0 else "tab:red" for gain, _ in gains],
    )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(f"points, {second.entry} − {first.entry}")
    axes.set_title(first.set, fontsize=9)
    axes.tick_params(labelsize=7)
    return figure


def feature_scatter(values: Array, labels: Sequence[str], *, title: str, seed: int) -> Figure:
    """Features in the plane by UMAP, where umap-learn is installed, else by their first principal components."""
    embedding = embed(values, seed=seed)
    points = embedding.places
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    for code, name in enumerate(names[:40]):
        own = points[codes == code]
        axes.scatter(own[:, 0], own[:, 1], s=5, color=colormaps["tab20"](code % 20), label=name, linewidths=0)
    axes.set_title(f"{title} ({embedding.method})", fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    if len(names) <= 24:
        figure.legend(loc="outside right center", fontsize=6, frameon=False, markerscale=2)
    return figure


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "+-." else "-" for letter in name)
