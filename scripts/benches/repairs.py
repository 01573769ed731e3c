"""What each repair of the original's evaluation changes, on the benchmark sets of a finished demo."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cytoimagenet_hf.benchmarks import BENCHMARKS
from cytoimagenet_hf.benchmarks.report import repair_table
from cytoimagenet_hf.benchmarks.suite import Suite
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.options.networks import EncoderOptions

TASKS = ("bbbc021", "coos7", "cyclops")


def run(
    demo: Annotated[Path, typer.Argument(help="Folder of a finished demo.")],
    backend: Annotated[str, typer.Option(help="torch, onnxruntime or openvino: equal within 1e-5.")] = "torch",
) -> dict[str, Any]:
    """Accuracy of the demo's networks with one rule of the original put back at a time.

    Example: python scripts/bench.py repairs demo
    """
    if not (demo / "results.json").is_file():
        raise InputError(f"{demo} holds no finished demo: run scripts/demo.py --output {demo}")
    suite = Suite(
        tasks=tuple((BENCHMARKS[name], demo / "benchmarks" / name) for name in TASKS),
        models=(f"Pretrained={demo / 'model'}", f"Random={demo / 'random-1'}"),
        fuse=True,
        options=EncoderOptions(pooling="last", pixels=False),  # what the network pools, as in the paper
        seed=0,
        settings=Extraction(backend=backend),
        cache=demo / "features",
    )
    accuracies = repair_table(suite, report=typer.echo)
    columns = ("set and network", *accuracies.columns[1:])
    return {
        "table": [dict(zip(columns, row, strict=True)) for row in accuracies.rows],
        "notes": [accuracies.note],
        "demo": {"seed": json.loads((demo / "results.json").read_text(encoding="utf-8"))["seed"]},
    }
