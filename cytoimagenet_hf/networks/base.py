"""An encoder: a network with the facts of its input. Planes in, one vector per image out.

The work has two halves, so that a plate is read and prepared by threads while the network runs: `units` turns the
channels of one image into arrays for the network (CPU, NumPy), `network` turns a batch of equal-sized units into
vectors (torch, any device), and `join` puts the vectors of one image together.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from .facts import EncoderFacts

Array = npt.NDArray[Any]
Unit = npt.NDArray[np.float32]
"""One input of the network, (c, h, w), as `network` takes it."""
Ranges = Mapping[str, tuple[float, float]]
"""Stain → the pixel values that become 0 and 1, for normalisation over a plate."""


class Encoder(Protocol):
    """Any network as channels → vector.

    Attributes:
        name: what the caller asked for, shown in tables.
        facts: what it takes.
        network: (N, c, h, w) float32 → (N, dim) float32; in evaluation mode. `factor`, `mean`, `sd` and `repeat` of
            the facts are its first step, so that one plane travels where the weights take three.
        fingerprint: short hash of weights and facts.
        training_sources: what it was trained on as its configuration declares, or None.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def facts(self) -> EncoderFacts: ...  # noqa: D102
    @property
    def network(self) -> torch.nn.Module: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    @property
    def training_sources(self) -> tuple[str, ...] | None: ...  # noqa: D102

    def units(self, planes: Sequence[Array], *, stains: Sequence[str], ranges: Ranges | None = None) -> list[Unit]:
        """The inputs of the network for one image.

        Args:
            planes: (H, W) or (H, W, 3) per channel, native dtype.
            stains: their names in the same order; may be empty where roles do not matter.
            ranges: pixel values per stain that become 0 and 1, instead of each image's own percentiles.

        Raises:
            InputError: a stain the network needs is missing, or the image is too small.
        """
        ...

    def join(self, vectors: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """One vector per image from those of its units, in order."""
        ...

    def beside(self, planes: Sequence[Array]) -> npt.NDArray[np.float32]:
        """Statistics of the pixels that follow the vector of one image, (0,) where the facts ask for none.

        Args:
            planes: (H, W) or (H, W, 3) per channel, native dtype.
        """
        ...

    def encode(self, planes: Array, *, stains: Sequence[str] = ()) -> npt.NDArray[np.float32]:
        """Vectors of a batch of images of one size: (B, C, H, W) native dtype → (B, D) float32."""
        ...
