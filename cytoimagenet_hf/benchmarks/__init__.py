"""Transfer benchmarks of the paper and their statistics: where the files are, what is scored, how sure one can be."""

from .nsc import NscResult, nsc_accuracy

__all__ = ["NscResult", "nsc_accuracy"]
