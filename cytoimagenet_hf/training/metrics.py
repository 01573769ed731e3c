"""What a classifier gets right: arrays in, numbers out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from cytoimagenet_hf.dataset.schema import CATEGORIES

Codes = NDArray[np.int64]


def split_metrics(labels: Codes, ranked: Codes, categories: Codes, classes: Sequence[str]) -> dict[str, Any]:
    """Everything that is reported about a scored split.

    Args:
        labels: int (N,), class codes.
        ranked: int (N, K), the K most probable classes.
        categories: int (N,), position in `schema.CATEGORIES` of each row's label, or -1.
        classes: names by code.

    Returns:
        `accuracy`, `top_7_accuracy`, `f1_macro`, `rows`; `per_category` (accuracy, rows, classes); `per_class`
        (accuracy, rows, category); `never_right`: classes with rows but no right one (402 in the paper);
        `category_confusion`: rows by true category, columns by the category of the predicted class.
    """
    predicted = ranked[:, 0]
    right = predicted == labels
    names = [*CATEGORIES, "unknown"]
    owner = _category_of_class(labels, categories, len(classes))  # (classes,)
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (categories, owner[predicted]), 1)  # -1 is the last row and column
    shown = [code for code in (*range(len(CATEGORIES)), -1) if (categories == code).any()]
    return {
        "rows": len(labels),
        "accuracy": float(right.mean()),
        "top_7_accuracy": float((ranked[:, :7] == labels[:, None]).any(axis=1).mean()),
        "f1_macro": float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)),
        "per_category": {
            names[code]: {
                "accuracy": float(right[categories == code].mean()),
                "rows": int((categories == code).sum()),
                "classes": len(np.unique(labels[categories == code])),
            }
            for code in shown
        },
        "per_class": {
            classes[code]: {
                "accuracy": float(right[labels == code].mean()),
                "rows": int((labels == code).sum()),
                "category": names[owner[code]],
            }
            for code in np.unique(labels)
        },
        "never_right": [classes[code] for code in np.unique(labels) if not right[labels == code].any()],
        "category_confusion": {
            names[row]: {name: int(confusion[row, column]) for column, name in enumerate(names)} for row in shown
        },
    }


def _category_of_class(labels: Codes, categories: Codes, count: int) -> Codes:
    """The category each class belongs to, from its rows; -1 where it has none."""
    owner = np.full(count, -1, dtype=np.int64)
    owner[labels] = categories
    return owner
