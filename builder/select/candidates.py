"""Which values of the label columns may become a class, and which rows carry each: an inverted index.

Cells repeat (2.7 million rows hold some ten thousand distinct cells per column), so a label is looked up among the
distinct cells once and its rows follow from the index, instead of a scan of all rows for every label.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from builder.recipe import Recipe
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.schema import CATEGORIES

from .fields import Codes, FieldTable, RowNumbers


@dataclass(frozen=True, order=True)
class Candidate:
    """A value of a label column; candidates are taken in this order, from the rarest (paper §2.1, ties by L5)."""

    rows: int  # that hold it as a whole token, taken or not
    category: str
    label: str


@dataclass(frozen=True)
class ColumnIndex:
    """One label column: which rows hold each distinct cell, which cells hold each token.

    Attributes:
        cells: distinct cells, alphabetical.
        rows: row numbers grouped by cell, ascending within a cell; unknown cells left out.
        starts: where each cell's group starts in `rows`, and where the last ends.
        tokens: token → numbers of the cells that hold it.
    """

    cells: Sequence[str]
    rows: RowNumbers
    starts: Sequence[int]
    tokens: Mapping[str, Sequence[int]]

    def count(self, token: str) -> int:
        """Rows that hold the token, once each."""
        return sum(self.starts[cell + 1] - self.starts[cell] for cell in self.tokens[token])

    def carrying(self, token: str) -> RowNumbers:
        """Rows that hold `token` as a whole `|`-separated token, ascending."""
        return self._rows_of(self.tokens.get(token, ()))

    def matching(self, pattern: str) -> RowNumbers | None:
        """Rows in whose cell the regular expression is found anywhere, ascending: the published rule (L1).

        None if the label is not a valid expression.
        """
        try:
            return self._rows_of(self._cells_matching(pattern))
        except (re.error, OverflowError):  # OverflowError: a{9999999999}
            return None

    def _rows_of(self, cells: Sequence[int]) -> RowNumbers:
        if len(cells) == 1:
            return self.rows[self.starts[cells[0]] : self.starts[cells[0] + 1]]
        parts = [self.rows[self.starts[cell] : self.starts[cell + 1]] for cell in cells]
        return np.sort(np.concatenate([np.empty(0, np.int32), *parts]))

    def _cells_matching(self, pattern: str) -> list[int]:
        if not _METACHARACTERS.search(pattern):
            return self._first_hits(lambda start: self._text.find(pattern, start))
        expression = re.compile(pattern)
        # Anchors, escapes, negated sets and look-around could see the line breaks between cells.
        if _SEES_NEIGHBOURS.search(pattern) or "\n" in pattern:
            return [number for number, cell in enumerate(self.cells) if expression.search(cell)]

        def find(start: int) -> int:
            hit = expression.search(self._text, start)
            return hit.start() if hit else -1

        return self._first_hits(find)

    def _first_hits(self, find: Callable[[int], int]) -> list[int]:
        """Cells with a hit, searched in one text of all cells: each search goes on behind the cell it hit."""
        hits = []
        position = find(0)
        while 0 <= position < len(self._text):
            cell = bisect_right(self._offsets, position) - 1
            hits.append(cell)
            if cell + 1 == len(self.cells):
                break
            position = find(self._offsets[cell + 1])
        return hits

    @cached_property
    def _text(self) -> str:
        return "\n".join(self.cells)

    @cached_property
    def _offsets(self) -> list[int]:
        lengths = np.fromiter((len(cell) + 1 for cell in self.cells), np.int64, len(self.cells))
        return [0, *np.cumsum(lengths)[:-1].tolist()] if self.cells else []


_METACHARACTERS = re.compile(r"[.^$*+?{}\[\]\\|()]")
_SEES_NEIGHBOURS = re.compile(r"[\^$\\]|\(\?")


def index_columns(table: FieldTable) -> dict[str, ColumnIndex]:
    """The index of each label column."""
    return {category: index_column(table.codes[category], table.values[category]) for category in CATEGORIES}


def index_column(codes: Codes, cells: Sequence[str]) -> ColumnIndex:
    """Index one column from its codes (-1 unknown) and their cells.

    Example:
        >>> index = index_column(np.array([1, 0, -1, 1], np.int32), ["rab5", "rab5|rab7"])
        >>> index.carrying("rab7").tolist(), index.count("rab5")
        ([0, 3], 3)
    """
    if any("\n" in cell for cell in cells):
        raise InputError("a label holds a line break: clean it in the source's adapter")
    # Stable sorting of 16-bit keys is a radix sort, five times faster than of 32-bit ones; -1 becomes the largest.
    keys = codes.astype(np.uint16) if len(cells) < 65_535 else codes.astype(np.uint32)
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes[codes >= 0], minlength=len(cells)))]).tolist()
    rows = np.argsort(keys, kind="stable")[: starts[-1]].astype(np.int32)
    tokens: dict[str, list[int]] = {}
    for number, cell in enumerate(cells):
        for token in dict.fromkeys(cell.split("|")) if "|" in cell else (cell,):
            if token:
                tokens.setdefault(token, []).append(number)
    return ColumnIndex(cells=cells, rows=rows, starts=starts, tokens=tokens)


def rank_candidates(columns: Mapping[str, ColumnIndex], recipe: Recipe) -> list[Candidate]:
    """Every value of the label columns in at least `min_fields` rows, from the rarest; ties by (category, label)."""
    return sorted(
        Candidate(rows, category, label)
        for category, column in columns.items()
        for label in column.tokens
        if (rows := column.count(label)) >= recipe.min_fields
    )


def file_names(labels: Iterable[str]) -> dict[str, str]:
    """One spelling of each label that is safe as a file or folder name; two labels may not share one (L2).

    Example:
        >>> file_names(["5-ht1a/1b", "calr-kdel"])
        {'5-ht1a/1b': '5-ht1a-1b', 'calr-kdel': 'calr-kdel'}
    """
    names: dict[str, str] = {}
    owner: dict[str, str] = {}
    for label in sorted(labels):
        # Windows forbids these, and names that end in a dot or a blank; "/" and "*" are what the original lost.
        name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "-", label).strip(". ") or "-"
        if (other := owner.setdefault(name.casefold(), label)) != label:
            raise InputError(
                f"labels {other!r} and {label!r} would both be stored as {name!r}: "
                "merge or rename one of them in builder/vocabulary.toml and annotate again"
            )
        names[label] = name
    return names
