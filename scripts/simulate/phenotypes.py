"""What a cell looks like, as numbers: geometry and the style of each stained structure.

A phenotype is the whole difference between two labels of the simulated archive. Labels of the archive and classes of
the simulated benchmarks vary the same factors (size, shape, texture, place of a structure) with other values, so what
a network learns on the one can be measured on the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Style:
    """How one structure differs from its usual look; every field is a factor, 1 = usual, except `spread`."""

    amount: float = 1.0  # number of particles or fibres
    grain: float = 1.0  # size of particles, width of fibres, scale of a texture
    spread: float = 0.5  # 0 = packed around the nucleus, 1 = pushed to the cell's edge
    contrast: float = 1.0  # depth of a texture
    level: float = 1.0  # brightness


@dataclass(frozen=True, kw_only=True)
class Phenotype:
    """Geometry in pixels and fractions, styles by structure, and structures whose protein went elsewhere."""

    radius: float = 18.0  # of the cell body, pixels
    radius_cv: float = 0.12
    elongation: float = 0.15  # 0 = round, 0.6 = spindle-shaped
    roughness: float = 0.04  # depth of the outline's lobes
    confluence: float = 0.6  # share of the field that cells would cover without overlap
    nucleus: float = 0.5  # nuclear radius / cell radius
    nucleus_elongation: float = 0.12
    nucleus_roughness: float = 0.02
    lobes: int = 1  # of the nucleus
    bud: float = 0.0  # height of a yeast bud / cell radius
    styles: Mapping[str, Style] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)  # stained structure → where its protein is found instead

    def style(self, structure: str) -> Style:
        """The style of one structure; the usual look when the phenotype does not change it."""
        return self.styles.get(structure, _USUAL)

    def variant(self, **changes: Any) -> "Phenotype":
        """A copy with changed fields; `styles` and `moved` are merged into the present ones."""
        for name in ("styles", "moved"):
            if name in changes:
                changes[name] = {**getattr(self, name), **changes[name]}
        return replace(self, **changes)


def mix(control: Phenotype, effect: Phenotype, strength: float) -> Phenotype:
    """A phenotype part of the way from untreated cells to the full effect, as a dose does it.

    Strength 0 is the control, 1 the effect; fields that are not numbers switch at 0.5.
    """
    late = effect if strength >= 0.5 else control
    styles = {
        name: Style(**_between(control.style(name), effect.style(name), strength))
        for name in sorted({*control.styles, *effect.styles})
    }
    numbers = _between(control, effect, strength, without=("styles", "moved", "lobes"))
    return Phenotype(**numbers, lobes=late.lobes, moved=dict(late.moved), styles=styles)


def _between(first: object, last: object, strength: float, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Numeric fields part of the way from one dataclass to another of its kind; exact at both ends."""
    return {
        item.name: (1 - strength) * getattr(first, item.name) + strength * getattr(last, item.name)
        for item in fields(first)  # type: ignore[arg-type]
        if item.name not in without
    }


_USUAL = Style()

USUAL = Phenotype()
"""Untreated adherent cells."""
