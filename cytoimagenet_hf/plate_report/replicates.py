"""How well replicates find each other: mean average precision of every treatment against the controls, by copairs."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytoimagenet_hf.features.table import FeatureTable
from cytoimagenet_hf.features.well_facts import WellFacts

from .svg import CATEGORIES, FAINT, OTHER, drawing, line, number, text, ticks

_MOST = 40  # treatments drawn


@dataclass(frozen=True)
class ReplicateScore:
    """Mean average precision of one treatment's wells, retrieving each other among the negative controls."""

    treatment: str
    wells: int
    precision: float
    p_value: float


def replicate_precision(
    table: FeatureTable, facts: WellFacts, *, seed: int = 0, null_size: int = 10_000
) -> list[ReplicateScore] | str:
    """Mean average precision by treatment, corrected p-values, the best first; or why there is none.

    Args:
        table: profiles of wells; features are scaled to equal deviations, since cosine ignores none.
        facts: roles, compounds, doses.
        seed: of the null distribution.
        null_size: of the null distribution.
    """
    try:
        from copairs import map as copairs_map
    except ImportError:
        return 'needs copairs: pip install "cytoimagenet-hf[profiles]"'
    treatment = facts.treatment
    used = facts.negative | np.isin(facts.role, ("treatment", "positive"))
    names, counts = np.unique(treatment[used & ~facts.negative].astype(str), return_counts=True)
    repeated = set(names[counts > 1].tolist())
    kept = facts.negative | (used & np.array([str(name) in repeated for name in treatment]))
    if facts.negative.sum() < 2 or not repeated:
        return "needs two negative control wells and treatments with two wells or more"
    x = table.values[kept].astype(np.float64)
    spread = x.std(axis=0)
    x = (x - table.values[facts.negative].mean(axis=0))[:, spread > 0] / spread[spread > 0]
    meta = pd.DataFrame({"Metadata_treatment": treatment[kept].astype(str), "Metadata_control": facts.negative[kept]})
    log = logging.getLogger("copairs")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        precision = copairs_map.average_precision(
            meta,
            x,
            ["Metadata_treatment"],
            [],
            [],
            ["Metadata_treatment", "Metadata_control"],
            batch_size=20_000,
            progress_bar=False,
        )
        precision = precision[~precision["Metadata_control"].astype(bool)]
        found = copairs_map.mean_average_precision(
            precision, ["Metadata_treatment"], null_size=null_size, threshold=0.05, seed=seed, progress_bar=False
        )
    finally:
        log.setLevel(level)
    sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
    rows = [
        ReplicateScore(str(name), int(sizes[str(name)]), float(value), float(p_value))
        for name, value, p_value in zip(
            found["Metadata_treatment"], found["mean_average_precision"], found["corrected_p_value"], strict=True
        )
    ]
    return sorted(rows, key=lambda row: (-row.precision, row.treatment))


def precision_drawing(rows: list[ReplicateScore]) -> str:
    """A dot per treatment on a scale from 0 to 1; filled where the replicates find each other beyond chance."""
    shown = rows[:_MOST]
    left, width, step, top = 190.0, 560.0, 20.0, 30.0
    height = top + step * len(shown) + 44

    def x(value: float) -> float:
        return left + value * (width - left - 20)

    parts = [
        f'<circle cx="{left + 6}" cy="12" r="5" fill="{CATEGORIES[0]}"/>',
        text(left + 16, 16, "p < 0.05", colour=FAINT),
        f'<circle cx="{left + 106}" cy="12" r="4.5" fill="#fff" stroke="{OTHER}" stroke-width="2"/>',
        text(left + 116, 16, "not beyond chance", colour=FAINT),
    ]
    for tick in ticks(0, 1):
        parts.append(line(x(tick), top, x(tick), height - 38))
        parts.append(text(x(tick), height - 22, number(tick), anchor="middle", colour=FAINT))
    parts.append(
        text((left + width) / 2, height - 5, "mean average precision among negative controls", anchor="middle")
    )
    for place, row in enumerate(shown):
        y = top + step * (place + 0.5)
        name = row.treatment if len(row.treatment) < 25 else row.treatment[:24] + "…"
        look = f'fill="{CATEGORIES[0]}"' if row.p_value < 0.05 else f'fill="#fff" stroke="{OTHER}" stroke-width="2"'
        parts.append(text(left - 10, y + 4, name, anchor="end"))
        parts.append(
            f'<circle cx="{x(row.precision):.1f}" cy="{y:.1f}" r="5" {look}><title>{number(row.precision)}, '
            f"p {number(row.p_value)}, {row.wells} wells</title></circle>"
        )
    return drawing(width, height, parts, label="Mean average precision of replicates by treatment")
