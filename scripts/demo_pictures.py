"""Pictures of the demo's report, each drawn from its files: neighbours, a map of features, rejected images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from cytoimagenet_hf.core.colours import CATEGORIES, OTHER, PALETTE
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.dataset.load import load_cytoimagenet
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.imaging import normalize, read_image, to_gray
from cytoimagenet_hf.profiles.embedding import embed
from cytoimagenet_hf.scoring.knn import kneighbors
from cytoimagenet_hf.scoring.results import ResultsRecord

_SAMPLE, _NEIGHBOURS = 600, 6
_THUMBNAILS = {"unreadable": "what can be decoded of it", "uniform": "", "binary": "", "crop_empty": "the whole field"}


@dataclass(frozen=True)
class Looked:
    """Validation images as the network sees them, of any sizes; features are (n, d)."""

    images: list[npt.NDArray[np.uint8]]
    labels: npt.NDArray[Any]
    categories: npt.NDArray[Any]
    values: npt.NDArray[np.floating]


def look(dataset: Path, model: Path, *, seed: int) -> Looked:
    """Features of a sample of the validation images."""
    images = load_cytoimagenet(dataset, split="validation")
    rows = np.sort(derive_rng(seed, "report").permutation(len(images))[:_SAMPLE])
    part = images.select(rows)
    names = part.features["label"].names
    pixels = [np.asarray(image.convert("L")) for image in part["image"]]
    table = extract_features(str(model), pixels, ids=part["image_id"], method="merge-norm")
    return Looked(pixels, np.array([names[code] for code in part["label"]]), np.array(part["category"]), table.values)


def neighbours(looked: Looked, *, seed: int) -> Figure:
    """Three images of different categories, each with its nearest ones by cosine."""
    values, rows = looked.values, np.arange(len(looked.values))
    _, nearest = kneighbors(values, values, _NEIGHBOURS, metric="cosine", exclude=rows)
    order = derive_rng(seed, "neighbours").permutation(len(looked.labels))
    first = {looked.categories[row]: row for row in order[::-1]}
    picked = list(first.values())[:3]
    figure = Figure(figsize=(1.45 * (_NEIGHBOURS + 1), 1.8 * len(picked)), layout="constrained")
    grid = figure.subplots(len(picked), _NEIGHBOURS + 1, squeeze=False)
    for line, query in zip(grid, picked, strict=True):
        for axis, row in zip(line, [query, *nearest[query]], strict=True):
            axis.imshow(looked.images[row], cmap="gray", vmin=0, vmax=255)
            same = looked.labels[row] == looked.labels[query]
            colour = "black" if row == query else PALETTE[0] if same else PALETTE[1]
            axis.set_title(_short(looked.labels[row]), fontsize=7, color=colour)
            axis.set_xticks([])
            axis.set_yticks([])
            for spine in axis.spines.values():
                spine.set(visible=row == query, linewidth=2)
    return figure


def transfer(results: ResultsRecord) -> Figure:
    """The scores to look at first, a row per set: default features, pooled ones, ImageNet's, and the best baseline."""
    scores = results.by_entry()
    baselines = results.names("baseline")
    kinds = {
        "default features": ("Default", PALETTE[0], "o"),
        "pooled output": ("Pretrained", PALETTE[1], "s"),
        "ImageNet network": ("ImageNet", PALETTE[2], "D"),
        "best baseline": ("", "#222222", "|"),
    }
    figure = Figure(figsize=(8, 1.2 + 0.5 * len(results.sets)), layout="constrained")
    axis = figure.subplots()
    for place, (label, (entry, colour, marker)) in enumerate(kinds.items()):
        shown = False
        for row, name in enumerate(results.sets):
            best = max((scores[one, name] for one in baselines), key=lambda score: score.value, default=None)
            score = best if not entry else scores.get((entry, name))
            if score is None:
                continue
            y = row + 0.16 * (place - 1.5)
            axis.plot([100 * end for end in score.interval], [y, y], color=colour, linewidth=1.5)
            named = None if shown else label
            axis.plot(100 * score.value, y, marker, color=colour, markersize=7, linestyle="", label=named)
            shown = True
    axis.set_yticks(range(len(results.sets)), results.sets)
    axis.invert_yaxis()
    axis.set(xlim=(0, 103), xlabel="accuracy, %, with 95 % intervals")
    axis.grid(axis="x", linewidth=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, fontsize=9, frameon=False)
    return figure


def feature_map(looked: Looked, *, seed: int) -> Figure:
    """The sample in the plane, coloured by category of label."""
    embedding = embed(looked.values, seed=seed)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    names = pd.Series(looked.categories).value_counts().index
    for name, colour in zip(names, [*CATEGORIES, *[OTHER] * len(names)], strict=False):
        members = looked.categories == name
        label = f"{name.replace('_', ' ')} ({members.sum()})"
        axis.scatter(*embedding.places[members].T, s=9, color=colour, linewidths=0, label=label)
    axis.set(xticks=[], yticks=[], xlabel=embedding.axes[0], ylabel=embedding.axes[1])
    figure.legend(loc="outside right center", fontsize=8, frameon=False, markerscale=2)
    return figure


def rejected(dataset: Path, raw: Path) -> Figure | None:
    """One image per reason for which pixels were rejected, as far as its file can be shown."""
    lost = pd.read_parquet(dataset / "rejected.parquet")
    fields = pd.read_parquet(dataset / "annotations.parquet").set_index("idx")
    planes: dict[str, npt.NDArray[Any] | None] = {}
    for row in lost[lost["stage"] == "render"].drop_duplicates("reason").itertuples():
        planes[str(row.reason)] = _first_plane(raw, fields.loc[row.idx])
    if not planes:
        return None
    figure = Figure(figsize=(2.2 * len(planes), 2.5), layout="constrained")
    for axis, (reason, pixels) in zip(figure.subplots(1, len(planes), squeeze=False)[0], planes.items(), strict=True):
        if pixels is None:
            axis.text(0.5, 0.5, "cannot be\ndecoded", ha="center", va="center", fontsize=8, transform=axis.transAxes)
        else:
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=1)
        note = _THUMBNAILS.get(reason, "")
        axis.set_title(reason.replace("_", " ") + (f"\n({note})" if note else ""), fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
    return figure


def headline(
    record: Mapping[str, Any], *, untrained: Sequence[float], pixels: Sequence[float], default: Sequence[float]
) -> str:
    """What was built and how well it transfers.

    By scored set: gains of the pretrained network over the best untrained one (`untrained`) and over the best features
    of pixels (`pixels`), and of the default features over the latter (`default`).
    """
    data = record["dataset"]
    return (
        f"{data['images']:,} images in {data['classes']} classes, curated from {len(data['by_source'])} archives. A "
        f"small network pretrained on them gains {_points(untrained)} points over the best of its untrained copies on "
        f"{len(untrained)} benchmark sets, and {_points(pixels)} over the best of histograms, texture and counts. "
        f"The default features, its first stage beside pixel statistics, gain {_points(default)} over the latter."
    )


def _points(gains: Sequence[float]) -> str:
    return f"{100 * min(gains):+.0f} to {100 * max(gains):+.0f}".replace("-", "−")


def _first_plane(raw: Path, field: pd.Series) -> npt.NDArray[Any] | None:
    page = None if field["channel_pages"] is None else field["channel_pages"][0]
    try:
        return normalize(to_gray(read_image(raw / field["channel_files"][0], page=page, partial=True)))
    except InputError:
        return None


def _short(label: str) -> str:
    return label if len(label) <= 18 else label[:17] + "…"
