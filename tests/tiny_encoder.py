"""An encoder of a few numbers whose features can be computed by hand: for tests of everything around the network."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from cytoimagenet_hf.networks import Encoder, EncoderFacts, WeightSource, make_encoder
from cytoimagenet_hf.options.networks import EncoderOptions

TINY = EncoderFacts("tiny", "Tiny", "each", "percentile", 3, WeightSource("tests"))


class Moments(nn.Module):
    """Mean, deviation and the mean of a 9 x 9 filter: images of fewer pixels a side are too small for it."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.filter = nn.Conv2d(1, 1, 9, bias=False)
        nn.init.constant_(self.filter.weight, factor / 81)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 1, h, w) to (N, 3)."""
        flat = pixels.flatten(1)
        return torch.stack([flat.mean(1), flat.std(1), self.filter(pixels).abs().flatten(1).mean(1)], dim=1)


def tiny_encoder(*, factor: float = 1.0, failing: Path | None = None, **options: Any) -> Encoder:
    """An encoder of three features per channel.

    Args:
        factor: of its only weights: another one is another network.
        failing: a file; where it exists, the network fails as one that is out of memory does.
        **options: of `EncoderOptions`.
    """
    encoder = make_encoder("tiny", TINY, Moments(factor), EncoderOptions(**options))
    if failing is not None:
        encoder.network.register_forward_pre_hook(_Failing(failing))
    return encoder


class _Failing:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, module: nn.Module, given: Any) -> None:
        if self.file.exists():
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 TB")
