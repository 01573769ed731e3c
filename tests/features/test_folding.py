"""A folded network is the same function in fewer layers."""

import pytest
import torch
from torch import nn

from cytoimagenet_hf.features.folding import fold
from cytoimagenet_hf.features.runtimes import difference, make_runner
from cytoimagenet_hf.networks import build_efficientnet
from cytoimagenet_hf.networks.network import Pooled

SIZES = [(33, 33), (64, 64), (50, 41), (47, 90)]


def alive(network: nn.Module) -> nn.Module:
    """Statistics as after training: batch-norms that do something."""
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.copy_(torch.rand(layer.num_features, generator=generator) - 0.5)
            layer.running_var.copy_(torch.rand(layer.num_features, generator=generator) + 0.5)
    return network.eval()


def test_an_efficientnet_loses_its_norms_and_paddings_and_keeps_its_features() -> None:
    outputs = alive(Pooled(build_efficientnet(0, seed=0, width_coefficient=0.25, depth_coefficient=0.5)))
    folded = fold(outputs, torch.rand(1, 3, 64, 64))
    kinds = [type(layer) for layer in folded.modules()]
    assert kinds.count(nn.BatchNorm2d) == 0
    assert type(folded.model.embeddings.padding) is nn.Identity
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in outputs.modules()) > 20  # the caller's is as it was
    with torch.no_grad():
        for height, width in SIZES:  # odd and even: paddings differ
            images = torch.rand(2, 3, height, width)
            assert difference(folded(images), outputs(images)) < 1e-5


@pytest.mark.parametrize("side", [7, 8, 11])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 2, (0, 1, 0, 1)), (5, 2, (1, 2, 1, 2)), (3, 1, (1, 1, 0, 2))]
)
def test_padding_goes_into_the_convolution(side, kernel, stride, padding) -> None:
    layers = [nn.ZeroPad2d(padding), nn.Conv2d(4, 4, kernel, stride, groups=2), nn.BatchNorm2d(4), nn.ReLU()]
    network = alive(nn.Sequential(*layers))
    folded = fold(network, torch.rand(1, 4, 16, 16))
    assert type(folded[0]) is nn.Identity
    images = torch.rand(2, 4, side, side + 1)
    torch.testing.assert_close(folded(images), network(images))


def test_more_padding_before_than_after_stays_a_layer() -> None:
    network = alive(nn.Sequential(nn.ZeroPad2d((1, 0, 1, 0)), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)))
    folded = fold(network, torch.rand(1, 1, 8, 8))
    assert type(folded[0]) is nn.ZeroPad2d
    torch.testing.assert_close(folded(torch.ones(1, 1, 6, 6)), network(torch.ones(1, 1, 6, 6)))


class _Shared(nn.Module):
    """The output of a convolution is normalised, and used without it as well."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images):
        seen = self.convolution(images)
        return (seen + self.norm(seen)).mean((2, 3))


class _Twice(nn.Module):
    """One norm after one convolution, both used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images):
        once = self.norm(self.convolution(images.expand(-1, 4, -1, -1)))
        return self.norm(self.convolution(once)).mean((2, 3))


@pytest.mark.parametrize("kind", [_Shared, _Twice])
def test_what_cannot_be_folded_runs_as_it_was_loaded(kind) -> None:
    network, images = alive(kind()), torch.rand(2, 1, 16, 16)
    expected = network(images).detach()
    assert difference(make_runner(network, "torch", device="cpu")(images), expected) < 1e-6


def test_without_norms_there_is_nothing_to_fold() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    assert fold(network, torch.rand(1, 1, 8, 8)) is network
