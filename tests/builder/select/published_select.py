"""The published selection as a plain pandas program: the oracle of `builder.select` and the baseline of its benchmark.

Written from the rules alone (paper §2.1): scan all rows for every label with a regular expression, sample a fraction
of each group. It is slow on purpose, as the original was. It departs from the original in two things only: draws come
from a generator, and where the original raises (a label that is not an expression, a fraction above 1) it goes on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

COLUMNS = ["organism", "cell_type", "cell_visible", "phenotype", "compound", "gene", "sirna"]
STRATA = ["organism", "cell_type", "cell_visible", "sirna", "compound", "phenotype"]
OTHER_OF_PAIR = {"sirna": "compound", "compound": "sirna"}


@dataclass(frozen=True)
class Taken:
    """One label that was reached: free rows that carry it, and the idx chosen (none: too few)."""

    category: str
    label: str
    free: int
    chosen: list[str]


def count_candidates(table: pd.DataFrame, *, threshold: int = 287) -> pd.DataFrame:
    """Every value of the label columns with at least `threshold` rows, from the rarest."""
    counts = []
    for column in COLUMNS:
        values = table[column].dropna().astype(object).str.split("|").explode()
        values = values[values != ""].reset_index().drop_duplicates()[column]
        sizes = values.value_counts().rename_axis("label").reset_index(name="rows")
        counts.append(sizes.assign(category=column))
    candidates = pd.concat(counts)
    return candidates[candidates.rows >= threshold].sort_values(["rows", "category", "label"]).reset_index(drop=True)


def published_select(
    table: pd.DataFrame,
    rng: np.random.Generator,
    *,
    threshold: int = 287,
    wanted: int = 1000,
    presample: int = 10_000,
) -> Iterator[Taken]:
    """Yield each label as it takes its rows; labels written with `*` or `/` take rows too."""
    used: dict[str, str] = {}
    for candidate in count_candidates(table, threshold=threshold).itertuples():
        rows = find_free(table, candidate.category, candidate.label, used)
        if rows is None or len(rows) < threshold:
            yield Taken(candidate.category, candidate.label, 0 if rows is None else len(rows), [])
            continue
        chosen = downsample(rows, candidate.category, rng, wanted=wanted, presample=presample)
        used.update(dict.fromkeys(chosen["idx"], candidate.label))
        yield Taken(candidate.category, candidate.label, len(rows), chosen["idx"].tolist())


def find_free(table: pd.DataFrame, category: str, label: str, used: dict[str, str]) -> pd.DataFrame | None:
    """Rows in which the label is found as a regular expression and that no label has used."""
    free = ~table["idx"].isin(used)
    try:
        carries = table[category].str.contains(label, regex=True)
    except (re.error, ValueError):  # pandas strings raise pyarrow's ValueError
        return None
    return table[carries.fillna(False).astype(bool) & free]


def downsample(
    rows: pd.DataFrame, category: str, rng: np.random.Generator, *, wanted: int, presample: int
) -> pd.DataFrame:
    """At most `wanted` rows: fractions of groups, rounded, raised until there are enough."""
    if len(rows) <= wanted:
        return rows
    if len(rows) > presample:
        groups = [name for name in ("dir_name", "organism", "cell_type") if name != category]
        rows = fraction_of_groups(rows, groups, presample / len(rows), rng)
    groups = [name for name in STRATA if name not in (category, OTHER_OF_PAIR.get(category))]
    fraction = wanted / len(rows)
    drawn = fraction_of_groups(rows, groups, fraction, rng)
    while len(drawn) < wanted and fraction < 1:
        fraction += 0.03 if len(drawn) < wanted / 2 else 0.02
        drawn = fraction_of_groups(rows, groups, fraction, rng)
    return drawn.sample(n=wanted, random_state=rng) if len(drawn) > wanted else drawn


def fraction_of_groups(
    rows: pd.DataFrame, groups: list[str], fraction: float, rng: np.random.Generator
) -> pd.DataFrame:
    """A fraction of each group by pandas' own `sample`: rounded half to even, so small groups give nothing."""
    parts = [
        group.sample(frac=min(fraction, 1.0), random_state=rng)
        for _, group in rows.groupby(groups, dropna=False, sort=False)
    ]
    return pd.concat(parts)
