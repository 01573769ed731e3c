"""What a finished run leaves to read: history, curves, metrics, and the facts a model card is rendered from."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from transformers import PreTrainedModel

from cytoimagenet_hf.core.colours import PALETTE
from cytoimagenet_hf.core.files import atomic_folder, write_json, write_text
from cytoimagenet_hf.core.simulated import is_simulated, mark_simulated, save_figure
from cytoimagenet_hf.dataset.cards.facts import TRAINING, write_model_card
from cytoimagenet_hf.dataset.load import dataset_sources
from cytoimagenet_hf.networks.pooling import EXTRACTION
from cytoimagenet_hf.networks.records import hub_source

from .checkpoint import RunState
from .config import TrainConfig
from .data import Batch
from .network import Preprocessing
from .own import is_own
from .tables import dataset_name, resolve_subset

Pixels = NDArray[np.uint8]
Codes = NDArray[np.int64]

_SEARCHED = 2048  # validation images among which as many classes and sources are looked for

_CURVES = {
    "cross-entropy": {"train_loss": "training", "loss": "validation"},
    "loss of the views": {"train_view_loss": "training", "view_loss": "validation"},
    "accuracy": {
        "train_accuracy": "training",
        "accuracy": "validation",
        "top_7_accuracy": "validation, top 7",
        "knn_accuracy": "validation, by neighbours",
    },
}
"""Panels of `curves.png`, those that the objective has are drawn."""

_SHOWN_SCORES = {
    "train_loss": "train loss",
    "train_view_loss": "train loss of views",
    "loss": "validation loss",
    "accuracy": "top-1",
    "top_7_accuracy": "top-7",
    "view_loss": "validation loss of views",
    "knn_accuracy": "top-1 of neighbours",
}


def write_config(output: Path, config: TrainConfig) -> None:
    """`config.yaml`: the run's whole configuration, which `--config` reads back; and the mark of simulated images."""
    if is_simulated(dataset_name(config).path):
        mark_simulated(output)
    write_text(output / "config.yaml", yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True))


def write_history(output: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """`history.json`, one record per epoch, and `curves.png`."""
    write_json(output / "history.json", list(history))
    plot_curves(history, output / "curves.png")


def epoch_line(record: Mapping[str, Any], epochs: int) -> str:
    """What is printed of an epoch, from its record in the history."""
    parts = [f"epoch {record['epoch'] + 1}/{epochs}"]
    for name, title in _SHOWN_SCORES.items():
        if name in record:
            parts.append(f"{title} {record[name]:.1%}" if "accuracy" in name else f"{title} {record[name]:.3f}")
    parts.append(f"{record['images_per_second']:.0f} images/s, data wait {record['data_wait']:.0%}")
    if record["skipped"]:
        parts.append(f"{record['skipped']} unreadable rows skipped")
    return "; ".join(parts)


def plot_curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Loss and accuracy by epoch, training and validation side by side."""
    from matplotlib.figure import Figure

    drawn = [(title, curves) for title, curves in _CURVES.items() if any(key in history[-1] for key in curves)]
    figure = Figure(figsize=(4.5 * len(drawn), 3.4), layout="constrained")
    for axis, (title, curves) in zip(np.atleast_1d(figure.subplots(1, len(drawn))), drawn, strict=True):
        for (key, name), colour in zip(curves.items(), PALETTE, strict=False):
            points = [(record["epoch"] + 1, record[key]) for record in history if record.get(key) is not None]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name, color=colour)
        axis.set(xlabel="epoch", title=title)
        axis.grid(alpha=0.3)
        if title == "accuracy":
            axis.set_ylim(0, 1)
        axis.legend(frameon=False)
    save_figure(figure, path, dpi=120)


def write_final(
    config: TrainConfig,
    model: PreTrainedModel,
    preprocessing: Preprocessing,
    metrics: Mapping[str, Any],
    state: RunState,
) -> None:
    """`model/` (stock checkpoint of `model`, image processor, card with figures) and `metrics.json`."""
    output = Path(config.output)
    write_json(output / "metrics.json", metrics)
    # Declared, so that benchmarks can mark what they share with the training images (C1, docs/paper.md).
    sources, name = None, dataset_name(config)
    if not is_own(config.dataset):
        sources = dataset_sources(name.path, subset=resolve_subset(config), revision=name.revision)
    if sources is not None:
        before = getattr(model.config, "training_sources", None) or ()  # of the weights it went on from
        model.config.training_sources = sorted({*before, *sources})
    if model.config.model_type == "efficientnet":
        model.config.extraction = dict(EXTRACTION)
    with atomic_folder(output / "model") as temporary:
        model.save_pretrained(temporary)
        preprocessing.processor().save_pretrained(temporary)
        if is_simulated(name.path):
            mark_simulated(temporary)
        plot_curves(state.history, temporary / "curves.png")
        if len(metrics.get("category_confusion", ())) > 1:
            plot_confusion(metrics["category_confusion"], temporary / "categories.png")
        base = hub_source(model) if config.pretrained else None
        write_json(temporary / TRAINING, training_facts(config, metrics, state) | {"base_model": base})
        write_model_card(temporary, name=config.push_to_hub or output.resolve().name)


def plot_confusion(confusion: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """Share of each category's rows (lines) by the category of the predicted class (columns)."""
    from matplotlib.figure import Figure

    rows = list(confusion)
    columns = [name for name in next(iter(confusion.values())) if any(confusion[row][name] for row in rows)]
    counts = np.array([[confusion[row][column] for column in columns] for row in rows], dtype=float)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (rows, columns)
    figure = Figure(figsize=(1.6 + 0.8 * len(columns), 1.4 + 0.6 * len(rows)), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        axis.text(column, row, f"{value:.0%}", ha="center", va="center", color="white" if value > 0.5 else "black")
    axis.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axis.set_yticks(range(len(rows)), rows)
    axis.set(xlabel="category of the predicted class", ylabel="category")
    save_figure(figure, path, dpi=120)


def plot_predictions(pixels: Pixels, labels: Codes, predicted: Codes, classes: Sequence[str], path: Path) -> None:
    """Images uint8 (N, S, S), each with its true label and the predicted one; wrong predictions in orange."""
    from matplotlib.figure import Figure

    columns = 6
    rows = -(-len(pixels) // columns)
    figure = Figure(figsize=(2 * columns, 2.4 * rows), layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in grid:
        axis.set_axis_off()
    for axis, image, label, guess in zip(grid, pixels, labels, predicted, strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        colour = PALETTE[0] if label == guess else PALETTE[1]
        axis.set_title(f"true: {classes[label]}\npredicted: {classes[guess]}", fontsize=7, color=colour)
    save_figure(figure, path, dpi=120)


def varied(batches: Iterator[Batch], count: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Images of as many classes, and of these as many sources, as fit; None without any image.

    The first image of a class from a source comes before the second of any, and among those the first of each class; a
    source is what an id names before its first `-`.
    """
    pairs: Counter[tuple[int, str]] = Counter()
    classes: Counter[int] = Counter()
    sources: Counter[str] = Counter()
    ranked: list[tuple[tuple[int, int, int, int], torch.Tensor, torch.Tensor]] = []
    for batch in batches:
        for pixels, label, image_id in zip(batch.pixels, batch.labels, batch.ids, strict=True):
            code, source = int(label), image_id.partition("-")[0]
            rank = (pairs[code, source], classes[code], sources[source], len(ranked))
            ranked.append((rank, pixels, label))
            pairs[code, source] += 1
            classes[code] += 1
            sources[source] += 1
        if len(ranked) >= _SEARCHED:
            break
    if not ranked:
        return None
    chosen = sorted(ranked, key=lambda entry: entry[0])[:count]
    return torch.stack([pixels for _, pixels, _ in chosen]), torch.stack([label for _, _, label in chosen])


def training_facts(config: TrainConfig, metrics: Mapping[str, Any], state: RunState) -> dict[str, Any]:
    """Every number a model card states about a training, so that a card is rendered and never typed."""
    history = state.history
    per_class = metrics.get("per_class", {})
    never = [per_class[name]["category"] for name in metrics.get("never_right", ())]
    stated = {name: value for name, value in config.to_dict().items() if name not in _PLACES}
    if Path(config.backbone).exists():
        stated["backbone"] = Path(config.backbone).resolve().name  # its path on this machine is not recorded either
    name = dataset_name(config).path
    on_the_hub = not Path(name).exists() and name.count("/") == 1
    return {
        "datasets": [name] if on_the_hub else [],
        "objective": _OBJECTIVES[config.objective],
        "config": yaml.safe_dump(stated, sort_keys=False, allow_unicode=True).strip(),
        "metrics": {
            **{name: metrics[name] for name in _STATED if metrics.get(name) is not None},
            "validation_images": metrics["rows"],
            **({"classes_never_predicted_right": len(never)} if per_class else {}),
            "epochs": len(history),
            **({"epochs_of_each_leg": ", ".join(map(str, np.diff([0, *state.legs])))} if len(state.legs) > 1 else {}),
            "training_images_seen": sum(record["images"] for record in history),
            "training_minutes": round(sum(record["seconds"] for record in history) / 60, 1),
            "unreadable_rows_skipped": sum(record["skipped"] for record in history),
            "processes": state.processes,
            "data_fingerprint": state.fingerprint[:16],
            **{f"version_of_{name}": value for name, value in state.versions.items()},
        },
        "per_category": [
            {"category": name, "classes": of["classes"], "top1": of["accuracy"], "never": never.count(name)}
            for name, of in metrics.get("per_category", {}).items()
        ],
        "never_predicted": list(metrics.get("never_right", ())),
    }


_STATED = ("accuracy", "top_7_accuracy", "f1_macro", "loss", "knn_accuracy", "knn_images", "view_loss")
_OBJECTIVES = {
    "labels": "Trained to classify images by their labels.",
    "labels+views": "Trained to classify images by their labels and, at the same time, to recognise two augmented "
    "views of one image among all others of the batch.",
    "views": "Trained without labels: to recognise two augmented views of one image among all others of the batch. "
    "It has no classification head; the accuracy is that of a vote of the nearest training images.",
}

# Paths of the machine that ran are stripped.
_PLACES = frozenset({"dataset", "output", "cache_dir", "push_to_hub", "push_every"})
