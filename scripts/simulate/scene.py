"""Where the cells of one field lie: outlines, nuclei and, for every pixel, its distance to both.

Structures are drawn from these maps and from points sampled in cell coordinates, never cell by cell, which keeps a
field at some milliseconds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .phenotypes import Phenotype

Map = NDArray[np.float32]
_ANGLES = 96  # directions in which an outline is tabulated
_FAR = 1e3


@dataclass(frozen=True)
class Scene:
    """Cells of one field as arrays over N cells, and maps over its pixels (distances in pixels)."""

    shape: tuple[int, int]
    centres: NDArray[np.float64]  # (N, 2) y, x of the body
    nuclei: NDArray[np.float64]  # (N, lobes, 2)
    outlines: NDArray[np.float64]  # (N, angles) radius of the body by direction
    nuclear_outlines: NDArray[np.float64]  # (N, angles)
    axes: NDArray[np.float64]  # (N,) direction of polarity: side of the Golgi, of the bud, of the fibres
    scale: float  # magnification: pixels per unit of length in which structures are given
    to_membrane: Map  # > 0 inside a cell
    to_nucleus: Map  # < 0 inside a nucleus
    bearing: Map  # direction from the cell's centre, relative to its axis, in (-pi, pi]
    axis: Map  # axis of the pixel's cell
    expression: Map  # brightness of the pixel's cell

    @property
    def body(self) -> Map:
        """1 inside cells, 0 outside, one pixel of transition."""
        return np.clip(0.5 + self.to_membrane, 0, 1)

    @property
    def nucleus(self) -> Map:
        """1 inside nuclei, 0 outside, one pixel of transition."""
        return np.clip(0.5 - self.to_nucleus, 0, 1)

    @property
    def depth(self) -> Map:
        """Position in the cytoplasm: 0 at the nucleus, 1 at the membrane."""
        outward = np.clip(self.to_nucleus, 0, None)
        across = np.maximum(outward + np.clip(self.to_membrane, 0, None), 1e-3)
        return np.divide(outward, across, dtype=np.float32)

    def points(
        self, cells: NDArray[np.intp], angles: NDArray[np.float64], depths: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Coordinates (n, 2) of points given by cell, direction (relative to its axis) and depth in the cytoplasm.

        A depth in [-1, 0) lies in the nucleus: -1 is its centre.
        """
        absolute = angles + self.axes[cells]
        step = _direction_index(absolute)
        inner, outer = self.nuclear_outlines[cells, step], self.outlines[cells, step]
        length = np.where(depths < 0, inner * (1 + depths), inner + np.clip(depths, 0, None) * (outer - inner))
        origin = (
            self.nuclei[cells, 0] * (1 - np.clip(depths, 0, 1))[:, None]
            + self.centres[cells] * np.clip(depths, 0, 1)[:, None]
        )
        return origin + length[:, None] * np.stack([np.sin(absolute), np.cos(absolute)], axis=1)


def lay_out(
    rng: np.random.Generator, phenotype: Phenotype, shape: tuple[int, int], *, single: bool = False, scale: float = 1
) -> Scene:
    """Place cells and measure every pixel against them.

    `single` puts one cell in the middle (with neighbours further out) instead of a random field; with scale 2
    everything is twice as large.
    """
    radius = phenotype.radius * scale
    centres = _place(rng, shape, radius, confluence=phenotype.confluence, single=single)
    count = len(centres)
    radii = radius * np.exp(rng.normal(0, phenotype.radius_cv, count))
    axes = rng.uniform(-np.pi, np.pi, count)
    outlines = radii[:, None] * _outline(rng, axes, phenotype.elongation, phenotype.roughness)
    if phenotype.bud:
        outlines *= 1 + phenotype.bud * np.exp(-((_wrap(_GRID[None] - axes[:, None]) / 0.38) ** 2))
    lobe = phenotype.nucleus / np.sqrt(phenotype.lobes) * (1.15 if phenotype.lobes > 1 else 1)
    inner = np.minimum(
        radii[:, None] * lobe * _outline(rng, axes, phenotype.nucleus_elongation, phenotype.nucleus_roughness),
        0.85 * outlines,
    )
    offset = rng.normal(0, 0.07, (count, 1, 2)) * radii[:, None, None]
    around = rng.uniform(0, 2 * np.pi, count)[:, None] + np.arange(phenotype.lobes) * 2 * np.pi / phenotype.lobes
    ring = np.stack([np.sin(around), np.cos(around)], axis=2) * (radii * lobe)[:, None, None]
    nuclei = centres[:, None] + offset + (ring if phenotype.lobes > 1 else 0)
    maps = _measure(shape, centres, nuclei, outlines, inner, axes)
    expression = np.exp(rng.normal(0, 0.22, count))
    owner = maps.pop("owner").astype(np.intp)
    return Scene(
        shape, centres, nuclei, outlines, inner, axes, scale,
        axis=axes[owner].astype(np.float32),
        expression=expression[owner].astype(np.float32),
        **maps,
    )  # fmt: skip


def _place(
    rng: np.random.Generator, shape: tuple[int, int], radius: float, *, confluence: float, single: bool
) -> NDArray[np.float64]:
    """Random centres no closer than cells allow; at least one."""
    height, width = shape
    placed = np.array([[height / 2, width / 2]]) + rng.normal(0, 0.06 * radius, (1, 2))
    if not single:
        placed = rng.uniform(0.15, 0.85, (1, 2)) * shape
    wanted = max(1, round(confluence * (height + radius) * (width + radius) / (np.pi * radius**2)))
    apart = (2.15 if single else 1.62) * radius
    for candidate in rng.uniform(-radius / 2, np.array(shape) + radius / 2, (wanted * 8, 2)):
        if len(placed) >= wanted:
            break
        if np.min(np.sum((placed - candidate) ** 2, axis=1)) > apart**2:
            placed = np.vstack([placed, candidate])
    return placed


def _outline(
    rng: np.random.Generator, axes: NDArray[np.float64], elongation: float, roughness: float
) -> NDArray[np.float64]:
    """Relative radius by direction, (N, angles): an ellipse along the axis and some harmonics."""
    relative = _GRID[None] - axes[:, None]
    ratio = 1 - min(elongation, 0.8)
    shape = np.sqrt(ratio) / np.sqrt((ratio * np.cos(relative)) ** 2 + np.sin(relative) ** 2)
    orders = np.arange(3, 9)
    waves = np.cos(orders * _GRID[:, None] + rng.uniform(0, 2 * np.pi, (len(axes), 1, len(orders))))
    return np.clip(shape * (1 + roughness * (waves * rng.normal(0, 0.7, (len(axes), 1, len(orders)))).sum(2)), 0.3, 3)


def _measure(
    shape: tuple[int, int],
    centres: NDArray[np.float64],
    nuclei: NDArray[np.float64],
    outlines: NDArray[np.float64],
    inner: NDArray[np.float64],
    axes: NDArray[np.float64],
) -> dict[str, Map]:
    """Distance maps; a pixel belongs to the cell it lies deepest in."""
    maps = {
        "to_membrane": np.full(shape, -_FAR, np.float32),
        "to_nucleus": np.full(shape, _FAR, np.float32),
        "bearing": np.zeros(shape, np.float32),
        "owner": np.zeros(shape, np.float32),
    }
    for cell, (centre, outline) in enumerate(zip(centres, outlines, strict=True)):
        reach = outline.max() + 6
        low = np.clip(np.floor(centre - reach), 0, shape).astype(int)
        high = np.clip(np.ceil(centre + reach), 0, shape).astype(int)
        if np.any(high <= low):
            continue
        window = (slice(low[0], high[0]), slice(low[1], high[1]))
        ys, xs = np.ogrid[window]
        distance, angle = _polar(ys, xs, centre)
        membrane = outline[_direction_index(angle)] - distance
        closer = membrane > maps["to_membrane"][window]
        nucleus = np.full(membrane.shape, _FAR)
        for lobe in nuclei[cell]:
            away, towards = _polar(ys, xs, lobe)
            nucleus = np.minimum(nucleus, away - inner[cell][_direction_index(towards)])
        values = (membrane, nucleus, _wrap(angle - axes[cell]), float(cell))
        for name, value in zip(maps, values, strict=True):
            maps[name][window] = np.where(closer, value, maps[name][window])
    return maps


def _polar(
    ys: NDArray[np.intp], xs: NDArray[np.intp], centre: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    dy, dx = ys - centre[0], xs - centre[1]
    return np.hypot(dy, dx), np.arctan2(dy, dx)


def _direction_index(angle: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.rint(angle * (_ANGLES / (2 * np.pi))).astype(np.intp) % _ANGLES


def _wrap(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    return (angle + np.pi) % (2 * np.pi) - np.pi


_GRID = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
