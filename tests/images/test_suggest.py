"""Patterns for names that no known microscope writes."""

import itertools

import pytest

from cytoimagenet_hf.images.names import compile_pattern
from cytoimagenet_hf.images.suggest import suggest_pattern

WELLS = ["A01", "A02", "B07", "H12"]


UNEXPLAINED = {
    "a plate or a channel": [f"{f}/{w}.tif" for f in ("alpha", "beta") for w in ("A1", "B2")],
    "several fields in a part": [f"x_{w}f0{s}d{c}.tif" for w in ("D03", "E04") for s in (0, 1) for c in (0, 1)],
    "two parts that are wells": [f"{w}.{q}_{c}.tif" for w in ("A01", "A02") for q in ("a1", "b1") for c in ("x", "y")],
    "unequal channels": ["A01_dapi.tif", "A01_gfp.tif", "B02_dapi.tif", "B02_gfp.tif", "C03_dapi.tif"],
    "twelve channels": [f"s{s}_w{w}.tif" for s in (1, 2) for w in range(1, 13)],
    "two parts that are channels": [f"A01_w{w}_c{c}.tif" for w in (1, 2) for c in (1, 2)],
}


def names(form, **values):
    return [form.format(**dict(zip(values, one, strict=True))) for one in itertools.product(*values.values())]


@pytest.mark.parametrize(
    ("given", "pattern"),
    [
        (
            names("plate {p}/exp7_{w}_F{s:03d}_{c}.TIF", p="AB", w=WELLS, s=[1, 2], c=["DAPI", "GFP"]),
            "exp7_{well}_F{site}_{c}.TIF",
        ),
        (
            [
                f"Channel{c}-{12 * row + column + 1:02d}-{'ABCDEFGH'[row]}-{column + 1:02d}.BMP"
                for c in (1, 2)
                for row in range(8)
                for column in range(12)
            ],
            "Channel{c}-{_}-{row}-{column}.BMP",
        ),
        (names("{c}_{s}.png", c=["nuclei", "actin"], s=range(5)), "{c}_{site}.png"),
        (names("{s}-{c}.tif", s=["cell a", "cell b"], c=["red", "green"]), "cell {site}-{c}.tif"),
        (names("{d}_{s}_{c}.tif", d=["mon", "tue", "wed"], s="pq", c=["red", "green"]), None),  # two parts are left
        (names("{s}_{c}.tif", s=["ctrl", "toxin", "wash"], c=["red", "green"]), "{site}_{c}.tif"),
        (names("{w}_z{z}_ch{c}_t{t}.tif", w=WELLS, z=range(3), c=range(2), t=range(2)), "{well}_z{z}_ch{c}_t{t}.tif"),
        (names("Channel {c}-{w}-00.tif", w=WELLS, c=[1, 2]), "Channel {c}-{well}-00.tif"),
        (names("B02_s1_w{c}.png", c=range(1, 7)), "{well}_s{site}_w{c}.png"),
        (names("{w}.tif", w=WELLS), "{well}.tif"),
        (names("image{n}.tif", n=range(9)), None),
        (names("{n}.tif", n=range(9)), None),
        (["one.tif"], None),
        (["a_b.tif", "a-b.tif"], None),
        ([*names("{w}_{c}.tif", w=WELLS, c=["DAPI", "GFP"]), "notes_of_the_week.tif"], None),
        *((given, None) for given in UNEXPLAINED.values()),
    ],
)
def test_parts_are_told_by_how_they_look_and_vary(given, pattern):
    assert suggest_pattern(given) == pattern
    if pattern is not None:
        assert all(compile_pattern(pattern).fullmatch(name) for name in given)


def test_a_number_behind_the_word_site_is_the_site():
    names = [f"{w}-Site_{s}/img_000_{c}.tif" for w in ("A01", "B02") for s in (0, 1) for c in ("DAPI", "GFP")]
    assert suggest_pattern(names) == "{well}-Site_{site}/img_000_{c}.tif"
