"""Augmentation on the device: rotation, zoom and mirroring of a whole batch in one resampling.

Parameters are a pure function of (seed, epoch, step) for the whole step; each process takes its rows of them. A run is
thereby the same for any number of workers and after a restart.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from cytoimagenet_hf.seeding import derive_rng


@dataclass(frozen=True)
class Augmentation:
    """What may be drawn.

    Args:
        rotation: degrees; angles are uniform in [0, rotation).
        flip: mirror half of the images.
        scale_jitter: zoom factors are log-uniform in [1 / (1 + s), 1 + s].
    """

    rotation: float = 360.0
    flip: bool = False
    scale_jitter: float = 0.0

    @property
    def active(self) -> bool:
        """Whether anything is drawn at all."""
        return self.rotation > 0 or self.flip or self.scale_jitter > 0

    def matrices(self, count: int, *, seed: int, epoch: int, step: int) -> torch.Tensor:
        """Draw one transform per image of a step: float32 (count, 2, 3), output to input coordinates in [-1, 1].

        Example:
            >>> Augmentation(rotation=0).matrices(1, seed=0, epoch=0, step=0).abs().tolist()
            [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
        """
        rng = derive_rng(seed, "augment", f"{epoch}/{step}")
        angle = np.deg2rad(rng.uniform(0, self.rotation, count) if self.rotation > 0 else np.zeros(count))
        zoom = np.exp(rng.uniform(-1, 1, count) * np.log1p(self.scale_jitter))
        mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0) if self.flip else np.ones(count)
        cosine, sine = np.cos(angle) / zoom, np.sin(angle) / zoom
        zero = np.zeros(count)
        rows = [[mirror * cosine, -sine, zero], [mirror * sine, cosine, zero]]
        return torch.from_numpy(np.array(rows).transpose(2, 0, 1).astype(np.float32))  # (count, 2, 3)


def warp(images: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Resample every image bilinearly by its own matrix; what comes from outside is reflected at the border.

    The reflection repeats the edge pixel (d c b a | a b c d), as Keras' and scipy's `reflect` do.

    Args:
        images: float (B, C, H, W), H == W (a rotation would shear other shapes).
        matrices: float32 (B, 2, 3) from `Augmentation.matrices`.
    """
    grid = functional.affine_grid(matrices.to(images.device), list(images.shape), align_corners=False)  # (B, H, W, 2)
    return functional.grid_sample(
        images, grid.to(images.dtype), mode="bilinear", padding_mode="reflection", align_corners=False
    )
