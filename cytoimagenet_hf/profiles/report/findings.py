"""What the place on the plate and the plate itself do to profiles: one sentence each, with its numbers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.profiles.well_facts import WellFacts
from cytoimagenet_hf.tables.features import FeatureTable
from cytoimagenet_hf.tables.wells import place_of

from .drawings import frames_of, plates_of
from .heatmap import plate_shape

_SHUFFLES = 999
_MOMENTS = 4  # time points with sentences of their own


def explained_variance(
    values: npt.NDArray[np.floating], labels: Sequence[str], *, within: Sequence[str], seed: int
) -> tuple[float, float, float, int]:
    """Part of the variance left within groups that a label explains alike in all of them, with a permutation test.

    The means of the groups `within` are taken out of the (n, d) values first, and labels are shuffled within them;
    groups that hold one label only say nothing and are left out.

    Returns:
        Part explained (0 to 1), its mean over shuffles, p = (1 + shuffles at least as good) / (1 + shuffles), rows
        used. NaN where no group holds two labels.

    Example:
        >>> x = np.array([[0.0], [1.0], [0.1], [1.1]])
        >>> part, _, _, used = explained_variance(x, ["in", "rim", "in", "rim"], within=["a"] * 4, seed=0)
        >>> round(part, 2), used
        (0.99, 4)
    """
    label, group = np.asarray(labels, str), np.asarray(within, str)
    used = pd.Series(label).groupby(group).transform("nunique").to_numpy() > 1
    if used.sum() < 3:
        return float("nan"), float("nan"), float("nan"), int(used.sum())
    x, label, group = values[used].astype(np.float64), label[used], group[used]
    spread = x.std(axis=0)
    x = x[:, spread > 0] / spread[spread > 0]
    members = [np.flatnonzero(group == name) for name in np.unique(group)]
    for rows in members:
        x[rows] -= x[rows].mean(axis=0)
    products = x @ x.T  # (n, n): sums of squares of any grouping follow from it
    total = float(np.trace(products))
    if total == 0:
        return 0.0, 0.0, 1.0, len(x)
    codes = np.unique(label, return_inverse=True)[1]

    def part(marks: npt.NDArray[np.integer]) -> float:
        """Sum over labels of |sum of its rows|² / their number, as a part of the whole."""
        rows = np.eye(codes.max() + 1)[marks]  # (n, labels)
        return float((np.einsum("nl,nm,ml->l", rows, products, rows, optimize=True) / rows.sum(axis=0)).sum() / total)

    seen, rng, shuffled = part(codes), derive_rng(seed, "explained"), []
    for _ in range(_SHUFFLES):
        marks = codes.copy()
        for rows in members:
            marks[rows] = rng.permutation(marks[rows])
        shuffled.append(part(marks))
    beyond = sum(one >= seen - 1e-12 for one in shuffled)
    return seen, float(np.mean(shuffled)), (1 + beyond) / (1 + _SHUFFLES), len(x)


def position_findings(
    table: FeatureTable, facts: WellFacts, *, seed: int = 0, plate_size: int | None = None
) -> list[str]:
    """Sentences on the rim of the plate, its rows and columns, and differences between plates.

    Wells that were seen at several time points are judged at one time point after the other. Each sentence says what
    wells of equal treatment agree in, and names the columns in which they differ all the same.
    """
    frames, plates = np.array(frames_of(table), object), np.array(plates_of(table), object)
    moments = np.array([frame[len(plate) :].removeprefix(", ") for frame, plate in zip(frames, plates, strict=True)])
    several = list(dict.fromkeys(moments.tolist()))
    sentences = []
    for moment in several[:_MOMENTS]:
        rows = np.flatnonzero(moments == moment)
        before = f"{moment}: " if moment else ""
        sentences += [before + sentence for sentence in _findings(table, facts, rows, seed, plate_size)]
    if len(several) > _MOMENTS:
        sentences.append(f"The other {len(several) - _MOMENTS} time points were not looked at.")
    return sentences


def _findings(
    table: FeatureTable, facts: WellFacts, rows: npt.NDArray[np.intp], seed: int, plate_size: int | None
) -> list[str]:
    wells = [str(well) for well in table.metadata["well"].iloc[rows]]
    height, width = plate_shape(wells, size=plate_size)
    places = [place_of(well) for well in wells]
    plates = np.array(plates_of(table), object)[rows].tolist()
    treatment = facts.conditions.alike[rows].tolist()
    alike = [f"{plate}\x1f{name}" for plate, name in zip(plates, treatment, strict=True)]
    rim = ["rim" if row in (1, height) or column in (1, width) else "inside" for row, column in places]
    equal = _equal_in(facts)
    values = table.values[rows]
    sentences = [
        _sentence("Edge", "lying on the rim of the plate", values, rim, alike, equal, seed),
        _sentence("Rows", "the row", values, [str(row) for row, _ in places], alike, equal, seed),
        _sentence("Columns", "the column", values, [str(column) for _, column in places], alike, equal, seed),
    ]
    if len(set(plates)) > 1:
        sentences.append(_sentence("Batch", "the plate", values, plates, treatment, equal, seed))
    else:
        sentences.append("Batch: one plate, so nothing can be said of differences between plates.")
    return sentences


def _equal_in(facts: WellFacts) -> str:
    """What equal treatment means, and what it leaves out."""
    kept, pooled = facts.conditions.equal_in, facts.conditions.pooled
    role = ["role"] if facts.role.any() and not kept else []
    phrase = f" (equal in {_and([*kept, *role])})" if kept or role else " (nothing is known of it)"
    if pooled:
        some = [*pooled[:4], f"{len(pooled) - 4} more columns"] if len(pooled) > 5 else list(pooled)
        phrase = f"{phrase[:-1]}, whatever their {_and(some)})"
    return phrase


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _sentence(
    name: str,
    what: str,
    values: npt.NDArray[np.floating],
    labels: Sequence[str],
    within: Sequence[str],
    equal: str,
    seed: int,
) -> str:
    seen, chance, p_value, used = explained_variance(values, labels, within=within, seed=seed)
    if np.isnan(seen):
        return f"{name}: wells of equal treatment{equal} do not differ in {what}: nothing can be said."
    verdict = "more than chance" if p_value < 0.05 else "no more than chance"
    return (
        f"{name}: {what} explains {seen:.0%} of what differs between wells of equal treatment{equal}, {verdict} "
        f"({chance:.0%} when shuffled; p = {p_value:.3f}; {used} wells)."
    )
