"""Mean average precision of replicates and of shared targets, through copairs: arrays in, a table out."""

import logging
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.core.errors import InputError

Array = npt.NDArray[Any]


def replicate_precision(
    values: Array,
    *,
    treatments: Array,
    controls: Array,
    plates: Array | None = None,
    seed: int,
    null_size: int = 10_000,
) -> pd.DataFrame:
    """How well replicates of a treatment are found among control wells.

    Average precision by cosine similarity through copairs. With plates, positives are the same treatment on another
    plate and negatives the controls of the query's own plate; without, any other well of the treatment and all
    controls.

    Args:
        values: (n, d), one row per well.
        treatments: (n,) name of the treatment.
        controls: (n,) booleans, the negative controls.
        plates: (n,) plate; None where replicates on one plate count too.
        seed: of the null distribution.
        null_size: random rankings that make the null.

    Returns:
        One row per treatment with a replicate: treatment, mean_average_precision, p_value,
        corrected_p_value (Benjamini-Hochberg), wells.

    Raises:
        InputError: no treatment has a replicate (on another plate), or there are no controls; copairs is missing.
    """
    average_precision = _copairs().average_precision
    control = np.asarray(controls, bool)
    place = np.zeros(len(values), int).astype(str) if plates is None else plates.astype(str)
    # Control wells form a treatment of their own on each plate, so that they are negatives and never positives.
    meta = pd.DataFrame(
        {
            "treatment": np.where(control, [f"control on {plate}" for plate in place], treatments.astype(str)),
            "plate": place,
            "is_control": control,
        }
    )
    own = meta[~control].groupby("treatment")["plate"]
    if plates is None and not (own.size() > 1).any():
        raise InputError("no treatment has two wells: replicate precision needs replicates")
    if plates is not None and not (own.nunique() > 1).any():
        raise InputError("no treatment is on two plates: replicate precision needs replicates on other plates")
    if not control.any():
        raise InputError("no control wells: replicate precision ranks replicates among controls")
    found = average_precision(
        meta,
        np.asarray(values, np.float32),
        pos_sameby=["treatment"],
        pos_diffby=[] if plates is None else ["plate"],
        neg_sameby=[] if plates is None else ["plate"],
        neg_diffby=["treatment", "is_control"],
        progress_bar=False,
    )
    found = found[~found["is_control"] & found["average_precision"].notna()]
    per_treatment = _mean_by(found, "treatment", null_size=null_size, seed=seed)
    wells = found.groupby("treatment").size()
    columns = ["treatment", "mean_average_precision", "p_value", "corrected_p_value"]
    return per_treatment[columns].assign(wells=lambda table: table["treatment"].map(wells)).reset_index(drop=True)


def target_precision(values: Array, *, compounds: Array, targets: Array, seed: int, null_size: int = 10_000) -> Any:
    """How well compounds of one target are found among all others ("phenotypic consistency").

    Args:
        values: (n, d), one profile per compound: the median of its wells, of active compounds only.
        compounds: (n,) unique names.
        targets: (n,) target or mechanism of each.
        seed: of the null distribution.
        null_size: random rankings that make the null.

    Returns:
        One row per target with two compounds or more: target, mean_average_precision, p_value, corrected_p_value.

    Raises:
        InputError: a compound occurs twice, or no target has two compounds; copairs is missing.
    """
    average_precision = _copairs().average_precision
    names = pd.Series(compounds.astype(str))
    if names.duplicated().any():
        raise InputError(
            f"compound {names[names.duplicated()].iloc[0]!r} has two profiles: take the median of its wells"
        )
    meta = pd.DataFrame({"compound": names, "target": targets.astype(str)})
    if meta["target"].value_counts().max() < 2:
        raise InputError("no target has two compounds: nothing can be consistent")
    found = average_precision(
        meta,
        np.asarray(values, np.float32),
        pos_sameby=["target"],
        pos_diffby=["compound"],
        neg_sameby=[],
        neg_diffby=["target"],
        progress_bar=False,
    )
    found = found[found["average_precision"].notna()]
    per_target = _mean_by(found, "target", null_size=null_size, seed=seed)
    return per_target[["target", "mean_average_precision", "p_value", "corrected_p_value"]].reset_index(drop=True)


def _mean_by(found: pd.DataFrame, name: str, *, null_size: int, seed: int) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as scratch:  # copairs keeps its null distributions in the home folder otherwise
        return pd.DataFrame(
            _copairs().mean_average_precision(
                found,
                sameby=[name],
                null_size=null_size,
                threshold=0.05,
                seed=seed,
                progress_bar=False,
                max_workers=1,
                cache_dir=scratch,
            )
        )


def _copairs() -> Any:
    try:
        import copairs.map
    except ImportError as error:
        raise InputError(
            'replicate and target precision need copairs: pip install "cytoimagenet-hf[profiles]"'
        ) from error
    logging.getLogger("copairs").setLevel(logging.ERROR)  # it tells every step
    return copairs.map
