"""What each repair changes: the corrected benchmarks with one rule at a time put back (docs/paper.md)."""

from collections.abc import Callable
from dataclasses import replace

from .recipes import RECIPES, BenchmarkRecipe
from .suite import Suite, run_suite
from .table import Table

REPAIRS = {
    "E1 labels shifted by folders": ("folder_labels",),
    "E2 fusion joined by position": ("fusion_join",),
    "E3 scaled by the scored set": ("nsc_scaler", "leave_one_out_scaler"),
    "E4 nearest row taken for the query": ("leave_out",),
    "one cell left out, not its group": ("held_out",),
}
"""What is put back → the fields of the recipe that do it."""


def variants() -> dict[str, BenchmarkRecipe]:
    """`corrected`, then each repair undone alone, then `published`, which undoes all.

    Example:
        >>> list(variants())[:2]
        ['corrected', 'E1 labels shifted by folders']
    """
    corrected, published = RECIPES["corrected"], RECIPES["published"]
    undone = {
        name: replace(corrected, name=name, **{field: getattr(published, field) for field in fields})
        for name, fields in REPAIRS.items()
    }
    return {"corrected": corrected, **undone, "published": published}


def repair_table(suite: Suite, *, report: Callable[[str], None] = lambda message: None) -> Table:
    """Accuracy of every model and fusion under each variant; what equals `corrected` is shown as a dot.

    Args:
        suite: tasks and models; its recipe is not used. A cache spares extracting again.
        report: called with what is being done, one line a step.
    """
    shown: dict[str, dict[tuple[str, str], float]] = {}
    for name, recipe in variants().items():
        report(f"recipe: {name}")
        record = run_suite(replace(suite, recipe=recipe), report=report).record
        shown[name] = {
            (score.set, score.entry): 100 * score.value for score in record.scores if score.kind in ("model", "fusion")
        }
    keys = list(shown["corrected"])
    first = shown["corrected"]
    rows = tuple(
        (f"{task}: {entry}", *(_cell(shown[name][task, entry], first[task, entry], name) for name in shown))
        for task, entry in keys
    )
    note = "One rule of the original put back at a time; a dot: the same as corrected."
    return Table("What each repair changes, accuracy in %", ("", *shown), rows, note)


def _cell(value: float, corrected: float, name: str) -> str:
    return f"{value:.2f}" if name == "corrected" or value != corrected else "·"
