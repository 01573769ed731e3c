"""A plate as it lies on the bench: a square per well, coloured by a number."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.layouts import SHAPES
from cytoimagenet_hf.tables.wells import place_of, well_at

from .svg import FAINT, GRID, INK, PAPER, drawing, line, number, on_shade, shade, text, well_mark

_PLATES = {rows * columns: (rows, columns) for columns, rows in SHAPES.items() if columns >= 6}
_SIGNS = {"negative": "−", "positive": "+", "empty": "∅"}


def plate_shape(wells: Sequence[str], *, size: int | None = None) -> tuple[int, int]:
    """Rows and columns of a plate that has these wells, of `size` wells or the smallest that has them all.

    Example:
        >>> plate_shape(["A01", "H12"]), plate_shape(["A01", "H13"]), plate_shape(["A01"], size=96)
        ((8, 12), (16, 24), (8, 12))
    """
    if size is not None and size not in _PLATES:
        raise InputError(f"a plate of {size} wells: choose from {', '.join(map(str, _PLATES))}")
    places = [place_of(well) for well in wells]
    rows, columns = max(row for row, _ in places), max(column for _, column in places)
    if size is None:
        return next((one for one in _PLATES.values() if rows <= one[0] and columns <= one[1]), _PLATES[1536])
    shape = _PLATES[size]
    beyond = next((well for well, at in zip(wells, places, strict=True) if at[0] > shape[0] or at[1] > shape[1]), "")
    if beyond:
        raise InputError(f"a plate of {size} wells has no well {beyond}: name another --plate-size")
    return shape


def plate_heatmap(
    wells: Mapping[str, tuple[str, float, str]],
    *,
    title: str,
    legend: str,
    limits: tuple[float, float],
    missing: Sequence[str] = (),
    size: int | None = None,
) -> str:
    """One plate.

    Args:
        wells: well → (id, number, role); the number may be NaN.
        title: what is drawn.
        legend: what the numbers are, with their unit.
        limits: numbers at the light and the dark end; beyond them colours stay as they are.
        missing: wells that the plate map names and that have no features: crossed out.
        size: wells of the plate, as for `plate_shape`.
    """
    rows, columns = plate_shape([*wells, *missing], size=size)
    cell = min(56.0, 13.0 if columns > 24 else 24.0 if columns > 12 else 408.0 / columns)
    left, top = 28.0, 40.0
    low, high = limits
    parts = [text(left, 16, title, size=14)]
    letters = min(12.0, cell * 0.62)
    for column in range(columns):
        if columns <= 24 or column % 2 == 0:
            parts.append(
                text(left + (column + 0.5) * cell, top - 6, column + 1, anchor="middle", size=letters, colour=FAINT)
            )
    for row in range(rows):
        name = well_at(row + 1, 1).removesuffix("01")
        parts.append(text(left - 6, top + (row + 0.68) * cell, name, anchor="end", size=letters, colour=FAINT))
        for column in range(columns):
            x, y = left + column * cell, top + row * cell
            corner = min(4.2, cell / 8)
            box = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{cell - 2:.1f}" height="{cell - 2:.1f}" rx="{corner:.1f}"'
            well = well_at(row + 1, column + 1)
            if well not in wells:
                parts.append(f'<rect {box} fill="none" stroke="{GRID}"/>')
                if well in missing:
                    parts.append(f"<g><title>{well}: no features</title>")
                    parts.append(line(x + 4, y + 4, x + cell - 4, y + cell - 4, colour=INK))
                    parts.append(line(x + cell - 4, y + 4, x + 4, y + cell - 4, colour=INK) + "</g>")
                continue
            ident, value, role = wells[well]
            is_number = np.isfinite(value)
            part = (value - low) / (high - low) if is_number and high > low else 0.0
            fill = shade(part) if is_number else PAPER
            caption = f"{well}: {number(value)}" if is_number else f"{well}: no number"
            parts.append(f'<rect {box} fill="{fill}" stroke="{GRID}" {well_mark(ident)}>')
            parts.append(f"<title>{escape(caption)}</title></rect>")
            if role in _SIGNS and cell > 15:
                ink = on_shade(part) if is_number else INK
                parts.append(
                    f'<text x="{x + cell / 2:.1f}" y="{y + cell * 0.66:.1f}" text-anchor="middle" '
                    f'font-size="{min(20.0, cell * 0.5):.1f}" fill="{ink}" pointer-events="none">{_SIGNS[role]}</text>'
                )
    bottom = top + rows * cell + 14
    width = columns * cell
    steps = 40
    bar = min(width * 0.5, 220.0)
    for step in range(steps):
        parts.append(
            f'<rect x="{left + bar * step / steps:.1f}" y="{bottom:.1f}" width="{bar / steps + 0.5:.1f}" height="10" '
            f'fill="{shade(step / (steps - 1))}"/>'
        )
    parts.append(text(left, bottom + 24, number(low), colour=FAINT))
    parts.append(text(left + bar, bottom + 24, number(high), anchor="end", colour=FAINT))
    parts.append(text(left + bar + 12, bottom + 10, legend, colour=FAINT))
    return drawing(left + width + 6, bottom + 30, parts, label=f"{title}: {legend}, one square per well")
