"""annotations.parquet → selection.parquet: which fields of view become examples of which weak label.

The rule is the paper's (§2.1), under the recipe's choices; `choice` holds it. This stage reads the columns it
needs, writes the chosen fields, one rejection per field left out with the label that came nearest, and the counts per
label and source.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from builder.holdings import held_rows, read_holdings
from builder.recipe import Recipe, as_dict
from builder.sources.filter import ALL_SOURCES, SourceFilter
from builder.stage import StageSummary, write_rejection_batches
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.dataset.schema import CATEGORIES, REJECTION_SCHEMA, SELECTION_SCHEMA

from .candidates import file_names
from .choice import Choice, choose
from .fields import FieldTable, frame_fields, labels_by_rule, read_fields, text_at

_FILTERS = ("held_out", "source_left_out", "licence_left_out", "not_held")
_BATCH = 1 << 18  # rows of a rejection batch: bounds the strings in memory to some 20 MB


def select_labels(annotations: pd.DataFrame, recipe: Recipe, *, seed: int) -> pd.DataFrame:
    """Choose the fields of each weak label.

    Args:
        annotations: one row per field of view with `idx` and the seven label columns, in any order; `dir_name` and
            other columns of `recipe.strata` where known.
        recipe: the rules.
        seed: of the draws; equal input gives equal output.

    Returns:
        One row per chosen field, ordered by `idx`: `idx`, `label`, `category`. Empty when no label is large enough.

    Raises:
        InputError: a missing column, a repeated or missing `idx`, or two labels that share a file name.

    Example:
        >>> from builder.recipe import load
        >>> table = pd.DataFrame({"idx": ["a", "b"], **{name: None for name in CATEGORIES}})
        >>> table["compound"] = ["rab5", "rab5|rab7"]
        >>> select_labels(table, load("corrected", {"min_fields": "2"}), seed=0).values.tolist()
        [['a', 'rab5', 'compound'], ['b', 'rab5', 'compound']]
    """
    table = frame_fields(annotations, _columns(recipe))
    selected = _selection_of(table, recipe, seed=seed)
    return _chosen(selected).to_pandas()


def select(
    output: Path,
    *,
    recipe: Recipe,
    seed: int,
    sources: SourceFilter = ALL_SOURCES,
) -> StageSummary:
    """Choose the fields of each weak label from `annotations.parquet` and write `selection.parquet`.

    Args:
        output: folder of the build.
        recipe, seed: as for `select_labels`.
        sources: which are chosen from; names are those of the annotation table.

    Raises:
        InputError: no usable annotation table, an unknown source, or no label with enough fields.
    """
    started = time.perf_counter()
    selected = read_selection(output, recipe=recipe, seed=seed, sources=sources)
    kept = int(np.count_nonzero(selected.choice.kept))
    if kept == 0:
        raise InputError(
            f"{output}: no label has {recipe.min_fields} fields of view among {len(selected.table):,}; "
            "annotate more sources, or lower it with --set min_fields=…"
        )
    with atomic_path(output / "selection.parquet") as temporary:
        pq.write_table(_chosen(selected), temporary, use_dictionary=["label", "category"])
    reasons = _reasons(selected)
    write_rejection_batches(output, "select", _rejections(selected, reasons))
    by_source = _by_source(selected, reasons)
    total = sum((Counter(counts) for counts in by_source.values()), Counter())
    summary = StageSummary(
        stage="select",
        rows_in=len(selected.table),
        kept=kept,
        rejected={reason: total[reason] for reason in sorted(total.keys() - {"in", "kept"})},
        by_source=by_source,
        recipe=as_dict(recipe),
        seed=seed,
        seconds=time.perf_counter() - started,
        details=_details(selected),
    )
    summary.write(output)
    return summary


@dataclass(frozen=True)
class Selection:
    """A choice with the table it was made from.

    Attributes:
        table: all fields; those left out by a filter carry no label in it.
        choice: what was chosen.
        left_out: (rows,) int8, which of the filters left the row out; -1: none.
    """

    table: FieldTable
    choice: Choice
    left_out: npt.NDArray[np.int8]


def read_selection(
    output: Path,
    *,
    recipe: Recipe,
    seed: int,
    sources: SourceFilter = ALL_SOURCES,
) -> Selection:
    """What `select` would choose, without writing anything; see there for the arguments."""
    table = read_fields(output / "annotations.parquet", _columns(recipe))
    return _selection_of(table, recipe, seed=seed, sources=sources)


def _selection_of(
    table: FieldTable,
    recipe: Recipe,
    *,
    seed: int,
    sources: SourceFilter = ALL_SOURCES,
) -> Selection:
    """Filter, choose, and refuse classes that would share a file name."""
    names = table.values["dir_name"]
    if unknown := sorted({*(sources.only or ()), *sources.exclude} - set(names)):
        raise InputError(f"no source {unknown} in the annotation table; it holds {names}")
    table = labels_by_rule(table, recipe.uncertain_labels)
    left_out = np.full(len(table), -1, np.int8)
    licences = table.values["licence"]
    sources.require_known_licences({*licences, *(source.licence for source in sources.registry.values())})
    if sources.licences is not None:
        left_out[~_among(table, "licence", [name for name in licences if sources.allows(name)])] = 2
    left_out[_among(table, "dir_name", sources.exclude)] = 1
    if sources.only is not None:
        left_out[~_among(table, "dir_name", sources.only)] = 1
    if holdings := read_holdings(recipe.holdings):
        left_out[(left_out < 0) & ~held_rows(holdings, table.codes, table.values, seed=seed)] = 3
    left_out[_among(table, "dir_name", recipe.held_out)] = 0
    if (left_out >= 0).any():
        table = table.without_labels(left_out >= 0)
    choice = choose(table, recipe, seed=seed)
    file_names(outcome.label for outcome in choice.outcomes if outcome.reason is None)
    return Selection(table, choice, left_out)


def _columns(recipe: Recipe) -> list[str]:
    plate = ("plate",) if recipe.holdings else ()
    stated = ("uncertain", "published")
    return list(
        dict.fromkeys((*CATEGORIES, *stated, "dir_name", "licence", *plate, *recipe.strata, *recipe.presample_strata))
    )


def _among(table: FieldTable, column: str, wanted: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows hold one of some values; unknown is none of them."""
    is_wanted = np.array([value in wanted for value in table.values[column]] + [False])
    return is_wanted[table.codes[column]]


def _chosen(selected: Selection) -> pa.Table:
    choice = selected.choice
    rows = np.flatnonzero(choice.kept)
    taken_by = choice.taken_by[rows]
    columns = [selected.table.idx.take(pa.array(rows)).cast(pa.string())]
    columns += [text_at([getattr(o, name) for o in choice.outcomes], taken_by) for name in ("label", "category")]
    return pa.table(columns, schema=SELECTION_SCHEMA)


@dataclass(frozen=True)
class _Reasons:
    """Why each row was left out: (rows,) position in `names`, -1 if kept, and the outcome it is about, -1 if none."""

    names: list[str]
    reason: npt.NDArray[np.int8]
    about: npt.NDArray[np.int32]


def _reasons(selected: Selection) -> _Reasons:
    choice = selected.choice
    names = [*_FILTERS, "no_candidate_label", "over_quota"]
    names += sorted({outcome.reason for outcome in choice.outcomes if outcome.reason is not None})
    of_outcome = [names.index(outcome.reason or "over_quota") for outcome in choice.outcomes]
    about = np.where(choice.taken_by >= 0, choice.taken_by, choice.best_carried)
    reason = np.array([*of_outcome, names.index("no_candidate_label")], np.int8)[about]
    reason = np.where(selected.left_out >= 0, selected.left_out, reason)
    return _Reasons(names, np.where(choice.kept, np.int8(-1), reason), about)


def _rejections(selected: Selection, reasons: _Reasons) -> Iterator[pa.Table]:
    """Rejected rows in batches, in the order of `idx`; the detail is the label that came nearest."""
    labels = [outcome.label for outcome in selected.choice.outcomes]
    rejected = np.flatnonzero(reasons.reason >= 0)
    for start in range(0, len(rejected), _BATCH):
        rows = rejected[start : start + _BATCH]
        nobody = np.full(len(rows), -1, np.int32)
        columns = {
            "idx": selected.table.idx.take(pa.array(rows)).cast(pa.string()),
            "image_id": text_at([], nobody),
            "dir_name": text_at(selected.table.values["dir_name"], selected.table.codes["dir_name"][rows]),
            "stage": text_at(["select"], np.zeros(len(rows), np.int32)),
            "reason": text_at(reasons.names, reasons.reason[rows]),
            "detail": text_at(labels, reasons.about[rows]),
        }
        yield pa.table([columns[name] for name in REJECTION_SCHEMA.names], schema=REJECTION_SCHEMA)


def _by_source(selected: Selection, reasons: _Reasons) -> dict[str, dict[str, int]]:
    source_names = selected.table.values["dir_name"]
    source = selected.table.codes["dir_name"]  # -1, unknown, counts as one more source
    width = len(reasons.names) + 1
    cells = np.bincount(np.where(source < 0, len(source_names), source).astype(np.int64) * width + reasons.reason + 1)
    cells = np.resize(np.pad(cells, (0, (len(source_names) + 1) * width - len(cells))), (len(source_names) + 1, width))
    counts = {}
    for name, row in zip([*source_names, "unknown"], cells.tolist(), strict=True):
        if sum(row):
            rejected = {reason: number for reason, number in zip(reasons.names, row[1:], strict=True) if number}
            counts[name] = {"in": sum(row), "kept": row[0], **rejected}
    return counts


def _details(selected: Selection) -> dict[str, Any]:
    outcomes = selected.choice.outcomes
    classes = {outcome.label: asdict(outcome) for outcome in outcomes if outcome.reason is None}
    for content in classes.values():
        del content["label"], content["reason"]
    dropped = [asdict(outcome) for outcome in outcomes if outcome.reason is not None]
    return {
        "classes": len(classes),
        "candidates": len(outcomes),
        "labels": classes,
        "dropped_labels": dropped,
    }
