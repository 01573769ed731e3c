"""Near-duplicates are found by Hamming distance, as a brute-force comparison of all pairs finds them."""

import numpy as np

from builder.publish.balance import near_groups
from builder.render.difference_hash import difference_hash
from cytoimagenet_hf.imaging import merge_channels
from tests.builder.tiny_builds import cells


def test_groups_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2, (12, 128))
    rows = []
    for row in base:
        for flips in (0, 1, 3, 5):
            other = row.copy()
            other[rng.choice(128, flips, replace=False)] ^= 1
            rows.append(other)
    bits = np.array(rows)
    found = near_groups([np.packbits(row).tobytes().hex() for row in bits])
    near = (bits[:, None] != bits[None]).sum(axis=2) <= 3
    reach = np.linalg.matrix_power(near.astype(np.int64), 8) > 0
    assert np.array_equal(found[:, None] == found[None], reach)
    assert 12 < len(set(found.tolist())) <= 24


def test_noise_changes_few_bits_and_another_field_many():
    rng = np.random.default_rng(0)
    for seed in range(5):
        plane = cells(seed, side=200, channels=1)[0]
        noisy = (plane + rng.normal(0, 4, plane.shape)).clip(0).astype(np.uint16)
        other = cells(seed + 50, side=200, channels=1)[0]
        hashes = [difference_hash(merge_channels([image])) for image in (plane, noisy, other)]
        first, second, third = near_groups(hashes).tolist()
        assert first == second != third
        different = [bin(int(hashes[0], 16) ^ int(value, 16)).count("1") for value in hashes]
        assert different[1] <= 3 < 20 < different[2]


def test_many_equal_hashes_are_one_group():
    assert sorted(set(near_groups(["ab" * 16] * 5000 + ["00" * 16]).tolist())) == [0, 1]
    assert len(set(near_groups(["ab" * 16] * 5000).tolist())) == 1
