"""The hit list: treatments by their distance from the controls, how well replicates agree, and how many cells."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.profiles.plan import Profiles
from cytoimagenet_hf.profiles.screening import group_name

from .replicates import ReplicateScore, settings_of


@dataclass(frozen=True)
class Hit:
    """One treatment in one setting, over all plates; NaN is what is not known.

    Attributes:
        treatment: as `ReplicateScore` names it.
        wells: ids of its wells.
        distance: median of the wells' distances from the negative controls of their plate.
        precision: mean average precision of its replicates.
        p_value: of it, corrected.
        counted: mean number per well of what `counted_as` names.
    """

    treatment: str
    wells: tuple[str, ...]
    distance: float
    precision: float
    p_value: float
    counted: float


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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["treatment", "wells", "distance", "replicate_map", "corrected_p_value", f"{counted}_per_well"])
    for hit in hits:
        numbers = (hit.distance, hit.precision, hit.p_value, hit.counted)
        writer.writerow([hit.treatment, len(hit.wells), *("" if np.isnan(one) else one for one in numbers)])
    return text.getvalue()


def _median(values: npt.NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
