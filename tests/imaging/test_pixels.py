"""Percentiles, stretch, merge, quality and encoding, against NumPy in float64 and Pillow."""

import io

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging import (
    Merger,
    byte_counts,
    encode_png,
    merge_channels,
    normalize,
    percentiles,
    proves_quality,
    quality_issue,
    read_image,
    to_bytes,
    to_gray,
)

INTEGERS = st.sampled_from([np.uint8, np.uint16, np.int16, np.uint32, np.int32, np.int64, np.bool_])
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)


def reference(channels, low=0.1, high=99.9):
    """The rule of the paper, in float64, one line per step."""
    stretched = []
    for channel in channels:
        bottom, top = np.percentile(channel, [low, high])
        unit = np.zeros(channel.shape) if top == bottom else (channel.astype(np.float64) - bottom) / (top - bottom)
        stretched.append(np.clip(unit, 0, 1))
    return (np.mean(stretched, axis=0) * 255).astype(np.uint8)


@given(st.data(), hnp.arrays(INTEGERS, SHAPES), st.lists(st.floats(0, 100), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_percentiles_of_integers_are_numpys_bit_for_bit(data, image, q):
    if image.dtype != bool:  # values near each other, as images have them, not only the extremes hypothesis likes
        image = image // data.draw(st.sampled_from([1, 3, 100]))
    if image.dtype == bool:
        expected = np.percentile(image.astype(np.uint8), q)
    elif image.dtype.itemsize > 2:
        expected = np.percentile(image.astype(np.float64), q)
    else:
        expected = np.percentile(image.astype(np.int64), q)
    assert np.array_equal(percentiles(image, q), expected)


@given(hnp.arrays(np.uint16, SHAPES), st.tuples(st.floats(0, 40), st.floats(60, 100)))
@settings(max_examples=100, deadline=None)
def test_percentiles_of_uint16_need_no_wider_type_in_numpy_either(image, q):
    assert np.array_equal(percentiles(image, q), np.percentile(image, q))


FLOATS = hnp.arrays(
    st.sampled_from([np.float32, np.float64]), SHAPES, elements=st.floats(-(2.0**90), 2.0**90, width=32)
)


@given(FLOATS, st.lists(st.floats(0, 100), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_percentiles_of_floats_are_numpys_bit_for_bit(image, q):
    assert np.array_equal(percentiles(image, q), np.percentile(image.astype(np.float64), q))


def test_percentiles_of_floats_without_a_finite_range():
    image = np.array([[-1.7e308, 0.0, 1.7e308, 5e-324]])
    assert np.array_equal(percentiles(image, (0, 100)), [-1.7e308, 1.7e308])
    assert percentiles(np.full((3, 3), 5e-324), (50,)).tolist() == [5e-324]


def test_percentiles_of_large_images_and_floats():
    rng = np.random.default_rng(0)
    image = rng.poisson(300, (700, 900)).astype(np.uint16)
    for given_image in (image, image[::2, 1::3], image.astype(np.float32), image.astype(">u2")):
        assert np.array_equal(
            percentiles(given_image, (0.1, 75, 99.9)), np.percentile(given_image.astype(np.int64), (0.1, 75, 99.9))
        )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_normalize_by_hand(dtype):
    image = np.array([[10, 20], [30, 50]], dtype=dtype)
    before = image.copy()
    assert normalize(image, 0, 100).tolist() == [[0, 0.25], [0.5, 1]]
    assert normalize(image).dtype == np.float32
    assert np.array_equal(image, before)


def test_normalize_clips_at_the_percentiles():
    image = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    image[0, 0], image[-1, -1] = 0, 65_535
    found = normalize(image)
    bottom, top = np.percentile(image, [0.1, 99.9])
    assert np.array_equal(found, np.clip((image - bottom) / (top - bottom), 0, 1).astype(np.float32))
    assert (found == 0).sum() == 10


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.bool_])
def test_a_constant_image_becomes_zeros_without_a_warning(value, dtype, recwarn):
    found = normalize(np.full((5, 6), value, dtype))
    assert found.shape == (5, 6)
    assert not found.any()
    assert not recwarn.list


CHANNEL = st.one_of(
    hnp.arrays(np.uint8, (9, 7)),
    hnp.arrays(np.uint16, (9, 7)),
    hnp.arrays(np.int32, (9, 7), elements=st.integers(-500, 5000)),
    hnp.arrays(np.float32, (9, 7), elements=st.floats(-10, 10, width=32)).map(lambda a: a.astype(np.float64)),
)


@given(st.lists(CHANNEL, min_size=1, max_size=6), st.sampled_from([(0.1, 99.9), (0.0, 100.0), (5.0, 80.0)]))
@settings(max_examples=200, deadline=None)
def test_merge_is_the_float64_definition_bit_for_bit(channels, q):
    assert np.array_equal(merge_channels(channels, low=q[0], high=q[1]), reference(channels, *q))


def test_merge_of_a_large_field_is_the_float64_definition_bit_for_bit():
    rng = np.random.default_rng(1)
    channels = [(rng.gamma(2, 400, (531, 700)) + 100 * c).astype(np.uint16) for c in range(5)]
    assert np.array_equal(merge_channels(channels), reference(channels))
    assert np.array_equal(to_bytes(Merger(channels).unit()), reference(channels))


def test_merge_without_normalisation():
    eight, sixteen = np.array([[0, 51, 255]], np.uint8), np.array([[0, 13107, 65535]], np.uint16)
    assert merge_channels([eight], normalized=False).tolist() == [[0, 51, 255]]
    assert merge_channels([eight, sixteen], normalized=False).tolist() == [[0, 51, 255]]
    assert merge_channels([np.array([[0.0, 0.5, 1.0]])], normalized=False).tolist() == [[0, 127, 255]]
    assert merge_channels([np.full((1, 3, 3), 51, np.uint8)], normalized=False).tolist() == [[51, 51, 51]]
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        merge_channels([np.array([[300.0]])], normalized=False)


def test_colour_becomes_the_mean_in_float():
    image = np.array([[[0, 1, 1], [255, 255, 255]]], np.uint8)
    assert to_gray(image).tolist() == [[2 / 3, 255.0]]
    wide = np.random.default_rng(0).integers(0, 65536, (9, 8, 3)).astype(np.uint16)
    assert np.array_equal(to_gray(wide), wide.mean(axis=2))
    flat = np.zeros((3, 4), np.uint16)
    assert to_gray(flat) is flat


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([], "no channels"),
        ([np.zeros((2, 2)), np.zeros((2, 3))], "differ in shape"),
        ([np.zeros((2, 2, 4))], r"\(2, 2, 4\)"),
        ([np.zeros((0, 2))], "no pixels"),
        ([np.full((2, 2), np.nan)], "NaN"),
        ([np.full((2, 2), "a")], "pixels, not"),
    ],
)
def test_merge_says_what_is_wrong(channels, message):
    with pytest.raises(InputError, match=message):
        merge_channels(channels)


@pytest.mark.parametrize(("low", "high"), [(50, 50), (99, 1), (-1, 50), (0, 101)])
def test_normalize_refuses_an_empty_range(low, high):
    with pytest.raises(InputError, match="low < high"):
        normalize(np.eye(4), low, high)
    with pytest.raises(InputError):
        percentiles(np.eye(4), [-1])


def test_twelve_bits_in_sixteen_keep_their_levels_until_the_bytes(tmp_path):
    rng = np.random.default_rng(0)
    cells = (np.clip(rng.normal(900, 300, (200, 200)), 0, 4095)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "cells.tif", cells)
    found = read_image(tmp_path / "cells.tif")
    kept = len(np.unique(normalize(found)))
    inside = np.unique(np.clip(cells, *np.percentile(cells, [0.1, 99.9])))
    assert kept == len(inside) > 1500
    assert len(np.unique(Merger([found]).unit())) == kept
    eight_bit = (found >> 8).astype(np.uint8)
    assert len(np.unique(normalize(eight_bit))) <= 16  # what reading at 8 bits would have left (I1)
    assert len(np.unique(merge_channels([found]))) == 256


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_quality_issue_by_rule(dtype):
    ramp = np.arange(100, dtype=dtype).reshape(10, 10)
    assert quality_issue(ramp) is None
    assert quality_issue(np.full((10, 10), 9, dtype)) == "uniform"
    nearly = np.full((100, 100), 9, dtype)
    nearly[0, :5] = 200  # 0.05 % of the pixels: inside the clipped part
    assert quality_issue(nearly) == "uniform"
    mask = np.zeros((10, 10), dtype)
    mask[:3] = 200
    assert quality_issue(mask) == "binary"
    dim = np.zeros((10, 10), dtype)
    dim[0], dim[1] = 5, 200
    assert quality_issue(dim) == "dim"
    dim[2] = 7  # three rows of ten: the 75th percentile is 5
    assert quality_issue(dim) is None
    assert quality_issue(np.dstack([mask] * 3)) == "binary"


@given(hnp.arrays(np.uint8, st.integers(3, 400)), st.integers(0, 400), st.sampled_from([1, 2, 60, 255]))
@settings(max_examples=300, deadline=None)
def test_quality_that_some_pixels_prove_holds_whatever_the_others_are(seen, others, step):
    seen = seen // step * step  # few values: near the rules' edges
    counts = byte_counts(seen.reshape(1, -1))
    if proves_quality(counts, len(seen) + others):
        for value in (0, 255, *np.unique(seen)):
            assert quality_issue(np.concatenate([seen, np.full(others, value, np.uint8)])[None]) is None


def test_a_quarter_that_is_not_black_proves_quality_and_less_does_not():
    counts = byte_counts(np.repeat(np.array([[1, 5, 9]], np.uint8), 10, axis=1))
    assert proves_quality(counts, 117)  # the 75th percentile of 117 is the 88th value: 87 may be black
    assert not proves_quality(counts, 121)
    assert not proves_quality(byte_counts(np.repeat(np.array([[1, 5]], np.uint8), 50, axis=1)), 100)  # binary, so far


def test_a_box_of_the_merge_is_the_merge_of_the_field_there():
    rng = np.random.default_rng(3)
    channels = [rng.integers(0, 5000, (150, 170), dtype=np.uint16), rng.normal(size=(150, 170))]
    box = slice(20, 90), slice(31, 170)
    assert np.array_equal(Merger(channels).unit(*box), Merger(channels).unit()[box])
    assert np.array_equal(Merger(channels).bytes(), to_bytes(Merger(channels).unit()))


@given(hnp.arrays(np.uint8, SHAPES))
@settings(max_examples=100, deadline=None)
def test_png_is_lossless_for_two_decoders(image):
    encoded = encode_png(image)
    with PIL.Image.open(io.BytesIO(encoded)) as decoded:
        assert decoded.mode == "L"
        assert np.array_equal(np.asarray(decoded), image)
    assert np.array_equal(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED), image)


def _fields():
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:256, :256]
    blob = np.exp(-((rows - 128) ** 2 + (columns - 100) ** 2) / 2000)
    yield "noisy", (blob * 180 + rng.normal(20, 6, blob.shape)).clip(0, 255)
    yield "smooth", blob * 255
    yield "black", np.zeros((256, 256))
    yield "mask", (blob > 0.5) * 255
    yield "white noise", rng.integers(0, 256, (256, 256))
    yield "mostly dark", np.where(blob > 0.7, blob * 200 + rng.normal(0, 9, blob.shape), 0).clip(0, 255)


@pytest.mark.parametrize("image", [pytest.param(image, id=name) for name, image in _fields()])
def test_png_is_no_larger_than_pillows(image):
    pixels = image.astype(np.uint8)
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, "PNG", compress_level=6)
    assert len(encode_png(pixels)) <= 1.05 * len(stream.getvalue()) + 64  # 64: headers of tiny files


def test_png_without_the_filter_option_falls_back(monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    monkeypatch.delattr(cv2, "IMWRITE_PNG_FILTER", raising=False)  # OpenCV 4.9 has none
    assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(encode_png(image)))), image)
    with pytest.raises(InputError, match="uint8"):
        encode_png(image.astype(np.uint16))


def test_tables_without_wide_lookup_give_the_same(monkeypatch):
    image = np.random.default_rng(0).integers(0, 60_000, (40, 50)).astype(np.uint16)
    expected = normalize(image)

    def narrow(*_):
        raise cv2.error("no tables of 65,536 entries")

    monkeypatch.setattr(cv2, "LUT", narrow)
    assert np.array_equal(normalize(image), expected)
