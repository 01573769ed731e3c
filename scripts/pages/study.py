"""docs/study.md: what makes features good on real cells, from docs/benchmarks/study.json."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .numbers import FOLDER

FILE, HELD = "study.json", "study_held.json"
_KINDS = {"default": "", "variant": "", "part": "no network", "baseline": "baseline"}
_HEAD = """# What makes features good: a study on real cells

Two sets of real single cells are scored by their 11 nearest neighbours, leaving a whole plate or field of view out.
The networks were pretrained for minutes on other real images; no image of either set was in their training. Every row
is the mean over networks of {seeds} seeds. *Gain* is the difference from the best baseline of the set, in points, with
a 95 % interval over plates or fields; the best baseline is chosen on the scored cells, which favours it.

Make it again with `python scripts/study.py --real FOLDER`, then `python scripts/docs.py`. This run took {minutes:.0f}
minutes on two cores, training not counted where the networks stood already.
"""
_FOUND = """## What was found

- **Small parts side by side.** A search for neighbours among standardised features hears a part by how many features
  it has. Hundreds of pooled numbers drown the few that tell classes apart, so the default takes the mean and deviation
  of the first stage alone (16 to 32 numbers a channel) beside 24 pixel statistics a channel and 16 a pair of channels.
- **Pixel statistics say what a network does not.** Stretching each channel by its percentiles removes how bright it
  is, and a network that sees one channel at a time never sees whether two overlap.
- **Training of minutes moves the deep layers, hardly the default.** Compare *last* with *untrained last*, and the
  default with its untrained parts. Longer training on more images was not measured.
- **Logarithms help between fields.** The default network looks at the logarithm of each pixel by its channel's mean
  (`--normalize gain`), although it was trained on stretched pixels; the row *default, other scaling* is the same with
  the stretch. Texture of the same logarithm holds up where texture of stretched pixels does not.

Tried before and left out, since they did not help the default on these cells: whitening by principal components (the
more components, the worse), an image pyramid, finer percentiles, pixels scaled over the whole set, fixed random
projections of all stages, and self-supervision (pairs of crops of one plane,
with and without labels) in place of labels. About {variants} combinations were scored on the same cells before the
default was chosen, so its own score is somewhat flattered: read the interval, not the mean, and repeat it on cells of
your own with `cytoimagenet benchmark --task folder --baselines`.
"""


def page(folder: Path = FOLDER) -> str:
    """The whole page."""
    found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    head = _HEAD.format(seeds=found["options"]["seeds"], minutes=found["seconds"] / 60)
    parts = [head, *map(_task, found["tasks"])]
    if (folder / HELD).is_file():
        parts.append(_held(json.loads((folder / HELD).read_text(encoding="utf-8"))))
    return "\n".join([*parts, _FOUND.format(variants=found["variants"])])


def _held(found: Mapping[str, Any]) -> str:
    """The default on cells that nothing was chosen on."""
    lines = [
        "## Cells that no choice was made on",
        "",
        "The default was fixed, then scored once on further cells of the same plates and fields, which the public "
        "repositories of both sets hold (`python scripts/study.py --real FOLDER --held FOLDER`).",
        "",
        "| set | cells | default, % | best baseline, % | gain, points |",
        "|---|--:|--:|---|---|",
    ]
    for task in found["tasks"]:
        rows = {row["entry"]: row for row in task["table"]}
        best, own = task["best_baseline"], rows["default"]
        lines.append(
            f"| {task['title']} | {task['images']:,} | {100 * own['accuracy']:.1f} "
            f"| {best} {100 * rows[best]['accuracy']:.1f} | {_points(own['gain'])} |"
        )
    return "\n".join([*lines, ""])


def _task(task: Mapping[str, Any]) -> str:
    gain = task["default_minus_best"]
    verdict = (
        "The default beats every baseline by more than the interval."
        if gain["low"] > 0
        else "The default does not beat the best baseline by more than the interval."
    )
    rows = sorted(task["table"], key=lambda row: -row["accuracy"])
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
        ]
    )


def _row(row: Mapping[str, Any]) -> str:
    name = f"**{row['entry']}**" if row["kind"] == "default" else row["entry"]
    return (
        f"| {name} | {100 * row['accuracy']:.1f} | {_points(row['gain'])} | {row.get('says') or _KINDS[row['kind']]} |"
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
