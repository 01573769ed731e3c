"""Small pieces of SVG: escaped text, ticks, colours. Every drawing of the report is made of these."""

import re
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

# A page gives the variables, light or dark; without them (`standalone`) the colour behind each holds.
INK, FAINT = "var(--ink, #1f2933)", "var(--faint, #52606d)"
GRID, PAPER = "var(--grid, #d9dee4)", "var(--paper, #ffffff)"
OTHER = "#9aa5b1"
_LIGHT, _DARK = (236, 242, 249), (8, 48, 107)  # one hue from light to dark: order survives in gray, too


def shade(part: float) -> str:
    """A colour from light (0) to dark (1)."""
    part = min(1.0, max(0.0, part))
    return "#" + "".join(f"{round(low + (high - low) * part):02x}" for low, high in zip(_LIGHT, _DARK, strict=True))


def on_shade(part: float) -> str:
    """Ink that can be read on `shade(part)`, which is the same on light and dark pages."""
    return "#ffffff" if part > 0.5 else "#1f2933"


def standalone(drawing: str) -> str:
    """A drawing for viewers that know no variables: each becomes its own light colour.

    Example:
        >>> standalone('<text fill="var(--ink, #1f2933)">A</text>')
        '<text fill="#1f2933">A</text>'
    """
    return re.sub(r"var\(--\w+, (#\w+)\)", r"\1", drawing)


def text(x: float, y: float, content: object, *, anchor: str = "start", size: float = 12, colour: str = INK) -> str:
    """A line of text with its baseline at (x, y)."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}" fill="{colour}">'
        f"{escape(str(content))}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, *, colour: str = GRID, width: float = 1, dash: str = "") -> str:
    """A straight line."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}"{dashed}/>'
    )


def drawing(width: float, height: float, parts: Sequence[str], *, label: str) -> str:
    """The whole drawing; `label` is what a screen reader says."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}" '
        f'style="max-width:{width:.0f}px">{"".join(parts)}</svg>'
    )


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Where a number lies in a drawing, in which `low` lies at `start` and `high` at `end`."""
    return lambda value: start + (value - low) / (high - low) * (end - start)


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers from low to high.

    Example:
        >>> ticks(0.0, 1.0)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if not high > low:
        return [low]
    step = 10 ** np.floor(np.log10((high - low) / 5))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6.5)
    first = np.ceil(low / step - 1e-9) * step
    return [round(float(at), 10) + 0.0 for at in np.arange(first, high + step * 1e-6, step)]


def number(value: float) -> str:
    """A number as people write it: three figures, no exponents within reach.

    Example:
        >>> [number(value) for value in (0.5, 12345.6, 0.00012, 20.0)]
        ['0.5', '12,346', '0.00012', '20']
    """
    value = float(value) + 0.0 if abs(value) > 1e-12 else 0.0  # no -0
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value == 0 or abs(value) >= 1e-6 else f"{value:.1e}"


def well_mark(ident: object) -> str:
    """Attributes by which the page finds a well again in every drawing."""
    return f'class="w" data-id="{escape(str(ident))}" tabindex="-1"'
