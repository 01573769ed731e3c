"""Scores of a benchmark, of which only what a test is about is spelled out."""

from typing import Any

from cytoimagenet_hf.scoring.results import Kind, ScoreRecord


def score(entry: str, value: float, *, kind: Kind = "model", set: str = "cells", n: int = 100, **more: Any):
    """A score of n items; by default accuracy, within 0.1, without groups or classes."""
    facts = {"task": "task", "right": round(n * value), "wald_half_width": 0.1, "wilson": (value - 0.1, value + 0.1)}
    facts |= {"cluster": None, "groups": None, "cluster_interval": None}
    facts |= {"per_class": {}, "classes": (), "confusion": ()}
    return ScoreRecord(entry=entry, set=set, kind=kind, n=n, value=value, **facts | more)
