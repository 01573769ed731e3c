"""The labels a selection gives beside those of the paper: `python -m builder labels`.

Counts by category (paper §2.1) and the 51 class names of the author's subsets `toy_20` and `toy_50`, which are public:
each is a class, or the report says what became of it. Nothing is written.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.table import Table

from builder.recipe import Recipe
from builder.sources.filter import ALL_SOURCES, SourceFilter
from cytoimagenet_hf.dataset.schema import CATEGORIES, SUBSETS

from .candidates import index_columns
from .explain import verdict
from .run import Selection, read_selection

PAPER = {
    "compound": 637,
    "phenotype": 93,
    "cell_type": 44,
    "gene": 43,
    "cell_visible": 38,
    "sirna": 36,
    "organism": 3,
}
"""Labels by category of the published dataset, 894 in all."""


@dataclass(frozen=True)
class LabelReport:
    """How many labels there are of each category, in the published dataset too, and the author's names among them."""

    recipe: str
    fields: int
    left_out: int
    chosen: int
    categories: dict[str, int]
    paper: dict[str, int]
    found: tuple[str, ...]
    missing: dict[str, str]

    def __rich__(self) -> Group:
        table = Table("category", "labels", "paper")
        for category, paper in self.paper.items():
            table.add_row(category, f"{self.categories[category]:,}", f"{paper:,}")
        table.add_row("all", f"{sum(self.categories.values()):,}", f"{sum(self.paper.values()):,}", style="bold")
        caption = (
            f"{self.chosen:,} fields of view of {self.fields:,}, of which {self.left_out:,} are left out or not held. "
            f"Names of the author's subsets: {len(self.found)} of {len(self.found) + len(self.missing)}."
        )
        names = Table("name that is missing", "why")
        for name, reason in self.missing.items():
            names.add_row(name, reason)
        return Group(f"recipe {self.recipe}, nothing written", table, caption, *([names] if self.missing else []))


def compare_with_paper(
    output: Path,
    *,
    recipe: Recipe,
    seed: int,
    sources: SourceFilter = ALL_SOURCES,
) -> LabelReport:
    """The labels of a build under a recipe beside the paper's, from the annotation table alone."""
    selected = read_selection(output, recipe=recipe, seed=seed, sources=sources)
    classes = [outcome for outcome in selected.choice.outcomes if outcome.reason is None]
    counts = Counter(outcome.category for outcome in classes)
    labels = {outcome.label for outcome in classes}
    names = sorted({*SUBSETS["toy_20"], *SUBSETS["toy_50"]})
    return LabelReport(
        recipe=recipe.name,
        fields=len(selected.table),
        left_out=int((selected.left_out >= 0).sum()),
        chosen=sum(outcome.chosen for outcome in classes),
        categories={category: counts[category] for category in PAPER},
        paper=dict(PAPER),
        found=tuple(name for name in names if name in labels),
        missing=_reasons(selected, [name for name in names if name not in labels], recipe),
    )


def _reasons(selected: Selection, names: Sequence[str], recipe: Recipe) -> dict[str, str]:
    if not names:
        return {}
    outcomes = {outcome.label: outcome for outcome in selected.choice.outcomes}
    columns = index_columns(selected.table)
    reasons = {}
    for name in names:
        rows = max(columns[category].count(name) if name in columns[category].tokens else 0 for category in CATEGORIES)
        if name in outcomes:
            outcome = outcomes[name]
            reasons[name] = f"{outcome.rows:,} rows; " + verdict(outcome.reason, outcome.chosen, outcome.free, recipe)
        elif rows:
            reasons[name] = f"out: {rows:,} rows, a candidate needs {recipe.min_fields:,}"
        else:
            reasons[name] = "out: no field of view that is held carries it"
    return reasons
