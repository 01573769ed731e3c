"""The wells of a plate by their profiles, in two dimensions."""

import numpy as np

from cytoimagenet_hf.profiles.embedding import Embedding

from .svg import FAINT, GRID, OTHER, PAPER, drawing, line, text, well_mark


def embedding_drawing(embedding: Embedding, ids: list[str]) -> str:
    """The wells as dots; the page colours them by what the reader chooses."""
    width, height, margin = 620.0, 520.0, 44.0
    low, high = embedding.places.min(axis=0), embedding.places.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    unit = (embedding.places - low) / span
    parts = [
        line(margin, height - margin, width - 8, height - margin, colour=GRID),
        line(margin, 8, margin, height - margin, colour=GRID),
        text((margin + width) / 2, height - 14, embedding.axes[0], anchor="middle", colour=FAINT),
        f'<g transform="rotate(-90 18 {height / 2:.0f})">'
        f"{text(18, height / 2, embedding.axes[1], anchor='middle', colour=FAINT)}</g>",
    ]
    radius = 6.0 if len(ids) < 500 else 3.5
    for ident, (a, b) in zip(ids, unit, strict=True):
        x = margin + 14 + a * (width - margin - 36)
        y = height - margin - 14 - b * (height - margin - 36)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{OTHER}" fill-opacity="0.85" stroke="{PAPER}" '
            f"{well_mark(ident)}/>"
        )
    return drawing(width, height, parts, label=f"Wells by their profiles: {embedding.method}")
