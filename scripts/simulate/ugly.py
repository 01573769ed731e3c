"""Things that go wrong in real archives, done to a simulated one on purpose and reported by path."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .encode import write_image
from .plan import FieldPlan, Plan


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What was spoilt: paths relative to the root of the archives; several files of one field in order of channels."""

    truncated: tuple[str, ...] = ()  # cut in the middle of the pixels
    empty: tuple[str, ...] = ()  # zero bytes
    uniform: tuple[str, ...] = ()  # one gray value
    binary: tuple[str, ...] = ()  # two gray values
    dim: tuple[str, ...] = ()  # more than three quarters of the pixels are 0
    missing_channels: tuple[str, ...] = ()  # deleted; the other channels of the field are there
    duplicates: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()  # fields of equal pixels, different labels
    rows_without_files: tuple[tuple[str, ...], ...] = ()  # a table names them; deleted
    files_without_rows: tuple[tuple[str, ...], ...] = ()  # no table names them
    masks: tuple[str, ...] = ()  # ground truth beside the images
    odd_labels: Mapping[str, str] | None = None  # label as its table spells it → its column


def plant(root: Path, plans: Mapping[str, Plan]) -> Planted:
    """Spoil some fields of each source; what cannot be planted because its source is absent is left out."""
    free = {name: list(plan.fields) for name, plan in plans.items()}  # fields that are still whole
    return Planted(
        truncated=_each(_truncate, root, free, {"rec_rxrx1": 2, "bbbc013": 1}),
        empty=_each(lambda path: path.write_bytes(b""), root, free, {"idr0088": 0}),
        uniform=_each(_uniform, root, free, {"bbbc038": 0}),
        binary=_each(_binary, root, free, {"bbbc038": 0}),
        dim=_each(_dim, root, free, {"bbbc038": 0}),
        missing_channels=_each(Path.unlink, root, free, {"rec_rxrx1": 4, "bbbc022": 1}),
        duplicates=_duplicate(root, free, "rec_rxrx1", "sirna") + _duplicate(root, free, "kag_leukemia", "phenotype"),
        rows_without_files=_delete_field(root, free, "rec_rxrx1") + _delete_field(root, free, "bbbc022"),
        files_without_rows=_stray(root, free, "idr0088", "_T0001"),
        masks=tuple(s.path for plan in plans.values() for f in plan.fields for s in f.shots if s.stain == "mask"),
        odd_labels={
            label: category
            for plan in plans.values()
            for field in plan.fields
            for category, label in field.labels.items()
            if set(label) & set("*|[]()+_")
        },
    )


def _each(
    spoil: Callable[[Path], object], root: Path, free: dict[str, list[FieldPlan]], channels: Mapping[str, int]
) -> tuple[str, ...]:
    """Spoil one channel file of one field of every source named in `channels`."""
    paths = [free[name].pop().shots[channel].path for name, channel in channels.items() if free.get(name)]
    for path in paths:
        spoil(root / path)
    return tuple(paths)


def _truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 5])


def _uniform(path: Path) -> None:
    write_image(path, np.full((96, 96), 37, np.uint8), "rgba")


def _binary(path: Path) -> None:
    write_image(path, np.where(np.indices((96, 96)).sum(0) % 32 < 16, np.uint8(255), np.uint8(0)), "rgba")


def _dim(path: Path) -> None:
    """One small bright spot on black: 4 % of the pixels."""
    ys, xs = np.indices((96, 96)) - 48
    write_image(path, np.clip(255 - 2.2 * (ys**2 + xs**2), 0, 255).astype(np.uint8), "rgba")


def _duplicate(
    root: Path, free: dict[str, list[FieldPlan]], source: str, category: str
) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Overwrite one field by the files of another one with another label."""
    if not free.get(source):
        return ()
    original = free[source].pop()
    copy = next(plan for plan in reversed(free[source]) if plan.labels[category] != original.labels[category])
    free[source].remove(copy)
    pair = tuple(shot.path for shot in original.shots), tuple(shot.path for shot in copy.shots)
    for old, new in zip(*pair, strict=True):
        shutil.copyfile(root / old, root / new)
    return (pair,)


def _delete_field(root: Path, free: dict[str, list[FieldPlan]], source: str) -> tuple[tuple[str, ...], ...]:
    if not free.get(source):
        return ()
    paths = tuple(shot.path for shot in free[source].pop().shots)
    for path in paths:
        (root / path).unlink()
    return (paths,)


def _stray(root: Path, free: dict[str, list[FieldPlan]], source: str, after: str) -> tuple[tuple[str, ...], ...]:
    """Copy a field to well P24 of its plate, which no table names; the well stands before `after` in file names."""
    if not free.get(source):
        return ()
    old = [shot.path for shot in free[source].pop().shots]
    new = tuple(path.replace(path.split(after)[0][-3:] + after, "P24" + after) for path in old)
    for source_path, target in zip(old, new, strict=True):
        shutil.copyfile(root / source_path, root / target)
    return (new,)
