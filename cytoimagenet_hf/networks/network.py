"""What surrounds a network's own weights: the scaling they were trained with, tiles, and the pooling of the output."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import EfficientNetModel
from transformers.modeling_outputs import BaseModelOutput

from .facts import EncoderFacts
from .pooling import pool, require_stage, stage_ends, stage_of


class Pooled(nn.Module):
    """A transformers backbone without its head as pixels → vectors; `pooling` is one of `pooling.POOLINGS`."""

    def __init__(self, model: nn.Module, pooling: str = "last") -> None:
        super().__init__()
        stage = stage_of(pooling)
        if stage is not None and isinstance(model, EfficientNetModel):
            model = UpToStage(model, stage)
        self.model = model
        self.pooling = pooling
        self.takes_maps = stage is not None or pooling == "blocks"

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(N, c, h, w) to (N, D)."""
        maps = {"output_hidden_states": True} if self.takes_maps else {}
        return pool(self.model(pixel_values=pixel_values, **maps), self.pooling)


class UpToStage(nn.Module):
    """An EfficientNet up to the end of one stage (0: the stem alone), which is all that its pooling looks at.

    It shares the model's stem and first blocks; the model itself stays as it is.
    """

    def __init__(self, model: EfficientNetModel, stage: int) -> None:
        super().__init__()
        blocks = list(model.encoder.blocks)
        widths = [model.embeddings.out_dim, *(block.projection.project_conv.out_channels for block in blocks)]
        ends = stage_ends(widths)
        require_stage(stage, len(ends) - 1)
        self.embeddings = model.embeddings
        self.blocks = nn.ModuleList(blocks[: ends[stage]])

    def forward(self, pixel_values: torch.Tensor, **_: Any) -> BaseModelOutput:
        """(N, 3, h, w) to the stem's map and that of each block."""
        maps = [self.embeddings(pixel_values)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return BaseModelOutput(last_hidden_state=maps[-1], hidden_states=tuple(maps))


def feed(pixels: torch.Tensor, factor: float, mean: torch.Tensor, sd: torch.Tensor, repeat: int) -> torch.Tensor:
    """The last steps of preprocessing, (N, c, h, w) to (N, c * repeat, h, w): times `factor`, less `mean`, over `sd`.

    `mean` and `sd` are (1, 1, 1), or one per channel after a single plane was repeated.
    """
    pixels = pixels * factor
    one_for_all = mean.numel() == sd.numel() == 1
    if one_for_all:
        pixels = (pixels - mean) / sd
    if repeat > 1:
        # A view of the one plane: copies were a quarter of the time of an EfficientNet-B0 at 224 x 224.
        pixels = pixels.expand(-1, repeat, -1, -1)
    return pixels if one_for_all else (pixels - mean) / sd


class Fed(nn.Module):
    """A network behind the last steps of its preprocessing: `zoom`, `factor`, `mean`, `sd`, `repeat`; tiles, views."""

    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(self, inner: nn.Module, facts: EncoderFacts) -> None:
        super().__init__()
        self.inner = inner
        self.repeat = facts.repeat
        self.tile_channels = facts.input_channels if facts.fit == "tiles" else None
        self.factor = facts.factor
        self.views = facts.views
        self.zoom = facts.zoom
        self.register_buffer("mean", torch.tensor(facts.mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(facts.sd).reshape(-1, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, c, h, w) to (N, D); with tiles, (N, tiles * c, h, w)."""
        count, channels, height, width = pixels.shape
        if self.tile_channels is not None:
            pixels = pixels.reshape(-1, self.tile_channels, height, width)
        if self.zoom != 1:
            pixels = functional.interpolate(pixels, scale_factor=self.zoom, mode="bilinear", antialias=self.zoom < 1)
        vectors = self._seen(feed(pixels, self.factor, self.mean, self.sd, self.repeat))
        if self.tile_channels is not None:
            vectors = vectors.reshape(count, channels // self.tile_channels, -1).mean(1)
        return vectors

    def _seen(self, pixels: torch.Tensor) -> torch.Tensor:
        """Vectors (N, D), averaged over the orientations."""
        if self.views == 1:
            vectors: torch.Tensor = self.inner(pixels)
            return vectors
        turned = [torch.rot90(pixels, quarter, (2, 3)) for quarter in range(4)]
        views = [self.inner(view) for pixels in turned for view in (pixels, pixels.flip(3))]
        return torch.stack(views).mean(0)
