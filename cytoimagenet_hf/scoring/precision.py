"""Mean average precision of replicates and of shared targets: arrays in, a table with p-values out.

Values are those of copairs (Kalinin et al. 2025, Nat Commun 16:5181). The p-values are not: copairs compares the mean
over the wells of a treatment with the null of a single well, for it draws one null for all wells that have equally
many candidates. A mean varies less than its parts, so hardly a true null gets below 0.05. Here the labels are
exchanged instead: without an effect, the wells of a treatment are any wells of their plates, so each choice of as
many wells among them and the controls of their plates is as likely as the one seen. Where these choices are fewer
than `null_size` all are taken and p is exact, else that many are drawn.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.intp]

_EXCHANGED = 256  # controls that labels are exchanged with, at most; all controls are ranked
_WORK = 2e8  # pairs of wells of one treatment looked up for its null, at most: a control of 300 wells draws 2,000 sets
_WHOLE = 4096  # profiles whose distances are kept at once
_CHUNK = 1 << 22


def replicate_precision(
    values: Array,
    *,
    treatments: Array,
    controls: Array,
    plates: Array | None = None,
    across: bool = True,
    seed: int,
    null_size: int = 10_000,
    rescale: bool = False,
) -> pd.DataFrame:
    """How well replicates of a treatment are found among control wells.

    Average precision by cosine similarity. Across plates, positives are the same treatment on another plate and
    negatives the controls of the query's own plate; else any other well of the treatment and all controls. Memory is
    that of the values and of the controls of one plate.

    Args:
        values: (n, d), one row per well; a row of zeros is as similar to one well as to another.
        treatments: (n,) name of the treatment.
        controls: (n,) booleans, the negative controls.
        plates: (n,) plate, within which labels are exchanged; None: all wells are of one.
        across: only replicates on other plates count; without plates all do.
        seed: of the choices that are drawn.
        null_size: choices of wells that p-values are made of, at most.
        rescale: first give every feature the mean 0 and the deviation 1 over the treatment's wells and the controls
            of each plate. Profiles that were centred and scaled on the controls alone need it: all treated wells of a
            plate are then moved by the chance of the same few controls, and look alike without any effect.

    Returns:
        One row per treatment with a replicate, by name: treatment, mean_average_precision, p_value,
        corrected_p_value (Benjamini-Hochberg), wells, null_size (choices compared), exact (whether these are all).
        Wells on plates without controls are found by others and are not queries.

    Raises:
        InputError: no treatment has a replicate (on another plate), or there are no controls.

    Example:
        >>> x = np.array([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.0], [0.0, -1.0]])
        >>> names, marks = np.array(["q", "q", "c", "c"]), np.array([False, False, True, True])
        >>> table = replicate_precision(x, treatments=names, controls=marks, seed=0)
        >>> table.iloc[0][["mean_average_precision", "p_value", "null_size"]].astype(float).round(3).tolist()
        [1.0, 0.333, 6.0]
    """
    control = np.asarray(controls, bool)
    x, names = _finite(values), np.asarray(treatments).astype(str)
    place = np.zeros(len(x), np.intp) if plates is None else np.unique(plates.astype(str), return_inverse=True)[1]
    if not control.any():
        raise InputError("no control wells: replicate precision ranks replicates among controls")
    wells = pd.DataFrame({"treatment": names, "plate": place, "row": np.arange(len(x))})[~control]
    plates_of, across = wells.groupby("treatment")["plate"], across and plates is not None
    enough = plates_of.nunique() > 1 if across else plates_of.size() > 1
    if not enough.any():
        raise InputError(
            "no treatment has two wells: replicate precision needs replicates"
            if not across
            else "no treatment is on two plates: replicate precision needs replicates on other plates"
        )
    of_plate = {int(plate): np.flatnonzero(control & (place == plate)) for plate in np.unique(place)}
    kept = wells[wells["treatment"].map(enough)].sort_values(["plate", "row"], kind="stable")
    treated = {str(name): rows["row"].to_numpy(np.intp) for name, rows in kept.groupby("treatment", sort=True)}
    by_plates: dict[tuple[int, ...], list[str]] = {}
    for name, rows in treated.items():
        by_plates.setdefault(tuple(dict.fromkeys(place[rows].tolist())), []).append(name)
    rows_out = []
    for on, members in by_plates.items():  # treatments of the same plates share their controls
        pools = [of_plate[plate] for plate in on]
        if not any(map(len, pools)):
            continue
        swapped = _exchanged(pools, seed, on)
        shared = None if rescale else _Controls.of(_Profiles.of(x), pools, swapped, across)
        for name in members:
            groups = [treated[name][place[treated[name]] == plate] for plate in on]
            if shared is None:
                moved, local, local_pools, local_swapped = _rescaled(x, groups, pools, swapped)
                ranked = _Ranked.of(_Controls.of(_Profiles.of(moved), local_pools, local_swapped, across), local)
            else:
                ranked = _Ranked.of(shared, groups)
            rows_out.append((name, *_score(ranked, null_size=null_size, seed=seed)))
    return _table("treatment", rows_out)


def target_precision(
    values: Array, *, compounds: Array, targets: Array, seed: int, null_size: int = 10_000
) -> pd.DataFrame:
    """How well compounds of one target are found among all others ("phenotypic consistency").

    Args:
        values: (n, d), one profile per compound: the median of its wells, of active compounds only.
        compounds: (n,) unique names.
        targets: (n,) target or mechanism of each.
        seed: of the choices that are drawn.
        null_size: choices of compounds that p-values are made of, at most.

    Returns:
        One row per target with two compounds or more, by name: the columns of `replicate_precision`, `target` and
        `compounds` in place of `treatment` and `wells`.

    Raises:
        InputError: a compound occurs twice, or no target has two compounds.

    Example:
        >>> x = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [-1, 0.3]])
        >>> table = target_precision(x, compounds=np.array(list("vwxyz")), targets=np.array(list("aabbc")), seed=0)
        >>> table["target"].tolist(), table["mean_average_precision"].tolist(), table["p_value"].round(1).tolist()
        (['a', 'b'], [1.0, 1.0], [0.2, 0.2])
    """
    names = pd.Series(np.asarray(compounds).astype(str))
    if names.duplicated().any():
        raise InputError(
            f"compound {names[names.duplicated()].iloc[0]!r} has two profiles: take the median of its wells"
        )
    of_target = pd.Series(np.asarray(targets).astype(str))
    groups = {name: rows.index.to_numpy(np.intp) for name, rows in of_target.groupby(of_target) if len(rows) > 1}
    if not groups:
        raise InputError("no target has two compounds: nothing can be consistent")
    profiles = _Profiles.of(_finite(values))
    everything = np.arange(len(names))
    rows_out, whole = [], None
    if len(names) <= _WHOLE:
        whole = _Controls.of(profiles, [everything], [everything], False)
    for name, rows in groups.items():
        others = np.setdiff1d(everything, rows)
        if not len(others):
            continue
        if whole is None:
            some = _exchanged([others], seed, (name,))
            ranked = _Ranked.of(_Controls.of(profiles, [others], some, False), [rows])
        else:
            order = np.concatenate([rows, others])
            at = np.ix_(order, order)
            ranked = _Ranked(whole.distance[at], whole.above[at], ((len(rows), len(others)),), False)
        rows_out.append((name, *_score(ranked, null_size=null_size, seed=seed)))
    if not rows_out:
        raise InputError("all compounds have one target: there are no others to find them among")
    return _table("target", rows_out).rename(columns={"wells": "compounds"})


def _table(name: str, rows: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    if not rows:
        raise InputError("no control wells on the plates of the replicates: replicate precision ranks among them")
    columns = [name, "mean_average_precision", "p_value", "wells", "null_size", "exact"]
    table = pd.DataFrame(rows, columns=columns).sort_values(name, ignore_index=True)
    table.insert(3, "corrected_p_value", stats.false_discovery_control(table["p_value"]))
    return table


def _finite(values: Array) -> Array:
    x = np.asarray(values)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise InputError(f"profiles of shape {x.shape}: a finite matrix with a row per well is needed")
    return x


def _exchanged(pools: Sequence[Rows], seed: int, name: Sequence[Any]) -> list[Rows]:
    """Of each plate the controls that labels are exchanged with: all, or some of very many.

    Exchanging with a part that is chosen without a look at the values leaves p valid: the others are ranked as ever.
    """
    most = max(1, _EXCHANGED // len(pools)) if sum(map(len, pools)) > _EXCHANGED else max(map(len, pools))
    rng = derive_rng(seed, "exchanged", "/".join(map(str, name)))
    return [pool if len(pool) <= most else np.sort(rng.choice(pool, most, replace=False)) for pool in pools]


def _rescaled(
    x: Array, groups: Sequence[Rows], pools: Sequence[Rows], swapped: Sequence[Rows]
) -> tuple[Array, list[Rows], list[Rows], list[Rows]]:
    """The wells of one treatment and of its controls alone, each plate standardised, and where they now stand."""
    parts, treated, controls, exchanged, start = [], [], [], [], 0
    for group, pool, some in zip(groups, pools, swapped, strict=True):
        part = np.asarray(x[np.concatenate([group, pool])], np.float64)
        spread, size = part.std(axis=0), np.abs(part).max(axis=0, initial=0)
        part -= part.mean(axis=0)
        part[:, spread <= 1e-7 * size] = 0  # constant but for the rounding of float32
        parts.append(part / np.where(spread > 0, spread, 1))
        treated.append(np.arange(start, start + len(group)))
        controls.append(np.arange(start + len(group), start + len(part)))
        exchanged.append(start + len(group) + np.searchsorted(pool, some))
        start += len(part)
    return np.concatenate(parts), treated, controls, exchanged


@dataclass(frozen=True)
class _Profiles:
    values: Array
    lengths: npt.NDArray[np.float64]

    @classmethod
    def of(cls, values: Array) -> "_Profiles":
        lengths = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
        return cls(values, np.where(lengths == 0, 1.0, lengths))

    def distance(self, first: Rows, second: Rows) -> npt.NDArray[np.float32]:
        """1 - cosine, in single precision: as copairs ranks, so that equal wells tie here and there."""
        a, b = (self.values[rows] / self.lengths[rows, None] for rows in (first, second))
        return np.float32(1) - (a @ b.T).astype(np.float32)


@dataclass(frozen=True)
class _Controls:
    """The controls of some plates: how they lie to each other.

    Attributes:
        profiles: of all wells.
        pools: of each plate, the controls that its wells are ranked among.
        exchanged: of each plate, those that labels are exchanged with; b in all.
        distance: (b, b).
        above: (b, b) how many other controls of the row's pool are closer to it than the column is.
        nearest: of each of the b, the sorted distances of the other controls of its pool.
        across: whether plates are ranked apart.
    """

    profiles: _Profiles
    pools: Sequence[Rows]
    exchanged: Sequence[Rows]
    distance: npt.NDArray[np.float32]
    above: npt.NDArray[np.int32]
    nearest: list[npt.NDArray[np.float32]]
    across: bool

    @classmethod
    def of(cls, profiles: _Profiles, pools: Sequence[Rows], exchanged: Sequence[Rows], across: bool) -> "_Controls":
        rows = np.concatenate(exchanged)
        pools = pools if across else [np.concatenate(pools)] * len(pools)
        nearest = []
        for pool, some in zip(pools, exchanged, strict=True):
            step = max(1, _CHUNK // max(1, len(pool)))
            for start in range(0, len(some), step):
                part = some[start : start + step]
                away = profiles.distance(part, pool)
                nearest += [np.sort(far[pool != row]) for far, row in zip(away, part, strict=True)]
        distance = profiles.distance(rows, rows)
        return cls(profiles, pools, exchanged, distance, _closer(nearest, distance), nearest, across)


def _closer(nearest: Sequence[Array], distance: Array) -> npt.NDArray[np.int32]:
    """(rows, columns) how many of each row's `nearest` are closer than the column is."""
    counts = [np.searchsorted(near, away, side="left") for near, away in zip(nearest, distance, strict=True)]
    return np.array(counts, np.int32).reshape(distance.shape)


@dataclass(frozen=True)
class _Ranked:
    """The wells of a treatment and those they may be exchanged with, plate by plate: treated ones first.

    Attributes:
        distance: (e, e).
        above: (e, e) how many other wells of the row's pool, treated or control, are closer than the column is.
        layout: (treated, exchanged controls) of each plate.
        across: whether plates are ranked apart, and only other plates' wells are to be found.
    """

    distance: npt.NDArray[np.float32]
    above: npt.NDArray[np.int32]
    layout: tuple[tuple[int, int], ...]
    across: bool

    @classmethod
    def of(cls, controls: _Controls, groups: Sequence[Rows]) -> "_Ranked":
        profiles = controls.profiles
        layout = tuple((len(group), len(some)) for group, some in zip(groups, controls.exchanged, strict=True))
        treated, rows = np.concatenate(groups), np.concatenate(controls.exchanged)
        away = profiles.distance(treated, np.concatenate([treated, rows]))
        count = len(treated)
        nearest = [
            np.sort(away_from_pool)
            for group, pool in zip(groups, controls.pools, strict=True)
            for away_from_pool in profiles.distance(group, pool)
        ]
        distance = np.block([[away[:, :count], away[:, count:]], [away[:, count:].T, controls.distance]])
        above = np.block(
            [[_closer(nearest, away)], [_closer(controls.nearest, away[:, count:].T), controls.above]]
        ).astype(np.int32)
        plate = np.concatenate([np.repeat(np.arange(len(layout)), [size[kind] for size in layout]) for kind in (0, 1)])
        for well in range(count):  # treated wells are in the pool, too
            beside = (plate == plate[well] if controls.across else plate >= 0) & (np.arange(len(plate)) != well)
            above[beside] += distance[beside, well, None] < distance[beside]
        order = np.argsort(plate, kind="stable")  # plate by plate, treated first
        at = np.ix_(order, order)
        return cls(distance[at], above[at], layout, controls.across)


def _score(ranked: _Ranked, *, null_size: int, seed: int) -> tuple[float, float, int, int, bool]:
    """(mean average precision, p, queries, choices compared, whether these are all) of one treatment."""
    wells = sum(treated for treated, _ in ranked.layout)
    size = max(min(null_size, int(_WORK / wells**2)), min(null_size, 999))
    starts = np.cumsum([0, *(sum(both) for both in ranked.layout)])
    seen = np.concatenate([start + np.arange(n) for start, (n, _) in zip(starts, ranked.layout, strict=False)])
    value, queries = _mean_precision(ranked, seen[None])
    step = max(1, _CHUNK // wells**2)
    sets, exact, beyond = _label_sets(ranked.layout, size, seed), _choices(ranked.layout) <= size, 0
    total = len(sets)
    for start in range(0, total, step):
        null, _ = _mean_precision(ranked, sets[start : start + step])
        beyond += int((null >= value[0] - 1e-12).sum())
    p_value = beyond / total if exact else (1 + beyond) / (1 + total)
    return float(value[0]), p_value, queries, total, exact


def _mean_precision(ranked: _Ranked, sets: Rows) -> tuple[npt.NDArray[np.float64], int]:
    """(N,) mean average precision if the wells of each set were the treated ones; and how many of them are queries.

    Args:
        ranked: the wells.
        sets: (N, m) places in it, plate by plate as in its layout.
    """
    plate = np.repeat(np.arange(len(ranked.layout)), [treated for treated, _ in ranked.layout])
    total, queries = np.zeros(len(sets)), 0
    for query in range(sets.shape[1]):
        if ranked.across and not ranked.layout[plate[query]][1]:  # no controls to be found among
            continue
        beside = (plate == plate[query] if ranked.across else plate >= 0) & (np.arange(len(plate)) != query)
        positive = plate != plate[query] if ranked.across else beside
        row = sets[:, query, None]
        before = ranked.above[row, sets[:, positive]]  # (N, k) wells of the plate, still with those of the set
        if ranked.across:
            rivals = ranked.distance[row, sets[:, beside]]
            before = before - (rivals[:, :, None] < ranked.distance[row, sets[:, positive]][:, None, :]).sum(axis=1)
            before.sort(axis=1)
        else:
            before.sort(axis=1)
            places = np.arange(before.shape[1])
            changes = np.diff(before, axis=1, prepend=-1) != 0  # equal ones are equally far
            before = before - np.maximum.accumulate(np.where(changes, places, 0), axis=1)
        hits = np.arange(1, before.shape[1] + 1)
        total += (hits / (hits + before)).mean(axis=1)  # before the i-th lie i - 1 hits and so many controls
        queries += 1
    return total / queries, queries


def _choices(layout: Sequence[tuple[int, int]]) -> int:
    return math.prod(math.comb(treated + swapped, treated) for treated, swapped in layout)


def _label_sets(layout: tuple[tuple[int, int], ...], size: int, seed: int) -> Rows:
    """(N, m) places that could be the treated ones: every choice if there are at most `size`, else so many drawn."""
    if _choices(layout) > size:
        return _drawn(layout, size, seed)
    starts = np.cumsum([0, *(sum(both) for both in layout)])
    each = [
        [np.array(chosen, np.intp) + start for chosen in itertools.combinations(range(treated + swapped), treated)]
        for start, (treated, swapped) in zip(starts, layout, strict=False)
    ]
    return np.array([np.concatenate(parts) for parts in itertools.product(*each)])


@lru_cache(maxsize=4)
def _drawn(layout: tuple[tuple[int, int], ...], size: int, seed: int) -> Rows:
    """(size, m) by Floyd's algorithm, which draws few out of many without writing down the many."""
    rng = derive_rng(seed, "labels", repr(layout))
    columns, start = [], 0
    for treated, swapped in layout:
        total = treated + swapped
        places = np.empty((size, treated), np.intp)
        for place, most in enumerate(range(total - treated, total)):
            drawn = rng.integers(0, most, size, endpoint=True)
            places[:, place] = np.where((places[:, :place] == drawn[:, None]).any(axis=1), most, drawn)
        columns.append(places + start)
        start += total
    return np.concatenate(columns, axis=1)
