"""From fluorescence to pixel values: blur, illumination, gain, offset, shot and read noise, bit depth.

One `Optics` stands for one plate (or slide, or day): fields of a plate share it, which is what a batch effect is.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .scene import Map
from .strokes import blur

_FULL = {"uint8": 255, "uint12": 4095, "uint16": 65535}


@dataclass(frozen=True, kw_only=True)
class Optics:
    """How a plate was photographed."""

    blur: float = 0.6  # standard deviation of the point spread, pixels
    photons: float = 220.0  # at brightness 1: fewer = noisier
    background: float = 0.08  # haze, relative to brightness 1
    gain: float = 0.3  # share of the bit depth that brightness 1 reaches
    offset: float = 0.02  # camera offset, share of the bit depth
    read_noise: float = 4.0  # photons
    vignette: float = 0.1  # relative loss across the field
    vignette_angle: float = 0.0
    scale: float = 1.0  # magnification
    density: float = 1.0  # factor on confluence: seeding differs between plates


def batch_optics(rng: np.random.Generator, *, severity: float = 1.0) -> Optics:
    """Optics of one plate.

    Severity 0: all plates alike, 1: as different as within a good screen, 2: between laboratories.
    """
    wide = rng.normal(0, 1, 7) * severity
    return Optics(
        blur=float(np.clip(0.6 * np.exp(0.22 * wide[0]), 0.35, 1.4)),
        photons=float(220 * np.exp(0.5 * wide[1])),
        background=float(0.08 * np.exp(0.5 * wide[2])),
        gain=float(np.clip(0.3 * np.exp(0.25 * wide[3]), 0.12, 0.6)),
        offset=float(np.clip(0.02 * np.exp(0.5 * wide[4]), 0, 0.1)),
        vignette=float(np.clip(abs(0.15 * wide[5]), 0, 0.5)),
        vignette_angle=float(rng.uniform(0, 2 * np.pi)),
        density=float(np.clip(np.exp(0.2 * wide[6]), 0.6, 1.6)),
    )


def expose(rng: np.random.Generator, image: Map, optics: Optics, *, depth: str = "uint8") -> NDArray[Any]:
    """Photograph one channel: fluorescence of about 0..1, (H, W), to uint8, uint16 or float32.

    The depth is "uint8", "uint12" (in 16-bit words), "uint16" or "float32" (0..1).
    """
    height, width = image.shape
    ys = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    xs = np.linspace(-1, 1, width, dtype=np.float32)[None]
    slope = np.sin(optics.vignette_angle) * ys + np.cos(optics.vignette_angle) * xs
    light = 1 + optics.vignette * slope - 0.5 * optics.vignette * (ys**2 + xs**2)
    seen = (blur(image, optics.blur) + optics.background) * light
    expected = np.clip(seen, 0, None) * optics.photons
    # A normal deviate of the Poisson's variance: the same above some ten photons, and four times as fast to draw.
    spread = np.sqrt(expected + optics.read_noise**2)
    electrons = expected + spread * rng.standard_normal(image.shape, dtype=np.float32)
    share = electrons / optics.photons * optics.gain + optics.offset
    if depth == "float32":
        return np.clip(share, 0, 1).astype(np.float32)
    full = _FULL[depth]
    return np.clip(np.rint(share * full), 0, full).astype(np.uint8 if depth == "uint8" else np.uint16)
