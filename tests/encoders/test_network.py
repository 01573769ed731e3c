"""What surrounds a network's weights: views."""

import numpy as np
import pytest
import torch
from torch import nn

from cytoimagenet_hf.encoders import EncoderFacts, WeightSource, load_encoder
from cytoimagenet_hf.encoders.network import Fed
from cytoimagenet_hf.errors import InputError


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
