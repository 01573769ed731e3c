"""Statistics of pixels: spelled-out numbers, what they must not depend on, and how they stand beside a network."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_laplace

from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.networks.pixels import (
    PER_CHANNEL,
    PER_PAIR,
    QUANTILES,
    SIGMAS,
    log_intensities,
    pixel_features,
    pixel_names,
    relative_log,
)
from tests.tiny_encoder import tiny_encoder


def planes(count: int, *, seed: int = 0, side: int = 40) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(100, 4000, (side, side), dtype=np.uint16) for _ in range(count)]


def test_a_gain_moves_every_intensity_by_its_logarithm_and_nothing_else():
    dna, actin = planes(2)
    before, after = pixel_features([dna, actin]), pixel_features([4 * dna.astype(np.float64), actin])
    count = len(QUANTILES)
    np.testing.assert_allclose(after[:count] - before[:count], np.log(4), rtol=1e-4)
    np.testing.assert_allclose(after[count:], before[count:], atol=1e-4)


def test_percentiles_are_numpys():
    plane = planes(1)[0].astype(np.float64)
    wanted = np.log(np.percentile(plane, QUANTILES) + 0.01 * np.percentile(plane, 99.9))
    np.testing.assert_allclose(log_intensities(plane), wanted)


def test_texture_is_that_of_the_laplacian_of_the_relative_logarithm():
    plane = planes(1)[0]
    response = SIGMAS[2] ** 2 * gaussian_laplace(np.log(plane / plane.mean() + 0.1), SIGMAS[2])
    moments = pixel_features([plane])[len(QUANTILES) + 4 : len(QUANTILES) + 6]
    skew = (response**3).mean() / response.std() ** 3
    np.testing.assert_allclose(moments, [np.log(response.std()), skew], atol=0.1)  # theirs samples the exact kernel


def test_pairs_hold_pearson_correlations():
    dna, actin, er = planes(3)
    pairs = pixel_features([dna, actin, er])[3 * PER_CHANNEL :].reshape(3, PER_PAIR)
    for row, (first, second) in zip(pairs, [(dna, actin), (dna, er), (actin, er)], strict=True):
        assert row[0] == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1], abs=1e-5)
    opposite = pixel_features([dna, 5000 - dna.astype(np.float64)])[2 * PER_CHANNEL :]
    np.testing.assert_allclose(opposite[: PER_PAIR // 2], -1, atol=1e-5)  # the linear half


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_flat_channels_give_finite_numbers_and_correlate_with_nothing(value):
    flat = np.full((30, 30), value, dtype=np.uint16)
    features = pixel_features([flat, planes(1, side=30)[0], flat])
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(features[3 * PER_CHANNEL :], 0)


def test_relative_logarithm_of_nothing_is_flat():
    assert np.ptp(relative_log(np.zeros((3, 3)))) == 0


def test_colour_planes_are_taken_as_gray():
    plane = planes(1)[0]
    np.testing.assert_allclose(pixel_features([np.dstack([plane] * 3)]), pixel_features([plane]), rtol=1e-5)


def test_names_and_numbers_agree():
    owners, counts = pixel_names(["dna", "er", "actin"])
    assert owners[3:] == ["dna-er", "dna-actin", "er-actin"]
    assert sum(counts) == len(pixel_features(planes(3)))


def test_extraction_puts_them_behind_the_network_in_order_and_by_name():
    images = [planes(2, seed=seed) for seed in range(3)]
    both = tiny_encoder(pixels=True)
    table = extract_features(both, images, ids=["a", "b", "c"], channels=["dna", "er"], workers=2, batch_size=2)
    plain = extract_features(tiny_encoder(), images, ids=["a", "b", "c"], channels=["dna", "er"])
    assert table.values.shape == (3, 2 * 3 + 2 * PER_CHANNEL + PER_PAIR)
    np.testing.assert_allclose(table.values[:, :6], plain.values, rtol=1e-5)
    np.testing.assert_array_equal(table.values[1, 6:], pixel_features(images[1]))
    assert table.names[6] == "Image_dna_pixels_0000"
    assert table.names[-1] == f"Image_dna-er_pixels_{PER_PAIR - 1:04d}"
    assert len(set(table.names)) == len(table.names)
    np.testing.assert_allclose(both.encode(np.stack(images), stains=["dna", "er"]), table.values, rtol=1e-5)
    assert both.fingerprint != tiny_encoder().fingerprint
