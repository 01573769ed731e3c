"""Every choice of the benchmarks that can change a number: what the paper's code did, and what is right (FACTS E1-E5).

E5 needs no switch: the approximate cosine index existed in the original, but BBBC021 was scored by an exact search and
the others by an exact Euclidean index, so the search is exact under both recipes.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.settings import settle


@dataclass(frozen=True)
class BenchmarkRecipe:
    """Choices of the benchmarks.

    Attributes:
        name: `published`, `corrected`, or what an override makes of them.
        folder_labels: E1, CYCLoPs. "shifted": DEAD and GHOST leave the list of labels but not that of folders, so that
            later folders take the label of the next one and the last two vanish. "own": each folder's own.
        fusion_join: E2. "position": rows of the second model come in another order within each class, as with the
            original's lists made from sets; that joins features of two cells and leaks the label. "id": by id.
        nsc_scaler: E3, BBBC021. "all": mean and sd of all scored images; "controls": of the DMSO images of each plate;
            "controls-shrunk": the same, but steady when a plate has few (`standardise_by_shrunk_controls`); "none".
        transfer_scaler: COOS-7. "train": of the training set; "none".
        leave_one_out_scaler: E3, CYCLoPs and folders. "all": of the scored set; "other": of the folds (of five) that
            the query is not in; "none".
        leave_out: E4. "first": search k + 1 and drop the nearest, be it the query or its duplicate; "id": the query.
    """

    name: str
    folder_labels: Literal["own", "shifted"]
    fusion_join: Literal["id", "position"]
    nsc_scaler: Literal["none", "all", "controls", "controls-shrunk"]
    transfer_scaler: Literal["none", "train"]
    leave_one_out_scaler: Literal["none", "all", "other"]
    leave_out: Literal["id", "first"]

    def __post_init__(self) -> None:
        settle(self, name="benchmark recipe")


RECIPES = {
    "published": BenchmarkRecipe("published", "shifted", "position", "all", "train", "all", "first"),
    "corrected": BenchmarkRecipe("corrected", "own", "id", "controls-shrunk", "train", "other", "id"),
}

_SCALERS: dict[str, dict[str, Any]] = {
    "none": {"nsc_scaler": "none", "transfer_scaler": "none", "leave_one_out_scaler": "none"},
    "all": {"nsc_scaler": "all", "leave_one_out_scaler": "all"},
    "controls": {"nsc_scaler": "controls"},
    "controls-shrunk": {"nsc_scaler": "controls-shrunk"},
    "other": {"leave_one_out_scaler": "other"},
}


def load_recipe(name: str, *, scaler: str | None = None) -> BenchmarkRecipe:
    """A recipe by name, with the scaler of the protocols that know it replaced on request.

    Raises:
        InputError: unknown recipe or scaler.

    Example:
        >>> load_recipe("corrected", scaler="all").nsc_scaler
        'all'
    """
    if name not in RECIPES:
        raise InputError(f"unknown recipe {name!r}: use one of {sorted(RECIPES)}")
    if scaler is None:
        return RECIPES[name]
    if scaler not in _SCALERS:
        raise InputError(f"unknown scaler {scaler!r}: use one of {sorted(_SCALERS)}")
    return replace(RECIPES[name], name=f"{name}, scaler {scaler}", **_SCALERS[scaler])
