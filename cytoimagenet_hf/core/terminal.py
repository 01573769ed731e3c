"""Tables and lines on the terminal: a cell is never broken in the middle of a number or a name.

A table that does not fit is shown row by row, as `name: value`. In a pipe or a file there is no width to fit to, so
that a table is as wide as its content and a line is never broken. Whatever is printed is shown as it is: `[raw]`,
`benzo[a]pyrene` and `:pill:` are names, not styles; a style is a `rich.text.Text`.
"""

import itertools
from typing import Any

from rich.console import Console, Group
from rich.protocol import rich_cast
from rich.table import Table
from rich.text import Text

_SHORT = 24  # characters: such cells are numbers, names, intervals; longer ones are sentences and may wrap at words
_WORD = 16  # characters: longer words of a sentence are addresses and paths, which may break
_PIPE = 120  # characters of a table in a pipe, at least: its title and caption wrap there
_ENDLESS = 10_000


class Terminal(Console):
    """A rich console that keeps the cells of tables whole and takes every text literally."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False} | options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, tables so that they fit."""
        for together, some in itertools.groupby(_flat(objects), key=lambda one: not isinstance(one, Table)):
            if together:
                super().print(*some, **{"soft_wrap": not self.is_terminal} | options)
                continue
            for table in some:
                if self.is_terminal:
                    shown = table if _least_width(table) <= self.width else _stacked(table)
                    super().print(shown, **options)
                else:
                    self._print_wide(table, options)

    def _print_wide(self, table: Table, options: Any) -> None:
        _least_width(table)
        width = self.width
        self.width = max(_PIPE, self.measure(table, options=self.options.update(max_width=_ENDLESS)).maximum)
        try:
            super().print(table, **options)
        finally:
            self.width = width


def counted(number: int, one: str, several: str = "") -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "shard"), counted(1200, "shard"), counted(2, "entry", "entries")
        ('1 shard', '1,200 shards', '2 entries')
    """
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _flat(objects: Any) -> list[Any]:
    given = map(rich_cast, objects)  # an object that knows its own table is that table
    return [inner for one in given for inner in (_flat(one.renderables) if isinstance(one, Group) else [one])]


def _least_width(table: Table) -> int:
    """The width that a table needs, in characters, when short cells stay whole; those columns no longer wrap.

    Example:
        >>> table = Table("network", "accuracy")
        >>> table.add_row("one", "30.0 ± 11.6")
        >>> _least_width(table)
        25
    """
    widths = []
    for column in table.columns:
        cells = [str(column.header), *map(str, column.cells)]
        lines = [line for cell in cells for line in cell.splitlines()] or [""]
        if all(len(line) <= _SHORT for line in lines):
            column.no_wrap = True
            widths.append(max(map(len, lines)))
        else:
            widths.append(min(_WORD, max(len(word) for line in lines for word in [*line.split(), ""])))
    frame = 2 if table.box is None else 3  # a space on both sides of a cell, and a border
    return sum(widths) + frame * len(widths) + 1


def _stacked(table: Table) -> Group:
    """The rows of a table below each other, each cell after the heading of its column; empty cells are left out."""
    headings = [str(column.header) for column in table.columns]
    lines: list[str | Text] = [] if table.title is None else [Text(str(table.title), style="italic")]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        named = [f"{heading}: {cell}" if heading else str(cell) for heading, cell in zip(headings, row, strict=True)]
        lines += ["\n  ".join(line for line, cell in zip(named, row, strict=True) if cell), ""]
    return Group(*lines, *([] if table.caption is None else [str(table.caption)]))
