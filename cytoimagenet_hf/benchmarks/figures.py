"""Figures of a results record. Each returns a matplotlib `Figure` of its own: no pyplot, no global state."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cytoimagenet_hf.core.colours import OTHER, PALETTE
from cytoimagenet_hf.core.simulated import save_figure
from cytoimagenet_hf.profiles.embedding import embed
from cytoimagenet_hf.scoring.results import Kind, PooledGain, ResultsRecord, ScoreRecord

from .compare import comparisons_of
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
    for name in dict.fromkeys(step.set for step in record.ladder):
        figures[f"nuisances {name}"] = nuisance_ladder(record, name)
    for pooled in record.pooled:
        figures[f"all sets {pooled.measure} {pooled.second} over {pooled.first}"] = forest(record, pooled)
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
    figure, panels = _panels(
        record.sets, margins=(1.8, 0.6), panel=(2.2, 0.6 + 0.22 * len(names)), grid="x", sharey=True
    )
    for name, axes in panels.items():
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
        axes.set_yticks(range(len(names)), names, fontsize=8)
    measures = list(dict.fromkeys(score.measure for score in record.scores))
    figure.supxlabel(
        f"{', '.join(measures)}, %" if len(measures) < 4 else "accuracy, or as the set says, %", fontsize=9
    )
    present = [kind for kind in COLOURS if kind in kinds and record.names(kind)]
    marks = [Line2D([], [], color=COLOURS[kind], marker="o", linewidth=1.5) for kind in present]
    figure.legend(marks, present, loc="outside upper center", ncols=len(present), fontsize=8, frameon=False)
    return figure


def training_curves(record: ResultsRecord) -> Figure:
    """What training gave, stage by stage: a panel per set, a colour per network, dots for trained weights.

    Lines are the mean of the redrawn weights with the range of their draws; what is between a line and a dot of its
    colour is what training gave. Bars are 95 % intervals of the trained ones.
    """
    sets, ways, models, measures = (
        list(dict.fromkeys(getattr(gain, fact) for gain in record.training))
        for fact in ("set", "way", "model", "measure")
    )
    ways = [*(way for way in ways if way != EXTRACTED), *(way for way in ways if way == EXTRACTED)]
    colours = [[*PALETTE, OTHER][min(number, len(PALETTE))] for number in range(len(models))]
    figure, panels = _panels(sets, margins=(1, 0.8), panel=(3.2, 2.6), grid="y")
    for name, axes in panels.items():
        for number, (model, colour) in enumerate(zip(models, colours, strict=True)):
            gains = [gain for gain in record.training if gain.set == name and gain.model == model]
            gains.sort(key=lambda gain: ways.index(gain.way))
            places = np.array([ways.index(gain.way) for gain in gains]) + 0.12 * (number - (len(models) - 1) / 2)
            drawn = [100 * np.array(gain.redrawn) for gain in gains]
            low, high = [values.min() for values in drawn], [values.max() for values in drawn]
            axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
            means = [values.mean() for values in drawn]
            axes.plot(places, means, color=colour, linestyle="--", marker="_", linewidth=1)
            for place, gain in zip(places, gains, strict=True):
                axes.plot([place, place], [100 * gain.interval[0], 100 * gain.interval[1]], color=colour, linewidth=1)
            axes.plot(places, [100 * gain.trained for gain in gains], "o", color=colour, markersize=4)
        axes.set_xticks(range(len(ways)), ways, rotation=45, ha="right", fontsize=8)
    figure.supylabel(f"{', '.join(measures)}, %", fontsize=9)
    marks = [Line2D([], [], color=colour) for colour in colours]
    marks += [Line2D([], [], color="black", marker="o", linewidth=1), Line2D([], [], color="black", linestyle="--")]
    figure.legend(
        marks, [*models, "trained", "redrawn"], loc="outside upper center", ncols=4, fontsize=8, frameon=False
    )
    return figure


def _panels(
    titles: Sequence[str], *, margins: tuple[float, float], panel: tuple[float, float], grid: str, sharey: bool = False
) -> tuple[Figure, dict[str, Axes]]:
    """A panel per title, three side by side at most; margins of the figure and sides of a panel are in inches."""
    columns = min(_COLUMNS, len(titles))
    lines = -(-len(titles) // columns)
    size = (margins[0] + columns * panel[0], margins[1] + lines * panel[1])
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=sharey, squeeze=False).ravel()
    for axes in panels[len(titles) :]:
        axes.set_axis_off()
    by_title = dict(zip(titles, panels, strict=False))
    for title, axes in by_title.items():
        axes.set_title(title, fontsize=9)
        axes.grid(axis=grid, linewidth=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, by_title


def nuisance_ladder(record: ResultsRecord, name: str) -> Figure:
    """What nuisances score on a set, and under them each model with and without them; 95 % intervals."""
    steps = [step for step in record.ladder if step.set == name][::-1]
    figure = Figure(figsize=(6.5, 1.2 + 0.3 * len(steps)), layout="constrained")
    axes = figure.subplots()
    for row, step in enumerate(steps):
        colour = COLOURS["baseline"] if not step.model else COLOURS["model" if step.step == "features" else "fusion"]
        axes.plot([100 * step.interval[0], 100 * step.interval[1]], [row, row], color=colour, linewidth=1.5)
        axes.plot(100 * step.value, row, "o" if step.columns else "|", color=colour, markersize=6)
    axes.axvline(100 * steps[-1].value, color=OTHER, linewidth=0.8, linestyle="--")  # the largest class
    axes.set_xlim(0, 100)
    axes.set_yticks(range(len(steps)), [f"{step.model}: {step.step}" if step.model else step.step for step in steps])
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
    """Features in the plane by t-SNE."""
    embedding = embed(values, seed=seed)
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    names = np.unique(np.asarray(labels, dtype=str))
    scatter(axes, embedding.places, np.asarray(labels, dtype=str), names[:40].tolist())
    axes.set_title(f"{title} ({embedding.method})", fontsize=9)
    if len(names) <= 24:
        figure.legend(loc="outside right center", fontsize=6, frameon=False, markerscale=2)
    return figure


def scatter(axes: Axes, places: Array, values: Array, names: Sequence[str]) -> None:
    """Points (n, 2) coloured by their values (n,), those of other names left out, on axes without ticks."""
    for number, name in enumerate(names):
        members = places[values == name]
        colour = colormaps["tab20"](number % 20)
        axes.scatter(members[:, 0], members[:, 1], s=5, linewidths=0, color=colour, label=name)
    axes.set_xticks([])
    axes.set_yticks([])


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "+-." else "-" for letter in name)
