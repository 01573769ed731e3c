"""Weights that are not the network's, damaged files and impossible records never give features."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageClassification, ViTConfig, ViTForImageClassification, ViTModel

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import CytoFusionModel, MicroscopyImageProcessor, build_efficientnet, load_encoder
from cytoimagenet_hf.networks.checkpoints import few, load_network
from tests.networks.stand_ins import TINY

VIT = ViTConfig(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    build_efficientnet(3, seed=0, **TINY).save_pretrained(folder)
    MicroscopyImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture
def copied(sound, tmp_path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "model"))


def change_weights(folder: Path, change) -> None:
    file = folder / "model.safetensors"
    state = load_file(file)
    save_file(change(state), file, metadata={"format": "pt"})


def change_json(file: Path, **fields) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def first_weights_nan(state):
    key = "efficientnet.encoder.top_conv.weight"
    return state | {key: torch.full_like(state[key], torch.nan)}


def of_a_deeper_network(state):
    return state | {f"efficientnet.encoder.blocks.99.{key}": torch.zeros(1) for key in "ab"}


def with_another_shape(state):
    key = "efficientnet.encoder.top_conv.weight"
    return state | {key: state[key][:, :-1].contiguous()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {"nothing.weight": torch.zeros(2)}, "lacks weights of EfficientNetModel: .* and .* more"),
        (lambda state: {k: v for k, v in state.items() if k.startswith("classifier")}, "lacks weights"),
        (lambda state: {k: v for k, v in state.items() if "top_bn.running_mean" not in k}, "top_bn.running_mean"),
        (first_weights_nan, "top_conv.weight have NaN"),
        (of_a_deeper_network, "no place for: .*blocks.99.a"),
        (with_another_shape, "another shape .*top_conv.weight"),
    ],
    ids=["other weights", "head only", "one missing", "nan", "deeper", "another shape"],
)
def test_weights_of_another_network_are_refused(copied, change, message) -> None:
    change_weights(copied, change)
    with pytest.raises(InputError, match=message):
        load_encoder(copied)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_std": [0, 0, 0]}, "image_std"),
        ({"image_std": 0}, "image_std"),
        ({"image_std": [1.0, -1.0, 1.0]}, "image_std"),
        ({"image_std": [1.0, 1.0]}, "image_std has 2 numbers"),
        ({"image_std": "1"}, "image_std is '1'"),
        ({"image_mean": [float("nan")] * 3}, "image_mean is nan"),
        ({"image_mean": [True] * 3}, "image_mean is True"),
        ({"rescale_factor": 0}, "rescale_factor is 0"),
        ({"rescale_factor": float("inf")}, "rescale_factor is inf"),
        ({"do_normalize": "no"}, "do_normalize is 'no'"),
        ({"do_rescale": 1}, "do_rescale is 1"),
        ({"full_scale": 0}, "full_scale is 0"),
        ({"full_scale": -5.0}, "full_scale is -5"),
        ({"percentile_low": 99.95}, "percentiles"),
        ({"method": "concat"}, "unknown method"),
        ({"do_resize": True, "size": {"height": 0, "width": 3}}, "size is"),
    ],
    ids=str,
)
def test_impossible_records_are_refused_wherever_they_are_read(copied, fields, message) -> None:
    change_json(copied / "preprocessor_config.json", **fields)
    with pytest.raises(InputError, match=message):
        load_encoder(copied)
    with pytest.raises(InputError, match=message):
        MicroscopyImageProcessor.from_pretrained(copied)


def test_a_stock_record_without_a_mean_is_no_record(copied) -> None:
    stock = {"image_processor_type": "ViTImageProcessor", "do_normalize": True, "rescale_factor": 1 / 255}
    (copied / "preprocessor_config.json").write_text(json.dumps(stock))
    with pytest.raises(InputError, match="has no image_mean and no image_std"):
        load_encoder(copied)
    (copied / "preprocessor_config.json").write_text(json.dumps(stock | {"do_normalize": False}))
    assert load_encoder(copied).facts.mean == (0.0,) * 3


def test_a_network_in_memory_has_its_documented_record_and_a_folder_without_a_file_has_none(copied) -> None:
    assert (
        MicroscopyImageProcessor.for_model(build_efficientnet(0, seed=0, **TINY)).record()["image_mean"] == [0.0] * 3
    )
    (copied / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match="no image processor beside"):
        MicroscopyImageProcessor.for_model(load_network(copied))


def test_loading_says_nothing_where_nothing_is_wrong(sound) -> None:
    code = "import sys; from cytoimagenet_hf.networks import load_encoder; load_encoder(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(sound)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_class_of_its_own_that_was_not_used_is_refused(tmp_path) -> None:
    """A repository may call itself `vit` and mean its own class: transformers alone would load a stock one."""
    torch.manual_seed(0)
    ViTModel(VIT).save_pretrained(tmp_path)
    MicroscopyImageProcessor().save_pretrained(tmp_path)
    change_json(tmp_path / "config.json", auto_map={"AutoModel": "theirs.TheirViT"})
    with pytest.raises(InputError, match="own class TheirViT"):
        load_encoder(tmp_path)
    with pytest.raises(ValueError, match="own class TheirViT"):
        CytoFusionModel.from_backbones([tmp_path])


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "0123abc", "g" * 40])
def test_code_of_a_repository_runs_only_from_a_commit(revision) -> None:
    with pytest.raises(InputError, match="40 hex digits"):
        load_encoder("someone/net", trust_remote_code=True, revision=revision)


def test_a_vit_saved_from_a_classifier_has_no_random_pooler(tmp_path) -> None:
    torch.manual_seed(0)
    classifier = ViTForImageClassification(VIT).eval()
    classifier.save_pretrained(tmp_path)
    MicroscopyImageProcessor().save_pretrained(tmp_path)
    first, second = load_encoder(tmp_path), load_encoder(tmp_path)
    plane = np.random.default_rng(0).integers(0, 255, (1, 1, 40, 50), np.uint8)
    np.testing.assert_allclose(first.encode(plane), second.encode(plane), atol=1e-6)
    assert first.fingerprint == second.fingerprint
    assert first.facts.size == (32, 32)  # its position embeddings are for one size


def test_fine_tuning_keeps_the_backbone_and_draws_a_head(sound, copied) -> None:
    tuned = load_network(sound, auto=AutoModelForImageClassification, num_labels=7)
    assert tuned.classifier.weight.shape == (7, 320)
    change_weights(copied, lambda state: {k: v for k, v in state.items() if "top_bn" not in k})
    with pytest.raises(ValueError, match="top_bn"):
        load_network(copied, auto=AutoModelForImageClassification, num_labels=7)


@pytest.mark.parametrize("name", ["/nowhere/model", "./nowhere", "a/b/c"])
def test_a_path_that_is_not_there_is_refused_at_once(name) -> None:
    with pytest.raises(InputError, match="which is not a folder"):
        load_encoder(name)


def test_pickles_are_read_without_code(tmp_path, sound) -> None:
    """A .bin file that would run code when unpickled is refused, and it does not run."""
    shutil.copytree(sound, tmp_path / "bin")
    (tmp_path / "bin" / "model.safetensors").unlink()

    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    torch.save({"a": Trap()}, tmp_path / "bin" / "pytorch_model.bin")
    with pytest.raises(InputError, match="no model loads"):
        load_encoder(tmp_path / "bin")
    assert not (tmp_path / "ran").exists()


def test_few_names() -> None:
    assert few(["b", "a"]) == "a, b"
