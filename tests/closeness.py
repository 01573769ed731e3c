"""When two runs of one network count as equal.

Weights are compared exactly. What is computed from them is not: loaded weights lie at other addresses, a processor may
take another kernel for them, and its sums add up in another order.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

# Of the largest output: float32 keeps seven digits, and the layers of a network lose up to two of them.
OUTPUTS = 1e-5
# Of the largest entry of each tensor, after some steps of training; another order of the images moves them by 1e-2.
TRAINED = 1e-4


def assert_same_outputs(found: npt.ArrayLike, expected: npt.ArrayLike) -> None:
    """Outputs of one network, from two places in memory, two processes or two numbers of threads."""
    wanted = np.asarray(expected)
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=0, atol=OUTPUTS * float(np.abs(wanted).max()))


def assert_same_weights(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Weights of one network, saved and loaded: equal in every bit."""
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def assert_same_training(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Weights of two runs over the same images in the same order; counters are equal."""
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        if not wanted.is_floating_point():
            assert torch.equal(found[name], wanted), name
            continue
        limit = TRAINED * float(wanted.abs().max())
        assert float((found[name] - wanted).abs().max()) <= limit, name
