"""Weak labels: which label each field of view is chosen for (paper §2.1), from a table of codes.

Labels are taken from the rarest to the most frequent; each takes up to `max_fields` of the rows that carry it and are
still free, at once or, by the recipe, `min_fields` first and the rest when every label has had its turn. One generator
per label: the same rows for the same table, recipe and seed, whatever the order of the table (L4, L5).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from builder.recipe import Recipe
from cytoimagenet_hf.core.seeding import derive_rng

from .candidates import Candidate, ColumnIndex, index_columns, rank_candidates
from .fields import FieldTable, RowNumbers
from .strata import draw, fraction_sizes, largest_remainder_sizes, stratify

_PARTNER = {"sirna": "compound", "compound": "sirna"}
_RESERVE_FROM = 20  # times min_fields: enough rows for the strata of a reservation, few enough to be quick


@dataclass(frozen=True)
class Outcome:
    """What became of one candidate label.

    `reason` is None for a class. Otherwise: `label_too_small` (fewer than `min_fields` free rows), `invalid_pattern`
    (no regular expression, L1), `label_lost` (L2), `other_column` or `overwritten` (the same spelling in two columns).
    """

    category: str
    label: str
    rows: int  # that hold it as a token
    free: int  # found to carry it and not taken before
    chosen: int
    reason: str | None = None


@dataclass(frozen=True)
class Choice:
    """Every candidate's outcome in the order they took their rows, and what that means for each row.

    Attributes:
        outcomes: one per candidate.
        taken_by: (rows,) the outcome that took the row; -1 if none did.
        best_carried: (rows,) the outcome that came nearest to taking the row, a class before one that was dropped;
            -1 if the row carries no candidate label.
    """

    outcomes: tuple[Outcome, ...]
    taken_by: RowNumbers
    best_carried: RowNumbers

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """(rows,) whether the row was chosen for a label that is a class."""
        # The entry appended for -1 is False.
        is_class = np.array([outcome.reason is None for outcome in self.outcomes] + [False])
        return is_class[self.taken_by]


def choose(table: FieldTable, recipe: Recipe, *, seed: int) -> Choice:
    """Choose a label for each field of view, or none; the table has codes of the label columns and of the strata."""
    columns = index_columns(table)
    ranked = rank_candidates(columns, recipe)
    largest = {candidate.label: candidate for candidate in ranked}  # the last of a spelling has the most rows
    reserve = recipe.assignment == "minimum first"
    outcomes: list[Outcome] = []
    taken_by = np.full(len(table), -1, np.int32)
    best_carried = np.full(len(table), -1, np.int32)
    is_class_carried = np.zeros(len(table), np.bool_)
    for number, candidate in enumerate(tqdm(ranked, desc="select", unit="label", disable=None)):
        carried, reason = carried_rows(columns[candidate.category], candidate.label, recipe)
        free = carried[taken_by[carried] < 0] if reason is None else carried[:0]
        if recipe.repeated_label == "largest" and largest[candidate.label] is not candidate:
            reason = "other_column"
        elif reason is None and len(free) < recipe.min_fields:
            reason = "label_too_small"
        chosen = 0
        if reason is None:
            rng = _draws_of(candidate, seed)
            drawn = _reserved(table, free, candidate, recipe, rng) if reserve else None
            rows = free[_sample(table, free, candidate.category, recipe, rng)] if drawn is None else drawn
            taken_by[rows] = number
            chosen = len(rows)
            if recipe.odd_labels == "lost" and set("*/") & set(candidate.label):
                reason = "label_lost"
        outcomes.append(Outcome(candidate.category, candidate.label, candidate.rows, len(free), chosen, reason))
        if reason is None:
            is_class_carried[carried] = True
            best_carried[carried] = number
        else:
            best_carried[carried[~is_class_carried[carried]]] = number
    if reserve:
        outcomes = _filled(table, columns, ranked, outcomes, taken_by, recipe, seed)
    if recipe.repeated_label == "overwrite":
        outcomes = _overwritten(outcomes)
    return Choice(tuple(outcomes), taken_by, best_carried)


def _draws_of(candidate: Candidate, seed: int) -> np.random.Generator:
    return derive_rng(seed, "select", f"{candidate.category}/{candidate.label}")


def _reserved(
    table: FieldTable, free: RowNumbers, candidate: Candidate, recipe: Recipe, rng: np.random.Generator
) -> RowNumbers:
    """The fewest rows that make a class, stratified; of very large labels from a part that is drawn evenly.

    They are drawn again when all labels have theirs, so what this part leaves out is not lost.
    """
    part = min(_RESERVE_FROM * recipe.min_fields, len(free))
    if part < len(free):
        free = free[np.sort(rng.choice(len(free), part, replace=False))]
    return free[_sample(table, free, candidate.category, recipe, rng, most=recipe.min_fields)]


def _filled(
    table: FieldTable,
    columns: Mapping[str, ColumnIndex],
    ranked: Sequence[Candidate],
    outcomes: Sequence[Outcome],
    taken_by: RowNumbers,
    recipe: Recipe,
    seed: int,
) -> list[Outcome]:
    """Each class, from the rarest, draws anew from its own rows and those still free, up to `max_fields`."""
    filled = list(outcomes)
    for number, (candidate, outcome) in enumerate(zip(ranked, outcomes, strict=True)):
        if outcome.reason is not None or outcome.chosen == outcome.free:
            continue
        carried, _ = carried_rows(columns[candidate.category], candidate.label, recipe)
        holder = taken_by[carried]
        open_rows = carried[(holder < 0) | (holder == number)]
        rows = open_rows[_sample(table, open_rows, candidate.category, recipe, _draws_of(candidate, seed))]
        taken_by[carried[holder == number]] = -1
        taken_by[rows] = number
        filled[number] = replace(outcome, free=len(open_rows), chosen=len(rows))
    return filled


def carried_rows(column: ColumnIndex, label: str, recipe: Recipe) -> tuple[RowNumbers, str | None]:
    """The rows found to carry a label in its column, taken or not, and why they could not be found (or None)."""
    if recipe.label_match == "token":
        return column.carrying(label), None
    rows = column.matching(label)
    # The original stopped here with an exception; the label is left out and said so instead.
    return (column.carrying(label), "invalid_pattern") if rows is None else (rows, None)


def strata_columns(category: str, recipe: Recipe) -> list[str]:
    """The columns a label of this category is stratified by: not its own, nor the other of sirna and compound."""
    return [name for name in recipe.strata if name not in {category, _PARTNER.get(category)}]


def _sample(
    table: FieldTable,
    free: RowNumbers,
    category: str,
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    most: int | None = None,
) -> npt.NDArray[np.int64]:
    """Positions in `free` of the rows a label takes: all up to `most` (`max_fields`), else a stratified sample."""
    most = most or recipe.max_fields
    chosen = np.arange(len(free))
    if len(free) <= most:
        return chosen
    if 0 != recipe.presample_above < len(free):
        strata = stratify([table.codes[name] for name in recipe.presample_strata if name != category], free)
        sizes = np.bincount(strata)
        if recipe.allocation == "fraction":
            take = fraction_sizes(sizes, recipe.presample_above, until_enough=False)
        else:
            take = largest_remainder_sizes(sizes, recipe.presample_above, rng)
        chosen = draw(strata, take, rng)
    strata = stratify([table.codes[name] for name in strata_columns(category, recipe)], free[chosen])
    sizes = np.bincount(strata)
    if recipe.allocation == "largest-remainder":
        return chosen[draw(strata, largest_remainder_sizes(sizes, most, rng), rng)]
    chosen = chosen[draw(strata, fraction_sizes(sizes, most, until_enough=True), rng)]
    surplus = len(chosen) > most
    return np.sort(rng.choice(chosen, most, replace=False)) if surplus else chosen


def _overwritten(outcomes: list[Outcome]) -> list[Outcome]:
    """Of classes with one spelling only the last stays; the rows of the others stay taken (published)."""
    last = {outcome.label: number for number, outcome in enumerate(outcomes) if outcome.reason is None}
    return [
        replace(outcome, reason="overwritten") if outcome.reason is None and last[outcome.label] != number else outcome
        for number, outcome in enumerate(outcomes)
    ]
