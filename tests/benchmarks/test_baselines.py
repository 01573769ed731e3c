"""Pixel baselines: each number by hand, and what each of them can and cannot see."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_laplace

from cytoimagenet_hf.benchmarks import BENCHMARKS, RECIPES
from cytoimagenet_hf.benchmarks.baselines import (
    BASELINES,
    foreground,
    intensity_histogram,
    laplacian_of_gaussian,
    log_texture,
    object_count,
    pixel_baselines,
    raw_moments,
)


def test_numbers_by_hand():
    assert raw_moments(np.array([[1.0, 3.0]])).tolist() == [2.0, 1.0]
    histogram = intensity_histogram(np.array([[-5.0, 0.0, 10.0, 99.0]]), (0.0, 10.0))
    assert (histogram[0], histogram[-1], histogram.sum()) == (0.5, 0.5, 1.0)
    image = np.zeros((64, 64))
    image[5:15, 5:15] = image[40:50, 40:50] = 1.0
    image[30, 30] = 1.0  # a speck is not an object
    assert object_count(foreground(image)) == 2
    assert foreground(image).mean() == pytest.approx(201 / 64**2)


def test_texture_is_blind_to_brightness_but_not_to_grain():
    rng = np.random.default_rng(0)
    noise = rng.random((64, 64))
    assert log_texture(noise + 0.5) == pytest.approx(log_texture(noise), abs=1e-3)  # the kernel is cut off
    assert log_texture(np.full((64, 64), 0.3)) == pytest.approx(np.zeros(8), abs=1e-3)
    fine, coarse = log_texture(noise), log_texture(np.kron(noise[:8, :8], np.ones((8, 8))))
    assert fine[0] > coarse[0]


@pytest.mark.parametrize("sigma", [1.0, 8.0])
@pytest.mark.parametrize("shape", [(64, 64), (5, 70)])
def test_the_laplacian_of_gaussian_is_that_of_scipy(shape, sigma):
    # The second shape is narrower than the kernel: its border is reflected several times.
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    assert np.allclose(
        laplacian_of_gaussian(image, sigma), gaussian_laplace(image.astype(np.float64), sigma), rtol=0, atol=1e-14
    )


def test_every_baseline_of_a_simulated_set_has_a_row_per_image(simulated):
    items = BENCHMARKS["cyclops"].load(simulated / "cyclops", RECIPES["corrected"])
    tables = pixel_baselines(items, seed=0)
    assert tuple(tables) == BASELINES
    widths = {name: table.values.shape for name, table in tables.items()}
    assert widths["raw intensities"] == (len(items), 4)
    assert widths["raw histogram"] == widths["intensity histogram"] == (len(items), 64)
    assert widths["LoG texture"] == (len(items), 16)
    threaded = pixel_baselines(items, seed=0, workers=2)
    assert all(np.array_equal(threaded[name].values, table.values) for name, table in tables.items())
    again = pixel_baselines(items[::-1], seed=0)["raw intensities"]
    assert np.allclose(again.rows([item.id for item in items]).values, tables["raw intensities"].values)
