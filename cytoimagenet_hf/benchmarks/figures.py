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
from cytoimagenet_hf.scoring.results import Kind, PooledGain, ResultsRecord, ScoreRecord

from .pooled import comparisons_of
from .redrawn import EXTRACTED
from .suite import Results

Array = npt.NDArray[Any]
_COLUMNS = 3  # panels side by side

COLOURS: dict[Kind, str] = {"model": PALETTE[0], "fusion": PALETTE[1], "control": OTHER, "baseline": "#222222"}
"""Kind of entry → colour."""


def save_figures(results: Results, folder: Path, *, seed: int) -> list[Path]:
    """Write every figure the results have as PNG: accuracies, what training gave, confusion, gains, features."""
    record = results.record
    figures = {"accuracy": accuracy_dots(record, ("model", "fusion", "baseline"))}
    if record.names("control"):
        figures["controls"] = accuracy_dots(record, ("fusion", "control"))
    if record.training:
        figures["training"] = training_curves(record)
    for name in dict.fromkeys(one.set for one in record.ladder):
        figures[f"nuisances {name}"] = nuisance_ladder(record, name)
    for one in record.pooled:
        figures[f"all sets {one.measure} {one.second} over {one.first}"] = forest(record, one)
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


def training_curves(record: ResultsRecord) -> Figure:
    """What training gave, stage by stage: a panel per set, a colour per network, dots for trained weights.

    Lines are the mean of the redrawn weights with the range of their draws; what is between a line and a dot of its
    colour is what training gave. Bars are 95 % intervals of the trained ones.
    """
    sets = list(dict.fromkeys(one.set for one in record.training))
    ways = list(dict.fromkeys(one.way for one in record.training))
    models = list(dict.fromkeys(one.model for one in record.training))
    ways = [*(way for way in ways if way != EXTRACTED), *(way for way in ways if way == EXTRACTED)]
    columns = min(_COLUMNS, len(sets))
    lines = -(-len(sets) // columns)
    figure = Figure(figsize=(1 + 3.2 * columns, 0.8 + 2.6 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, squeeze=False).ravel()
    for axes in panels[len(sets) :]:
        axes.set_axis_off()
    for axes, name in zip(panels, sets, strict=False):
        for number, model in enumerate(models):
            gains = [one for one in record.training if one.set == name and one.model == model]
            gains.sort(key=lambda one: ways.index(one.way))
            places = np.array([ways.index(one.way) for one in gains]) + 0.12 * (number - (len(models) - 1) / 2)
            colour = [*PALETTE, OTHER][min(number, len(PALETTE))]
            drawn = [100 * np.array(one.redrawn) for one in gains]
            axes.fill_between(
                places,
                [one.min() for one in drawn],
                [one.max() for one in drawn],
                color=colour,
                alpha=0.2,
                linewidth=0,
            )
            axes.plot(places, [one.mean() for one in drawn], color=colour, linestyle="--", marker="_", linewidth=1)
            for place, one in zip(places, gains, strict=True):
                axes.plot([place, place], [100 * one.interval[0], 100 * one.interval[1]], color=colour, linewidth=1)
            axes.plot(places, [100 * one.trained for one in gains], "o", color=colour, markersize=4)
        axes.set_title(name, fontsize=9)
        axes.set_xticks(range(len(ways)), ways, rotation=45, ha="right", fontsize=8)
        axes.grid(axis="y", linewidth=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel(f"{', '.join(dict.fromkeys(one.measure for one in record.training))}, %", fontsize=9)
    marks = [Line2D([], [], color=[*PALETTE, OTHER][min(n, len(PALETTE))]) for n in range(len(models))]
    marks += [Line2D([], [], color="black", marker="o", linewidth=1), Line2D([], [], color="black", linestyle="--")]
    figure.legend(
        marks, [*models, "trained", "redrawn"], loc="outside upper center", ncols=4, fontsize=8, frameon=False
    )
    return figure


def nuisance_ladder(record: ResultsRecord, name: str) -> Figure:
    """What nuisances score on a set, and under them each model with and without them; 95 % intervals."""
    steps = [one for one in record.ladder if one.set == name][::-1]
    figure = Figure(figsize=(6.5, 1.2 + 0.3 * len(steps)), layout="constrained")
    axes = figure.subplots()
    for row, one in enumerate(steps):
        colour = COLOURS["baseline"] if not one.model else COLOURS["model" if one.step == "features" else "fusion"]
        axes.plot([100 * one.interval[0], 100 * one.interval[1]], [row, row], color=colour, linewidth=1.5)
        axes.plot(100 * one.value, row, "o" if one.columns else "|", color=colour, markersize=6)
    axes.axvline(100 * steps[-1].value, color=OTHER, linewidth=0.8, linestyle="--")  # the largest class
    axes.set_xlim(0, 100)
    axes.set_yticks(range(len(steps)), [f"{one.model}: {one.step}" if one.model else one.step for one in steps])
    axes.tick_params(labelsize=8)
    axes.set_xlabel(f"accuracy, %, {steps[-1].protocol}", fontsize=8)
    axes.set_title(f"{name}: nuisances alone, and what is left without them", fontsize=9)
    axes.grid(axis="x", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def forest(record: ResultsRecord, pooled: PooledGain) -> Figure:
    """A difference set by set and over all sets together, with 95 % intervals; areas are the weights."""
    pairs = comparisons_of(record, pooled)
    figure = Figure(figsize=(6.5, 1.4 + 0.28 * (len(pairs) + 2)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(pairs), 0, -1) + 0.5
    for row, pair, weight in zip(rows, pairs, pooled.weights, strict=True):
        low, high = pair.interval or (pair.difference, pair.difference)
        axes.plot([100 * low, 100 * high], [row, row], color=PALETTE[0], linewidth=1.2)
        axes.scatter([100 * pair.difference], [row], s=12 + 150 * weight, marker="s", color=PALETTE[0], linewidths=0)
        says = f"{100 * pair.difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        axes.annotate(says, (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    low, high = (100 * end for end in pooled.interval)
    middle = 100 * pooled.difference
    axes.fill([low, middle, high, middle], [0, 0.25, 0, -0.25], color="#222222", linewidth=0)
    if pooled.prediction is not None:
        axes.plot([100 * end for end in pooled.prediction], [0, 0], color="#222222", linewidth=0.8, linestyle=":")
    says = f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"
    axes.annotate(says, (1.02, 0), xycoords=("axes fraction", "data"), va="center", fontsize=8, weight="bold")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_ylim(-0.8, len(pairs) + 1.2)
    axes.set_yticks([*rows, 0], [*(pair.set for pair in pairs), f"all {len(pairs)} sets"], fontsize=8)
    axes.set_xlabel(f"points of {pooled.measure}, {pooled.second} − {pooled.first}", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    clear = low > 0 or high < 0
    axes.set_title(
        f"between sets: sd {100 * pooled.spread:.1f} points, I² {100 * pooled.heterogeneity:.0f} %; "
        + ("the mean is clear of 0" if clear else f"not clear: {100 * pooled.detectable:.1f} points would be"),
        fontsize=8,
    )
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
        members = points[codes == code]
        axes.scatter(members[:, 0], members[:, 1], s=5, color=colormaps["tab20"](code % 20), label=name, linewidths=0)
    axes.set_title(f"{title} ({embedding.method})", fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    if len(names) <= 24:
        figure.legend(loc="outside right center", fontsize=6, frameon=False, markerscale=2)
    return figure


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "+-." else "-" for letter in name)
