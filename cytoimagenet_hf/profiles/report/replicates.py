"""Treatments: how well their replicates find each other among the controls, and how far they lie from these."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from cytoimagenet_hf.core.colours import PALETTE
from cytoimagenet_hf.profiles.conditions import groups_of
from cytoimagenet_hf.profiles.plan import Profiles
from cytoimagenet_hf.profiles.screening import group_name
from cytoimagenet_hf.profiles.well_facts import WellFacts
from cytoimagenet_hf.scoring.precision import replicate_precision
from cytoimagenet_hf.tables.features import FeatureTable

from .drawings import plates_of
from .svg import FAINT, OTHER, PAPER, drawing, line, number, scale, text, ticks

_MOST = 40  # treatments drawn


@dataclass(frozen=True)
class ReplicateScore:
    """Mean average precision of one treatment's wells, retrieving each other among the negative controls."""

    treatment: str
    wells: int
    precision: float
    p_value: float


def replicate_scores(
    table: FeatureTable, facts: WellFacts, *, seed: int = 0, null_size: int = 10_000
) -> list[ReplicateScore]:
    """Mean average precision by treatment and setting, corrected p-values, the best first.

    None without two negative control wells and a treatment of two wells. On each plate features are scaled to equal
    deviations, since cosine ignores none.
    """
    plates = np.array(plates_of(table), object)
    parts = []
    for setting, rows in settings_of(facts):
        treatment = facts.treatment[rows].astype(str)
        negative, used = facts.negative[rows], np.isin(facts.role[rows], ("treatment", "positive"))
        names, counts = np.unique(treatment[used], return_counts=True)
        chosen = negative | (used & np.isin(treatment, names[counts > 1]))
        if negative.sum() < 2 or not (counts > 1).any():
            continue
        scores = replicate_precision(
            table.values[rows][chosen].astype(np.float64),
            treatments=treatment[chosen],
            controls=negative[chosen],
            plates=plates[rows][chosen],
            across=False,
            rescale=True,
            seed=seed,
            null_size=null_size,
        )
        parts.append(scores.assign(treatment=[group_name(name, setting) for name in scores["treatment"]]))
    if not parts:
        return []
    scores = pd.concat(parts, ignore_index=True)
    scores["corrected_p_value"] = stats.false_discovery_control(scores["p_value"])
    columns = ["treatment", "wells", "mean_average_precision", "corrected_p_value"]
    replicates = [
        ReplicateScore(str(name), int(wells), float(precision), float(p_value))
        for name, wells, precision, p_value in scores[columns].itertuples(index=False)
    ]
    return sorted(replicates, key=lambda row: (-row.precision, row.treatment))


def settings_of(facts: WellFacts) -> list[tuple[str, npt.NDArray[np.intp]]]:
    """(setting, rows) of wells of all plates that are judged together; empty text where there is one setting."""
    groups = groups_of([""] * len(facts.role), facts.conditions.setting, facts.role)
    several = len(groups) > 1
    return [(setting if several else "", rows) for _, setting, rows in groups]


def precision_drawing(rows: list[ReplicateScore]) -> str:
    """A dot per treatment on a scale from 0 to 1; filled where the replicates find each other beyond chance."""
    shown = rows[:_MOST]
    left, width, step, top = 190.0, 560.0, 20.0, 30.0
    height = top + step * len(shown) + 44
    x = scale(0, 1, left, width - 20)
    parts = [
        f'<circle cx="{left + 6}" cy="12" r="5" fill="{PALETTE[0]}"/>',
        text(left + 16, 16, "p < 0.05", colour=FAINT),
        f'<circle cx="{left + 106}" cy="12" r="4.5" fill="{PAPER}" stroke="{OTHER}" stroke-width="2"/>',
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
        look = f'fill="{PALETTE[0]}"' if row.p_value < 0.05 else f'fill="{PAPER}" stroke="{OTHER}" stroke-width="2"'
        parts.append(text(left - 10, y + 4, name, anchor="end"))
        parts.append(
            f'<circle cx="{x(row.precision):.1f}" cy="{y:.1f}" r="5" {look}><title>{number(row.precision)}, '
            f"p {number(row.p_value)}, {row.wells} wells</title></circle>"
        )
    return drawing(width, height, parts, label="Mean average precision of replicates by treatment")


@dataclass(frozen=True)
class Hit:
    """One treatment in one setting, over all plates; NaN is what is not known."""

    treatment: str  # as `ReplicateScore` names it
    wells: tuple[str, ...]  # ids of its wells
    distance: float  # median of the wells' distances from the negative controls of their plate
    precision: float  # mean average precision of its replicates
    p_value: float  # of it, corrected
    counted: float  # mean number per well of what `counted_as` names


def hit_list(profiles: Profiles, scores: Sequence[ReplicateScore]) -> list[Hit]:
    """All treatments, the farthest from the controls first; those without a distance last."""
    table, facts = profiles.table, profiles.facts
    distance = profiles.screen.distance if profiles.screen else np.full(len(table), np.nan)
    counts = table.metadata["count"].to_numpy(np.float64) if "count" in table.metadata else np.full(len(table), np.nan)
    by_name = {score.treatment: score for score in scores}
    hits = []
    for setting, rows in settings_of(facts):
        names = facts.treatment[rows].astype(str)
        used = np.isin(facts.role[rows], ("treatment", "positive"))
        for name in dict.fromkeys(names[used].tolist()):
            members = rows[used & (names == name)]
            treatment = group_name(name, setting)
            score = by_name.get(treatment)
            hits.append(
                Hit(
                    treatment,
                    tuple(map(str, table.ids[members])),
                    _median(distance[members]),
                    score.precision if score else float("nan"),
                    score.p_value if score else float("nan"),
                    float(counts[members].mean()),
                )
            )
    return sorted(hits, key=lambda hit: (np.isnan(hit.distance), -np.nan_to_num(hit.distance), hit.treatment))


def hits_as_csv(hits: Sequence[Hit], counted: str) -> str:
    """The hit list as CSV, numbers in full; what is not known is left empty.

    Example:
        >>> print(hits_as_csv([Hit("taxol 1 µM", ("p/A01",), 2.5, float("nan"), float("nan"), 4.0)], "cells"), end="")
        treatment,wells,distance,replicate_map,corrected_p_value,cells_per_well
        taxol 1 µM,1,2.5,,,4.0
    """
    columns = ["treatment", "wells", "distance", "replicate_map", "corrected_p_value", f"{counted}_per_well"]
    rows = [(hit.treatment, len(hit.wells), hit.distance, hit.precision, hit.p_value, hit.counted) for hit in hits]
    return pd.DataFrame(rows, columns=columns).to_csv(index=False, lineterminator="\n")


def _median(values: npt.NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
