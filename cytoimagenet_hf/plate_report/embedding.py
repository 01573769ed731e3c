"""Profiles on a plane: UMAP where it is installed, principal components where it is not, and the page says which."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .svg import FAINT, GRID, OTHER, drawing, line, text, well_mark

_LEAST = 15  # rows for UMAP: below, its neighbourhoods are the whole plate
_COMPONENTS = 50


@dataclass(frozen=True)
class Embedding:
    """(n, 2) coordinates, what the axes are called, and how they were made."""

    places: npt.NDArray[np.float64]
    axes: tuple[str, str]
    method: str


def embed(values: npt.NDArray[np.floating], *, seed: int) -> Embedding:
    """Two coordinates per row.

    Args:
        values: (n, d) profiles.
        seed: of UMAP.
    """
    x = values.astype(np.float64)
    x = x - x.mean(axis=0)
    spread = x.std(axis=0)
    x = x[:, spread > 0] / spread[spread > 0]
    left, sizes, _ = np.linalg.svd(x, full_matrices=False)
    shares = sizes**2 / max((sizes**2).sum(), 1e-300)
    components = left * sizes
    if components.shape[1] < 2:
        components = np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
        shares = np.pad(shares, (0, 2))
    plain = Embedding(
        components[:, :2],
        (f"component 1 ({shares[0]:.0%} of the variance)", f"component 2 ({shares[1]:.0%})"),
        "principal components",
    )
    if len(x) < _LEAST:
        return plain
    try:
        import umap
    except ImportError:
        return Embedding(
            plain.places, plain.axes, 'principal components (for UMAP: pip install "cytoimagenet-hf[bench]")'
        )
    neighbours = min(15, len(x) - 1)
    found = umap.UMAP(n_neighbors=neighbours, min_dist=0.3, random_state=seed, n_jobs=1).fit_transform(
        components[:, :_COMPONENTS]
    )
    return Embedding(np.asarray(found, float), ("UMAP 1", "UMAP 2"), f"UMAP, {neighbours} neighbours, seed {seed}")


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
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{OTHER}" fill-opacity="0.85" stroke="#fff" '
            f"{well_mark(ident)}/>"
        )
    return drawing(width, height, parts, label=f"Wells by their profiles: {embedding.method}")
