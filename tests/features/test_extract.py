"""Extraction against a plain loop over images; ids, laziness and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.features.choosing import runner_of
from cytoimagenet_hf.features.extract import as_encoder
from cytoimagenet_hf.features.runtimes import RUNTIMES, Runner, make_runner
from cytoimagenet_hf.networks import (
    METHODS,
    MicroscopyImageProcessor,
    build_efficientnet,
    image_features,
    reestimate_batch_norm,
)
from cytoimagenet_hf.networks.backbones import load_backbone

RNG = np.random.default_rng(3)
SIZES = [(40, 43), (50, 50), (40, 43), (33, 64), (50, 50), (40, 43)]
IMAGES = [[RNG.integers(0, 4000, size).astype(np.uint16) for _ in range(2)] for size in SIZES]
TOLERANCE = 1e-4  # other batches, other order of sums: an untrained net of 25 layers amplifies the last bits
IDS = [f"well-{letter}" for letter in "fbeadc"]


@pytest.fixture(scope="module")
def net():
    return with_statistics(build_efficientnet(5, seed=0, width_coefficient=0.25, depth_coefficient=0.5)).train()


def with_statistics(model):
    """As after training: features of order 1, for which the tolerances below mean something."""
    pixels = [MicroscopyImageProcessor()(image, return_tensors="pt").pixel_values.flatten(0, -4) for image in IMAGES]
    reestimate_batch_norm(model, pixels)
    return model


def one_by_one(net, method) -> np.ndarray:
    processor, rows = MicroscopyImageProcessor(method), []
    net.eval()
    with torch.inference_mode():
        for image in IMAGES:
            values = processor(image, return_tensors="pt").pixel_values
            rows.append(image_features(net, values).flatten())
    net.train()
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_agrees_with_one_image_at_a_time(net, method) -> None:
    table = extract_features(net, IMAGES, ids=IDS, method=method, batch_size=3)
    expected = one_by_one(net, method)
    assert table.ids.tolist() == IDS
    assert table.values.shape[1] == (640 if method.startswith("concat") else 320)
    np.testing.assert_allclose(table.values, expected, atol=TOLERANCE * np.abs(expected).max(), rtol=0)
    assert np.abs(expected).max() > 0.5
    assert net.training


def test_channels_stand_in_order_and_give_names(net) -> None:
    both = extract_features(net, IMAGES, ids=IDS, channels=["dna", "actin"])
    second = extract_features(net, [image[1:] for image in IMAGES], ids=IDS)
    np.testing.assert_allclose(both.values[:, 320:], second.values, atol=TOLERANCE, rtol=0)
    names = [name.replace("efficientnet", "net") for name in (both.names[0], both.names[319], both.names[320])]
    assert names == ["Image_dna_net_0000", "Image_dna_net_0319", "Image_actin_net_0000"]


def test_metadata_tells_model_processor_and_method(net) -> None:
    made_by = extract_features(net, IMAGES[:1], ids=IDS[:1], method="merge-raw").about
    other = build_efficientnet(5, seed=1, width_coefficient=0.25, depth_coefficient=0.5)
    their = extract_features(other, IMAGES[:1], ids=IDS[:1], method="merge-raw").about
    assert (made_by["facts"]["channels"], made_by["facts"]["scale"], made_by["normalize"]) == (
        "merged",
        "dtype",
        "none",
    )
    assert made_by["facts"]["factor"] == pytest.approx(1)
    assert made_by["model_fingerprint"] != their["model_fingerprint"]
    merged = extract_features(net, IMAGES[:1], ids=IDS[:1], method="merge-norm").about
    assert (merged["normalize"], merged["model_fingerprint"] == made_by["model_fingerprint"]) == ("image", False)


def test_images_are_read_lazily_and_few_wait(net, monkeypatch) -> None:
    monkeypatch.setattr("cytoimagenet_hf.features.vectors._WAITING_VALUES", 4 * 32 * 32)
    drawn, most_ahead, done = 0, 0, 0

    def images():
        nonlocal drawn, most_ahead
        for number in range(30):
            drawn += 1
            most_ahead = max(most_ahead, drawn - done)
            yield [np.full((32, 32 + number % 5), number, np.uint8) + np.arange(32, dtype=np.uint8)[:, None]]

    runner = runner_of(as_encoder(net, method="concat-raw"))

    def counted(values):
        nonlocal done
        done += len(values)
        return runner.run(values)

    table = extract_features(
        net, images(), ids=map(str, range(30)), batch_size=8, backend=replace(runner, run=counted), method="concat-raw"
    )
    assert table.ids.tolist() == [str(number) for number in range(30)]
    assert most_ahead <= 6


def test_reading_ahead_in_threads_changes_nothing(net) -> None:
    plain = extract_features(net, IMAGES, ids=IDS)
    threaded = extract_features(net, [lambda image=image: image for image in IMAGES], ids=IDS, workers=3)
    assert (plain.ids.tolist(), plain.about) == (threaded.ids.tolist(), threaded.about)
    assert plain.values.tolist() == threaded.values.tolist()


def test_wrong_ids_are_refused(net) -> None:
    with pytest.raises(InputError, match="'a' occurs twice"):
        extract_features(net, IMAGES[:2], ids=["a", "a"])
    with pytest.raises(InputError, match="one id per image"):
        extract_features(net, IMAGES[:2], ids=["a"])
    with pytest.raises(InputError, match="one id per image"):
        extract_features(net, iter(IMAGES[:1]), ids=iter(["a", "b"]))
    with pytest.raises(InputError, match="no id"):
        extract_features(net, IMAGES[:2], ids=["a", ""])
    with pytest.raises(InputError, match="no images"):
        extract_features(net, [], ids=[])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([np.zeros((0, 4))], "empty"),
        ([np.full((8, 8), np.nan)], "NaN"),
        ([np.eye(40)] * 3, "same channels"),
        ([np.eye(8)] * 2, "cannot take 8 x 8 pixels"),
    ],
    ids=["empty", "nan", "three channels", "too small"],
)
def test_unusable_images_are_named_by_id(net, image, message) -> None:
    with pytest.raises(InputError, match=f"well-x.*{message}"):
        extract_features(net, [*IMAGES[:2], image], ids=[*IDS[:2], "well-x"])


def test_unusable_images_can_be_left_out(net) -> None:
    left_out = {}
    images = [IMAGES[0], [np.full((8, 8), np.nan)], lambda: "absent.tif", IMAGES[1], [np.eye(8)] * 2]
    table = extract_features(
        net, images, ids=list("abcde"), on_error=lambda name, error: left_out.update({name: error})
    )
    assert table.ids.tolist() == ["a", "d"]
    assert sorted(left_out) == ["b", "c", "e"]
    assert "absent.tif" in str(left_out["c"])


TWO_BLOCKS = {  # exporting is slow; two blocks have every kind of layer
    "in_channels": [32, 16],
    "out_channels": [16, 24],
    "kernel_sizes": [3, 5],
    "strides": [1, 2],
    "expand_ratios": [1, 6],
    "num_block_repeats": [1, 2],
    "width_coefficient": 0.25,
}


@pytest.mark.parametrize("backend", RUNTIMES)
def test_exported_runtimes_agree_with_torch_at_every_size(backend) -> None:
    pytest.importorskip(backend)
    model = with_statistics(build_efficientnet(0, seed=0, **TWO_BLOCKS))
    ours = extract_features(model, IMAGES, ids=IDS).values
    theirs = extract_features(model, IMAGES, ids=IDS, backend=backend, batch_size=4)
    assert theirs.about["backend"] == backend
    assert np.abs(ours).max() > 0.2
    np.testing.assert_allclose(theirs.values, ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize("backend", ["torch", *RUNTIMES])
def test_every_backend_agrees_on_the_keras_weights(backend) -> None:
    pytest.importorskip(backend)
    weights = Path(__file__).resolve().parents[2] / ".." / "shared" / "oracles" / "keras_efficientnetb0_notop.h5"
    if not weights.is_file():
        pytest.skip("needs the Keras weights in ../shared/oracles, which are not part of the project")
    backbone = load_backbone(weights)
    plain = Runner("plain", lambda units: as_encoder(backbone).network(units).detach())  # nothing folded or exported
    ours = extract_features(backbone, IMAGES, ids=IDS, backend=plain).values
    theirs = extract_features(backbone, IMAGES, ids=IDS, backend=backend).values
    np.testing.assert_allclose(theirs, ours, atol=1e-5, rtol=0)


def test_wrong_backends_are_refused(net) -> None:
    with pytest.raises(InputError, match="auto, torch, compile, openvino, onnxruntime"):
        make_runner(net, "tensorrt")
    with pytest.raises(InputError, match="runs on the CPU"):
        make_runner(net, "openvino", device="cuda")
    with pytest.raises(InputError, match="for GPUs"):
        make_runner(net, "compile", device="cpu")
    with pytest.raises(InputError, match="float32"):
        make_runner(net, "onnxruntime", dtype=torch.bfloat16)


def test_backbones_by_name(net, tmp_path) -> None:
    net.save_pretrained(tmp_path / "net")
    MicroscopyImageProcessor(image_mean=[0.1] * 3).save_pretrained(tmp_path / "net")
    loaded = load_backbone(tmp_path / "net")
    assert loaded.processor.image_mean == (0.1, 0.1, 0.1)
    same = extract_features(str(tmp_path / "net"), IMAGES[:1], ids=["a"]).about
    ours = extract_features(net, IMAGES[:1], ids=["a"], processor=loaded.processor).about
    assert same["model_fingerprint"] == ours["model_fingerprint"]  # with and without the head
    scaled = load_backbone(tmp_path / "net", scaling="keras-2.8")
    assert scaled.name.endswith("net (keras-2.8 scaling)")
    assert scaled.processor.image_std == pytest.approx([0.229**0.5, 0.224**0.5, 0.225**0.5])
    first, second = (load_backbone("random:4").model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("name", "message"),
    [("no/such-folder-here/at-all", "no model loads"), ("timm/resnet18", "timm"), ("absent.h5", "is not a file")],
)
def test_models_that_do_not_load_say_what_to_do(name, message, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=message):
        load_backbone(name)


def test_nothing_is_joined_by_position(net) -> None:
    """Shuffled input, same features per id (E2)."""
    order = [3, 1, 5, 0, 4, 2]
    plain = extract_features(net, IMAGES, ids=IDS, batch_size=2)
    shuffled = extract_features(net, [IMAGES[row] for row in order], ids=[IDS[row] for row in order], batch_size=5)
    np.testing.assert_allclose(shuffled.rows(IDS).values, plain.values, atol=TOLERANCE, rtol=0)


def test_a_colour_file_is_one_channel(net, tmp_path) -> None:
    from PIL import Image as Picture

    from cytoimagenet_hf.images import find_images

    colours = RNG.integers(0, 255, (40, 44, 3)).astype(np.uint8)
    (tmp_path / "colour").mkdir()
    Picture.fromarray(colours).save(tmp_path / "colour" / "a.png")
    table = extract_features(net, find_images(tmp_path / "colour"))
    gray = extract_features(net, [[colours.astype(np.float64).mean(axis=2)]], ids=["a"])
    assert table.ids.tolist() == ["a"]
    assert table.values.shape == gray.values.shape
