"""Mechanism of action by the nearest treatment of another compound (NSC; Ljosa et al. 2013, paper §4).

Rows (images, wells) come in with the treatment, compound and mechanism of each; they are averaged per treatment, and
each treatment is given the mechanism of its nearest neighbour among the treatments of *other* compounds. NSCB asks for
another batch too (Ando et al. 2017).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.profiles.shrinkage import group_means
from cytoimagenet_hf.scoring.knn import Metric, kneighbors, vote

Names = Sequence[str] | npt.NDArray[Any]
_Answer = tuple[str | None, str | None]

BATCH_RULES = {
    "week overlap": ("week", "overlap"),
    "other week set": ("week", "set"),
    "disjoint weeks": ("week", "shared"),
    "disjoint plates": ("plate", "shared"),
    "other plate set": ("plate", "set"),
}
"""Rule of NSCB → (what the batch is, when two treatments share it).

`overlap`: their rows' shares per batch overlap by at least half; `set`: they are in the same set of batches; `shared`:
any batch has both. Papers differ: of BBBC021's 103 treatments 92, 92, 91, 97 and 98 can be right.
"""


@dataclass(frozen=True)
class NscResult:
    """What the nearest other-compound neighbours say.

    Attributes:
        nsc: share of treatments given their own mechanism; treatments that cannot be right count as wrong.
        nscb: the same among neighbours of another compound and another batch, over the treatments that can be right
            (92 of BBBC021's 103); None without batches or when no treatment can be.
        per_class: mechanism → share of its treatments that are right (NSC).
        confusion: treatments counted by true (index) and predicted (columns) mechanism.
        predictions: one row per treatment, ordered by name: treatment, compound, moa, nearest, predicted, correct and,
            with batches, the last three again with the suffix `_nscb`.
        unscorable: treatments whose compound is alone in its mechanism: NSC cannot be right for them.
        unscorable_nscb: treatments without their mechanism in another compound and batch.
    """

    nsc: float
    nscb: float | None
    per_class: dict[str, float]
    confusion: pd.DataFrame
    predictions: pd.DataFrame
    unscorable: tuple[str, ...]
    unscorable_nscb: tuple[str, ...]


def nsc_accuracy(
    features: npt.ArrayLike,
    *,
    treatments: Names,
    compounds: Names,
    moas: Names,
    batches: Names | None = None,
    metric: Metric = "cosine",
    k: int = 1,
    same_batch: str = "overlap",
) -> NscResult:
    """Not-same-compound accuracy of the mean profiles of treatments.

    Args:
        features: (n_rows, n_features), standardised as the protocol asks; one row per image or well.
        treatments: (n_rows,) the treatment (compound at a concentration) of each row.
        compounds: (n_rows,) its compound.
        moas: (n_rows,) its mechanism of action.
        batches: (n_rows,) its batch (week or plate), for NSCB.
        metric: distance between profiles.
        k: neighbours that vote (`knn.vote`); the protocol has 1.
        same_batch: when two treatments share their batch. "overlap": when the distributions of their rows over batches
            overlap by at least half, so that a control compound present in every batch remains a neighbour for all;
            "set" and "shared": see `BATCH_RULES`.

    Raises:
        InputError: columns of different length, a treatment with two mechanisms or compounds, missing names,
            fewer than two compounds, NaN or infinite features.

    Example:
        >>> result = nsc_accuracy(
        ...     [[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]],
        ...     treatments=["a1", "b1", "c1", "d1"], compounds=["a", "b", "c", "d"], moas=["x", "x", "y", "y"])
        >>> result.nsc
        1.0
    """
    rows = _checked_rows(np.asarray(features), treatments, compounds, moas, {} if batches is None else {"": batches})
    profiles = _mean_profiles(np.asarray(features), rows)
    predictions = profiles.about.reset_index()
    predictions[["nearest", "predicted"]] = _predict(profiles, profiles.other, metric=metric, k=k)
    predictions["correct"] = predictions["predicted"] == predictions["moa"]
    possible_nscb, nscb = np.ones(len(predictions), bool), None
    if batches is not None:
        allowed = profiles.other & ~_same_batch(rows["batch"].to_numpy(), profiles.codes, same_batch)
        answers, possible_nscb, nscb = _nscb(profiles, allowed, metric=metric, k=k)
        predictions[["nearest_nscb", "predicted_nscb"]] = answers
        predictions["correct_nscb"] = predictions["predicted_nscb"] == predictions["moa"]
    names, classes = predictions["treatment"].to_numpy(), sorted(set(predictions["moa"]))
    return NscResult(
        nsc=float(predictions["correct"].mean()),
        nscb=nscb,
        per_class={str(name): float(share) for name, share in predictions.groupby("moa")["correct"].mean().items()},
        confusion=pd.crosstab(predictions["moa"], predictions["predicted"]).reindex(
            index=classes, columns=classes, fill_value=0
        ),
        predictions=predictions,
        unscorable=tuple(names[~(profiles.other & profiles.same_moa).any(1)]),
        unscorable_nscb=tuple(names[~possible_nscb]),
    )


def nscb_by_rule(
    features: npt.ArrayLike, *, treatments: Names, compounds: Names, moas: Names, batches: Mapping[str, Names]
) -> dict[str, tuple[float | None, int]]:
    """NSCB, and how many treatments can be right, under every rule of `BATCH_RULES`.

    Columns are as of `nsc_accuracy`; batches are `week` and `plate`.
    """
    rows = _checked_rows(np.asarray(features), treatments, compounds, moas, batches)
    profiles = _mean_profiles(np.asarray(features), rows)
    by_rule = {}
    for name, (batch, rule) in BATCH_RULES.items():
        allowed = profiles.other & ~_same_batch(rows[f"batch{batch}"].to_numpy(), profiles.codes, rule)
        _, possible, nscb = _nscb(profiles, allowed, metric="cosine", k=1)
        by_rule[name] = nscb, int(possible.sum())
    return by_rule


@dataclass(frozen=True)
class _Profiles:
    """Treatments ordered by name: `about` has compound and mechanism, `codes` says of which treatment a row is."""

    about: pd.DataFrame
    codes: npt.NDArray[Any]
    values: npt.NDArray[np.float64]

    @property
    def other(self) -> npt.NDArray[np.bool_]:
        """(n, n) where two treatments are of different compounds."""
        compound = self.about["compound"].to_numpy()
        return np.asarray(compound[:, None] != compound[None, :])

    @property
    def same_moa(self) -> npt.NDArray[np.bool_]:
        """(n, n) where two treatments have one mechanism."""
        moa = self.about["moa"].to_numpy()
        return np.asarray(moa[:, None] == moa[None, :])


def _mean_profiles(matrix: npt.NDArray[Any], rows: pd.DataFrame) -> _Profiles:
    for column in ("moa", "compound"):
        several = rows.groupby("treatment")[column].unique()
        several = several[several.map(len) > 1]
        if len(several):
            raise InputError(
                f"treatment {several.index[0]!r} has {len(several.iloc[0])} values of {column}: "
                f"{sorted(several.iloc[0])}; mend the annotation"
            )
    about = rows.groupby("treatment")[["compound", "moa"]].first()  # ordered by name
    if about["compound"].nunique() < 2:
        only = about["compound"].iloc[0]
        raise InputError(f"all treatments are of the compound {only!r}: NSC needs at least two compounds")
    codes = pd.Categorical(rows["treatment"], categories=about.index.to_numpy()).codes
    return _Profiles(about, codes, group_means(matrix, codes))


def _checked_rows(
    matrix: npt.NDArray[Any], treatments: Names, compounds: Names, moas: Names, batches: Mapping[str, Names]
) -> pd.DataFrame:
    """The columns as text; those of batches are called `batch` and their name."""
    named = {"treatment": treatments, "compound": compounds, "moa": moas}
    named |= {f"batch{name}": values for name, values in batches.items()}
    present = {name: np.asarray(values, dtype=object) for name, values in named.items()}
    lengths = {"features": len(matrix)} | {name: len(values) for name, values in present.items()}
    if matrix.ndim != 2 or len(set(lengths.values())) != 1 or len(matrix) == 0:
        raise InputError(f"features {matrix.shape} and columns {lengths} must describe the same rows, at least one")
    rows = pd.DataFrame(present)
    missing = rows.isna().any(axis=1).to_numpy().nonzero()[0].tolist()
    if missing:
        raise InputError(f"rows {missing[:5]} ({len(missing)} in all) lack a name: drop rows without annotation first")
    odd = (~np.isfinite(matrix).all(1)).nonzero()[0].tolist()
    if odd:
        some = sorted({str(name) for name in rows["treatment"].iloc[odd]})[:5]
        raise InputError(f"rows {odd[:5]} ({len(odd)} in all) hold NaN or infinite features; treatments {some}")
    return rows.astype(str)


def _nscb(
    profiles: _Profiles, allowed: npt.NDArray[np.bool_], *, metric: Metric, k: int
) -> tuple[list[_Answer], npt.NDArray[np.bool_], float | None]:
    """What the allowed neighbours say, which treatments can be right at all, and the share of these that are."""
    answers = _predict(profiles, allowed, metric=metric, k=k)
    possible = np.asarray((allowed & profiles.same_moa).any(1))
    right = np.array([moa == voted for moa, (_, voted) in zip(profiles.about["moa"], answers, strict=True)])
    return answers, possible, float(right[possible].mean()) if possible.any() else None


def _predict(profiles: _Profiles, allowed: npt.NDArray[np.bool_], *, metric: Metric, k: int) -> list[_Answer]:
    """Nearest allowed treatment and voted mechanism of each; None where nothing is allowed."""
    names, moa = profiles.about.index.to_numpy(), profiles.about["moa"].to_numpy()
    answers: list[_Answer] = [(None, None)] * len(names)
    asking = np.flatnonzero(allowed.any(1))
    if len(asking):
        queries = profiles.values[asking]
        distances, indices = kneighbors(profiles.values, queries, k, metric=metric, exclude=~allowed[asking])
        for row, nearest, voted in zip(asking, names[indices[:, 0]], vote(moa[indices], distances), strict=True):
            answers[row] = nearest, voted
    return answers


def _same_batch(batches: npt.NDArray[Any], codes: npt.NDArray[Any], rule: str) -> npt.NDArray[np.bool_]:
    _, batch_codes = np.unique(batches, return_inverse=True)
    counts = np.zeros((codes.max() + 1, batch_codes.max() + 1))
    np.add.at(counts, (codes, batch_codes), 1)
    if rule == "overlap":
        shares = counts / counts.sum(1, keepdims=True)
        return np.minimum(shares[:, None, :], shares[None, :, :]).sum(-1) >= 0.5
    present = counts > 0
    if rule == "set":
        return np.asarray((present[:, None, :] == present[None, :, :]).all(-1))
    if rule == "shared":
        return np.asarray((present[:, None, :] & present[None, :, :]).any(-1))
    raise InputError(f"same_batch {rule!r}: use overlap, set or shared")
