"""What to write before anything is drawn: the fields of an archive as data, and the one function that renders them.

A layout turns labels into `FieldPlan`s and tables; rendering knows nothing of archives. Each field's pixels depend on
the seed and its key alone, so any number of workers in any order writes the same bytes.
"""

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from cytoimagenet_hf.core.seeding import derive_rng

from .camera import Optics, batch_optics, expose
from .cells import draw_field, draw_smear
from .encode import write_image
from .phenotypes import Phenotype


@dataclass(frozen=True)
class Shot:
    """One image file of a field."""

    path: str  # relative to the root of all archives
    stain: str  # a channel of `draw_field`, or "mask" for the nuclei as 0 and 255
    depth: str = "uint8"  # see `camera.expose`
    encoding: str = "plain"  # see `encode.write_image`


@dataclass(frozen=True)
class FieldPlan:
    """One field of view to be drawn."""

    key: str  # seeds its pixels
    phenotype: Phenotype
    optics: Optics
    size: int
    shots: tuple[Shot, ...]
    labels: Mapping[str, str] = field(default_factory=dict)  # as the source's table spells them, by category
    kind: str = "fluorescence"  # or "single" (one cell in the middle), "smear" (a stained cell on black, RGB)


@dataclass(frozen=True)
class Plan:
    """Everything one source writes: its fields and its tables (path relative to the root → content)."""

    fields: tuple[FieldPlan, ...]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def plate_optics(seed: int, source: str, plate: str, *, severity: float = 1.0) -> Optics:
    """Optics of one plate of one source: equal for all its fields."""
    return batch_optics(derive_rng(seed, "optics", f"{source}/{plate}"), severity=severity)


def write_plan(root: Path, plan: Plan, *, seed: int, workers: int) -> None:
    """Draw and write all fields, then the tables."""
    render(root, plan.fields, seed=seed, workers=workers)
    for path, table in plan.tables.items():
        write_table(root / path, table)


def render(root: Path, fields: Sequence[FieldPlan], *, seed: int, workers: int) -> None:
    """Draw and write fields, in a pool of `workers` processes when more than one is asked for."""
    for folder in {(root / shot.path).parent for plan in fields for shot in plan.shots}:
        folder.mkdir(parents=True, exist_ok=True)
    task = partial(render_field, root, seed)
    shown = partial(tqdm, total=len(fields), unit="field", desc="simulate", disable=None)
    if workers <= 1:
        for plan in shown(fields):
            task(plan)
        return
    # Spawned, not forked: the caller may have started threads (torch, pyarrow).
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for _ in shown(pool.map(task, fields, chunksize=max(1, len(fields) // (workers * 8)))):
            pass


def render_field(root: Path, seed: int, plan: FieldPlan) -> None:
    """Draw one field and write its files."""
    rng = derive_rng(seed, "field", plan.key)
    if plan.kind == "smear":
        for shot in plan.shots:
            write_image(root / shot.path, draw_smear(rng, plan.phenotype, plan.size), shot.encoding)
        return
    stains = dict.fromkeys(shot.stain for shot in plan.shots)
    images = draw_field(rng, plan.phenotype, plan.size, list(stains), single=plan.kind == "single", optics=plan.optics)
    for shot in plan.shots:
        image = images[shot.stain]
        pixels = image if shot.stain == "mask" else expose(rng, image, plan.optics, depth=shot.depth)
        write_image(root / shot.path, pixels, shot.encoding)


def write_table(path: Path, table: pd.DataFrame, *, separator: str = ",") -> None:
    """Write a text table, compressed as the suffix says; missing values are empty cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A fixed time inside the container: equal tables are equal bytes.
    compression: dict[str, dict[str, Any]] = {
        ".gz": {"method": "gzip", "mtime": 1},
        ".zip": {"method": "zip", "archive_name": path.stem},
    }
    table.to_csv(path, index=False, sep=separator, compression=compression.get(path.suffix))
