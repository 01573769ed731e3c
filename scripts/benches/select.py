"""`select` at full scale beside the published algorithm and the floor of reading and writing alone."""

import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from builder.recipe import RECIPES
from builder.select import select
from builder.select.choice import choose
from builder.select.fields import read_fields
from cytoimagenet_hf.core.seeding import derive_rng
from tests.builder.select.published_select import COLUMNS, count_candidates, downsample, find_free

from .common import Child, in_child, in_turn
from .scale_table import write_scale_table

_STRATA = ("dir_name", *COLUMNS)
_MIN_FIELDS = RECIPES["published"].min_fields
_ORIGINALS = {"str": "pandas strings", "object": "Python strings as in pandas 1"}


def run(
    rows: Annotated[int, typer.Option(help="Fields of view in the table.")] = 2_700_000,
    inventory: Annotated[Path | None, typer.Option(help="datasets_info.csv of the original project.")] = None,
    tables: Annotated[Path | None, typer.Option(help="Folder with a folder of tables per source.")] = None,
    labels: Annotated[int, typer.Option(help="Labels on which the published algorithm is timed.")] = 24,
    repeat: Annotated[int, typer.Option(help="Runs of each of ours; the median counts.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the table and the draws.")] = 0,
) -> dict[str, Any]:
    """Whole stage, read to write, under both recipes; the published algorithm on a sample of labels, extrapolated.

    Example: python scripts/bench.py select --inventory datasets_info.csv --tables /data/archives
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        origins = in_child(
            write_scale_table, folder / "annotations.parquet", inventory=inventory, tables=tables, rows=rows, seed=seed
        ).result
        rows = pq.read_metadata(folder / "annotations.parquet").num_rows
        ways: dict[str, Callable[[], Child]] = {
            recipe: partial(in_child, _stage, folder, recipe=recipe, seed=seed)
            for recipe in ("published", "corrected")
        }
        runs = in_turn(ways | {"floor": partial(in_child, _floor, folder)}, repeat=repeat)
        originals = {kind: in_child(_original, folder, kind=kind, labels=labels, seed=seed) for kind in _ORIGINALS}
    median = {which: float(np.median([child.seconds for child in children])) for which, children in runs.items()}
    cpu = {which: float(np.median([child.cpu_seconds for child in children])) for which, children in runs.items()}
    peak = {which: max(child.peak_mb for child in children) for which, children in runs.items()}
    candidates = originals["str"].result["candidates"]
    total = {kind: child.result["extrapolated_seconds"] for kind, child in originals.items()}
    names = {
        "corrected": "select, corrected",
        "published": "select, published rules",
        "floor": "floor: read and write",
    }
    return {
        "table": [
            *(
                {
                    "what": f"published algorithm, {_ORIGINALS[kind]} (extrapolated)",
                    "seconds": total[kind],
                    "cpu_seconds": child.result["extrapolated_cpu_seconds"],
                    "peak_mb": child.peak_mb,
                    "times_corrected": total[kind] / median["corrected"],
                }
                for kind, child in originals.items()
            ),
            *(
                {
                    "what": what,
                    "seconds": median[which],
                    "cpu_seconds": cpu[which],
                    "peak_mb": peak[which],
                    "times_corrected": median[which] / median["corrected"],
                }
                for which, what in names.items()
            ),
        ],
        "notes": [
            f"{rows:,} fields of view drawn from the forty sources as complete downloads; labels of "
            f"{_listed(origins, 'table')} from their tables, of {_listed(origins, 'inventory')} from the public "
            f"inventory, of {_listed(origins, 'drawn')} drawn; {candidates} candidate labels",
            f"published algorithm: {labels} labels timed, evenly spaced from the rarest to the most frequent, each in "
            "the state in which it would be reached; mean x labels + counting + reading",
            "its state file, which it writes after each label, is counted, and stated apart in the JSON",
            "seconds of ours are the median of the whole stage in a fresh process; peaks include the imports",
        ],
        "rows": rows,
        "labels_from": origins,
        "ratio_to_published": {
            which: {kind: seconds / median[which] for kind, seconds in total.items()}
            for which in ("published", "corrected")
        },
        "published_algorithm": {kind: child.result for kind, child in originals.items()},
        "runs_seconds": {which: [child.seconds for child in children] for which, children in runs.items()},
        "classes": {which: runs[which][0].result for which in ("published", "corrected")},
    }


def _listed(origins: dict[str, str], origin: str) -> str:
    return f"{sum(where == origin for where in origins.values())} sources"


def _stage(folder: Path, *, recipe: str, seed: int) -> dict[str, int]:
    summary = select(folder, recipe=RECIPES[recipe], seed=seed)
    return {"classes": summary.details["classes"], "fields": summary.kept}


def _floor(folder: Path) -> None:
    """Read the same columns, write tables of the same shape; nothing else."""
    table = pq.read_table(
        folder / "annotations.parquet", columns=["idx", "licence", *_STRATA], read_dictionary=[*_STRATA, "licence"]
    )
    kept = pq.read_metadata(folder / "selection.parquet").num_rows
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(table), np.int32)), ["label"]).cast(pa.string())
    idx = table["idx"].combine_chunks()
    pq.write_table(
        pa.table({"idx": idx[:kept], "label": text[:kept], "category": text[:kept]}), folder / "floor.parquet"
    )
    rejected = dict.fromkeys(("dir_name", "stage", "reason", "detail"), text[kept:])
    pq.write_table(pa.table({"idx": idx[kept:], **rejected}), folder / "floor.rejected.parquet")


def _original(folder: Path, *, kind: str, labels: int, seed: int) -> dict[str, Any]:
    """Time the published algorithm on some labels, each in the state in which it would be reached."""
    path = folder / "annotations.parquet"
    fields = read_fields(path, [*_STRATA])
    taken_by = choose(fields, RECIPES["published"], seed=seed).taken_by
    idx = np.asarray(fields.idx.to_pylist(), dtype=object)
    started = time.perf_counter()
    table = pd.read_parquet(path, columns=["idx", *_STRATA]).astype(kind)
    reading = time.perf_counter() - started
    started = time.perf_counter()
    candidates = count_candidates(table)
    counting = time.perf_counter() - started
    rng = derive_rng(seed, "bench-select", "published")
    choosing, recording = [], []
    loop_started, cpu_started = time.perf_counter(), time.process_time()
    for number in np.linspace(0, len(candidates) - 1, min(labels, len(candidates))).round().astype(int):
        candidate = candidates.iloc[number]
        used = dict.fromkeys(idx[(taken_by >= 0) & (taken_by < number)], "")
        started = time.perf_counter()
        free = find_free(table, candidate.category, candidate.label, used)
        if free is not None and len(free) >= _MIN_FIELDS:
            chosen = downsample(free, candidate.category, rng, wanted=1000, presample=10_000)
            used.update(dict.fromkeys(chosen["idx"], candidate.label))
        choosing.append(time.perf_counter() - started)
        started = time.perf_counter()
        # The original wrote all rows taken so far after each label (L5), and read them back when it was restarted.
        (folder / "used.json").write_text(json.dumps(used))
        recording.append(time.perf_counter() - started)
    busy = (time.process_time() - cpu_started) / (time.perf_counter() - loop_started)
    per_label = float(np.mean(choosing) + np.mean(recording))
    total = reading + counting + per_label * len(candidates)
    return {
        "candidates": len(candidates),
        "reading_seconds": reading,
        "counting_seconds": counting,
        "choosing_seconds_per_label": float(np.mean(choosing)),
        "recording_seconds_per_label": float(np.mean(recording)),
        "extrapolated_seconds": total,
        "extrapolated_cpu_seconds": total * busy,
        "choosing_seconds": choosing,
    }
