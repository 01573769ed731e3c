"""Drawing tools shared by the structures: textures, and points, rods and discs placed in cell coordinates."""

import cv2
import numpy as np
from numpy.typing import NDArray

from .scene import Map, Scene

Points = NDArray[np.float64]  # (n, 2) y, x in pixels


def blur(image: Map, sigma: float) -> Map:
    """Gaussian blur of a float32 image, mirrored at the borders; as scipy's `gaussian_filter`, six times as fast."""
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def texture(rng: np.random.Generator, scene: Scene, scale: float) -> Map:
    """Smooth noise of mean 0 and variance 1 whose grains are about `scale` units wide."""
    noise = blur(rng.standard_normal(scene.shape, dtype=np.float32), max(scale * scene.scale, 0.4))
    return (noise - noise.mean()) / max(float(noise.std()), 1e-6)


def scatter(
    rng: np.random.Generator, scene: Scene, mean: float, depths: tuple[float, float], *, width: float = np.pi
) -> Points:
    """Random points in every cell, `mean` in each (Poisson), at `depths` as in `Scene.points`.

    `width` is half that of the sector around the cell's axis; pi = all around.
    """
    cells, angles = directions(rng, scene, mean, width=width)
    return scene.points(cells, angles, rng.uniform(*depths, len(cells)))


def directions(
    rng: np.random.Generator, scene: Scene, mean: float, *, width: float = np.pi
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Cells and directions (relative to the cell's axis) of a random number of items per cell."""
    cells = np.repeat(np.arange(len(scene.centres)), rng.poisson(mean, len(scene.centres)))
    return cells, rng.uniform(-width, width, len(cells))


def splat(scene: Scene, points: Points, size: float) -> Map:
    """Points as Gaussian spots of peak 1 and standard deviation `size` units, summed."""
    height, width = scene.shape
    at = np.rint(points).astype(np.intp)
    at = at[np.all((at >= 0) & (at < scene.shape), axis=1)]
    counts = np.bincount(at[:, 0] * width + at[:, 1], minlength=height * width).reshape(scene.shape)
    sigma = max(size * scene.scale, 0.5)
    return blur(counts.astype(np.float32), sigma) * np.float32(2 * np.pi * sigma**2)


def rods(rng: np.random.Generator, scene: Scene, starts: Points, *, length: float, bend: float) -> Points:
    """Points along randomly turning curves, one unit apart, that leave each of `starts` (n, 2).

    `length` is in units, `bend` the standard deviation of the turn per step in radians.
    """
    steps = max(2, round(length))
    turns = rng.normal(0, bend, (len(starts), steps))
    turns[:, 0] = rng.uniform(0, 2 * np.pi, len(starts))
    heading = np.cumsum(turns, axis=1)
    moves = np.stack([np.sin(heading), np.cos(heading)], axis=2) * scene.scale
    return (starts[:, None] + np.cumsum(moves, axis=1)).reshape(-1, 2)


def streaks(
    rng: np.random.Generator, scene: Scene, mean: float, depths: tuple[float, float], *, length: float
) -> Points:
    """Short radial strokes; `length` in depth."""
    cells, angles = directions(rng, scene, mean)
    steps = 5
    along = rng.uniform(*depths, len(cells))[:, None] + np.linspace(0, length, steps)
    return scene.points(np.repeat(cells, steps), np.repeat(angles, steps), along.ravel())


def in_nucleus(
    scene: Scene, cells: NDArray[np.intp], along: NDArray[np.float64], across: NDArray[np.float64]
) -> Points:
    """Points in nuclear coordinates: along the cell's axis and across it, in nuclear radii."""
    radius = scene.nuclear_outlines.mean(axis=1)[cells]
    sine, cosine = np.sin(scene.axes[cells]), np.cos(scene.axes[cells])
    offset = np.stack([along * sine + across * cosine, along * cosine - across * sine], axis=1)
    return scene.nuclei[cells, 0] + offset * radius[:, None]


def discs(rng: np.random.Generator, scene: Scene, mean: float, *, radius: float, edge: float | None = None) -> Map:
    """Discs beside the nucleus (at least one per cell), filled, or as rings of width `edge` units."""
    image = np.zeros(scene.shape, np.float32)
    cells = np.repeat(np.arange(len(scene.centres)), np.maximum(rng.poisson(mean, len(scene.centres)), 1))
    where = scene.points(cells, rng.uniform(-np.pi, np.pi, len(cells)), rng.uniform(0.2, 0.6, len(cells)))
    for centre, size in zip(where, radius * scene.scale * np.exp(rng.normal(0, 0.2, len(cells))), strict=True):
        low = np.clip(np.floor(centre - size - 5), 0, scene.shape).astype(int)
        high = np.clip(np.ceil(centre + size + 5), 0, scene.shape).astype(int)
        window = (slice(low[0], high[0]), slice(low[1], high[1]))
        ys, xs = np.ogrid[window]
        outward = np.hypot(ys - centre[0], xs - centre[1]) - size
        disc = np.clip(0.5 - outward, 0, 1) if edge is None else np.exp(-((outward / (edge * scene.scale)) ** 2))
        image[window] = np.maximum(image[window], disc)
    return image * scene.body
