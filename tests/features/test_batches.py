"""Batches by size: memory, and whose fault an error of the network is."""

import numpy as np
import pytest
import torch

from cytoimagenet_hf.core.ahead import read_ahead
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.features.choosing import runner_of
from cytoimagenet_hf.features.runtimes import Runner
from cytoimagenet_hf.features.vectors import is_shape_error
from tests.tiny_encoder import tiny_encoder

IMAGES = [np.arange(144, dtype=np.uint16).reshape(12, 12) * factor for factor in (1, 2, 3)]


def failing(error, *, when) -> Runner:
    """The runner of the tiny encoder, which fails whenever a condition on the batch holds."""
    network = runner_of(tiny_encoder())

    def run(units):
        if when(units):
            raise error
        return network(units)

    return Runner("torch", run)


def test_memory_that_a_batch_lacks_is_no_property_of_its_images():
    """Only whole batches fail: each image alone fits."""
    run = failing(RuntimeError("can't allocate memory"), when=lambda units: len(units) > 1)
    table = extract_features(tiny_encoder(), IMAGES, ids="abc", backend=run)
    expected = extract_features(tiny_encoder(), IMAGES, ids="abc")
    np.testing.assert_allclose(table.values, expected.values, atol=1e-6)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("CUDA error: an illegal memory access"), torch.OutOfMemoryError("size mismatch"), MemoryError()],
)
def test_what_fails_alone_too_is_raised_and_refuses_no_image(error):
    left_out = []
    with pytest.raises(type(error)) as raised:
        extract_features(
            tiny_encoder(),
            IMAGES,
            ids="abc",
            backend=failing(error, when=lambda units: True),
            on_error=lambda *rejected: left_out.append(rejected),
        )
    assert left_out == []
    assert "image 'a', 12 x 12" in raised.value.__notes__[0]


def test_features_that_are_not_finite_are_refused_by_image():
    network = runner_of(tiny_encoder())

    def run(units):
        vectors = network(units).clone()
        vectors[0, 0] = float("nan")
        return vectors

    with pytest.raises(InputError, match=r"'a'.*NaN or infinite"):
        extract_features(tiny_encoder(), IMAGES, ids="abc", backend=Runner("torch", run))
    left_out = []
    table = extract_features(
        tiny_encoder(), IMAGES, ids="abc", backend=Runner("torch", run), on_error=lambda name, _: left_out.append(name)
    )
    assert (table.ids.tolist(), left_out) == (["b", "c"], ["a"])


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (torch.nn.Conv2d(1, 1, 9), (8, 8)),
        (torch.nn.Linear(64, 1), (8, 8)),
        (torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.AvgPool2d(16)), (8, 8)),
        (torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(100, 2)), (8, 8)),
        (torch.nn.ReflectionPad2d(9), (8, 8)),
    ],
    ids=["kernel", "shapes of a product, none", "pooling", "shapes of a product", "padding"],
)
def test_what_torch_says_of_shapes_is_understood(network, size):
    with pytest.raises(RuntimeError) as raised:
        network(torch.zeros(1, 1, *size))
    assert is_shape_error(raised.value)


def test_reading_ahead_stays_few_ahead_and_keeps_the_order():
    drawn = []

    def pairs():
        for number in range(20):
            drawn.append(number)
            yield str(number), number

    results = []
    for name, value in read_ahead(pairs(), lambda number: number**2, 2):
        results.append((name, value))
        assert len(drawn) - len(results) <= 5
    assert results == [(str(number), number**2) for number in range(20)]
