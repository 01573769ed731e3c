"""Mechanism of action by the nearest treatment of another compound (NSC; Ljosa et al. 2013, paper §4).

Rows (images, wells) come in with the treatment, compound and mechanism of each; they are averaged per treatment, and
each treatment is given the mechanism of its nearest neighbour among the treatments of *other* compounds. NSCB asks for
another batch too (Ando et al. 2017).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.knn import Metric, kneighbors, vote

from .scaling import group_means

Names = Sequence[str] | npt.NDArray[Any]

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
        >>> found = nsc_accuracy(
        ...     [[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]],
        ...     treatments=["a1", "b1", "c1", "d1"], compounds=["a", "b", "c", "d"], moas=["x", "x", "y", "y"])
        >>> found.nsc
        1.0
    """
    matrix = np.asarray(features)
    rows = _checked_rows(matrix, treatments, compounds, moas, batches)
    about = _treatments(rows)
    names = about.index.to_numpy()
    codes = pd.Categorical(rows["treatment"], categories=names).codes
    profiles = group_means(matrix, codes)

    moa, compound = about["moa"].to_numpy(), about["compound"].to_numpy()
    other = compound[:, None] != compound[None, :]
    if not other.any():
        raise InputError(f"all treatments are of the compound {compound[0]!r}: NSC needs at least two compounds")
    predictions = about.reset_index()
    predictions[["nearest", "predicted"]] = _predict(profiles, names, moa, allowed=other, metric=metric, k=k)
    predictions["correct"] = predictions["predicted"] == predictions["moa"]
    same_moa = moa[:, None] == moa[None, :]
    possible = (other & same_moa).any(1)

    nscb, possible_nscb = None, np.ones(len(names), bool)
    if batches is not None:
        allowed = other & ~_same_batch(rows["batch"].to_numpy(), codes, same_batch)
        predictions[["nearest_nscb", "predicted_nscb"]] = _predict(
            profiles, names, moa, allowed=allowed, metric=metric, k=k
        )
        predictions["correct_nscb"] = predictions["predicted_nscb"] == predictions["moa"]
        possible_nscb = (allowed & same_moa).any(1)
        if possible_nscb.any():
            nscb = float(predictions["correct_nscb"][possible_nscb].mean())

    classes = sorted(set(moa))
    return NscResult(
        nsc=float(predictions["correct"].mean()),
        nscb=nscb,
        per_class={str(name): float(share) for name, share in predictions.groupby("moa")["correct"].mean().items()},
        confusion=pd.crosstab(predictions["moa"], predictions["predicted"]).reindex(
            index=classes, columns=classes, fill_value=0
        ),
        predictions=predictions,
        unscorable=tuple(names[~possible]),
        unscorable_nscb=tuple(names[~possible_nscb]),
    )


def _checked_rows(matrix: npt.NDArray[Any], *columns: Names | None) -> pd.DataFrame:
    named = dict(zip(("treatment", "compound", "moa", "batch"), columns, strict=True))
    present = {name: np.asarray(values, dtype=object) for name, values in named.items() if values is not None}
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


def _treatments(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per treatment, ordered by name, with its one compound and one mechanism."""
    for column in ("moa", "compound"):
        several = rows.groupby("treatment")[column].unique()
        several = several[several.map(len) > 1]
        if len(several):
            raise InputError(
                f"treatment {several.index[0]!r} has {len(several.iloc[0])} values of {column}: "
                f"{sorted(several.iloc[0])}; mend the annotation"
            )
    return rows.groupby("treatment")[["compound", "moa"]].first()


def _predict(
    profiles: npt.NDArray[np.float64],
    names: npt.NDArray[Any],
    moa: npt.NDArray[Any],
    *,
    allowed: npt.NDArray[np.bool_],
    metric: Metric,
    k: int,
) -> list[tuple[str | None, str | None]]:
    """Nearest allowed treatment and voted mechanism of each; None where nothing is allowed."""
    found: list[tuple[str | None, str | None]] = []
    for row, mask in enumerate(allowed):
        candidates = mask.nonzero()[0]
        if len(candidates) == 0:
            found.append((None, None))
            continue
        distances, indices = kneighbors(profiles[candidates], profiles[[row]], k, metric=metric)
        neighbours = candidates[indices]  # (1, k)
        found.append((names[neighbours[0, 0]], vote(moa[neighbours], distances)[0]))
    return found


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
