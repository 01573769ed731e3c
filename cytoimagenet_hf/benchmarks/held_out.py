"""Scoring of labelled images that are each other's neighbours: CYCLoPs, folders, anything without a fixed split."""

from collections.abc import Sequence

from cytoimagenet_hf.images import Image
from cytoimagenet_hf.tables import FeatureTable

from .base import LabelledRows, Score, ids_of, labels_of
from .groups import groups_of
from .protocols import NEIGHBOURS, predict_held_out
from .recipes import BenchmarkRecipe


def score_held_out(
    features: FeatureTable,
    items: Sequence[Image],
    recipe: BenchmarkRecipe,
    seed: int,
    *,
    name: str,
    k: int = NEIGHBOURS,
) -> Score:
    """k-NN accuracy among other groups or other images, with the protocol in `details`.

    Args:
        features: of the images.
        items: with `label`, and `group` where it is known.
        recipe: what is left out, and the scaler.
        seed: of the scaler's folds.
        name: of the scored set.
        k: neighbours that vote.

    Raises:
        InputError: see `predict_held_out`.
    """
    rows = held_out_rows(features, items)
    predictions, protocol = predict_held_out(
        rows.values,
        rows.labels,
        rows.ids,
        rows.groups,
        recipe=recipe,
        seed=seed,
        k=k,
        group_name=rows.group_name,
    )
    details = {"classes": len(set(rows.labels)), "k": k, "protocol": protocol, "scaler": recipe.leave_one_out_scaler}
    return Score(
        name,
        rows.ids,
        rows.labels,
        predictions,
        clusters=rows.groups,
        cluster_name=rows.group_name,
        details=details,
    )


def held_out_rows(features: FeatureTable, items: Sequence[Image]) -> LabelledRows:
    """Features, labels and groups of the images."""
    ids, labels = ids_of(items), labels_of(items)
    groups, group_name = groups_of(items)
    return LabelledRows(features.rows(ids).values, ids, labels, groups, group_name)
