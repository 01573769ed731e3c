"""The FAQ's picture of the scopes of normalisation: `python -m scripts.pages.scopes` writes docs/images/normalize.png.

Four simulated fields: a usual and a twice as bright well, on a plate and on one that was exposed half as long.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.imaging import normalize
from scripts.simulate.cells import draw_field
from scripts.simulate.phenotypes import Phenotype
from scripts.simulate.plan import plate_optics

TARGET = Path(__file__).resolve().parents[2] / "docs" / "images" / "normalize.png"
_WELLS = {"plate 1, usual": 0.4, "plate 1, bright": 0.8, "plate 2, usual": 0.2, "plate 2, bright": 0.4}
_WHITE = 4095


def draw() -> Figure:
    """Scopes in rows, wells in columns."""
    optics = plate_optics(0, "scopes", "p", severity=0.2)
    field = draw_field(derive_rng(0, "scopes"), Phenotype(), 96, ["nucleus"], optics=optics)["nucleus"]
    shape = (field.astype(np.float64) - field.min()) / float(field.max() - field.min())
    wells = {name: np.round(60 + brightness * _WHITE * shape) for name, brightness in _WELLS.items()}
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    grid = figure.subplots(3, len(wells))
    for column, (name, pixels) in enumerate(wells.items()):
        same_plate = np.stack([other for well, other in wells.items() if well[:7] == name[:7]])
        low, high = np.percentile(same_plate, [0.1, 99.9])
        scaled = {
            "image": normalize(pixels),
            "plate": np.clip((pixels - low) / (high - low), 0, 1),
            "none": pixels / _WHITE,
        }
        for axis, (scope, unit) in zip(grid[:, column], scaled.items(), strict=True):
            axis.imshow(unit, cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            if column == 0:
                axis.set_ylabel(f"--normalize {scope}", fontsize=9)
        grid[0, column].set_title(name, fontsize=9)
    return figure


if __name__ == "__main__":
    with atomic_path(TARGET) as temporary:
        draw().savefig(temporary, dpi=90, format="png")
