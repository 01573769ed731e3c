"""The numbers of docs/study.md: what holds on real cells, from docs/benchmarks/study.json."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .blocks import table
from .numbers import FOLDER

FILE = "study.json"
PIXELS, DEFAULT, IMAGENET, REDRAWN = "pixels", "stage 1 + pixels", "ImageNet", "redrawn"
Row = Mapping[str, Any]
_NETWORKS = """All networks are EfficientNet-Lite0. *ImageNet* has ImageNet's weights, *redrawn* the same layers with
drawn weights (the mean of {redrawn}). {trainings}"""
_TRAININGS = """The others were trained on other real cells and fields: {epochs} epochs of {images} crops of {side}
pixels, half as many epochs of two views. That is little: read them as the start of a curve, not as its end. With a GPU
the same command takes `--side 224 --epochs 24`:

{each}"""
_UNTRAINED = """Networks trained further on cells are not in this run (`--no-train`)."""
_UNDECIDED = """The table shows ImageNet's network, for this run trained none (`--no-train`): nothing is decided, and
the default stays. Of this network *{best}* is the best on the deciding sets; over all {sets} sets it gains {gain}
points over the default's features."""


def parts(folder: Path = FOLDER) -> dict[str, str]:
    """Block of the page → its content."""
    study = json.loads((folder / FILE).read_text(encoding="utf-8"))
    options, decision = study["options"], study["decision"]
    rows = [row for row in study["candidates"] if row["features"] != PIXELS]
    trainings = _UNTRAINED
    if study["trainings"]:
        images = " or ".join(f"{number:,}" for number in study["training images"].values())
        each = "\n".join(f"- *{name}*: {meaning}" for name, meaning in study["trainings"].items())
        trainings = _TRAININGS.format(epochs=options["epochs"], side=options["side"], images=images, each=each)
    return {
        "sets": _sets(study),
        "findings": _findings(study),
        "networks": _NETWORKS.format(redrawn=options["redrawn"], trainings=trainings),
        "stages": _by_stage(study["pooled"], lambda row: row["network"]),
        "gains": _by_stage(study["pooled gains"], lambda row: f"{row['network']} less {row['less']}"),
        "candidates": _candidates(rows, decision),
        "verdict": _verdict(decision, trained=bool(study["trainings"])),
        "scores": "\n".join(_set(one, study) for one in study["sets"]),
    }


def _sets(study: Row) -> str:
    return table(
        ("set", "cells", "classes", "groups", "use"),
        (
            (f"{one['title']}, {one['group']} out", f"{one['cells']:,}", one["classes"], one["groups"], one["role"])
            for one in study["sets"]
        ),
    )


def _findings(study: Row) -> str:
    """The findings, each from its numbers."""
    default = [row for row in study["pooled"] if row["features"] == DEFAULT]
    late = [row for row in study["pooled gains"] if (row["network"], row["less"]) == (IMAGENET, REDRAWN)]
    further = [row for row in study["pooled gains"] if row["less"] == IMAGENET]
    beside = [row for row in study["pooled"] if row["features"].endswith("equal weight")]
    alone = [row for row in study["pooled"] if "pixels" not in row["features"]]
    decided = study["decision"]["default over pixels, all sets"]
    gain = points(decided)
    first = (
        f"**The default beats pixels alone**, by {gain} points over {decided['sets']} sets."
        if decided["low"] > 0
        else f"**Nothing shows that the default beats pixels alone.** By the rule below it gains {gain} points over "
        f"{decided['sets']} sets. The default is pixels plus the network; what the network adds there is not sure."
    )
    lines = [
        f"{first} Network by network the first stage beside pixels gains "
        f"{_each(default, lambda row: row['network'])}.",
        f"**Beside pixels, with equal weight,** are clear of pixels alone over all sets: {_clear(beside)}.",
        f"**A network alone** is clear of pixels over all sets at: {_clear(alone)}.",
        f"**Training shows late.** ImageNet's weights are clear of redrawn ones at: {_clear(late)}; clearly worse at: "
        f"{_clear(late, -1)}. What a redrawn network gives as well is no achievement of training.",
    ]
    if further:
        lines.append(
            f"**Training further on cells** is clear of ImageNet at: {_clear(further)}; clearly worse at: "
            f"{_clear(further, -1)}."
        )
    return "\n".join(f"- {line}" for line in lines)


def _clear(rows: Sequence[Row], sign: int = 1) -> str:
    """The rows whose interval lies on one side of 0."""
    chosen = [row for row in rows if (row["low"] > 0 if sign > 0 else row["high"] < 0)]
    return _each(chosen, lambda row: f"{row['network']} {row['features'].removesuffix(', equal weight')}") or "none"


def _each(rows: Sequence[Row], name_of: Callable[[Row], str]) -> str:
    return ", ".join(f"{name_of(row)} {points(row)}" for row in rows)


def _by_stage(rows: Sequence[Row], name_of: Callable[[Row], str]) -> str:
    alone = [row for row in rows if "pixels" not in row["features"] and f"{IMAGENET} and " not in row["network"]]
    stages = list(dict.fromkeys(row["features"] for row in alone))
    names = list(dict.fromkeys(name_of(row) for row in alone))
    cells = {(name_of(row), row["features"]): points(row) for row in alone}
    return table(("", *stages), ((name, *(cells.get((name, stage), "") for stage in stages)) for name in names))


def _candidates(rows: Sequence[Row], decision: Row) -> str:
    sets = list(dict.fromkeys(row["set"] for row in rows))
    cells = {(row["features"], row["set"]): points(row["over pixels"]) for row in rows}
    return table(
        ("over pixels alone", "deciding sets, pooled", *sets),
        (
            (
                f"**{row['features']}** (default)" if row["features"] == DEFAULT else row["features"],
                points(row["over pixels"]),
                *(cells[row["features"], one] for one in sets),
            )
            for row in decision["table"]
        ),
    )


def _verdict(decision: Row, *, trained: bool) -> str:
    best, gain = decision["best on deciding sets"], decision["best over the default, all sets"]
    if not trained:
        return _UNDECIDED.format(best=best, sets=gain["sets"], gain=points(gain))
    if best == DEFAULT:
        return "The best on the deciding sets is the default itself, which stays."
    outcome = "it is the default now" if decision["default"] == best else "so the default stays"
    return (
        f"The best on the deciding sets is *{best}*. Over the default it gains {points(gain)} points over all "
        f"{gain['sets']} sets: {outcome}."
    )


def _set(one: Row, study: Row) -> str:
    """Accuracy by network and stage on one set."""
    rows = [row for row in study["rows"] if row["set"] == one["set"]]
    pixels = next(row["accuracy"] for row in rows if row["features"] == PIXELS)
    stages = list(dict.fromkeys(row["features"] for row in rows if row["network"] == IMAGENET))
    shown = [*(stage for stage in stages if "pixels" not in stage), DEFAULT]
    names = list(dict.fromkeys(row["network"] for row in rows if row["network"]))
    cells = {(row["network"], row["features"]): row for row in rows}
    fusions = [name for name in names if (name, DEFAULT) not in cells]
    lines = [
        f"## {one['title']}",
        "",
        f"Accuracy in %; pixels alone {100 * pixels:.1f}, and {100 * one['pixels, one cell out']:.1f} if one cell "
        f"is left out instead of a {one['group']}.",
        "",
        table(
            ("network", *shown),
            (
                (name, *(f"{100 * cells[name, stage]['accuracy']:.1f}" for stage in shown))
                for name in names
                if name not in fusions
            ),
        ),
        "",
        "The default over pixels: "
        + ", ".join(f"{name} {points(cells[name, DEFAULT])}" for name in names if name not in fusions)
        + ". Last stages side by side: "
        + ", ".join(
            f"{row['network']} {100 * row['accuracy']:.1f} % ({points(row)})"
            for row in rows
            if row["network"] in fusions
        )
        + ".",
        "",
    ]
    return "\n".join(lines)


def points(gain: Row) -> str:
    """A gain in points of accuracy with its 95 % interval."""
    return f"{100 * gain['difference']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
