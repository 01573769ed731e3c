"""A sentence for each measurement: what its table says to somebody who uses the thing measured.

Every number in a sentence is taken from the measurement's JSON file.
"""

from collections.abc import Callable, Mapping
from typing import Any

Result = Mapping[str, Any]


def row(result: Result, start: str, **further: object) -> Result:
    """The first row whose first text starts so, and whose further columns are so.

    Example:
        >>> row({"table": [{"way": "ours, PNG", "seconds": 2}, {"way": "floor", "seconds": 1}]}, "floor")["seconds"]
        1
    """
    for one in result["table"]:
        texts = [value for value in one.values() if isinstance(value, str)]
        if any(text.startswith(start) for text in texts) and all(
            one[name] == value for name, value in further.items()
        ):
            return dict(one)
    raise KeyError(f"no row {start!r} {further or ''}")


def _labels(result: Result) -> str:
    def total(start: str) -> str:
        return f"{row(result, start)['labels']:,}"

    return (
        f"The paper has {total('paper')} labels. Its rule gives {total('published, the author')} from the fields that "
        f"its author is known to have held, and {total('published, complete')} from complete downloads, where "
        f"compounds crowd out mechanisms. The corrected rule gives {total('corrected, complete')} and keeps "
        f"{row(result, 'corrected, complete')['names']} of the 51 class names known from the author's subsets."
    )


def _select(result: Result) -> str:
    ours, theirs = row(result, "select, corrected"), row(result, "published algorithm")
    return (
        f"Choosing the labels of 2.7 million fields of view takes {ours['seconds']:.1f} s. The published algorithm "
        f"takes {theirs['seconds'] / 60:.0f} minutes (extrapolated from some of its labels)."
    )


def _render(result: Result) -> str:
    faster = [one["faster"] for one in result["table"]]
    tiff = row(result, "5 x 1080² 16-bit TIFF", pixels="equal")
    return (
        f"Turning raw fields into stored images is {min(faster):.0f} to {max(faster):.0f} times as fast as the "
        f"published code, with equal pixels. A field of five compressed 16-bit channels takes {tiff['ours ms']:.0f} "
        f"ms of one core instead of {tiff['published ms']:.0f}; decoding and encoding it, which cannot be spared, "
        f"take {tiff['floor ms']:.0f}."
    )


def _knn(result: Result) -> str:
    ours, sklearn, faiss = (row(result, start)["seconds"] for start in ("this package", "scikit-learn", "faiss"))
    return (
        f"Exact neighbours of 20,000 images take {ours:.1f} s on two cores: scikit-learn takes {sklearn / ours:.1f} "
        f"times as long, faiss {faiss / ours:.1f} times."
    )


def _suite(result: Result) -> str:
    whole, features = row(result, "the whole suite"), row(result, "features of")
    return (
        f"Scoring {result['options']['networks']} networks and their fusions on three tasks, beside the pixel "
        f"baselines and with all intervals and tests, takes {whole['CPU seconds']:.0f} CPU seconds, of which "
        f"{features['CPU seconds']:.0f} are the networks' features."
    )


def _import(result: Result) -> str:
    first, again = row(result, "import"), row(result, "import again")
    return (
        f"A folder as large as the published archive becomes a dataset in {first['seconds'] / 60:.0f} minutes, with "
        f"at most {max(first['peak MB'], again['peak MB']) / 1000:.1f} GB of memory, on two cores that other work "
        "shared."
    )


def _growth(result: Result) -> str:
    steps = result["table"]
    rises = {one["step"]: one["us a row, large"] / max(one["us a row, small"], 1e-9) for one in steps}
    steepest = max(rises, key=lambda step: rises[step])
    imported, published = row(result, "import"), row(result, "publish")
    return (
        f"Of {len(steps)} steps, the one whose cost grows fastest is "
        f"{steepest}: a row costs {rises[steepest]:.1f} times as much between 10 and 100 times the size as between "
        f"1 and 10. Importing 100 million tiny images would take {imported['CPU hours of 100 million']:.0f} CPU hours "
        f"and publishing them {published['GB of 100 million']:.0f} GB of memory: extrapolated, not measured."
    )


def _load(result: Result) -> str:
    png, cache, keras = (
        row(result, start)["images/s"] for start in ("PNG, ours", "cache, ours", "Keras-style, rotated")
    )
    return (
        f"An epoch reads {png:,.0f} images a second from the dataset's files, {cache:,.0f} from the cache of decoded "
        f"images. The loader of the paper reads {keras:,.0f}."
    )


def _load_full(result: Result) -> str:
    def took(start: str) -> str:
        one = row(result, start)
        return f"{one['seconds']:.1f} s and {one['own MB']:,.0f} MB"

    return (
        f"A dataset with as many images as the published one opens in {took('load_dataset, the first')} of memory the "
        f"first time and in {took('load_dataset, again')} afterwards. Streaming gives a row after "
        f"{took('stream: the first')}. The small subsets have files of their own: toy_20 opens in "
        f"{took('load_dataset, toy_20')}, by load_cytoimagenet in {took('load_cytoimagenet, subset toy')}. A subset "
        f"by twenty labels reads all files once, in {took('load_cytoimagenet, subset by 20')}; an epoch of it "
        f"streamed takes {took('stream a subset by 20')}. The leak report takes {took('leak report')}, the first "
        f"start of the explorer {took('explorer, 2000 images, the first')}, the next "
        f"{took('explorer, 2000 images, again')}, the trainer's tables {took('the trainer')}. Images are tiny here: "
        "real ones add the time to copy 56 GB where a way copies."
    )


def _push(result: Result) -> str:
    def sent(change: str) -> str:
        line = row(result, change, **{"rows of a group": 250})
        return f"{line['sent, %']:.1f} %"

    return (
        f"After 1 % of the images changed, a second push sends {sent('replaced, in runs')} to "
        f"{sent('replaced, side by side')} of the dataset where they are side by side, {sent('replaced, here')} where "
        f"they are scattered, and {sent('source of')} after a source was renamed and no image changed. The Hub takes "
        "chunks as large as an image, so one that changes alone takes its neighbours' chunks with it. Datasets are "
        "written in row groups of 250."
    )


def _extract(result: Result) -> str:
    parts = []
    for side in (64, 224, 1080):
        loop, batched, torch, fast = (
            row(result, start, side=side)["images/s"]
            for start in ("transformers, one", "transformers, batches", "ours, torch", "ours, openvino")
        )
        parts.append(
            f"Images of {side} x {side} pixels: {_rate(torch)} a second with torch and {_rate(fast)} with OpenVINO. "
            f"Plain transformers reaches {_rate(loop)} one by one and {_rate(batched)} in batches."
        )
    largest = row(result, "ours, openvino", side=1080)["peak MB"]
    parts.append(f"At 1080 x 1080 pixels OpenVINO needs {largest / 1000:.1f} GB of memory, the interpreter included.")
    return " ".join(parts)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _plate(result: Result) -> str:
    ours, loop = row(result, "ours"), row(result, "a user's loop")
    return (
        f"A plate of large fields, from files to features: {ours['fields/min']:.0f} fields a minute on two cores, "
        f"{ours['fields/min'] / loop['fields/min']:.1f} times as many as a plain loop over files. That is "
        f"{100 * ours['of the network alone']:.0f} % of what the network alone does on images that lie in memory."
    )


def _screen(result: Result) -> str:
    compounds = [one["compound"] for one in result["plates"]["real"]["responses"]]
    default, pooled = result["table"][0], row(result, "`--pooling last")
    alone, untrained = row(result, "the pixel statistics"), row(result, "untrained: the default")
    selected = row(result, "the default, and `profile --select`")
    ours, bare, fresh, fewer = (
        " and ".join(f"{line[prime]:.2f}" for prime in (f"Z' {name}" for name in compounds))
        for line in (default, alone, untrained, selected)
    )
    rho = " and ".join(f"{default[f'Spearman {name}']:.2f}" for name in compounds)
    ends = [pooled[f"Z' {name}, {end}"] for name in compounds for end in ("lowest", "highest")]
    return (
        f"On the real plate BBBC013 the default features separate the controls of both compounds with Z' {ours} "
        f"(above 0.5 the assay is good enough for screening) and follow their doses with rank correlations of {rho}. "
        f"The same networks' usual pooled output has a Z' between {min(ends):.2f} and {max(ends):.2f}, depending on "
        f"the network. For comparison, the default features of untrained networks have {fresh}, the pixel "
        f"statistics alone {bare}, and the default after a selection of features (`profile --select`) {fewer}."
    )


def _train(result: Result) -> str:
    first = result["table"][0]["network"]
    cache, png, example = (
        row(result, start, network=first) for start in ("ours, cache", "ours, PNG", "example-style")
    )
    return (
        f"Training keeps {100 * cache['of the floor']:.0f} % of the speed of the network alone (its images already in "
        f"memory) with a cache of decoded images, and {100 * png['of the floor']:.0f} % without. A loop as in usual "
        f"examples keeps {100 * example['of the floor']:.0f} %."
    )


def gains(result: Result, features: str, over: str) -> tuple[int, int]:
    """Least and largest gain in points over all sets and seeds of the measurement `spread`.

    Features are `"default"` or `"what the network pools"`, over `"untrained"` or `"pixels"`.
    """
    rows = [one for one in result["table"] if one["features"] == features]
    return round(min(one[f"over {over}, least"] for one in rows)), round(
        max(one[f"over {over}, most"] for one in rows)
    )


def _spread(result: Result) -> str:
    seeds = sum(name.startswith("seed ") for name in result["table"][0])
    (low, high), (worst, best) = (gains(result, "default", over) for over in ("untrained", "pixels"))
    (least, most), (under, above) = (gains(result, "what the network pools", over) for over in ("untrained", "pixels"))
    return (
        f"Over {seeds} seeds the default features of the demo's network are {worst:+d} to {best:+d} points from the "
        f"best of histograms, texture and counts, and {low:+d} to {high:+d} from what untrained networks pool. What "
        f"the network itself pools is {under:+d} to {above:+d} and {least:+d} to {most:+d} points from them. Minutes "
        "of training on simulated images show that the machinery works, not how CytoImageNet performs."
    )


def _keras(result: Result) -> str:
    worst = max(one["largest difference"] for one in result["table"])
    return (
        f"The published Keras weights give the same features here, within {worst:.0e}, at every size of image tried."
    )


def _recipes(result: Result) -> str:
    published, modern = (row(result, name)["accuracy"] for name in ("published", "modern"))
    options = result["options"]
    return (
        f"Trained {row(result, 'modern')['runs']} times each on the demo's dataset ({options['epochs']} epochs at "
        f"{options['image_size']} pixels), the training recipe `modern` reaches {100 * modern:.0f} % accuracy and "
        f"`published` {100 * published:.0f} %."
    )


def _cells(result: Result) -> str:
    both, alone = row(result, "both in one pass"), row(result, "cp_measure by extract")
    return (
        f"{result['cells']:,} cells of {result['fields']} fields. Measurements through `extract` reach "
        f"{result['times the loop']:.2f} of a loop of cp_measure itself over whole fields (the aim is "
        f"{result['goal']}): {alone['cells per second']} cells a second, and {both['cells per second']} together with "
        "a network in the same pass."
    )


def _metrics(result: Result) -> str:
    rows = result["table"]
    equal = sum(bool(one["equal"]) for one in rows)
    ratios = [one["metric s"] / one["command s"] for one in rows]
    return (
        f"The `evaluate` metrics, called with features, give the score of `cytoimagenet benchmark` on {equal} of "
        f"{len(rows)} sets, in {min(ratios):.1f} to {max(ratios):.1f} times its seconds."
    )


def _remote(result: Result) -> str:
    near, far = row(result, "S3, 50 ms"), row(result, "S3, 400 ms")
    return (
        f"Fields in an S3 store on this machine are extracted at {100 * near['of the disk']:.0f} % of the speed of "
        f"the disk where each request takes 50 ms, and at {100 * far['of the disk']:.0f} % where it takes 400 ms."
    )


MEASUREMENTS: dict[str, tuple[str, Callable[[Result], str]]] = {
    "screen": ("A real plate, from files to doses", _screen),
    "spread": ("The demo's scores over seeds", _spread),
    "extract": ("Extracting features", _extract),
    "plate": ("A plate of large fields, from files to features", _plate),
    "remote": ("Fields on the internet, beside the disk", _remote),
    "cells": ("Cells of label images", _cells),
    "train": ("Training steps", _train),
    "recipes": ("The two training recipes", _recipes),
    "load": ("Reading a built dataset", _load),
    "load_full": ("A dataset of the published size, opened in every way", _load_full),
    "import": ("The published archive at its full size", _import),
    "growth": ("What a row costs as a dataset grows", _growth),
    "push": ("What a second push sends after 1 % of the rows changed", _push),
    "labels": ("Labels of both recipes beside those of the paper", _labels),
    "select": ("Choosing weak labels of 2.7 million fields of view", _select),
    "render": ("Rendering fields of view to encoded crops", _render),
    "knn": ("Exact nearest neighbours", _knn),
    "suite": ("The benchmark suite of the demo", _suite),
    "metrics": ("The evaluate metrics beside the command", _metrics),
    "keras_parity": ("Features of the Keras weights", _keras),
}
"""Name of a file in docs/benchmarks → its heading and its sentence, in the order of the page."""
