"""Transfer benchmarks of the paper and their statistics: where the files are, what is scored, how sure one can be."""

from .base import Benchmark, Score
from .nsc import NscResult, nsc_accuracy
from .recipes import RECIPES, BenchmarkRecipe, load_recipe
from .retrieval import CPJUMP1, MORPHOHELM
from .tasks.bbbc021 import BBBC021
from .tasks.cellcognition import CELLCOGNITION
from .tasks.chammi import CHAMMI
from .tasks.coos7 import COOS7
from .tasks.cyclops import CYCLOPS
from .tasks.folder import FOLDER
from .tasks.hep2 import HEP2
from .tasks.mitocheck import MITOCHECK
from .tasks.rxrx1 import RXRX1
from .tasks.rxrx3 import RXRX3

BENCHMARKS: dict[str, Benchmark] = {
    "bbbc021": BBBC021,
    "coos7": COOS7,
    "cyclops": CYCLOPS,
    "chammi": CHAMMI,
    "rxrx1": RXRX1,
    "rxrx3-core": RXRX3,
    "morphohelm": MORPHOHELM,
    "cpjump1": CPJUMP1,
    "mitocheck": MITOCHECK,
    "hep2": HEP2,
    "cellcognition": CELLCOGNITION,
    "folder": FOLDER,
}

__all__ = [
    "BENCHMARKS",
    "RECIPES",
    "Benchmark",
    "BenchmarkRecipe",
    "NscResult",
    "Score",
    "load_recipe",
    "nsc_accuracy",
]
