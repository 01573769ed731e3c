"""What surrounds a network's weights: views."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import ResNetConfig, ResNetModel, ViTConfig, ViTModel

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import (
    EncoderFacts,
    MicroscopyImageProcessor,
    WeightSource,
    build_efficientnet,
    load_encoder,
)
from cytoimagenet_hf.networks.network import Fed, Pooled
from cytoimagenet_hf.networks.pooling import pool
from tests.networks.stand_ins import settled


class Corner(nn.Module):
    """The pixel at the upper left: another value in every orientation."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels[:, 0, :1, 0]


def test_eight_views_are_the_eight_orientations() -> None:
    facts = EncoderFacts("corner", "Corner", "each", "none", 1, WeightSource("here"), views=8)
    pixels = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    # Each corner comes to the upper left twice: turned, and turned and mirrored.
    assert Fed(Corner(), facts)(pixels).tolist() == [[2.5]]
    assert Fed(Corner(), EncoderFacts("corner", "Corner", "each", "none", 1, WeightSource("here")))(pixels).item() == 1


def test_features_of_eight_views_do_not_see_the_orientation_of_a_cell() -> None:
    plane = np.random.default_rng(0).integers(0, 4096, (1, 1, 40, 56)).astype(np.uint16)
    encoder = load_encoder("random:0", views=8)
    turned = np.ascontiguousarray(np.rot90(plane, axes=(2, 3)))
    np.testing.assert_allclose(encoder.encode(plane), encoder.encode(turned), rtol=1e-3, atol=1e-9)
    assert encoder.fingerprint != load_encoder("random:0").fingerprint


def test_other_numbers_of_views_are_refused() -> None:
    with pytest.raises(InputError, match="choose one of 1, 8"):
        load_encoder("random:0", views=3)


def test_the_first_stage_is_computed_alone_and_gives_what_the_whole_network_gives() -> None:
    model = settled(build_efficientnet(0, seed=0, depth_coefficient=1.5, width_coefficient=0.5))  # two blocks a stage
    computed: dict[int, torch.Tensor] = {}
    for number, block in enumerate(model.encoder.blocks):
        block.register_forward_hook(lambda _, __, output, number=number: computed.update({number: output}))
    pixels = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        pooled = Pooled(model, "early")(pixels)
        assert sorted(computed) == [0, 1]
        model(pixel_values=pixels)
    assert len(computed) == len(model.encoder.blocks) > 2
    last, following = computed[1].numpy(), computed[2].numpy()
    assert last.shape[1] != following.shape[1]  # where the stage ends
    expected = np.concatenate([last.mean((2, 3)), last.std((2, 3))], axis=1)
    np.testing.assert_allclose(pooled.numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("width", [0.25, 0.5])
def test_each_stage_alone_is_its_part_of_all_stages(width) -> None:
    model = settled(build_efficientnet(0, seed=0, depth_coefficient=0.5, width_coefficient=width))
    pixels = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        every = Pooled(model, "blocks")(pixels)
        parts = []
        with pytest.raises(InputError, match=r"no stage \d: the network has stage:0, its stem, to stage:\d$"):
            for stage in range(10):
                parts.append(Pooled(model, f"stage:{stage}")(pixels))
        assert len(parts) >= 6
        if parts[0].shape == parts[1].shape:  # a stem as wide as the first stage is none of all stages
            parts = parts[1:]
        np.testing.assert_allclose(torch.cat(parts, dim=1).numpy(), every.numpy(), rtol=1e-4, atol=1e-6)


def test_a_stage_of_a_network_that_is_no_efficientnet_and_of_one_without_maps(tmp_path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "layer_type": "basic"}
        ResNetModel(ResNetConfig(**sizes)).save_pretrained(tmp_path / "resnet")
        vit = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        ViTModel(ViTConfig(**vit, image_size=32)).save_pretrained(tmp_path / "vit")
    for name in ("resnet", "vit"):
        MicroscopyImageProcessor().save_pretrained(tmp_path / name)
    planes = np.random.default_rng(0).integers(0, 999, (1, 1, 64, 64)).astype(np.uint16)
    widths = [load_encoder(tmp_path / "resnet", pooling=f"stage:{n}").encode(planes).shape[1] for n in range(5)]
    assert widths == [16, 16, 32, 48, 64]  # mean and deviation of each channel
    with pytest.raises(InputError, match="no stage 5: the network has stage:0, its stem, to stage:4"):
        load_encoder(tmp_path / "resnet", pooling="stage:5")
    with pytest.raises(InputError, match="needs a network with feature maps"):
        load_encoder(tmp_path / "vit", pooling="stage:1")


@pytest.mark.parametrize("pooling", ["stage", "stage:", "stage:-1", "stage:x", "stages:1", "first"])
def test_what_is_no_pooling_is_refused(pooling) -> None:
    with pytest.raises(InputError, match="choose last, blocks, early, stage:N, such as stage:3"):
        load_encoder("random:0", pooling=pooling)


def test_twice_the_size_is_what_the_network_sees() -> None:
    """The mean of a zoomed constant stays; a network that counts pixels sees four times as many."""
    facts = EncoderFacts("area", "Area", "each", "none", 1, WeightSource("here"), zoom=2)

    class Area(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.sum((1, 2, 3)).unsqueeze(1)

    assert Fed(Area(), facts)(torch.full((1, 1, 3, 5), 7.0)).tolist() == [[4 * 15 * 7.0]]
    plane = np.random.default_rng(0).integers(0, 4096, (1, 1, 40, 56)).astype(np.uint16)
    once, twice = load_encoder("random:0"), load_encoder("random:0", scale=2)
    assert twice.facts.zoom == 2
    assert twice.fingerprint != once.fingerprint
    assert np.abs(once.encode(plane) - twice.encode(plane)).max() > 0
    for scale in (0, -1, float("nan"), float("inf"), 100):
        with pytest.raises(InputError, match=r"1/16 to 16 times|finite"):
            load_encoder("random:0", scale=scale)


def test_the_first_stage_takes_in_the_next_where_both_are_as_wide() -> None:
    model = settled(build_efficientnet(0, seed=0, depth_coefficient=0.5, width_coefficient=0.25))
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = Pooled(model, "blocks")
    with torch.inference_mode():
        np.testing.assert_allclose(
            Pooled(model, "early")(pixels).numpy(),
            pool(whole.model(pixels, output_hidden_states=True), "early").numpy(),
        )
