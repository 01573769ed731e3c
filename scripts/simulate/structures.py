"""The stained structures: each a function from a laid-out field to its fluorescence.

Brightness is relative: about 1 where a structure is, 0 where it is not. Extended structures are textures limited to
a region of the cell; particles and fibres are points sampled in cell coordinates, splatted and blurred.
"""

from collections.abc import Callable

import numpy as np

from .phenotypes import Style
from .scene import Map, Scene
from .strokes import directions, discs, in_nucleus, rods, scatter, splat, streaks, texture

Structure = Callable[[np.random.Generator, Scene, Style], Map]


def draw_structure(rng: np.random.Generator, scene: Scene, name: str, style: Style) -> Map:
    """One structure of all cells of a field, scaled by each cell's expression; float32, 0 = none.

    Raises:
        KeyError: no structure of that name; `STRUCTURES` lists them.
    """
    return (STRUCTURES[name](rng, scene, style) * scene.expression * style.level).astype(np.float32)


def _nucleus(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    clumps = texture(rng, scene, 1.8 * style.grain)
    return scene.nucleus * np.clip(0.8 + 0.16 * style.contrast * clumps, 0.1, None)


def _nucleoli(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    where = scatter(rng, scene, 3.5 * style.amount, (-0.9, -0.35))
    return splat(scene, where, 2.0 * style.grain) * scene.nucleus + 0.2 * scene.nucleus + 0.12 * scene.body


def _nuclear_speckles(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    where = scatter(rng, scene, 16 * style.amount, (-0.95, -0.12))
    return 0.9 * splat(scene, where, 0.9 * style.grain) * scene.nucleus + 0.25 * scene.nucleus


def _nuclear_membrane(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    rim = np.exp(-((scene.to_nucleus / (1.3 * style.grain)) ** 2))
    return rim * np.clip(1 + 0.25 * style.contrast * texture(rng, scene, 1.5), 0.3, None) + 0.12 * scene.nucleus


def _cytosol(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    smooth = np.clip(0.75 + 0.1 * style.contrast * texture(rng, scene, 3 * style.grain), 0, None)
    return scene.body * smooth * (1 - 0.55 * scene.nucleus) * (1 - 0.45 * scene.depth**2)  # thinner at the edge


def _cell_membrane(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    rim = np.exp(-(((scene.to_membrane - 0.6) / (1.3 * style.grain)) ** 2))
    return rim * np.clip(1 + 0.3 * style.contrast * texture(rng, scene, 2.5), 0.2, None) + 0.14 * scene.body


def _er(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    """A reticulum: ridges of a smooth noise, densest around the nucleus."""
    ridges = np.exp(-((texture(rng, scene, 1.7 * style.grain) / 0.45) ** 2))
    falloff = np.exp(-scene.depth / (0.15 + 1.1 * style.spread))
    rim = 0.5 * np.exp(-((scene.to_nucleus / 1.4) ** 2))
    return _cytoplasm(scene) * falloff * (0.25 + 0.85 * style.contrast * ridges) + rim * scene.body


def _golgi(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    """A cluster of stacks on one side of the nucleus; `spread` disperses it."""
    width = 0.25 + 1.6 * max(style.spread - 0.5, 0) * 2
    where = scatter(rng, scene, 13 * style.amount, (0.05, 0.3 + 0.6 * max(style.spread - 0.5, 0)), width=width)
    return 0.75 * splat(scene, where, 1.35 * style.grain) * scene.body + 0.08 * scene.body


def _mitochondria(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    """Short curved rods throughout the cytoplasm; `grain` is their length, `spread` their reach."""
    starts = scatter(rng, scene, 24 * style.amount, (0.08, 0.35 + 0.95 * style.spread))
    curves = rods(rng, scene, starts, length=9 * style.grain, bend=0.3)
    return np.tanh(0.6 * splat(scene, curves, 0.8)) * _cytoplasm(scene) + 0.06 * scene.body


def _peroxisomes(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    where = scatter(rng, scene, 36 * style.amount, (0.08, 0.5 + 0.9 * style.spread))
    return 0.9 * splat(scene, where, 0.8 * style.grain) * scene.body + 0.07 * scene.body


def _endosomes(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    """Fewer and larger vesicles, mostly near the nucleus, of two sizes."""
    large = scatter(rng, scene, 6 * style.amount, (0.05, 0.2 + 0.6 * style.spread))
    small = scatter(rng, scene, 10 * style.amount, (0.05, 0.3 + 0.7 * style.spread))
    return splat(scene, large, 1.9 * style.grain) + 0.7 * splat(scene, small, 1.1 * style.grain) + 0.1 * scene.body


def _lysosomes(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    """Hollow vesicles: a blurred point less a sharper one."""
    where = scatter(rng, scene, 9 * style.amount, (0.1, 0.3 + 0.8 * style.spread))
    size = 2.1 * style.grain
    hollow = splat(scene, where, size) - 0.75 * splat(scene, where, 0.55 * size)
    return np.clip(1.6 * hollow, 0, None) * scene.body + 0.08 * scene.body


def _actin(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    """Parallel stress fibres along the cell's axis and a cortex."""
    ys, xs = np.indices(scene.shape, dtype=np.float32)
    across = ys * np.cos(scene.axis) - xs * np.sin(scene.axis)
    phase = across / (4.2 * style.grain) + 0.22 * texture(rng, scene, 5)
    fibres = np.clip(np.sin(2 * np.pi * phase), 0, None) ** 2 * np.clip(0.6 + 0.5 * texture(rng, scene, 6), 0, None)
    cortex = np.exp(-(((scene.to_membrane - 0.8) / 1.6) ** 2))
    return scene.body * (0.14 + 0.8 * style.contrast * fibres * (1 - 0.4 * scene.nucleus)) + 0.6 * cortex


def _actin_patches(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    where = scatter(rng, scene, 13 * style.amount, (0.78, 0.97), width=1.0 if style.spread < 0.5 else np.pi)
    return splat(scene, where, 1.1 * style.grain) * scene.body + 0.1 * scene.body


def _microtubules(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    """Curved filaments that leave a centre beside the nucleus; `spread` below 0.5 bundles them around it."""
    reach = 0.35 + 0.62 * min(2 * style.spread, 1.0)
    cells, angles = directions(rng, scene, 20 * style.amount)
    steps = 26
    depth = np.linspace(0.0, reach, steps)[None] * rng.uniform(0.6, 1.0, (len(cells), 1))
    sway = np.cumsum(rng.normal(0, 0.06, (len(cells), steps)), axis=1) + rng.normal(0, 0.5, (len(cells), 1)) * depth
    where = scene.points(np.repeat(cells, steps), (angles[:, None] + sway).ravel(), depth.ravel())
    net = splat(scene, where, 0.7 * style.grain)
    return np.tanh(0.16 * net) * scene.body + 0.08 * scene.body


def _spindle(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    """Two poles joined by bowed fibres across the nucleus."""
    count, steps = round(9 * style.amount), 14
    cells = np.repeat(np.arange(len(scene.centres)), count * steps)
    along = np.tile(np.linspace(-1, 1, steps), len(cells) // steps)
    bow = np.repeat(rng.normal(0, 0.4, len(cells) // steps), steps)
    where = in_nucleus(scene, cells, along * 0.95, bow * (1 - along**2))
    poles = _spindle_pole(rng, scene, style)
    return np.tanh(0.8 * splat(scene, where, 0.8 * style.grain)) + 0.6 * poles + 0.05 * scene.body


def _spindle_pole(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    cells = np.repeat(np.arange(len(scene.centres)), 2)
    where = in_nucleus(scene, cells, np.tile([-0.95, 0.95], len(scene.centres)), np.zeros(len(cells)))
    return splat(scene, where, 1.3 * style.grain) + 0.07 * scene.body


def _centrosome(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    where = scatter(rng, scene, 1.6 * style.amount, (0.06, 0.18), width=0.2)
    return splat(scene, where, 1.2 * style.grain) + 0.12 * scene.body


def _adhesions(rng: np.random.Generator, scene: Scene, style: Style) -> Map:
    """Short radial streaks at the cell's edge."""
    where = streaks(rng, scene, 17 * style.amount, (0.7, 0.85), length=0.12 * style.grain)
    return splat(scene, where, 0.9) * scene.body + 0.12 * scene.body


STRUCTURES: dict[str, Structure] = {
    "nucleus": _nucleus,
    "nucleoli": _nucleoli,
    "nuclear speckles": _nuclear_speckles,
    "nuclear membrane": _nuclear_membrane,
    "cytosol": _cytosol,
    "cell membrane": _cell_membrane,
    "er": _er,
    "golgi": _golgi,
    "mitochondria": _mitochondria,
    "peroxisomes": _peroxisomes,
    "endosomes": _endosomes,
    "lysosomes": _lysosomes,
    "vacuole": lambda rng, scene, style: discs(rng, scene, style.amount, radius=5 * style.grain) + 0.1 * scene.body,
    "vacuole membrane": lambda rng, scene, style: (
        discs(rng, scene, style.amount, radius=5 * style.grain, edge=1.1) + 0.1 * scene.body
    ),
    "actin": _actin,
    "actin patches": _actin_patches,
    "microtubules": _microtubules,
    "spindle": _spindle,
    "spindle pole": _spindle_pole,
    "centrosome": _centrosome,
    "focal adhesions": _adhesions,
    "bud neck": lambda rng, scene, style: _polar_spot(scene, depth=0.62, along=0.1, across=0.24 * style.grain),
    "bud tip": lambda rng, scene, style: _polar_spot(scene, depth=0.98, along=0.13, across=0.28 * style.grain),
    # A dead cell: stained throughout, blotchy.
    "whole": lambda rng, scene, style: (
        scene.body * np.clip(1.1 + 0.4 * style.contrast * texture(rng, scene, 2.2 * style.grain), 0.2, None)
    ),
    # An empty cell: little more than its outline.
    "shell": lambda rng, scene, style: 0.35 * np.exp(-((scene.to_membrane / 2.2) ** 2)) + 0.08 * scene.body,
}
"""Structures that can be stained, by name."""


def _cytoplasm(scene: Scene) -> Map:
    return scene.body * (1 - scene.nucleus)


def _polar_spot(scene: Scene, *, depth: float, along: float, across: float) -> Map:
    """A spot at one depth on the axis of a faintly stained cell; widths in depth and in radians."""
    spot = np.exp(-(((scene.depth - depth) / along) ** 2) - (scene.bearing / across) ** 2) * scene.body
    return spot + 0.1 * scene.body
