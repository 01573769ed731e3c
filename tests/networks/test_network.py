"""What surrounds a network's weights: views."""

import numpy as np
import pytest
import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import EncoderFacts, WeightSource, build_efficientnet, load_encoder
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
    with pytest.raises(InputError, match="choose 1 or 8"):
        load_encoder("random:0", views=3)


def test_the_first_stage_is_computed_alone_and_gives_what_the_whole_network_gives() -> None:
    model = settled(build_efficientnet(0, seed=0, depth_coefficient=1.5, width_coefficient=0.5))  # two blocks a stage
    computed: dict[int, torch.Tensor] = {}
    for number, block in enumerate(model.encoder.blocks):
        block.register_forward_hook(lambda _, __, output, number=number: computed.update({number: output}))
    pixels = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = Pooled(model, "early")(pixels)
        assert sorted(computed) == [0, 1]
        model(pixel_values=pixels)
    assert len(computed) == len(model.encoder.blocks) > 2
    last, following = computed[1].numpy(), computed[2].numpy()
    assert last.shape[1] != following.shape[1]  # where the stage ends
    expected = np.concatenate([last.mean((2, 3)), last.std((2, 3))], axis=1)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_the_first_stage_takes_in_the_next_where_both_are_as_wide() -> None:
    model = settled(build_efficientnet(0, seed=0, depth_coefficient=0.5, width_coefficient=0.25))
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = Pooled(model, "blocks")
    with torch.inference_mode():
        np.testing.assert_allclose(
            Pooled(model, "early")(pixels).numpy(),
            pool(whole.model(pixels, output_hidden_states=True), "early").numpy(),
        )
