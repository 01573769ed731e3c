"""Why a label is in the selection, and what a selection would cost: `select --explain` and `select --dry-run`.

Both choose again, which takes seconds, and write nothing. They return frozen dataclasses: fields for a program,
`__rich__` for a person.
"""

import difflib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Group
from rich.table import Table

from builder.recipe import Recipe
from builder.render.plan import crops_wanted
from builder.sources.filter import ALL_SOURCES, SourceFilter
from cytoimagenet_hf.core.errors import InputError

from .candidates import ColumnIndex, index_columns
from .choice import carried_rows, strata_columns
from .fields import FieldTable, RowNumbers
from .run import Selection, read_selection
from .strata import stratify

_MOST = 15  # rows of each listing
_BYTES_PER_IMAGE = 63_000  # the published archive: 56 GB, 890,737 images
# A plane of --keep-channels beside the gray image: files of 12 bits have 1.8 times its bytes, of 8 bits as many;
# each is encoded once more.
_BYTES_PER_PLANE = 1.8 * _BYTES_PER_IMAGE
_SECONDS_PER_PLANE = 0.02
_SECONDS_PER_FIELD = 0.11  # one core, 5 x 1080² 16-bit LZW TIFF: docs/benchmarks/render.json


@dataclass(frozen=True)
class Spread:
    """One stratum or source: rows that carry the label, those still free when its turn came, those chosen."""

    value: str
    carrying: int
    free: int
    chosen: int


@dataclass(frozen=True)
class Explanation:
    """How one label of one column fared.

    `verdict` says it in a sentence. `turn` counts from 1 in the order labels take their rows; None for a value that is
    no candidate. `taken_before` lists labels with the rows of this one they had taken, most first.
    """

    label: str
    category: str
    recipe: str
    verdict: str
    rows: int
    carrying: int
    free: int
    chosen: int
    turn: int | None
    candidates: int
    taken_before: tuple[tuple[str, int], ...]
    sources: tuple[Spread, ...]
    strata_columns: tuple[str, ...]
    strata: tuple[Spread, ...]

    def __rich__(self) -> Group:
        head = f"{self.label} ({self.category}), recipe {self.recipe}: {self.verdict}"
        parts: list[Any] = [head]
        if self.taken_before:
            table = Table("label", "rows taken before its turn")
            for label, rows in self.taken_before:
                table.add_row(label, f"{rows:,}")
            parts.append(table)
        for title, spreads in (("source", self.sources), (" / ".join(self.strata_columns), self.strata)):
            table = Table(title, "carrying", "free", "chosen")
            for spread in spreads:
                table.add_row(spread.value, f"{spread.carrying:,}", f"{spread.free:,}", f"{spread.chosen:,}")
            parts.append(table)
        return Group(*parts)


@dataclass(frozen=True)
class Explanations:
    """One explanation for each column in which the label occurs."""

    columns: tuple[Explanation, ...]

    def __rich__(self) -> Group:
        return Group(*self.columns)


def explain_label(
    output: Path,
    label: str,
    *,
    recipe: Recipe,
    seed: int,
    sources: SourceFilter = ALL_SOURCES,
) -> Explanations:
    """Why a label is in or out, what took its rows before it, and how its rows spread over sources and strata.

    A label that no field of view carries is refused with similar ones.
    """
    selected = read_selection(output, recipe=recipe, seed=seed, sources=sources)
    columns = index_columns(selected.table)
    label = label.lower()
    categories = [category for category, column in columns.items() if label in column.tokens]
    if not categories:
        labels = sorted({token for column in columns.values() for token in column.tokens})
        close = difflib.get_close_matches(label, labels, n=5)
        raise InputError(
            f"no field of view carries the label {label!r}" + (f"; did you mean {', '.join(close)}?" if close else "")
        )
    return Explanations(tuple(_explain(selected, columns[name], name, label, recipe) for name in categories))


def _explain(selected: Selection, column: ColumnIndex, category: str, label: str, recipe: Recipe) -> Explanation:
    table, choice = selected.table, selected.choice
    carried, _ = carried_rows(column, label, recipe)
    numbers = {(outcome.category, outcome.label): number for number, outcome in enumerate(choice.outcomes)}
    number = numbers.get((category, label))
    taken_by = choice.taken_by[carried]
    if number is None:
        free, chosen = taken_by < 0, np.zeros(len(carried), bool)
        reason = f"out: {column.count(label):,} rows, a candidate needs {recipe.min_fields:,}"
    else:
        free, chosen = (taken_by < 0) | (taken_by >= number), taken_by == number
        reason = verdict(choice.outcomes[number].reason, int(chosen.sum()), choice.outcomes[number].free, recipe)
    before = Counter(choice.outcomes[by].label for by in taken_by[~free].tolist())
    names = strata_columns(category, recipe)
    return Explanation(
        label=label,
        category=category,
        recipe=recipe.name,
        verdict=reason,
        rows=column.count(label),
        carrying=len(carried),
        free=int(free.sum()) if number is None else choice.outcomes[number].free,
        chosen=int(chosen.sum()),
        turn=None if number is None else number + 1,
        candidates=len(choice.outcomes),
        taken_before=tuple(before.most_common(_MOST)),
        sources=_spread(table, ["dir_name"], carried, free, chosen),
        strata_columns=tuple(names),
        strata=_spread(table, names, carried, free, chosen),
    )


def verdict(reason: str | None, chosen: int, free: int, recipe: Recipe) -> str:
    """What became of a candidate, in a sentence."""
    sentences = {
        None: f"in: {chosen:,} of {free:,} free rows",
        "label_too_small": f"out: {free:,} rows were left when its turn came, a class needs {recipe.min_fields:,}",
        "invalid_pattern": "out: the label is not a regular expression, and this recipe matches by expression (L1)",
        "label_lost": "out: it took its rows, then its name with * or / was not found again (L2)",
        "other_column": "out: the same label has more rows in another column",
        "overwritten": "out: the same label in another column came later and overwrote it",
    }
    return sentences[reason]


def _spread(table: FieldTable, names: Sequence[str], rows: RowNumbers, free: Any, chosen: Any) -> tuple[Spread, ...]:
    """The largest combinations of values that the rows hold, with their counts."""
    strata = stratify([table.codes[name] for name in names], rows)
    _, first = np.unique(strata, return_index=True)
    counts = [np.bincount(strata[mask], minlength=len(first)) for mask in (np.ones(len(rows), bool), free, chosen)]
    spreads = []
    for number in np.argsort(-counts[0], kind="stable")[:_MOST]:
        codes = [(name, int(table.codes[name][rows[first[number]]])) for name in names]
        value = " / ".join(table.values[name][code] if code >= 0 else "–" for name, code in codes)
        spreads.append(Spread(value, *(int(count[number]) for count in counts)))
    return tuple(spreads)


@dataclass(frozen=True)
class DryRun:
    """What a build under this recipe comes to. Images assume that every field can be cropped: an upper bound."""

    recipe: str
    fields: int
    classes: int
    classes_too_small: int
    images: int
    disk_gb: float
    hours: float
    workers: int
    # With --keep-channels, beside the above.
    channels_gb: float = field(default=0.0, compare=False)
    channels_hours: float = field(default=0.0, compare=False)

    def __rich__(self) -> Table:
        table = Table("what", "estimate", title=f"recipe {self.recipe}, nothing written")
        table.add_row("fields of view read", f"{self.fields:,}")
        table.add_row("classes", f"{self.classes:,}")
        table.add_row("classes dropped for too few images", f"{self.classes_too_small:,}")
        table.add_row("images, at most", f"{self.images:,}")
        table.add_row("disk for the result", f"{self.disk_gb:,.1f} GB")
        table.add_row(f"rendering on {self.workers} cores", f"{self.hours:,.2f} h")
        table.add_row("--keep-channels: disk, at most, beside that", f"{self.channels_gb:,.1f} GB")
        table.add_row("--keep-channels: rendering, beside that", f"{self.channels_hours:,.2f} h")
        return table


def dry_run(
    output: Path,
    *,
    recipe: Recipe,
    seed: int,
    sources: SourceFilter = ALL_SOURCES,
) -> DryRun:
    """Classes, images, disk and hours of a build, from the annotation table alone; all cores render by default."""
    selected = read_selection(output, recipe=recipe, seed=seed, sources=sources)
    sizes = [outcome.chosen for outcome in selected.choice.outcomes if outcome.reason is None]
    images = [min(size * crops_wanted(size, recipe), recipe.max_images) for size in sizes]
    large = [count for count in images if count >= recipe.min_images]
    workers = os.cpu_count() or 1
    planes = _planes_per_field(output / "annotations.parquet", selected)
    return DryRun(
        recipe=recipe.name,
        fields=sum(sizes),
        classes=len(large),
        classes_too_small=len(images) - len(large),
        images=sum(large),
        disk_gb=sum(large) * _BYTES_PER_IMAGE / 1e9,
        hours=sum(sizes) * _SECONDS_PER_FIELD / workers / 3600,
        workers=workers,
        channels_gb=sum(large) * planes * _BYTES_PER_PLANE / 1e9,
        channels_hours=sum(sizes) * planes * _SECONDS_PER_PLANE / workers / 3600,
    )


def _planes_per_field(annotations: Path, selected: Selection) -> float:
    """How many stains the chosen fields have on average; a field whose stains are not known counts as one."""
    table = pq.read_table(annotations, columns=["idx", "channels"])
    chosen = selected.table.idx.filter(pa.array(selected.choice.kept)).cast(pa.string())
    stains = table["channels"].filter(pc.is_in(table["idx"], value_set=chosen))
    counts = pc.max_element_wise(pc.fill_null(pc.list_value_length(stains), 1), 1)
    return float(pc.mean(counts).as_py() or 1.0)
