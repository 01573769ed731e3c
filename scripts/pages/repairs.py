"""docs/repairs.md: what each repair of the evaluation changes, from docs/benchmarks/repairs.json."""

from collections.abc import Mapping
from typing import Any

from cytoimagenet_hf.benchmarks.recipes import variants

from .sentences import row

FIRST = "set and network"
SAME = "·"
_SHIFTED = "E1 labels shifted by folders"
_SINGLE = "one cell left out, not its group"


def page(result: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        result: content of docs/benchmarks/repairs.json.
    """
    columns = (FIRST, *variants())
    lines = [
        columns,
        ("---", *["--:"] * len(variants())),
        *([one[name] for name in columns] for one in result["table"]),
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    cyclops = row(result, "cyclops: Pretrained")
    return f"""# What each repair changes

The evaluation of the original had [faults](paper.md#faults-in-the-evaluation). Here one of its rules is put back at a
time, and the last column puts back all of them. The numbers are accuracies in %, of the simulated benchmark sets of
`make demo` (seed {result["demo"]["seed"]}), for what its pretrained network pools, an untrained network of the same
shape, and for both side by side. A dot means: the same as corrected.

{table}

- {_SHIFTED}: the pretrained network has {cyclops[_SHIFTED]} % on cyclops instead of {cyclops["corrected"]} %. The
  shifted labels leave out two classes and merge others. That is another task, so the difference is no gain.
- E2 acts on fusions alone. E4 acts on sets that hold copies of an image; these sets have none.
- {_single(result)}

Measured by `python scripts/bench.py repairs demo`. On your own features: `cytoimagenet benchmark --repairs`.
"""


def _single(result: Mapping[str, Any]) -> str:
    changed = [one for one in result["table"] if one[_SINGLE] != SAME]
    if not changed:
        return (
            f"{_SINGLE[0].upper()}{_SINGLE[1:]}: nothing changes, since these sets do not say which cells share a "
            "field. Real\n  yeast cells do, and there it changes much ([how to read a result]"
            "(benchmarks.md#how-to-read-a-result))."
        )
    largest = max(changed, key=lambda one: float(one[_SINGLE]) - float(one["corrected"]))
    return (
        f"{_SINGLE[0].upper()}{_SINGLE[1:]}: {largest[FIRST]} has {largest[_SINGLE]} % instead of "
        f"{largest['corrected']} %.\n  The nearest neighbour of a cell is often a cell of its own field."
    )
