"""Layouts of raw downloads: each a function (size, seed) → fields to draw and tables to write.

Names of files and columns are those of the real archives; labels are spelt as the real tables spell them.
"""

from collections.abc import Callable

from scripts.simulate.plan import Plan
from scripts.simulate.sizes import Size

from .broad import bbbc006, bbbc013, bbbc022, bbbc038
from .cell_image_library import cil_kinome
from .idr import idr0088
from .kaggle import kag_hpa, kag_leukemia
from .recursion import rec_rxrx1

Layout = Callable[[Size, int], Plan]

LAYOUTS: dict[str, Layout] = {
    "rec_rxrx1": rec_rxrx1,
    "bbbc022": bbbc022,
    "idr0088": idr0088,
    "bbbc013": bbbc013,
    "kag_leukemia": kag_leukemia,
    "bbbc038": bbbc038,
    "bbbc006": bbbc006,
    "cil_kinome": cil_kinome,
    "kag_hpa": kag_hpa,
}
"""Layouts by folder name of the source."""
