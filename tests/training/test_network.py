"""Fine-tuning feeds a network exactly what extraction feeds it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.training.config import TrainConfig
from cytoimagenet_hf.training.network import build_network, check_model
from tests.networks.stand_ins import IMAGENET, TINY, lite_state


def configured(folder) -> TrainConfig:
    return TrainConfig(dataset="none", output="none", backbone=str(folder), pretrained=True, image_size=32)


@pytest.mark.parametrize(
    "record",
    [
        IMAGENET,
        IMAGENET | {"do_normalize": False},
        IMAGENET | {"do_rescale": False},
        IMAGENET | {"rescale_factor": 1 / 127.5, "rescale_offset": True},
        IMAGENET | {"include_top": True},
        {"image_mean": 0.5, "image_std": 0.25},
    ],
    ids=["plain", "no mean", "no factor", "offset", "divided twice", "one number"],
)
def test_pixels_are_those_of_extraction(tmp_path, record) -> None:
    build_efficientnet(3, seed=0, **TINY).save_pretrained(tmp_path)
    stock = {"image_processor_type": "EfficientNetImageProcessor", "include_top": False}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stock | record))
    pixels = np.random.default_rng(0).integers(0, 255, (1, 32, 32), np.uint8)
    _, preprocessing = build_network(configured(tmp_path), ["a", "b"])
    extracted = MicroscopyImageProcessor.from_pretrained(tmp_path, method="concat-raw")(pixels, return_tensors="pt")
    trained = preprocessing(torch.from_numpy(pixels))
    torch.testing.assert_close(trained, extracted["pixel_values"], rtol=1e-5, atol=1e-5)
    preprocessing.processor().save_pretrained(tmp_path / "tuned")
    again = MicroscopyImageProcessor.from_pretrained(tmp_path / "tuned", method="concat-raw", do_resize=False)
    torch.testing.assert_close(
        again(pixels, return_tensors="pt")["pixel_values"], extracted["pixel_values"], rtol=1e-5, atol=1e-5
    )


def test_a_backbone_without_a_record_is_refused(tmp_path) -> None:
    build_efficientnet(3, seed=0, **TINY).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no image processor beside"):
        build_network(configured(tmp_path), ["a", "b"])
    (tmp_path / "preprocessor_config.json").write_text("[]")
    with pytest.raises(InputError, match=r"preprocessor_config\.json is not a JSON object"):
        build_network(configured(tmp_path), ["a", "b"])


def test_an_unknown_field_of_the_configuration_is_refused() -> None:
    config = TrainConfig(dataset="none", output="none", model_config={"nosuch": 1})
    with pytest.raises(InputError, match="no field nosuch"):
        build_network(config, ["a", "b"])


@pytest.mark.parametrize("objective", ["labels", "views"])
def test_training_goes_on_from_an_efficientnet_lite(tmp_path, objective) -> None:
    torch.save(state := lite_state("imagenet-lite0"), tmp_path / "drawn.pth")
    config = replace(configured(f"imagenet-lite0:{tmp_path / 'drawn.pth'}"), objective=objective)
    check_model(config)
    model, preprocessing = build_network(config, ["a", "b"])
    assert hasattr(model, "classifier") == (objective == "labels")
    assert model.training
    assert torch.equal(model.base_model.embeddings.convolution.weight, state["_conv_stem.weight"])
    white = preprocessing(torch.full((1, 32, 32), 255, dtype=torch.uint8))
    torch.testing.assert_close(white, torch.ones(1, 3, 32, 32))
    preprocessing.processor().save_pretrained(tmp_path / "tuned")
    assert MicroscopyImageProcessor.from_pretrained(tmp_path / "tuned").record()["image_mean"] == [127 / 255] * 3


def test_an_efficientnet_lite_from_scratch_needs_no_weights_and_is_drawn_by_the_seed() -> None:
    config = replace(configured("imagenet-lite1"), pretrained=False)
    check_model(config)
    drawn = [build_network(replace(config, seed=seed), ["a", "b"])[0].base_model for seed in (3, 3, 4)]
    first, again, other = (model.encoder.blocks[16].projection.project_conv.weight for model in drawn)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(InputError, match="no field nosuch"):
        check_model(replace(config, model_config={"nosuch": 1}))
