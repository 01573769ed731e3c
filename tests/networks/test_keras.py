"""The port against outputs of real Keras (pooled features at ten sizes), where the oracle is at hand."""

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from transformers import AutoModel, EfficientNetForImageClassification

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.networks.keras import convert_keras, keras_record, save_converted
from tests.closeness import assert_same_outputs, assert_same_weights
from tests.networks.stand_ins import write_keras

_ORACLES = Path(__file__).resolve().parents[2] / ".." / "shared" / "oracles"


@pytest.fixture(scope="session")
def oracle() -> Path:
    path = _ORACLES / "keras_efficientnetb0_notop.h5"
    if not path.is_file():
        pytest.skip("needs the Keras weights and outputs in ../shared/oracles, which are not part of the project")
    return path


@pytest.fixture
def copied(oracle, tmp_path) -> Path:
    return Path(shutil.copyfile(oracle, tmp_path / "weights.h5"))


def test_agrees_with_keras_at_every_size(oracle) -> None:
    model = convert_keras(oracle)
    outputs = np.load(oracle.with_name("keras_efficientnetb0_outputs.npz"))
    sizes = [name for name in outputs if re.fullmatch(r"\d+x\d+", name)]
    assert len(sizes) == 10
    for size in sizes:
        width, height = map(int, size.split("x"))
        image = np.random.default_rng(width * 10000 + height).uniform(0, 255, (1, height, width, 3)).astype("f4")
        with torch.inference_mode():
            features = model(torch.from_numpy(image).permute(0, 3, 1, 2) / 255).pooler_output
        assert np.abs(features.numpy() - outputs[size]).max() < 1e-5, size


def test_record_of_weights_trained_from_scratch(oracle) -> None:
    assert keras_record(oracle) == {"rescale_factor": 1 / 255, "image_mean": [0.0] * 3, "image_std": [1.0] * 3}


def test_imagenet_scalings(copied) -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    with h5py.File(copied, "r+") as file:
        file["normalization/normalization/mean:0"][...] = mean
        file["normalization/normalization/variance:0"][...] = std  # what the files of Keras hold: the deviation
    old = keras_record(copied)
    assert old["image_mean"] == pytest.approx(mean)
    assert old["image_std"] == pytest.approx(np.sqrt(std))
    assert keras_record(copied, scaling="keras-2.8")["image_std"] == pytest.approx(old["image_std"])
    assert keras_record(copied, scaling="keras-2.9")["image_std"] == pytest.approx(std)
    with h5py.File(copied, "r+") as file:
        file.attrs["layer_names"] = [*file.attrs["layer_names"], "rescaling_1"]
        file.create_group("rescaling_1").attrs["weight_names"] = np.array([], "S1")
    assert keras_record(copied)["image_std"] == pytest.approx(std)
    with pytest.raises(InputError, match=r"keras-3.*keras-2\.8, keras-2\.9"):
        keras_record(copied, scaling="keras-3")


def test_converted_folder_gives_the_same_features_through_plain_auto_classes(oracle, tmp_path) -> None:
    model = convert_keras(oracle)
    files = save_converted(model, keras_record(oracle), tmp_path / "b0", source=oracle)
    assert {"conversion.json", "config.json", "model.safetensors", "preprocessor_config.json"} <= set(files)
    loaded = AutoModel.from_pretrained(tmp_path / "b0", trust_remote_code=False).eval()
    pixels = MicroscopyImageProcessor.from_pretrained(tmp_path / "b0")(
        np.random.default_rng(0).integers(0, 65535, (2, 70, 81), np.uint16), return_tensors="pt"
    ).pixel_values[0]  # (2, 3, 70, 81)
    assert_same_weights(loaded.state_dict(), model.state_dict())
    with torch.inference_mode():
        assert_same_outputs(loaded(pixels).pooler_output, model(pixels).pooler_output)


def test_a_head_becomes_a_classifier(copied) -> None:
    kernel = np.random.default_rng(0).normal(size=(1280, 3)).astype("f4")
    with h5py.File(copied, "r+") as file:
        _add_dense(file, "predictions", kernel, np.arange(3, dtype="f4"))
    model = convert_keras(copied, labels=["actin", "dmso", "yeast"])
    assert isinstance(model, EfficientNetForImageClassification)
    assert model.config.id2label == {0: "actin", 1: "dmso", 2: "yeast"}
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        pooled = model.efficientnet(pixels).pooler_output
        torch.testing.assert_close(model(pixels).logits, pooled @ torch.from_numpy(kernel) + torch.arange(3.0))
    with pytest.raises(InputError, match="one name per class"):
        convert_keras(copied, labels=["actin"])


def test_whole_models_keep_their_weights_in_a_group_of_their_own(copied, tmp_path) -> None:
    whole = tmp_path / "whole.h5"
    with h5py.File(copied) as source, h5py.File(whole, "w") as target:
        group = target.create_group("model_weights")
        group.attrs["layer_names"] = source.attrs["layer_names"]
        for name in source:
            source.copy(name, group)
    expected, state = convert_keras(copied).state_dict(), convert_keras(whole).state_dict()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def misshapen(file: h5py.File) -> None:
    group = file["block3a_se_reduce"]
    del group["block3a_se_reduce/kernel:0"]
    group["block3a_se_reduce/kernel:0"] = np.zeros((1, 1, 144, 7), "f4")


def without_layer(file: h5py.File) -> None:
    file.attrs["layer_names"] = [name for name in file.attrs["layer_names"] if str(name) != "block6d_project_bn"]
    del file["block6d_project_bn"]


def without_variable(file: h5py.File) -> None:
    attributes = file["top_bn"].attrs
    attributes["weight_names"] = [name for name in attributes["weight_names"] if "moving_mean" not in str(name)]


def with_nan(file: h5py.File) -> None:
    file["stem_conv/stem_conv/kernel:0"][0, 0, 0, 0] = np.nan


def with_stranger(file: h5py.File) -> None:
    _add_dense(file, "attention", np.zeros((2, 2, 2, 2), "f4"), np.zeros(2, "f4"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (misshapen, r"'block3a_se_reduce', kernel: shape \(7, 144, 1, 1\) where \(6, 144, 1, 1\)"),
        (without_layer, "block6d_project_bn"),
        (without_variable, r"top_bn.*running_mean"),
        (with_nan, "'stem_conv', kernel has NaN"),
        (with_stranger, "no EfficientNet has: attention"),
    ],
)
def test_damage_is_refused_with_the_name_of_the_layer(copied, damage, message) -> None:
    with h5py.File(copied, "r+") as file:
        damage(file)
    with pytest.raises(InputError, match=message):
        convert_keras(copied)


def test_other_files_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="is not a file"):
        convert_keras(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(InputError, match="not an HDF5 file"):
        convert_keras(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(InputError, match="no list of Keras layers"):
        convert_keras(tmp_path / "other.h5")
    with h5py.File(tmp_path / "resnet.h5", "w") as file:
        file.attrs["layer_names"] = ["conv1"]
        file.create_group("conv1").attrs["weight_names"] = ["conv1/kernel:0"]
        file["conv1/conv1/kernel:0"] = np.zeros((7, 7, 3, 64), "f4")
    with pytest.raises(InputError, match="none of the layers is an EfficientNet block"):
        convert_keras(tmp_path / "resnet.h5")


def test_other_sizes_are_told_from_their_layers(tmp_path) -> None:
    b2 = build_efficientnet(0, seed=3, width_coefficient=1.1, depth_coefficient=1.2).eval()
    write_keras(b2, tmp_path / "b2.h5")
    ported = convert_keras(tmp_path / "b2.h5")
    assert (ported.config.width_coefficient, ported.config.depth_coefficient) == (1.1, 1.2)
    assert all(torch.equal(value, b2.state_dict()[name]) for name, value in ported.state_dict().items())


def _add_dense(file: h5py.File, layer: str, kernel: np.ndarray, bias: np.ndarray) -> None:
    file.attrs["layer_names"] = [*file.attrs["layer_names"], layer]
    group = file.create_group(layer)
    group.attrs["weight_names"] = [f"{layer}/kernel:0", f"{layer}/bias:0"]
    group[f"{layer}/kernel:0"], group[f"{layer}/bias:0"] = kernel, bias
