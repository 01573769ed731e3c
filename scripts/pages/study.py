"""docs/study.md: what holds on real cells, from docs/benchmarks/study.json."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .numbers import FOLDER

FILE = "study.json"
PIXELS, DEFAULT, IMAGENET, REDRAWN = "pixels", "stage 1 + pixels", "ImageNet", "redrawn"
Row = Mapping[str, Any]
_HEAD = """# What holds on real cells

Five sets of real single cells are scored by their 11 nearest neighbours, leaving a whole plate, field or block out.
No network saw a cell of a set that it is scored on. Differences are in points of accuracy with 95 % intervals: over
groups for one set, and for all sets together by random effects (REML, Hartung and Knapp). *Pixels* are the 24 numbers
a channel and 16 a pair of channels that `extract` puts beside a network's; columns are standardised over all cells of
a set. Made by `python scripts/study.py --real FOLDER --fetched FOLDER --held`, then `python scripts/docs.py`.

{sets}

"""
_NETWORKS = """## Stage by stage

All networks are EfficientNet-Lite0. *ImageNet* has ImageNet's weights, *redrawn* the same layers with drawn weights
(the mean of {redrawn}). {trainings}

What a stage scores over pixels alone, all sets together:

{over_pixels}

What training gave at each stage, all sets together:

{gains}
"""
_TRAININGS = """The others were trained on other real cells and fields: {epochs} epochs of {images} crops of {side}
pixels, half as many epochs of two views. That is little: read them as the start of a curve, not as its end. With a GPU
the same command takes `--side 224 --epochs 24`:

{each}"""
_UNTRAINED = """Networks trained further on cells are not in this run (`--no-train`)."""
_UNDECIDED = """The table shows ImageNet's network, for this run trained none (`--no-train`): nothing is decided, and
the default stays. Of this network *{best}* is the best on the deciding sets; over all {sets} sets it gains {gain}
points over the default's features."""
_RULE = """## How the default was decided

The rule was fixed on 30 November 2026, before any of these cells were scored with its candidates.

- **Candidates**: pixel statistics alone; the default of then, the first stage beside pixel statistics; and each of
  stem and stages 1 to 7 beside pixel statistics, both blocks with equal weight (standardised columns, divided by the
  root of their number). The last ones were suggested by earlier looks at yeast and BBBC021 cells.
- **Deciding sets**: `mitocheck`, `hep2`, `cellcognition`, on which no candidate was found. The outcome of a cell is
  the mean over two networks that labels trained here, one from ImageNet's weights and one from drawn ones, neither of
  which saw a cell of these sets. The best candidate has the largest difference from pixels alone, pooled over them.
- **Held cells**: cells of BBBC021 and yeast that no choice was made on are then scored once.
- The best candidate becomes the default if its difference from the default of then, pooled over all five sets, has a
  95 % interval above 0: a change costs every user the features they have stored. Otherwise the default stays. If the
  default's own difference from pixels alone, pooled over all five sets, is not clear of 0, this page says so first.

{candidates}

{verdict}

Variants tried: the {count} candidates here, with intervals that are not adjusted for their number; before them about
350 combinations of training and features on 774 other cells of BBBC021 and yeast, from which the default of then was
chosen. Scores on those cells were flattered and are no longer shown. The table shows every candidate on the held
cells, so another rule needs other cells.
"""


def page(folder: Path = FOLDER) -> str:
    """The whole page."""
    found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    options, decision = found["options"], found["decision"]
    rows = [row for row in found["candidates"] if row["features"] != PIXELS]
    head = _HEAD.format(sets=_sets(found))
    trainings = _UNTRAINED
    if found["trainings"]:
        images = " or ".join(f"{number:,}" for number in found["training images"].values())
        each = "\n".join(f"- *{name}*: {says}" for name, says in found["trainings"].items())
        trainings = _TRAININGS.format(epochs=options["epochs"], side=options["side"], images=images, each=each)
    networks = _NETWORKS.format(
        redrawn=options["redrawn"],
        trainings=trainings,
        over_pixels=_by_stage(found["pooled"], lambda row: row["network"]),
        gains=_by_stage(found["pooled gains"], lambda row: f"{row['network']} less {row['less']}"),
    )
    verdict = _verdict(decision, trained=bool(found["trainings"]))
    count = 1 + len(decision["table"])
    rule = _RULE.format(candidates=_candidates(rows, decision), verdict=verdict, count=count)
    return "\n".join([head + _said(found), networks, rule, *(_set(one, found) for one in found["sets"])])


def _sets(found: Row) -> str:
    return _table(
        ("set", "cells", "classes", "groups", "use"),
        (
            (f"{one['title']}, {one['group']} out", f"{one['cells']:,}", one["classes"], one["groups"], one["role"])
            for one in found["sets"]
        ),
    )


def _said(found: Row) -> str:
    """The findings, each from its numbers."""
    default = [row for row in found["pooled"] if row["features"] == DEFAULT]
    late = [row for row in found["pooled gains"] if (row["network"], row["less"]) == (IMAGENET, REDRAWN)]
    further = [row for row in found["pooled gains"] if row["less"] == IMAGENET]
    beside = [row for row in found["pooled"] if row["features"].endswith("equal weight")]
    alone = [row for row in found["pooled"] if "pixels" not in row["features"]]
    decided = found["decision"]["default over pixels, all sets"]
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
    return "\n".join(["## What was found", "", *(f"- {line}" for line in lines), ""])


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
    return _table(("", *stages), ((name, *(cells.get((name, stage), "") for stage in stages)) for name in names))


def _candidates(rows: Sequence[Row], decision: Row) -> str:
    sets = list(dict.fromkeys(row["set"] for row in rows))
    cells = {(row["features"], row["set"]): points(row["over pixels"]) for row in rows}
    return _table(
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


def _set(one: Row, found: Row) -> str:
    """Accuracy by network and stage on one set."""
    rows = [row for row in found["rows"] if row["set"] == one["set"]]
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
        _table(
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


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def points(gain: Row) -> str:
    """A gain in points of accuracy with its 95 % interval."""
    return f"{100 * gain['difference']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
