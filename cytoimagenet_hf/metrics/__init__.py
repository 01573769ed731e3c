"""Metric modules in the style of `evaluate`: one folder each, with card and app, loaded by path, offline.

Features never pass through `evaluate`, which would copy them several times; predictions and references do.
"""

from pathlib import Path

from cytoimagenet_hf.core.errors import InputError

METRICS = ("knn_transfer", "nsc_accuracy")


def metric_path(name: str) -> str:
    """The folder to give to `evaluate.load`.

    Raises:
        InputError: no such metric.

    Example:
        >>> metric_path("knn_transfer").endswith("metrics/knn_transfer")
        True
    """
    if name not in METRICS:
        raise InputError(f"unknown metric {name!r}: choose one of {', '.join(METRICS)}")
    return (Path(__file__).parent / name).as_posix()
