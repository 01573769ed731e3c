"""The table of docs/repairs.md: what each repair of the evaluation changes."""

from collections.abc import Mapping
from typing import Any

from cytoimagenet_hf.benchmarks.recipes import variants

from .blocks import table
from .sentences import row

FIRST = "set and network"
SAME = "·"
_SHIFTED = "E1 labels shifted by folders"
_SINGLE = "one cell left out, not its group"


def changes(result: Mapping[str, Any]) -> str:
    """The table, and what it says, from the content of docs/benchmarks/repairs.json."""
    columns = (FIRST, *variants())
    rows = ([line[name] for name in columns] for line in result["table"])
    cyclops = row(result, "cyclops: Pretrained")
    return f"""{table(columns, rows, numbers=len(variants()))}

Measured with the demo's seed {result["demo"]["seed"]}.

- {_SHIFTED}: the pretrained network has {cyclops[_SHIFTED]} % on cyclops instead of {cyclops["corrected"]} %. The
  shifted labels leave out two classes and merge others. That is another task, so the difference is no gain.
- {_single(result)}"""


def _single(result: Mapping[str, Any]) -> str:
    changed = [line for line in result["table"] if line[_SINGLE] != SAME]
    if not changed:
        return (
            f"{_SINGLE[0].upper()}{_SINGLE[1:]}: nothing changes, since these sets do not say which cells share a "
            "field. Real\n  yeast cells do, and there it changes much ([how to read a result]"
            "(benchmarks.md#how-to-read-a-result))."
        )
    largest = max(changed, key=lambda line: float(line[_SINGLE]) - float(line["corrected"]))
    return (
        f"{_SINGLE[0].upper()}{_SINGLE[1:]}: {largest[FIRST]} has {largest[_SINGLE]} % instead of "
        f"{largest['corrected']} %.\n  The nearest neighbour of a cell is often a cell of its own field."
    )
