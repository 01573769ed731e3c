"""The Cell Painting CNN of DeepProfiler: an EfficientNet-B0 of five channels, features from inside its sixth stage."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks.facts import EncoderFacts, WeightSource
from cytoimagenet_hf.networks.keras import convert_keras
from cytoimagenet_hf.networks.roles import AGP, DNA, ER, MITO, RNA

KINDS = (
    EncoderFacts(
        name="cell-painting-cnn",
        title="Cell Painting CNN, EfficientNet-B0",
        channels="joint",
        stains=(DNA, ER, RNA, AGP, MITO),
        scale="percentile",
        dim=672,
        source=WeightSource("https://github.com/cytomining/DeepProfiler", licence="BSD-3-Clause (code)"),
        size=(128, 128),
        fit="tiles",
        take="block6a_activation, mean over space",
        verified=False,
        note="published features are of crops centred on cells; here the mean over tiles. Layer and order of channels "
        "are those of its configuration as remembered by others: not checked",
    ),
)
_FIRST_OF_STAGE_6 = 11  # blocks of the stages before: 1 + 2 + 2 + 3 + 3


def build(file: Path, name: str) -> nn.Module:
    """The network up to that activation, from its Keras file; weights of another network are refused."""
    model = convert_keras(file).base_model
    if len(model.encoder.blocks) <= _FIRST_OF_STAGE_6:
        raise InputError(f"{file} is not an EfficientNet-B0: it has {len(model.encoder.blocks)} blocks")
    return _InsideBlock(model)


class _InsideBlock(nn.Module):
    """Up to the activation behind the depthwise convolution of the first block of stage 6."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, c, h, w) to (N, 672)."""
        model: Any = self.model
        maps = model.embeddings(pixels)
        for block in model.encoder.blocks[:_FIRST_OF_STAGE_6]:
            maps = block(maps)
        block = model.encoder.blocks[_FIRST_OF_STAGE_6]
        return block.depthwise_conv(block.expansion(maps)).mean((2, 3))
