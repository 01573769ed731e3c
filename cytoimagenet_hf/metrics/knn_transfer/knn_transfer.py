"""Accuracy of nearest neighbours on a transfer task: from features in one call, or from predictions."""

from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np

from cytoimagenet_hf.benchmarks.protocols import NEIGHBOURS, predict_held_out, predict_transfer
from cytoimagenet_hf.benchmarks.recipes import load_recipe
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.metrics import labelled
from cytoimagenet_hf.scoring import stats

_DESCRIPTION = """
Accuracy of k nearest neighbours on a transfer task (11 neighbours, Euclidean distance on standardised features), with
a Wald and a Wilson interval and, when groups (plates, compounds) are given, a cluster-bootstrap interval: cells of one
plate are not independent. Give features of a training and a test set (COOS-7), features of one set, of which each item
is predicted from the others (CYCLoPs), or predictions that were made elsewhere.
"""

_KWARGS_DESCRIPTION = """
Args:
    train_features: features of the training set, (n, d), with train_labels, test_features (m, d) and test_labels.
    features: or features of one set, (n, d), with labels; each item is predicted from those of other groups, or from
        all others where no groups are given.
    ids: optional ids of these items, by which the folds of the scaler are drawn; by default their numbers.
    predictions: or predicted labels, text or integers, as list, array or tensor.
    references: true labels, in the same order.
    groups: optional group of each scored item (plate, compound, donor); `add_batch` takes it, too.
    k: neighbours that vote, 11 by default.
    recipe: corrected (default) or published, as of `cytoimagenet benchmark`.
    confidence: coverage of the intervals, 0.95 by default.
    seed: of the cluster bootstrap and of the scaler's folds; required with groups.
    per_class: also give per_class, the accuracy by class.
    per_group: also give per_group.

Returns:
    accuracy, n, correct, wald_low, wald_high, wilson_low, wilson_high; with groups also groups (how many), cluster_low
    and cluster_high. All are numbers, so that a Trainer can log them.

Examples:
    >>> knn_transfer = evaluate.load(metric_path("knn_transfer"))
    >>> result = knn_transfer.compute(
    ...     predictions=["er", "er", "golgi", "golgi"], references=["er", "golgi", "golgi", "golgi"], per_class=True)
    >>> result["accuracy"], result["per_class"]
    (0.75, {'er': 1.0, 'golgi': 0.6666666666666666})
    >>> result = knn_transfer.compute(
    ...     predictions=[1, 1, 0, 0], references=[1, 0, 0, 0], groups=["p1", "p1", "p2", "p2"], seed=0, per_group=True)
    >>> result["per_group"]
    {'p1': 0.5, 'p2': 1.0}
    >>> result = knn_transfer.compute(
    ...     train_features=[[0.0], [0.2], [9.0], [9.2]], train_labels=["er", "er", "golgi", "golgi"],
    ...     test_features=[[0.1], [8.0], [0.3]], test_labels=["er", "golgi", "golgi"], k=1)
    >>> result["correct"], result["n"]
    (2, 3)
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


class KnnTransfer(labelled.LabelledMetric):
    """Thin over `benchmarks.protocols` and `scoring.stats`."""

    columns = ("groups",)

    def _info(self) -> evaluate.MetricInfo:
        return self.describe(_DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION)

    def compute(
        self,
        *,
        train_features: Any = None,
        train_labels: Any = None,
        test_features: Any = None,
        test_labels: Any = None,
        features: Any = None,
        labels: Any = None,
        ids: Any = None,
        k: int = NEIGHBOURS,
        recipe: str = "corrected",
        **options: Any,
    ) -> dict[str, Any] | None:
        """Features to predictions, and these to the result; features do not pass through the store of `evaluate`.

        Raises:
            InputError: an unknown option, features without their labels, or what the protocol finds wrong.
        """
        self.require_options(options)
        transfer = (train_features, train_labels, test_features, test_labels)
        one_set = (features, labels)
        ways = [any(part is not None for part in way) for way in (transfer, one_set)]
        if not any(ways):
            return super().compute(**options)
        if all(ways) or options.get("predictions") is not None or options.get("references") is not None:
            raise InputError("pass one of: train_* and test_*; features and labels; predictions and references")
        if any(part is None for part in (transfer if ways[0] else one_set)):
            need = "train_features, train_labels, test_features, test_labels" if ways[0] else "features, labels"
            raise InputError(f"{need} belong together: pass all of them")
        rules = load_recipe(recipe)
        truth = labelled.as_list(test_labels if ways[0] else labels) or []
        labelled.check_labels(truth, truth)
        names = np.array(truth)
        if ways[0]:
            train_truth = labelled.as_list(train_labels) or []
            labelled.check_labels(train_truth, train_truth)
            train = labelled.as_matrix(train_features, len(train_truth))
            test = labelled.as_matrix(test_features, len(truth))
            predictions = predict_transfer(train, np.array(train_truth), test, names, recipe=rules, k=k)
        else:
            values = labelled.as_matrix(features, len(truth))
            groups = labelled.as_list(options.get("groups"))
            labelled.check_names("groups", groups, len(truth))
            names_of_rows = labelled.as_list(ids)
            labelled.check_names("ids", names_of_rows, len(truth))
            predictions, _ = predict_held_out(
                values,
                names,
                np.array(names_of_rows or list(range(len(truth)))).astype(str),
                None if groups is None else np.array(groups).astype(str),
                recipe=rules,
                seed=options.get("seed") or 0,
                k=k,
            )
        return super().compute(predictions=predictions, references=names, **options)

    def _compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        groups: Sequence[str],
        confidence: float = 0.95,
        seed: int | None = None,
        per_class: bool = False,
        per_group: bool = False,
    ) -> dict[str, Any]:
        truth = np.asarray(references)
        correct = np.asarray(predictions) == truth
        right, n = int(correct.sum()), len(correct)
        result: dict[str, Any] = {"accuracy": right / n, "n": n, "correct": right}
        result |= labelled.ends("wald", stats.wald_interval(right, n, confidence=confidence))
        result |= labelled.ends("wilson", stats.wilson_interval(right, n, confidence=confidence))
        if per_class:
            result["per_class"] = _shares(correct, truth)
        names = self.stored("groups", groups)
        if names is None:
            return result
        if seed is None:
            raise InputError("groups were given: the cluster bootstrap needs a seed, such as seed=0")
        result["groups"] = len(set(names))
        result |= labelled.ends("cluster", stats.cluster_bootstrap(correct, names, seed=seed, confidence=confidence))
        return result | ({"per_group": _shares(correct, np.asarray(names))} if per_group else {})


def _shares(correct: Any, names: Any) -> dict[Any, float]:
    return {name.item(): float(correct[names == name].mean()) for name in np.unique(names)}
