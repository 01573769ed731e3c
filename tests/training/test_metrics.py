import numpy as np
import pytest

from cytoimagenet_hf.dataset.schema import CATEGORIES
from cytoimagenet_hf.training.evaluation import split_metrics


def test_a_scored_split_spelled_out() -> None:
    compound, gene = CATEGORIES.index("compound"), CATEGORIES.index("gene")
    labels = np.array([0, 0, 1, 2, 2])
    ranked = np.array([[0, 1], [1, 0], [0, 2], [2, 0], [2, 1]])
    categories = np.array([compound, compound, compound, gene, gene])
    scored = split_metrics(labels, ranked, categories, ["a", "b", "c", "without rows"])
    assert scored["rows"] == 5
    assert scored["accuracy"] == pytest.approx(3 / 5)
    assert scored["top_7_accuracy"] == pytest.approx(4 / 5)
    assert scored["never_right"] == ["b"]  # a class without rows was not predicted wrong
    assert scored["per_class"]["a"] == {"accuracy": 0.5, "rows": 2, "category": "compound"}
    assert scored["per_category"]["compound"] == {"accuracy": pytest.approx(1 / 3), "rows": 3, "classes": 2}
    assert scored["per_category"]["gene"] == {"accuracy": 1.0, "rows": 2, "classes": 1}
    assert scored["category_confusion"]["compound"]["compound"] == 3  # wrong class, right category
    assert scored["category_confusion"]["gene"]["gene"] == 2
    assert set(scored["category_confusion"]) == {"compound", "gene"}


def test_rows_without_a_category_are_unknown() -> None:
    scored = split_metrics(np.array([0, 1]), np.array([[0], [0]]), np.array([-1, 0]), ["a", "b"])
    assert scored["per_category"]["unknown"]["rows"] == 1
    assert scored["category_confusion"][CATEGORIES[0]]["unknown"] == 1
