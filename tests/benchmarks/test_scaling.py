"""Standardised features, in the memory or past it."""

import numpy as np
import pytest

from cytoimagenet_hf.benchmarks import scaling
from cytoimagenet_hf.benchmarks.scaling import standardise


@pytest.mark.parametrize("held_aside", [False, True])
def test_features_past_the_memory_are_scaled_like_others(monkeypatch, held_aside):
    values = np.random.default_rng(0).normal(3, 2, (1000, 5)).astype(np.float32)
    values[:, 1] = 7  # constant
    values[:, 2] = 1e-14 * values[:, 2]
    values[500, 2] = 1  # dead in the first half, where it varies 1e14 times less than in the second
    seen = values[:500] if held_aside else values
    wanted = (values - seen.mean(0, dtype=float)) / np.maximum(seen.std(0, dtype=float), 1e-30)
    wanted[:, [1, 2] if held_aside else [1]] = 0
    at_once = standardise(values, fitted_on=seen)
    monkeypatch.setattr(scaling, "_ROWS", 70)
    monkeypatch.setattr(scaling, "_IN_MEMORY", 0)
    by_blocks = standardise(values, fitted_on=seen)
    assert isinstance(by_blocks, np.memmap)
    assert not isinstance(at_once, np.memmap)
    np.testing.assert_allclose(at_once, wanted, atol=1e-4)
    np.testing.assert_allclose(by_blocks, at_once, atol=1e-6)
