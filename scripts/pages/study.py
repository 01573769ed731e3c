"""docs/study.md: what makes features good on real cells, from docs/benchmarks/study.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .numbers import FOLDER

FILE, HELD = "study.json", "study_held.json"
_KINDS = {"part": "no network", "baseline": "baseline", "training": "the default's parts of other networks"}
_LABELS, _GAIN, _UNTRAINED = "labels", "labels, gain pixels", "untrained"
_VIEWS, _BOTH = "views, SimCLR", "labels and views"
_HEAD = """# What makes features good: a study on real cells

Two sets of real single cells are scored by their 11 nearest neighbours, leaving a whole plate or field of view out.
The networks were pretrained for minutes on other real images; no image of either set was in their training. Every row
is the mean over networks of {seeds} seeds. *Gain* is the difference from the best baseline of the set, in points, with
a 95 % interval over plates or fields; the best baseline is chosen on the scored cells, which favours it.

Networks differ in one thing at a time. All are EfficientNets of {parameters}, trained for {epochs} epochs on
crops of {side} pixels by the recipe `modern`. They learn to tell:

{trainings}

Trainings with two views of an image have half the epochs, so that every network has seen the same number of images.
Features look at the logarithm of each pixel by its channel's mean (`--normalize gain`), unless their name says
*stretched* or *absolute*. Make it again with `python scripts/study.py --real FOLDER`, then `python scripts/docs.py`.
This run, training included, took {minutes:.0f} minutes on two cores.
"""
_FOUND = """## What was found

- **Small parts side by side.** A search for neighbours among standardised features weighs a block by its
  number of features. Hundreds of pooled numbers drown the few that tell classes apart, so the default takes the mean
  and deviation of the first stage alone (16 to 32 numbers a channel) beside 24 pixel statistics a channel and 16 a
  pair of channels.
- **Pixel statistics say what a network does not.** Stretching each channel by its percentiles removes how bright it
  is, and a network that sees one channel at a time never sees whether two overlap.
- **Training shows in what the network gives, hardly in the default.** Over untrained networks, what the network pools
  gains {trained_last} points on the three tasks above, its first stage {trained_early}, and the default
  {trained_default}. Beside pixel statistics a trained first stage adds little to an untrained one. Longer training on
  more images was not measured.
- **Labels are not needed.** Networks that only learnt to recognise views (SimCLR) differ from those of labels by
  {views_default} points in the default and by {views_last} in what they pool; with labels and views together it is
  {both_default} and {both_last}. Nothing gains beyond its interval on both sets, so the recipe stays `modern`, by
  labels.
- **How pixels are scaled matters when features are taken, not when networks are trained.** The default looks at
  logarithms, although its networks were trained on stretched pixels. Networks trained on the same logarithms, taken of
  raw planes, differ from them by {gain_default} points in the default and by {gain_last} in what they pool, so the
  trainer has no such option. The rows *stretched* are of the same networks, which then look at stretched pixels.

Tried before and left out, since they did not help the default on these cells: the loss of VICReg and the generalised
mean (`gem`), whose rows above are of an earlier version of the trainer and of extraction; whitening by principal
components (the more components, the worse), an image pyramid, finer percentiles, pixels scaled over the whole set, and
fixed random projections of all stages. About {variants} combinations were scored on the same cells before the
default was chosen, so its own score is somewhat flattered: read the interval, not the mean, and repeat it on cells of
your own with `cytoimagenet benchmark --task folder --data FOLDER --model MODEL --baselines`.
"""


def page(folder: Path = FOLDER) -> str:
    """The whole page."""
    found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    options, tasks = found["options"], found["tasks"]
    width, depth = (options["model_config"][f"{name}_coefficient"] for name in ("width", "depth"))
    head = _HEAD.format(
        seeds=options["seeds"],
        epochs=options["epochs"],
        side=options["image_size"],
        parameters=f"width {width:g} and depth {depth:g}",
        trainings="\n".join(f"- *{name}*: {found['trainings'][name]}" for name in _names(tasks[0])),
        minutes=found["seconds"] / 60,
    )
    parts = [head, *map(_task, tasks)]
    if (folder / HELD).is_file():
        parts.append(_held(json.loads((folder / HELD).read_text(encoding="utf-8"))))
    numbers = {
        "trained_last": _gains(tasks, _LABELS, "last", _UNTRAINED),
        "trained_early": _gains(tasks, _LABELS, "early", _UNTRAINED),
        "trained_default": _gains(tasks, _LABELS, "default", _UNTRAINED),
        "views_last": _gains(tasks, _VIEWS, "last", _LABELS),
        "views_default": _gains(tasks, _VIEWS, "default", _LABELS),
        "both_last": _gains(tasks, _BOTH, "last", _LABELS),
        "both_default": _gains(tasks, _BOTH, "default", _LABELS),
        "gain_last": _gains(tasks, _GAIN, "last", _LABELS),
        "gain_default": _gains(tasks, _GAIN, "default", _LABELS),
    }
    return "\n".join([*parts, _FOUND.format(variants=found["variants"], **numbers)])


def _names(task: Mapping[str, Any]) -> list[str]:
    """The trainings in the order of the tables."""
    return list(dict.fromkeys(row["training"] for row in task["trainings"]))


def _gains(tasks: Sequence[Mapping[str, Any]], training: str, part: str, other: str) -> str:
    """The mean gain of a training over another on each task, in points."""
    rows = (row for task in tasks for row in task["trainings"] if (row["training"], row["part"]) == (training, part))
    return ", ".join(f"{100 * row[f'over {other}']['mean']:+.1f}" for row in rows)


def _held(found: Mapping[str, Any]) -> str:
    """The default on cells that nothing was chosen on."""
    lines = [
        "## Cells that no choice was made on",
        "",
        "The default was fixed, then scored once on further cells of the same plates and fields, which the public "
        "repositories of both sets hold (`python scripts/study.py --real FOLDER --held FOLDER`). So were networks "
        "trained on gain pixels. Rows of pixels alone are parts of the default.",
        "",
        "| set | cells | features | accuracy, % | best baseline, % | gain, points |",
        "|---|--:|---|--:|---|---|",
    ]
    for task in found["tasks"]:
        best = next(row for row in task["table"] if row["entry"] == task["best_baseline"])
        lines += [
            f"| {task['title']} | {task['images']:,} | {row['entry']} | {100 * row['accuracy']:.1f} "
            f"| {best['entry']} {100 * best['accuracy']:.1f} | {_points(row['gain'])} |"
            for row in task["table"]
            if row["kind"] != "baseline"
        ]
    return "\n".join([*lines, ""])


def _task(task: Mapping[str, Any]) -> str:
    gain = task["default_minus_best"]
    verdict = (
        "The default beats every baseline by more than the interval."
        if gain["low"] > 0
        else "The default does not beat the best baseline by more than the interval."
    )
    shown = (row for row in task["table"] if row["kind"] != "training" or row["entry"].startswith("default"))
    rows = sorted(shown, key=lambda row: -row["accuracy"])
    return "\n".join(
        [
            f"## {task['title'][0].upper()}{task['title'][1:]}",
            "",
            f"{task['images']} cells, {task['classes']} classes, {task['groups']} groups. {verdict} Default against "
            f"{task['best_baseline']}: {_points(gain)}.",
            "",
            "| features | accuracy, % | gain, points | |",
            "|---|---|---|---|",
            *(_row(row) for row in rows),
            "",
            _classifiers(task),
            "",
            *_trainings(task["trainings"]),
            "",
        ]
    )


def _trainings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is taken of the networks of each training, beside the same of networks of labels."""
    parts = list(dict.fromkeys(row["part"] for row in rows))
    cells: dict[str, list[str]] = {}
    for row in rows:
        gain = row.get(f"over {_LABELS}")
        text = f"{100 * row['accuracy']:.1f}" + (f" ({_points(gain)})" if gain else "")
        cells.setdefault(row["training"], []).append(text)
    return [
        f"What is taken of the networks of each training, in %, and the difference from *{_LABELS}*, in points:",
        "",
        f"| training | {' | '.join(parts)} |",
        f"|---|{'---|' * len(parts)}",
        *(f"| {training} | {' | '.join(texts)} |" for training, texts in cells.items()),
    ]


def _row(row: Mapping[str, Any]) -> str:
    name = f"**{row['entry']}**" if row["kind"] == "default" else row["entry"]
    return (
        f"| {name} | {100 * row['accuracy']:.1f} | {_points(row['gain'])} | {_KINDS.get(row['kind']) or row['says']} |"
    )


def _points(gain: Mapping[str, float]) -> str:
    return f"{100 * gain['mean']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"


def _classifiers(task: Mapping[str, Any]) -> str:
    found, gain = task["classifier"], task["default_minus_best"]
    scores: Sequence[str] = [f"{name} {100 * share:.1f} %" for name, share in found.items()]
    text = f"A logistic regression that is trained on all other groups, for comparison: {', '.join(scores)}."
    if gain["low"] > 0:
        return text
    best = next(row for row in task["table"] if row["entry"] == task["best_baseline"])
    reach = 100 * (gain["mean"] - gain["low"])
    room = 100 * (max(found.values()) - best["accuracy"])
    return (
        f"{text} What stands in the way: with {task['groups']} groups a gain has to exceed {reach:.1f} points to be "
        f"clear of the interval, and even the best of these classifiers, which learn from labels, is {room:+.1f} "
        f"points from {task['best_baseline']} with its neighbours."
    )
