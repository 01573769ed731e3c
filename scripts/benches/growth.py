"""How the cost of a row grows: each step at 1, 10 and 100 times a small size, in a process of its own.

A step that costs the same for each row at every size has no knee. What 100 million rows would cost is extrapolated
from the two larger sizes, and said to be so.
"""

import gc
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from builder.kaggle import AS_PUBLISHED, make_shards
from builder.publish import publish
from builder.recipe import RECIPES
from builder.select import select
from builder.stage import claimed
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.dataset.schema import ANNOTATION_SCHEMA
from cytoimagenet_hf.imaging import encode_png
from cytoimagenet_hf.tables import FeatureTable, write_features

from .common import in_child

FACTORS = (1, 10, 100)
_LARGE = 100_000_000
_QUERIES = 500


@dataclass(frozen=True)
class _Step:
    """One step: how many rows it has at factor 1, what it needs at a size, and the step itself.

    Both get a folder that is theirs at this size and the number of rows; what `prepare` takes is not measured. A step
    without it continues where the one before ended.
    """

    rows: int
    prepare: Callable[[Path, int], object] | None
    step: Callable[[Path, int], object]


def run(
    factors: Annotated[list[int] | None, typer.Option("--factor", help="Sizes, 1, 10 and 100 when not given.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="These steps alone.")] = None,
) -> dict[str, Any]:
    """CPU microseconds and bytes of each row, at three sizes and between the two larger ones.

    `--only` takes a word of the name; steps after an import need it.

    Example: python scripts/bench.py growth --only list --only knn
    """
    sizes = sorted(factors or FACTORS)
    table: list[dict[str, Any]] = []
    measured: dict[str, list[dict[str, float]]] = {}
    with ExitStack() as stack:
        for name, step in STEPS.items():
            if only and not any(word in name for word in only):
                continue
            if step.prepare is not None:
                stack.close()
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                # In a process of its own: the memory that it takes is none of the step's.
                in_child(_prepare, name, folder, sizes)
            children = {factor: in_child(_measure, name, folder, factor) for factor in sizes}
            measured[name] = [
                {"rows": step.rows * factor, "cpu_seconds": child.result, "own_mb": child.own_mb}
                for factor, child in children.items()
            ]
            table.append(_row(name, measured[name]))
    return {
        "table": table,
        "measured": measured,
        "notes": [
            "CPU seconds of all threads. What 100 million rows take is the cost between the two larger sizes times "
            f"{_LARGE:,} rows: extrapolated, not measured.",
            "A step has no knee where a row between the larger sizes costs no more than one between the smaller. What "
            "is fixed (a picture of the dataset, the first call of a library) falls out of both.",
            "Memory is that of the process without mapped files. Images are tiny, so what is left is the work per "
            f"row; neighbours are those of {_QUERIES} queries.",
        ],
    }


def _row(name: str, runs: list[dict[str, float]]) -> dict[str, Any]:
    def slope(key: str, first: int, last: int) -> float | None:
        if len(runs) < 2:
            return None
        left, right = runs[first], runs[last]
        return max(0.0, (right[key] - left[key]) / (right["rows"] - left["rows"]))

    early, late = slope("cpu_seconds", 0, 1), slope("cpu_seconds", -2, -1)
    held = slope("own_mb", -2, -1)
    return {
        "step": name,
        "rows": int(runs[-1]["rows"]),
        "us a row, small": None if early is None else early * 1e6,
        "us a row, large": None if late is None else late * 1e6,
        "bytes a row": None if held is None else held * 2**20,
        "CPU hours of 100 million": None if late is None else late * _LARGE / 3600,
        "GB of 100 million": None if held is None else held * 2**20 * _LARGE / 1e9,
    }


def _prepare(name: str, folder: Path, factors: list[int]) -> None:
    step = STEPS[name]
    for factor in factors:
        for place, rows in ((f"{factor}", step.rows * factor), (f"{factor}-start", step.rows)):
            (folder / place).mkdir()
            if step.prepare is not None:
                step.prepare(folder / place, rows)


def _measure(name: str, folder: Path, factor: int) -> float:
    """CPU seconds of a step, done once before at the smallest size: imports and first calls are not counted."""
    step = STEPS[name]
    step.step(folder / f"{factor}-start", step.rows)
    gc.collect()
    started = time.process_time()
    step.step(folder / f"{factor}", step.rows * factor)
    return time.process_time() - started


# -- builder ----------------------------------------------------------------------------------------------------------


def _archive(folder: Path, rows: int) -> None:
    import importlib

    write_archive = importlib.import_module("benches.import").write_archive
    write_archive(folder / "archive", images=rows, classes=min(894, rows // 20))


def _import(folder: Path, _: int) -> None:
    with claimed(folder / "output"):
        make_shards(folder / "archive", folder / "output", workers=1)


def _publish(folder: Path, _: int) -> None:
    with claimed(folder / "output"):
        publish(folder / "output", recipe=AS_PUBLISHED, seed=0)


def _annotations(folder: Path, rows: int) -> None:
    """Fields of five sources: a compound has 700 of them, a cell type thousands."""
    numbers = np.arange(rows)
    table = {
        "idx": [f"bbbc022-{number:08d}" for number in numbers.tolist()],
        "compound": [f"compound {number // 700:06d}" for number in numbers.tolist()],
        "cell_type": np.array(["u2os", "hela", "a549"])[numbers // 40_000 % 3],
        "organism": ["human"] * rows,
        "dir_name": np.array(["bbbc022", "idr0088", "rec_rxrx1", "kag_hpa", "idr0080"])[numbers // 700 % 5],
        "licence": ["cc0"] * rows,
        "plate": [f"p{number // 2000}" for number in numbers.tolist()],
    }
    columns = [table.get(field.name, pa.nulls(rows, field.type)) for field in ANNOTATION_SCHEMA]
    pq.write_table(pa.table(columns, schema=ANNOTATION_SCHEMA), folder / "annotations.parquet")


def _select(folder: Path, _: int) -> None:
    select(folder, recipe=RECIPES["corrected"], seed=0)


# -- dataset ----------------------------------------------------------------------------------------------------------


def _load(folder: Path, _: int) -> None:
    import datasets as hf

    hf.load_dataset(str(folder / "output"), cache_dir=str(folder / "cache"))


def _image_rows(folder: Path, rows: int) -> None:
    """What a split and its report look at: fields of four images, plates of a thousand, one copy in a hundred."""
    numbers = np.arange(rows)
    labels = np.array([f"label {code:03d}" for code in range(200)])
    table = {
        "image_id": [f"bbbc022-{number:08d}" for number in numbers.tolist()],
        "idx": [f"bbbc022-{number // 4:08d}" for number in numbers.tolist()],
        "label": labels[numbers // 4 % 200],
        "sha256": [f"{number - (number % 100 == 0):064x}" for number in numbers.tolist()],
        "split": np.where(numbers // 4 % 10 == 0, "validation", "train"),
    }
    pq.write_table(pa.table(table), folder / "rows.parquet")


def _split(folder: Path, _: int) -> None:
    from cytoimagenet_hf.dataset.splits import assign_splits

    assign_splits(pq.read_table(folder / "rows.parquet"), seed=0)


def _leaks(folder: Path, _: int) -> None:
    from cytoimagenet_hf.dataset.leaks import leak_report

    leak_report(pq.read_table(folder / "rows.parquet"))


# -- images, features, profiles ---------------------------------------------------------------------------------------


def _names_of_plates(folder: Path, rows: int) -> None:
    """Empty files with names alone: two channels of nine sites of 384 wells a plate."""
    for number in range(rows):
        site, channel = number // 2, number % 2
        well = site // 9 % 384
        plate = folder / f"plate {site // 3456}"
        if site % 3456 == 0:
            plate.mkdir(exist_ok=True)
        (
            plate / f"p{site // 3456}_{'ABCDEFGHIJKLMNOP'[well // 24]}{well % 24 + 1:02d}_s{site % 9}_c{channel}.tif"
        ).touch()


def _list(folder: Path, rows: int) -> None:
    from cytoimagenet_hf.images import look
    from cytoimagenet_hf.images.listing import summarise

    found = look(folder, pattern="{plate}_{well}_s{site}_c{c}.tif")
    if summarise(found)["images"] != rows // 2:
        raise RuntimeError("files were overlooked")


def _plate(folder: Path, rows: int) -> None:
    rng = derive_rng(0, "growth")
    for number in range(rows):
        well = f"{'ABCDEFGHIJKLMNOP'[number % 16]}{number // 16 % 24 + 1:02d}"
        file = folder / f"p{number // 384}_{well}_s1_c0.png"
        file.write_bytes(encode_png(rng.integers(0, 256, (32, 32), dtype=np.uint8)))


def _extract(folder: Path, rows: int) -> None:
    from cytoimagenet_hf.features.folder import extract_to_folder
    from cytoimagenet_hf.images import find_images
    from cytoimagenet_hf.options.extraction import Extraction
    from tests.tiny_encoder import tiny_encoder

    images = find_images(folder, pattern="{plate}_{well}_s{site}_c{c}.png")
    extract_to_folder(tiny_encoder(), images, folder / "features", settings=Extraction(shard_size=64, workers=0))


def _features(folder: Path, rows: int) -> None:
    """Features of four sites of each well, controls in two columns of each plate."""
    wells = [f"{row}{column:02d}" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)]
    numbers = np.arange(rows)
    metadata = pd.DataFrame(
        {
            "plate": [f"p{number // 4 // 384}" for number in numbers],
            "well": [wells[number // 4 % 384] for number in numbers],
            "site": [str(number % 4) for number in numbers],
        }
    )
    values = derive_rng(0, "growth").standard_normal((rows, 64), dtype=np.float32)
    names = tuple(f"feature_{number}" for number in range(64))
    table = FeatureTable(np.array([f"{number:09d}" for number in numbers]), values, metadata, names)
    write_features(table, folder / "features.parquet")
    roles = {"well": wells, "role": ["negative" if well[1:] in ("01", "02") else "sample" for well in wells]}
    pd.DataFrame(roles | {"compound": [f"c{n // 4}" for n in range(384)]}).to_csv(folder / "map.csv", index=False)


def _profile(folder: Path, _: int) -> None:
    from cytoimagenet_hf.profiles.plan import ProfilePlan, make_profiles
    from cytoimagenet_hf.tables import read_features

    plan = ProfilePlan(metadata=folder / "map.csv", normalize="standardize", on="controls")
    make_profiles(read_features(folder / "features.parquet"), plan)


def _matrix(folder: Path, rows: int) -> None:
    values = np.lib.format.open_memmap(folder / "values.npy", "w+", np.float32, (rows, 64))
    for start in range(0, rows, 1 << 16):
        part = values[start : start + (1 << 16)]
        part[:] = derive_rng(0, "growth", str(start)).standard_normal(part.shape, dtype=np.float32)


def _knn(folder: Path, rows: int) -> None:
    """A transfer with its vote and interval; the training rows stay on the disk."""
    from cytoimagenet_hf.benchmarks.protocols import predict_transfer
    from cytoimagenet_hf.benchmarks.recipes import RECIPES as BENCHMARKS
    from cytoimagenet_hf.scoring.stats import wilson_interval

    values = np.load(folder / "values.npy", mmap_mode="r")
    labels = np.arange(rows) % 4
    truth = np.arange(_QUERIES) % 4
    voted = predict_transfer(values, labels, np.array(values[:_QUERIES]), truth, recipe=BENCHMARKS["corrected"])
    wilson_interval(int((voted == truth).sum()), _QUERIES)


STEPS = {
    "import": _Step(400, _archive, _import),
    "import again, nothing to do": _Step(400, None, _import),
    "publish": _Step(400, None, _publish),
    "load_dataset, the first time": _Step(400, None, _load),
    "select": _Step(10_000, _annotations, _select),
    "split": _Step(5_000, _image_rows, _split),
    "leak report": _Step(5_000, _image_rows, _leaks),
    "extract --list, files": _Step(500, _names_of_plates, _list),
    "extract, a tiny network": _Step(50, _plate, _extract),
    "profile, rows of sites": _Step(3_072, _features, _profile),
    "benchmark's knn, 64 features": _Step(10_000, _matrix, _knn),
}
"""Name → the step."""
