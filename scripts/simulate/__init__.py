"""The embedded default: small simulated archives in the real layouts, benchmark sets, and a plate of a screen.

`simulate_archive`, `simulate_benchmarks` and `simulate_plate` write files; `draw_field` draws cells for anything else.
Pure numpy, scipy and the writers of tifffile and pillow: no network, no weights.
"""

from .archives import simulate_archive, simulate_benchmarks
from .camera import Optics, batch_optics, expose
from .cells import draw_field
from .library import EFFECTS
from .phenotypes import Phenotype, Style, mix
from .screen_plate import simulate_plate
from .sizes import SIZES
from .ugly import Planted

__all__ = [
    "EFFECTS",
    "SIZES",
    "Optics",
    "Phenotype",
    "Planted",
    "Style",
    "batch_optics",
    "draw_field",
    "expose",
    "mix",
    "simulate_archive",
    "simulate_benchmarks",
    "simulate_plate",
]
