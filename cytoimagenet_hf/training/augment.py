"""Augmentation on the device: a whole batch is turned, mirrored, zoomed and cropped in one resampling, then blurred,
its intensities changed, and noise added.

Parameters are a pure function of (seed, epoch, step) for the whole step; each process takes its rows of them. A run is
thereby the same for any number of workers and after a restart.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cytoimagenet_hf.core.seeding import derive_rng

_WHITE = 255.0


@dataclass(frozen=True)
class Draws:
    """The parameters of some images, float32 (n,) unless noted; None for what is not drawn."""

    matrices: torch.Tensor | None = None  # (n, 2, 3): output to input coordinates in [-1, 1]
    sigma: torch.Tensor | None = None  # of the blur, in pixels of the network's input
    gain: torch.Tensor | None = None  # factor of the intensities
    offset: torch.Tensor | None = None  # added to them, as a share of full scale
    gamma: torch.Tensor | None = None  # exponent of the intensities on the scale [0, 1]
    noise: torch.Tensor | None = None  # standard deviation, as a share of full scale
    seeds: torch.Tensor | None = None  # int64: of the noise of each image

    def __getitem__(self, rows: slice | torch.Tensor) -> "Draws":
        """Those of some images."""
        named = ((spec.name, getattr(self, spec.name)) for spec in fields(self))
        return Draws(**{name: value if value is None else value[rows] for name, value in named})


@dataclass(frozen=True)
class Augmentation:
    """What may be drawn: the options of `TrainConfig` by the same names, whose help says how each is drawn."""

    rotation: float = 360.0
    flip: bool = False
    scale_jitter: float = 0.0
    crop: float = 1.0
    gain: float = 0.0
    offset: float = 0.0
    gamma: float = 0.0
    blur: float = 0.0
    noise: float = 0.0

    def draw(self, count: int, *, seed: int, epoch: int, step: int, view: int = 0) -> Draws:
        """Draw the parameters of every image of a step; of its second view, where there are two."""
        rng = derive_rng(seed, "augment", f"{epoch}/{step}" + (f"/{view}" if view else ""))

        def factors(most: float) -> NDArray[np.float64]:
            return np.exp(rng.uniform(-1, 1, count) * np.log1p(most))

        moved = self.rotation > 0 or self.flip or self.scale_jitter > 0 or self.crop < 1
        return Draws(
            matrices=self._matrices(rng, count) if moved else None,
            sigma=_tensor(rng.uniform(0, self.blur, count)) if self.blur > 0 else None,
            gain=_tensor(factors(self.gain)) if self.gain > 0 else None,
            offset=_tensor(rng.uniform(-self.offset, self.offset, count)) if self.offset > 0 else None,
            gamma=_tensor(factors(self.gamma)) if self.gamma > 0 else None,
            noise=_tensor(rng.uniform(0, self.noise, count)) if self.noise > 0 else None,
            seeds=torch.from_numpy(rng.integers(2**63, size=count)) if self.noise > 0 else None,
        )

    def _matrices(self, rng: np.random.Generator, count: int) -> torch.Tensor:
        angle = np.deg2rad(rng.uniform(0, self.rotation, count) if self.rotation > 0 else np.zeros(count))
        zoom = np.exp(rng.uniform(-1, 1, count) * np.log1p(self.scale_jitter))
        mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0) if self.flip else np.ones(count)
        side = rng.uniform(self.crop, 1, count) if self.crop < 1 else np.ones(count)
        # The crop lies within the image: its centre keeps half a side from the border.
        x, y = (rng.uniform(-1, 1, (2, count)) if self.crop < 1 else np.zeros((2, count))) * (1 - side)
        cosine, sine = np.cos(angle) * side / zoom, np.sin(angle) * side / zoom
        rows = [[mirror * cosine, -sine, x], [mirror * sine, cosine, y]]
        return _tensor(np.array(rows).transpose(2, 0, 1))  # (count, 2, 3)


def augment(images: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Change every image by its own parameters: place, then optics (blur), then camera (gain, offset, gamma, noise).

    Images are float32 (B, 1, S, S) in [0, 255], before and after.
    """
    if draws.matrices is not None:
        images = warp(images, draws.matrices)
    if draws.sigma is not None:
        images = blur(images, draws.sigma)
    if draws.gain is not None:
        images = images * _column(draws.gain, images)
    if draws.offset is not None:
        images = images + _WHITE * _column(draws.offset, images)
    if draws.gamma is not None:
        images = _WHITE * (images / _WHITE).clamp(0, 1) ** _column(draws.gamma, images)
    if draws.noise is not None and draws.seeds is not None:
        images = images + _WHITE * _column(draws.noise, images) * noise(images, draws.seeds)
    changed = any(part is not None for part in (draws.gain, draws.offset, draws.gamma, draws.noise))
    return images.clamp(0, _WHITE) if changed else images


def warp(images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Resample every image bilinearly by its own matrix; what comes from outside is reflected at the border.

    The reflection repeats the edge pixel (d c b a | a b c d), as Keras' and scipy's `reflect` do. Images are float
    (B, C, H, W) with H == W (a rotation would shear other shapes), matrices (B, 2, 3).
    """
    grid = functional.affine_grid(matrices.to(images.device), list(images.shape), align_corners=False)  # (B, H, W, 2)
    return functional.grid_sample(
        images, grid.to(images.dtype), mode="bilinear", padding_mode="reflection", align_corners=False
    )


def blur(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur every image by a Gaussian of its own width, mirrored at the border (d c b | a b c d).

    Images are float32 (B, 1, H, W); `sigma` (B,) is in pixels, and each kernel ends at three of its own.
    """
    radius = min(max(1, math.ceil(3 * float(sigma.max()))), images.shape[-1] - 1)
    width = sigma.to(images.device).clamp(min=1e-3)[:, None]
    place = torch.arange(-radius, radius + 1, device=images.device)
    kernels = torch.exp(-0.5 * (place / width) ** 2) * (place.abs() <= (3 * width).ceil())  # (B, K)
    kernels = kernels / kernels.sum(1, keepdim=True)
    count = len(images)
    rows = functional.pad(images.transpose(0, 1), (radius,) * 4, mode="reflect")  # (1, B, H + 2 r, W + 2 r)
    rows = functional.conv2d(rows, kernels.view(count, 1, 1, -1), groups=count)
    return functional.conv2d(rows, kernels.view(count, 1, -1, 1), groups=count).transpose(0, 1)


def noise(images: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    """Standard normal values in the shape of the images, those of each image from its own seed."""
    generator = torch.Generator(images.device)
    drawn = torch.empty_like(images)
    for image, seed in zip(drawn, seeds.tolist(), strict=True):
        image.normal_(generator=generator.manual_seed(seed))
    return drawn


def _column(values: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return values.to(images.device, non_blocking=True).view(-1, 1, 1, 1)


def _tensor(values: NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
