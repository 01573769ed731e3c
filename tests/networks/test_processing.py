"""The image processor: against the float64 definition, against the stock processor, and through its own file."""

import json
import subprocess
import sys

import datasets
import numpy as np
import PIL.Image
import pytest
import tifffile
import torch
from transformers import AutoImageProcessor
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import METHODS, MicroscopyImageProcessor

RNG = np.random.default_rng(7)
TWELVE_BIT = [RNG.gamma(2.0, 300, (61, 83)).clip(0, 4095).astype(np.uint16) for _ in range(3)]


def defined(channel: np.ndarray) -> np.ndarray:
    """Paper §2.2 in float64: clip at the 0.1 and 99.9 percentile, scale to [0, 1]."""
    values = channel.astype(np.float64)
    low, high = np.percentile(values, [0.1, 99.9])
    return np.clip((values - low) / (high - low), 0, 1)


def pixel_values(images, **options) -> np.ndarray:
    return MicroscopyImageProcessor(**options)(images, return_tensors="np")["pixel_values"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_every_depth_agrees_with_the_definition(dtype) -> None:
    channels = [(channel // 17 if dtype == np.uint8 else channel).astype(dtype) for channel in TWELVE_BIT]
    expected = np.stack([defined(channel) for channel in channels])
    (prepared,) = pixel_values(channels)
    assert prepared.shape == (3, 3, 61, 83)
    assert prepared.dtype == np.float32
    for colour in range(3):
        np.testing.assert_allclose(prepared[:, colour], expected, atol=1e-6)


def test_merging_averages_the_normalised_channels() -> None:
    expected = np.mean([defined(channel) for channel in TWELVE_BIT], axis=0)
    np.testing.assert_allclose(pixel_values(TWELVE_BIT, method="merge-norm")[0, 0], expected, atol=1e-6)


def test_raw_methods_scale_by_the_dtype_or_by_what_the_caller_knows() -> None:
    byte, word = np.uint8([[0, 51]]), np.uint16([[0, 4095]])
    np.testing.assert_allclose(pixel_values([byte], method="concat-raw")[0, 0], [[0, 0.2]], rtol=1e-6)
    np.testing.assert_allclose(pixel_values([word], method="concat-raw")[0, 0], [[0, 4095 / 65535]], rtol=1e-6)
    np.testing.assert_allclose(pixel_values([word], method="concat-raw", full_scale=4095)[0, 0], [[0, 1]])
    np.testing.assert_allclose(
        pixel_values([word, word // 3], method="merge-raw", full_scale=4095)[0, 0], [[0, 2 / 3]]
    )
    with pytest.raises(InputError, match="full_scale"):
        pixel_values([np.float32([[0, 4095]])], method="concat-raw")


def test_shapes_lists_and_files_are_the_same_image(tmp_path) -> None:
    expected = pixel_values(TWELVE_BIT)
    first = np.stack(TWELVE_BIT)
    tifffile.imwrite(tmp_path / "pages.tif", first, photometric="minisblack")
    tifffile.imwrite(tmp_path / "imagej.tif", first, imagej=True)
    files = []
    for number, channel in enumerate(TWELVE_BIT):
        tifffile.imwrite(tmp_path / f"c{number}.tif", channel)
        files.append(tmp_path / f"c{number}.tif")
    for same in (first, np.moveaxis(first, 0, -1), torch.from_numpy(first.astype(np.int32)), [files]):
        np.testing.assert_allclose(pixel_values(same), expected, atol=1e-6)
    np.testing.assert_array_equal(pixel_values(tmp_path / "imagej.tif"), expected)
    with pytest.raises(InputError, match=r"pages\.tif holds .* does not say what they are: pass axes='C'"):
        pixel_values(tmp_path / "pages.tif")
    for option in ({"axes": "C"}, {"input_data_format": "channels_first"}):
        np.testing.assert_array_equal(pixel_values(tmp_path / "pages.tif", **option), expected)
    np.testing.assert_array_equal(pixel_values([TWELVE_BIT, TWELVE_BIT]), np.concatenate([expected, expected]))


def test_colours_of_a_picture_are_averaged_but_the_third_axis_of_an_array_holds_channels(tmp_path) -> None:
    rgb = RNG.integers(0, 255, (20, 30, 3), dtype=np.uint8)
    PIL.Image.fromarray(rgb).save(tmp_path / "brightfield.png")
    expected = defined(rgb.mean(axis=2))
    np.testing.assert_allclose(pixel_values(tmp_path / "brightfield.png")[0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(pixel_values(PIL.Image.fromarray(rgb))[0, 0], expected, atol=1e-6)
    assert pixel_values(rgb).shape == (1, 3, 3, 20, 30)


def test_sixteen_bit_pictures_keep_their_depth() -> None:
    picture = PIL.Image.fromarray(TWELVE_BIT[0])
    assert picture.mode == "I;16"
    np.testing.assert_allclose(pixel_values(picture)[0, 0], defined(TWELVE_BIT[0]), atol=1e-6)


def test_resizing_is_bilinear_in_float_and_agrees_with_the_stock_processor_on_bytes() -> None:
    picture = PIL.Image.fromarray(RNG.integers(0, 255, (90, 120), dtype=np.uint8))
    options = {"do_resize": True, "size": {"height": 56, "width": 64}}
    ours = pixel_values(picture, method="concat-raw", **options)
    stock = EfficientNetImageProcessorPil(
        do_convert_rgb=True, image_mean=[0.0] * 3, image_std=[1.0] * 3, include_top=False, resample=2, **options
    )(picture, return_tensors="np")["pixel_values"]
    assert ours.shape == stock.shape == (1, 3, 56, 64)
    assert np.abs(ours - stock).max() <= 1.01 / 255  # the stock one rounds to bytes, once per axis


def test_saved_file_comes_back_and_overrides_apply(tmp_path) -> None:
    processor = MicroscopyImageProcessor(
        "merge-norm", image_mean=[0.1, 0.2, 0.3], image_std=[0.5] * 3, percentile_low=1.0
    )
    processor.save_pretrained(tmp_path)
    again = MicroscopyImageProcessor.from_pretrained(tmp_path)
    assert again.to_dict() == processor.to_dict()
    assert again.record()["percentile_low"] == 1.0
    assert MicroscopyImageProcessor.from_pretrained(tmp_path, method="concat-raw").method == "concat-raw"
    unit = np.mean([np.clip((c - a) / (b - a), 0, 1) for c, (a, b) in _ranges(TWELVE_BIT, 1.0, 99.9)], axis=0)
    expected = (unit - 0.2) / 0.5
    np.testing.assert_allclose(again(TWELVE_BIT, return_tensors="np")["pixel_values"][0, 1], expected, atol=1e-5)


def test_auto_class_is_stock_unless_asked_otherwise(tmp_path) -> None:
    MicroscopyImageProcessor().save_pretrained(tmp_path)
    assert type(AutoImageProcessor.from_pretrained(tmp_path)) is EfficientNetImageProcessorPil
    assert type(AutoImageProcessor.from_pretrained(tmp_path, backend="microscopy")) is MicroscopyImageProcessor
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preprocessor_config.json"]  # no code travels
    assert type(AutoImageProcessor.from_pretrained(tmp_path, trust_remote_code=True)) is EfficientNetImageProcessorPil


def test_stock_processor_reads_eight_bit_pictures_right_without_this_package(tmp_path) -> None:
    """In a process of its own that never imports the package."""
    gray = RNG.integers(0, 255, (40, 50), dtype=np.uint8)
    PIL.Image.fromarray(gray).save(tmp_path / "gray.png")
    PIL.Image.fromarray(np.stack([gray] * 3, -1)).save(tmp_path / "colour.png")
    MicroscopyImageProcessor().save_pretrained(tmp_path)
    code = """
import sys, numpy as np, PIL.Image
from transformers import AutoImageProcessor
processor = AutoImageProcessor.from_pretrained(sys.argv[1])
for name in ("gray", "colour"):
    values = processor(PIL.Image.open(f"{sys.argv[1]}/{name}.png"), return_tensors="np")["pixel_values"]
    np.save(f"{sys.argv[1]}/{name}.npy", values)
assert not any(module.startswith("cytoimagenet_hf") for module in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)
    for name in ("gray", "colour"):
        values = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(values, np.broadcast_to(gray / 255, (1, 3, 40, 50)), atol=1e-6)


def test_who_asks_for_a_size_gets_that_of_the_weights(tmp_path) -> None:
    EfficientNetImageProcessorPil(size={"height": 24, "width": 32}).save_pretrained(tmp_path)
    gray = np.zeros((50, 40), np.uint8)
    ours = MicroscopyImageProcessor.from_pretrained(tmp_path)
    assert ours(gray, return_tensors="pt")["pixel_values"].shape == (1, 3, 50, 40)
    assert ours(gray, return_tensors="pt", do_resize=True)["pixel_values"].shape == (1, 3, 24, 32)


def test_weights_record_of_stock_files_is_folded_in(tmp_path) -> None:
    root = [0.229**0.5, 0.224**0.5, 0.225**0.5]
    stock = EfficientNetImageProcessorPil(
        do_resize=False, do_convert_rgb=True, image_mean=[0.485, 0.456, 0.406], image_std=root, include_top=True
    )
    stock.save_pretrained(tmp_path)
    gray = RNG.integers(0, 255, (16, 16), dtype=np.uint8)
    ours = MicroscopyImageProcessor.from_pretrained(tmp_path, method="concat-raw")
    assert ours.image_std == pytest.approx([0.229, 0.224, 0.225])
    expected = stock(PIL.Image.fromarray(gray), return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(ours(gray, return_tensors="np")["pixel_values"], expected, atol=1e-5)
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    settings |= {"rescale_factor": 1 / 127.5, "rescale_offset": True}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    shifted = MicroscopyImageProcessor.from_pretrained(tmp_path, method="concat-raw")
    expected = AutoImageProcessor.from_pretrained(tmp_path)(PIL.Image.fromarray(gray), return_tensors="np")[
        "pixel_values"
    ]
    np.testing.assert_allclose(shifted(gray, return_tensors="np")["pixel_values"], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([], "empty"),
        ([np.zeros((0, 5))], "channel 0 of 1 is empty"),
        ([np.ones((4, 4)), np.full((4, 4), np.nan)], "channel 1 of 2 has NaN"),
        ([np.ones((4, 4)), np.ones((4, 5))], "channel 1 of 2 is"),
        (np.zeros((8, 8, 8)), "input_data_format"),
        (np.zeros(8), "an image is"),
        ({"bytes": b""}, "not dict"),
        (np.zeros((0, 1, 8, 8)), "an image is"),
        (np.zeros((4, 4), complex), "complex128"),
    ],
    ids=["no channels", "no pixels", "nan", "two sizes", "which axis", "one axis", "dict", "empty batch", "complex"],
)
def test_unusable_images_are_refused(image, message) -> None:
    with pytest.raises(InputError, match=message):
        pixel_values(image)


def test_ambiguous_arrays_take_the_callers_word() -> None:
    cube = RNG.integers(0, 255, (8, 8, 8), dtype=np.uint8)
    processor = MicroscopyImageProcessor("concat-raw")
    first = processor(cube, input_data_format="channels_first", return_tensors="np")["pixel_values"]
    last = processor(cube, input_data_format="channels_last", return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(first[0, 1, 0], cube[1] / 255, rtol=1e-6)
    np.testing.assert_allclose(last[0, 1, 0], cube[..., 1] / 255, rtol=1e-6)
    with pytest.raises(InputError, match="input_data_format is 'CHW': channels_first or channels_last"):
        processor(cube, input_data_format="CHW")


def test_constant_channels_become_zero_and_sizes_that_do_not_stack_are_refused() -> None:
    assert (pixel_values([np.full((5, 6), 700, np.uint16)]) == 0).all()
    with pytest.raises(InputError, match="do not stack"):
        pixel_values([np.ones((1, 5, 6)), np.ones((1, 6, 6))])
    with pytest.raises(InputError, match="unknown method"):
        MicroscopyImageProcessor("norm")
    assert METHODS == ("concat-norm", "concat-raw", "merge-norm", "merge-raw")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 4])
def test_the_first_axis_is_the_image(method, channels, count) -> None:
    images = [RNG.integers(0, 4000, (channels, 12, 16)).astype(np.uint16) for _ in range(count)]
    merged = channels == 1 or method.startswith("merge")
    shape = (3, 12, 16) if merged else (channels, 3, 12, 16)
    processor = MicroscopyImageProcessor(method)
    assert processor(images, return_tensors="pt")["pixel_values"].shape == (count, *shape)
    assert [entry.shape for entry in processor(images)["pixel_values"]] == [shape] * count
    assert processor(np.stack(images), return_tensors="np")["pixel_values"].shape == (count, *shape)
    alone = np.concatenate([processor(image, return_tensors="np")["pixel_values"] for image in images])
    np.testing.assert_array_equal(processor(images, return_tensors="np")["pixel_values"], alone)


def test_arrays_as_datasets_gives_them_are_images() -> None:
    arrays = [np.arange(2 * 6 * 7).reshape(2, 6, 7) * (k + 1) for k in range(3)]
    expected = pixel_values(arrays)
    np.testing.assert_array_equal(pixel_values([array.tolist() for array in arrays]), expected)
    np.testing.assert_array_equal(pixel_values([arrays[0].tolist()])[0], expected[0])
    np.testing.assert_array_equal(pixel_values([arrays[0][0].tolist()])[0], expected[0, 0])  # one gray row
    with pytest.raises(InputError, match="channels of one image or as many gray images"):
        pixel_values(arrays[0].tolist())
    with pytest.raises(InputError, match="int64 pixels do not say which value is white"):
        pixel_values([arrays[0].tolist()], method="concat-raw")


def test_a_column_of_a_dataset_is_a_batch_and_tensors_are_arrays() -> None:
    gray = [PIL.Image.fromarray((channel // 17).astype(np.uint8)) for channel in TWELVE_BIT]
    column = datasets.Dataset.from_dict({"image": gray}, features=datasets.Features({"image": datasets.Image()}))[
        "image"
    ]
    np.testing.assert_array_equal(pixel_values(column), pixel_values(gray))
    ramp = torch.arange(64).reshape(1, 8, 8) / 64
    for tensor in (ramp.bfloat16(), ramp.clone().requires_grad_()):
        np.testing.assert_array_equal(pixel_values(tensor), pixel_values(ramp.numpy()))


def test_images_of_other_channels_or_sizes_do_not_stack_but_can_be_listed() -> None:
    images = [np.ones((2, 8, 8), np.uint8), np.ones((1, 8, 8), np.uint8)]
    with pytest.raises(InputError, match="as many channels each"):
        pixel_values(images)
    assert [v.shape for v in MicroscopyImageProcessor()(images)["pixel_values"]] == [(2, 3, 8, 8), (3, 8, 8)]


@pytest.mark.parametrize(("sides", "resized"), [((40, 60), (20, 30)), ((61, 40), (30, 20)), ((20, 20), (20, 20))])
def test_shortest_edge_keeps_the_ratio_of_the_sides(sides, resized) -> None:
    picture = PIL.Image.fromarray(RNG.integers(0, 255, sides, dtype=np.uint8))
    ours = pixel_values(picture, method="concat-raw", do_resize=True, size={"shortest_edge": 20})
    expected = np.asarray(picture.resize(resized[::-1], PIL.Image.Resampling.BILINEAR)) / 255
    assert ours.shape == (1, 3, *resized)
    assert np.abs(ours[0, 0] - expected).max() <= 1.01 / 255
    with pytest.raises(InputError, match="shortest_edge"):
        MicroscopyImageProcessor(do_resize=True, size={"longest_edge": 20})


def _ranges(channels, low, high):
    return [(c.astype(float), np.percentile(c, [low, high])) for c in channels]
