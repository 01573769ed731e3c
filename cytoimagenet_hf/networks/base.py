"""An encoder: a network with the facts of its input. Planes in, one vector per image out.

The work has two halves, so that a plate is read and prepared by threads while the network runs: `units` turns the
channels of one image into arrays for the network (CPU, NumPy), `network` turns a batch of equal-sized units into
vectors (torch, any device), and `join` puts the vectors of one image together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.options.networks import DEFAULTS, EncoderOptions

from .facts import EncoderFacts
from .pixels import pixel_features
from .prepare import make_units

Array = npt.NDArray[Any]
Vector = npt.NDArray[np.float32]
Unit = npt.NDArray[np.float32]
"""One input of the network, (c, h, w), as `network` takes it."""
Ranges = Mapping[str, tuple[float, float]]
"""Stain → the pixel values that become 0 and 1, for normalisation over a plate."""

_PIXELS = 1 << 20  # per run of `encode`: 20 units of 224 x 224


@dataclass(frozen=True)
class Encoder:
    """Any network as channels → vector; `build.make_encoder` makes one from facts and a network.

    Attributes:
        name: what the caller asked for, shown in tables.
        facts: what it takes.
        network: (N, c, h, w) float32 → (N, dim) float32; in evaluation mode. `factor`, `mean`, `sd` and `repeat` of
            the facts are its first step, so that one plane travels where the weights take three.
        fingerprint: short hash of weights and facts.
        training_sources: what it was trained on as its configuration declares, or None.
    """

    name: str
    facts: EncoderFacts
    network: nn.Module
    fingerprint: str
    training_sources: tuple[str, ...] | None = None

    def units(self, planes: Sequence[Array], *, stains: Sequence[str], ranges: Ranges | None = None) -> list[Unit]:
        """The inputs of the network for one image.

        Args:
            planes: (H, W) or (H, W, 3) per channel, native dtype.
            stains: their names in the same order; may be empty where roles do not matter.
            ranges: pixel values per stain that become 0 and 1, instead of each image's own percentiles.

        Raises:
            InputError: a stain the network needs is missing, or the image is too small.
        """
        return make_units(self.facts, planes, stains=stains, ranges=ranges)

    def join(self, vectors: Sequence[Vector]) -> Vector:
        """One vector per image from those of its units, in order."""
        if self.facts.join == "mean":
            return np.asarray(np.mean(np.stack(vectors), axis=0, dtype=np.float64), dtype=np.float32)
        return np.concatenate(list(vectors))

    def beside(self, planes: Sequence[Array]) -> Vector:
        """Statistics of the pixels that follow the vector of one image, (0,) where the facts ask for none."""
        return pixel_features(planes) if self.facts.pixels else np.zeros(0, dtype=np.float32)

    def encode(self, planes: Array, *, stains: Sequence[str] = ()) -> Vector:
        """Vectors of a batch of images of one size: (B, C, H, W) native dtype → (B, D) float32."""
        units = [self.units(list(image), stains=stains) for image in planes]  # B lists of U units (c, h, w)
        flat = [unit for image in units for unit in image]
        if not flat:
            raise InputError("no images: the batch is empty")
        step = max(1, int(_PIXELS / (flat[0].shape[1] * flat[0].shape[2] * self.facts.zoom**2)))
        device = device_of(self.network)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(flat), step):
                batch = torch.from_numpy(np.stack(flat[start : start + step])).to(device)  # (N, c, h, w)
                parts.append(self.network(batch).float().cpu().numpy())
        vectors = np.concatenate(parts)  # (B * U, D)
        require_finite(vectors, self.name)
        each = len(units[0])
        joined = [self.join(list(vectors[start : start + each])) for start in range(0, len(vectors), each)]
        return np.stack(
            [np.concatenate([vector, self.beside(list(image))]) for vector, image in zip(joined, planes, strict=True)]
        )


@dataclass(frozen=True)
class Request:
    """A network that was asked for, as the registry hands it to the kind that loads it."""

    name: str  # shown in tables and messages
    facts: EncoderFacts  # of the kind
    place: str | None = None  # a folder, a file or a Hub name; None: the facts' own source
    options: EncoderOptions = DEFAULTS

    @property
    def source(self) -> str:
        """Where the weights are."""
        return self.place or self.facts.source.repo


def device_of(network: nn.Module) -> torch.device:
    """Where the weights of a network are."""
    return next((value.device for value in network.state_dict().values()), torch.device("cpu"))


def require_finite(vectors: npt.NDArray[Any], name: str) -> None:
    """Refuse vectors (N, D) with NaN or infinity."""
    bad = int((~np.isfinite(vectors).all(axis=tuple(range(1, vectors.ndim)))).sum())
    if bad:
        raise InputError(f"{name} gives NaN or infinite features for {bad} of {len(vectors)} inputs")
