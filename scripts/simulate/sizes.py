"""How much to simulate: `tiny` for tests, `small` for the demonstration."""

from dataclasses import dataclass

from cytoimagenet_hf.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Size:
    """Counts and sides; every number is per source, or per class of a benchmark."""

    side: int  # pixels of an ordinary field
    wells: int  # fields per label
    labels: int  # labels of a kind (siRNAs, compounds, reporters) at most
    treatments: int  # compound-concentration pairs of BBBC021 at most
    replicates: int  # wells per treatment and DMSO wells per plate
    train_cells: int  # COOS-7, per class
    test_cells: int  # COOS-7, per class and test set
    yeast_cells: int  # CYCLoPs, per class


SIZES: dict[str, Size] = {
    "tiny": Size(side=96, wells=6, labels=3, treatments=12, replicates=1, train_cells=5, test_cells=3, yeast_cells=4),
    "small": Size(
        side=140, wells=32, labels=12, treatments=60, replicates=3, train_cells=60, test_cells=40, yeast_cells=36
    ),
}
"""Sizes by name."""


def size_named(size: str) -> Size:
    """The size of that name."""
    if size not in SIZES:
        raise InputError(f"size {size!r} is not known: choose one of {', '.join(SIZES)}")
    return SIZES[size]
