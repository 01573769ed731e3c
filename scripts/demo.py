"""The whole journey on simulated images: simulate, curate, load, pretrain, profile a plate, benchmark, report.

    python scripts/demo.py --output demo

Writes `demo/report.html` to look at and `demo/results.json` to compute with. Offline, minutes on two cores.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cytoimagenet_hf.core.boundary import run_app
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import write_json
from cytoimagenet_hf.core.terminal import Terminal

if TYPE_CHECKING:
    from cytoimagenet_hf.benchmarks.base import Score
    from cytoimagenet_hf.scoring.results import Comparison, ResultsRecord, ScoreRecord, TrainingGain

# Worker processes import this file: what a step needs is imported in the step.

ROOT = Path(__file__).resolve().parents[1]
MARKER = ".cytoimagenet-demo"
NOTE = "> **Simulated.** Drawn images in the layouts of real archives; nothing here says anything about those.\n"
TASKS = ("bbbc021", "coos7", "cyclops")
# Thresholds for thousands of fields instead of millions; every other rule is the corrected recipe's.
RECIPE = {"min_fields": "30", "max_fields": "100", "min_images": "60", "max_images": "160"}
# A quarter of B0's width at 64 pixels: minutes on two cores instead of weeks.
NETWORK = {"width_coefficient": 0.35, "depth_coefficient": 0.5}
IMAGENET = "ImageNet"
RANDOM_NETS = 3  # one untrained network may be lucky
TRAINING = {"image_size": 64, "batch_size": 64, "epochs": 11, "cache": "ram", "recipe": "modern", "workers": 1}
PROCESSES = 2

console = Terminal()


def main(
    output: Annotated[Path, typer.Option(help="Folder of the demo; an earlier demo in it is replaced.")] = Path(
        "demo"
    ),
    size: Annotated[str, typer.Option(help="Size of the simulated archive: tiny or small.")] = "small",
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = TRAINING["epochs"],
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
) -> None:
    """Simulate, curate, load, pretrain, extract, benchmark and report, offline, in minutes.

    Example: python scripts/demo.py --output demo
    """
    sys.path.insert(0, str(ROOT))  # the builder is run from the checkout, not installed
    # Busy processes share the cores: threads that wait by spinning would slow each other down.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    output = output.resolve()
    start_afresh(output)
    seconds: dict[str, float] = {}
    with timed("simulate", seconds):
        simulate(output, size=size, seed=seed)
    with timed("build", seconds):
        stages = curate(output, seed=seed)
    with timed("load", seconds):
        dataset = describe(output / "cytoimagenet")
    with timed("train", seconds):
        train(output, epochs=epochs, seed=seed)
    with timed("profile", seconds):
        plate = profile(output, size=size, seed=seed)
    with timed("benchmark", seconds):
        results = benchmark(output, seed=seed)
    record = {
        "seed": seed,
        "size": size,
        "seconds": seconds | {"total": sum(seconds.values())},
        "build": [json.loads((output / "cytoimagenet" / f"{stage}.summary.json").read_text()) for stage in stages],
        "dataset": dataset,
        "training": json.loads((output / "run" / "metrics.json").read_text()),
        "history": json.loads((output / "run" / "history.json").read_text()),
        "plate": plate,
        "benchmarks": results.to_json(),
    }
    report(record, results, output, seed=seed)
    show(results, output)


def start_afresh(output: Path) -> None:
    """Empty the folder of an earlier demo; refuse any other folder that holds something."""
    if output.exists() and any(output.iterdir()):
        if not (output / MARKER).is_file():
            raise InputError(f"{output} holds something that is not a demo: choose another --output")
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)
    (output / MARKER).touch()


@contextmanager
def timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    """Announce a step and note how long it took."""
    console.rule(Text(step, style="bold"), align="left")
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start
    console.print(f"{step}: {seconds[step]:.1f} s", style="dim")


def simulate(output: Path, *, size: str, seed: int) -> None:
    """Archives in the layouts of real sources, damaged files among them, and the three benchmark sets."""
    from scripts.simulate import simulate_archive, simulate_benchmarks

    workers = os.cpu_count() or 1
    simulate_archive(output / "raw", size=size, seed=seed, workers=workers)
    simulate_benchmarks(output / "benchmarks", size=size, seed=seed, workers=workers)


def curate(output: Path, *, seed: int) -> list[str]:
    """Build the dataset; the names of the stages."""
    from builder.build import build
    from builder.publish.repository import write_card
    from builder.recipe import load

    summaries = build(output / "raw", output / "cytoimagenet", recipe=load("corrected", RECIPE), seed=seed)
    (output / "cytoimagenet" / "NOTE.md").write_text(NOTE, encoding="utf-8")
    write_card(output / "cytoimagenet")
    return [summary.stage for summary in summaries]


def describe(folder: Path) -> dict[str, Any]:
    """Load the dataset as a user would, and count what is in it."""
    import pandas as pd

    from cytoimagenet_hf.dataset.load import load_cytoimagenet

    dataset = load_cytoimagenet(folder)
    console.print(dataset)
    table = pd.concat([part.select_columns(["category", "dir_name"]).to_pandas() for part in dataset.values()])
    return {
        "images": len(table),
        "classes": len(dataset["train"].features["label"].names),
        "by_category": table["category"].value_counts().to_dict(),
        "by_source": table["dir_name"].value_counts().to_dict(),
        **{split: len(part) for split, part in dataset.items()},
    }


def train(output: Path, *, epochs: int, seed: int) -> None:
    """Pretrain in two processes, and save untrained networks to compare with.

    On a CPU two processes of one thread are 1.4 times as fast as one of two, and `accelerate launch` starts several
    there only through MPI: torchrun does, and the training is the same.
    """
    from cytoimagenet_hf.dataset.cards.facts import write_model_card
    from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet

    options = TRAINING | {"epochs": epochs, "seed": seed, "dataset": output / "cytoimagenet", "output": output / "run"}
    cores = os.cpu_count() or 1
    processes = min(PROCESSES, cores)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command += [str(ROOT / "scripts" / "train.py")]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    command += ["--model-config", *(f"{name}={value}" for name, value in NETWORK.items())]
    threads = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": str(cores // processes)}
    subprocess.run([sys.executable, *command], check=True, env=os.environ | threads)
    shutil.copytree(output / "run" / "model", output / "model")
    (output / "model" / "NOTE.md").write_text(NOTE, encoding="utf-8")
    write_model_card(output / "model")
    # Other seeds than the training's: its own initialisation was the starting point of the trained network.
    for number in range(RANDOM_NETS):
        network = build_efficientnet(0, seed=seed + 1 + number, image_size=TRAINING["image_size"], **NETWORK)
        network.save_pretrained(output / f"random-{number + 1}")
        MicroscopyImageProcessor.from_pretrained(output / "model").save_pretrained(output / f"random-{number + 1}")


def profile(output: Path, *, size: str, seed: int) -> dict[str, Any]:
    """A plate of a screen as a microscope writes it: features, profiles of wells, the plate on one page."""
    from scripts.simulate import simulate_plate

    plate = simulate_plate(output / "plate", size=size, seed=seed)["imagexpress"]
    features, page = output / "plate" / "features", output / "plate" / "plate.html"
    extract = ["extract", plate, "--model", output / "model", "--output", features]
    profiles = ["profile", features, "--metadata", output / "plate" / "platemap.csv", "--normalize", "standardize"]
    profiles += ["--on", "controls", "--output", output / "plate" / "wells.parquet"]
    profiles += ["--report", page, "--images", plate, "--record", output / "plate" / "profile.json"]
    profiles += ["--figure", output / "plate" / "plate.svg"]
    for step in (extract, profiles):
        command = [sys.executable, "-m", "cytoimagenet_hf", *map(str, step)]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        subprocess.run(command, check=True, cwd=output.parent, env=os.environ | {"PYTHONPATH": path})
    record: dict[str, Any] = json.loads((output / "plate" / "profile.json").read_text())
    return record


def benchmark(output: Path, *, seed: int) -> "ResultsRecord":
    """The paper's table on the three tasks: Random, ImageNet, Pretrained, their fusion, Default, and pixels.

    Networks are compared by what they pool, which is what training changes most; `Default` is what `extract` gives.
    Where the package with ImageNet's weights is not installed, the fusion is with an untrained network.
    """
    from cytoimagenet_hf.benchmarks import BENCHMARKS
    from cytoimagenet_hf.benchmarks.suite import Suite, run_suite
    from cytoimagenet_hf.options.networks import EncoderOptions

    randoms = [f"Random {number + 1}={output / f'random-{number + 1}'}" for number in range(RANDOM_NETS)]
    if missing := imagenet_missing():
        log(missing)
    partner = randoms.pop(0) if missing else f"{IMAGENET}=imagenet-lite0"
    shared: dict[str, Any] = {
        "tasks": tuple((BENCHMARKS[name], output / "benchmarks" / name) for name in TASKS),
        "cache": output / "features",
        "seed": seed,
    }
    pooled = EncoderOptions(pooling="last", pixels=False)
    fused = Suite(
        models=(f"Pretrained={output / 'model'}", partner),  # the narrower first: its controls are narrow, too
        fuse=True,
        partner=str(output / "random-2"),
        baselines=True,
        random_nets=0,  # the untrained networks stand for them
        options=pooled,
        **shared,
    )
    untrained = Suite(models=tuple(randoms), options=pooled, **shared)
    default = Suite(models=(f"Default={output / 'model'}",), **shared)
    results = [run_suite(suite, report=log) for suite in (fused, untrained, default)]
    records = [result.record for result in results]
    kinds = ("model", "fusion", "baseline", "control")  # all networks side by side, in tables and figures
    entries = sorted(
        (entry for record in records for entry in record.entries),
        key=lambda entry: (kinds.index(entry.kind), order(entry.name)),
    )
    scores = tuple(score for record in records for score in record.scores)
    merged = replace(records[0], entries=tuple(entries), scores=scores)
    predictions = {key: score for result in results for key, score in result.scores.items()}
    return replace(merged, training=over_untrained(merged, predictions, seed=seed))


def imagenet_missing() -> str:
    """What to install for the column of ImageNet; empty where it is there."""
    from cytoimagenet_hf.networks import imagenet_lite

    try:
        imagenet_lite("lite0")
    except InputError as error:
        return f"no column {IMAGENET}: {error}"
    return ""


def order(name: str) -> int:
    """Place of a network in tables: untrained ones first, the default last."""
    firsts = ("Random", IMAGENET, "Pretrained", "Default")
    return next((place for place, first in enumerate(firsts) if name.startswith(first)), len(firsts))


def over_untrained(
    record: "ResultsRecord", predictions: "Mapping[tuple[str, str], Score]", *, seed: int
) -> "tuple[TrainingGain, ...]":
    """What training gave on every set: the pretrained network beside the mean of the untrained ones, paired."""
    from cytoimagenet_hf.benchmarks.redrawn import EXTRACTED, training_gains

    about = {"redrawn_of": "Pretrained", "way": EXTRACTED}
    twins = [
        replace(entry, kind="redrawn", about=about) for entry in record.entries if entry.name.startswith("Random")
    ]
    return training_gains(twins, predictions, record.by_entry(), seed=seed)


def log(line: str) -> None:
    """One quiet line of progress."""
    console.print(line, style="dim", markup=False)


def report(record: dict[str, Any], results: "ResultsRecord", output: Path, *, seed: int) -> None:
    """`results.json` to compute with, `report.html` and `leaderboard.html` to look at."""
    from builder.publish.figures import contact_sheet
    from cytoimagenet_hf.dataset.cards.leaderboard import make_leaderboard, to_page
    from scripts.report import write_report

    write_json(output / "results.json", record)
    board = to_page(make_leaderboard([results]), title="Leaderboard of the demo")
    (output / "leaderboard.html").write_text(board, encoding="utf-8")
    write_report(output, record, results, sheet=contact_sheet(output / "cytoimagenet", seed=seed), seed=seed)


def show(results: "ResultsRecord", output: Path) -> None:
    """The table that closes the terminal output: the paper's columns, and what a network has to beat."""
    table = Table(title="Does it transfer? kNN accuracy, % ± 95 % Wald")
    networks = results.names("model")
    fusion = next(iter(results.names("fusion")))
    columns = ["Random", IMAGENET, "Pretrained", "Fusion", "Default", "pixels"]
    for heading in ("benchmark", *columns, "training gave", "clear"):
        table.add_column(heading, justify="left" if heading == "benchmark" else "right")
    scores = results.by_entry()
    gains = {one.set: one.gain for one in results.training}
    for name in results.sets:

        def best(entries: list[str], name: str = name) -> "ScoreRecord":
            return max((scores[entry, name] for entry in entries), key=lambda score: score.value)

        chosen = {
            "Random": best([entry for entry in networks if entry.startswith("Random")]),
            IMAGENET: scores.get((IMAGENET, name)),
            "Pretrained": scores["Pretrained", name],
            "Fusion": scores[fusion, name],
            "Default": scores["Default", name],
            "pixels": best(results.names("baseline")),
        }
        cells = [_percent(chosen[column]) for column in columns]
        table.add_row(name, *cells, f"{100 * gains[name].difference:+.1f}", _clear(gains[name]))
    fused = f"Fusion: {fusion}, joined by id; its controls stand in the report. "
    absent = "" if IMAGENET in networks else f"{IMAGENET}: not installed, pip install 'cytoimagenet-hf[imagenet]'. "
    table.caption = escape(
        f"Random and pixels: the best of {RANDOM_NETS} untrained networks and of the features of pixels on each set. "
        f"{fused}{absent}Training gave: Pretrained over the mean of the untrained networks, paired by item; clear: "
        "its 95 % interval excludes 0, else what 80 % power would find."
    )
    console.print(table)
    console.print(f"Plate: {output / 'plate' / 'plate.html'}")
    console.print(f"Report: {output / 'report.html'}   Numbers: {output / 'results.json'}   Model: {output / 'model'}")
    console.print("\nNext, after `source .venv/bin/activate`:")
    for command in next_commands(output):
        console.print(f"  {command}", soft_wrap=True)


def next_commands(output: Path) -> tuple[str, str, str]:
    """Three commands to try on a finished demo; README prints the same.

    Example:
        >>> next_commands(Path("demo"))[0]
        'cytoimagenet extract demo/plate/phenix --list'
    """
    here = Path.cwd()
    folder = shlex.quote(str(output.relative_to(here) if output.is_relative_to(here) else output))
    return (
        f"cytoimagenet extract {folder}/plate/phenix --list",
        f"cytoimagenet explore {folder}/cytoimagenet --model {folder}/model",
        f"cytoimagenet leaderboard {folder}/results.json --output leaderboard.html",
    )


def _percent(score: "ScoreRecord | None") -> str:
    return "–" if score is None else f"{100 * score.value:.1f} ± {100 * score.wald_half_width:.1f}"


def _clear(gain: "Comparison") -> str:
    from cytoimagenet_hf.benchmarks.table import clear_of_zero

    return clear_of_zero(gain.interval, gain.detectable)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(main)
    sys.exit(run_app(lambda: app, program="scripts/demo.py", arguments=sys.argv[1:]))
