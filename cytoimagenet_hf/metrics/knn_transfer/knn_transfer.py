"""Accuracy of nearest-neighbour predictions, by class and by group, with intervals."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.metrics.labels import check_labels, check_names
from cytoimagenet_hf.scoring import stats

_DESCRIPTION = """
Accuracy of predictions made by k nearest neighbours on a transfer task, with a Wald and a Wilson interval, accuracy
by class and, when groups (plates, compounds) are given, by group with a cluster-bootstrap interval: cells of one plate
are not independent.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: predicted labels, text or integers.
    references: true labels, in the same order.
    groups: optional group of each item (plate, compound, donor).
    confidence: coverage of the intervals, 0.95 by default.
    seed: seed of the cluster bootstrap; required with groups.

Returns:
    accuracy, n, wald (low, high), wilson (low, high), per_class; with groups also per_group and cluster (low, high).

Examples:
    >>> knn_transfer = evaluate.load(metric_path("knn_transfer"))
    >>> result = knn_transfer.compute(
    ...     predictions=["er", "er", "golgi", "golgi"], references=["er", "golgi", "golgi", "golgi"])
    >>> result["accuracy"], result["per_class"]
    (0.75, {'er': 1.0, 'golgi': 0.6666666666666666})
    >>> result = knn_transfer.compute(
    ...     predictions=[1, 1, 0, 0], references=[1, 0, 0, 0], groups=["p1", "p1", "p2", "p2"], seed=0)
    >>> result["per_group"]
    {'p1': 0.5, 'p2': 1.0}
"""

_CITATION = """
@inproceedings{hua2021cytoimagenet,
    title={CytoImageNet: A large-scale pretraining dataset for bioimage transfer learning},
    author={Hua, Stanley Bryan Z. and Lu, Alex X. and Moses, Alan M.},
    booktitle={NeurIPS Learning Meaningful Representations of Life Workshop},
    year={2021},
    url={https://arxiv.org/abs/2111.11646}
}
"""


class KnnTransfer(evaluate.Metric):
    """Thin over `cytoimagenet_hf.scoring.stats`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[
                datasets.Features({"predictions": datasets.Value(kind), "references": datasets.Value(kind)})
                for kind in ("int64", "string")
            ],
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add predictions and references, checked before they are encoded; `compute` passes here too."""
        check_labels(predictions, references)
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one prediction and its reference."""
        check_labels([prediction], [reference])
        super().add(prediction=prediction, reference=reference, **kwargs)

    def _compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        groups: Sequence[Any] | None = None,
        confidence: float = 0.95,
        seed: int | None = None,
    ) -> dict[str, Any]:
        check_names("groups", groups, len(references))
        truth = np.asarray(references)
        correct = np.asarray(predictions) == truth
        right, n = int(correct.sum()), len(correct)
        result = {
            "accuracy": right / n,
            "n": n,
            "wald": tuple(stats.wald_interval(right, n, confidence=confidence)),
            "wilson": tuple(stats.wilson_interval(right, n, confidence=confidence)),
            "per_class": _shares(correct, truth),
        }
        if groups is None:
            return result
        if seed is None:
            raise InputError("groups were given: the cluster bootstrap needs a seed, such as seed=0")
        interval = stats.cluster_bootstrap(correct, groups, seed=seed, confidence=confidence)
        return result | {"per_group": _shares(correct, np.asarray(groups)), "cluster": tuple(interval)}


def _shares(correct: Any, names: Any) -> dict[Any, float]:
    return {name.item(): float(correct[names == name].mean()) for name in np.unique(names)}
