"""Microsnoop's encoder: four residual stages of a U-Net for one channel, averaged and brought to length 1."""

from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks.checkpoints import fill, read_tensors, strip
from cytoimagenet_hf.networks.facts import EncoderFacts, WeightSource

KINDS = (
    EncoderFacts(
        name="microsnoop",
        title="Microsnoop, CNN",
        channels="each",
        scale="percentile",
        low=1.0,
        high=99.0,
        clip=False,
        dim=256,
        source=WeightSource(
            "https://github.com/cellimnet/microsnoop-publish", licence="BSD-3-Clause (a patent is pending)"
        ),
        size=(224, 224),
        fit="resize",
        multiple=8,
        take="mean of the last stage, length 1",
        note="the same outputs as the published code on random weights; the published weights were never loaded here",
    ),
)
_STEM = "encoder.downsample.down."


def build(file: Path, name: str) -> nn.Module:
    """The encoder in the file of encoder and decoder; weights of another network are refused."""
    both = strip(read_tensors(file), "module.", "net.")
    state = {key.removeprefix(_STEM): value for key, value in both.items() if key.startswith(_STEM)}
    stages = len({key.split(".")[0] for key in state})
    try:
        widths = [state[f"res_down_{stage}.conv.conv_0.2.weight"].shape[:2] for stage in range(max(1, stages))]
    except KeyError as error:
        raise InputError(f"{name}: no weights of Microsnoop, whose names begin with {_STEM} ({error})") from None
    network = _Encoder([int(widths[0][1]), *(int(width[0]) for width in widths)]).eval()
    fill(network, state, name=name)
    return network


class _Encoder(nn.Module):
    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        for stage, (before, after) in enumerate(pairwise(widths)):
            self.add_module(f"res_down_{stage}", _Stage(before, after))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, c, h, w) to (N, D), each of length 1."""
        for number, stage in enumerate(self.children()):
            pixels = stage(functional.max_pool2d(pixels, 2) if number else pixels)
        return functional.normalize(pixels.mean((2, 3)), dim=1)


class _Stage(nn.Module):
    """Two residual steps of two convolutions; the first leads from one width to the next."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        for number in range(4):
            self.conv.add_module(f"conv_{number}", _normed_convolution(after if number else before, after))
        self.proj = nn.Sequential(nn.BatchNorm2d(before), nn.Conv2d(before, after, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        maps = self.proj(pixels) + self.conv[1](self.conv[0](pixels))
        return maps + self.conv[3](self.conv[2](maps))


def _normed_convolution(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(before), nn.ReLU(), nn.Conv2d(before, after, 3, padding=1))
