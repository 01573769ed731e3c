"""Every choice of the benchmarks that can change a number: the paper's and what is right (E1-E5, docs/paper.md).

E5 needs no switch: the approximate cosine index existed in the original, but BBBC021 was scored by an exact search and
the others by an exact Euclidean index, so the search is exact under both recipes.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import check_fields


@dataclass(frozen=True)
class BenchmarkRecipe:
    """Choices of the benchmarks.

    Attributes:
        name: `published`, `corrected`, or what an override makes of them.
        folder_labels: E1, CYCLoPs. "shifted": DEAD and GHOST leave the list of labels but not that of folders, so that
            later folders take the label of the next one and the last two vanish. "own": each folder's own.
        fusion_join: E2. "position": rows of the second model come in another order within each class, as with the
            original's lists made from sets; that joins features of two cells and leaks the label. "id": by id.
        nsc_scaler: E3, BBBC021. "all": mean and sd of all treated images, as the original did; "all-with-controls": of
            all images, DMSO among them; "controls": of the DMSO images of each plate; "controls-shrunk": the same, but
            steady when a plate has few (`standardise_by_shrunk_controls`); "none".
        nscb_rule: BBBC021. Which treatments NSCB takes for the same batch: see `nsc.BATCH_RULES`.
        postprocess: what is done to the features of a screen before they are scored, in place of `nsc_scaler`; see
            `postprocess.STEPS`. "none": nothing, the scaler alone.
        held_out: CYCLoPs and folders. "item": neighbours are all other images, as in the original; "known-group":
            those of other groups (plates, fields, donors) where groups are known, else all others; "group": those of
            other groups, and no result without groups.
        transfer_scaler: COOS-7. "train": of the training set; "none".
        leave_one_out_scaler: E3, CYCLoPs and folders. "all": of the scored set; "other": of the folds (of five) that
            the query is not in; "none".
        leave_out: E4. "first": search k + 1 and drop the nearest, be it the query or its duplicate; "id": the query.
    """

    name: str
    folder_labels: Literal["own", "shifted"]
    fusion_join: Literal["id", "position"]
    nsc_scaler: Literal["none", "all", "all-with-controls", "controls", "controls-shrunk"]
    transfer_scaler: Literal["none", "train"]
    leave_one_out_scaler: Literal["none", "all", "other"]
    leave_out: Literal["id", "first"]
    held_out: Literal["known-group", "group", "item"]
    nscb_rule: Literal["week overlap", "other week set", "disjoint weeks", "disjoint plates", "other plate set"] = (
        "week overlap"
    )
    postprocess: Literal["none", "controls", "sphere", "sphere-by-plate", "tvn", "pca"] = "none"

    def __post_init__(self) -> None:
        check_fields(self, name="benchmark recipe")


RECIPES = {
    "published": BenchmarkRecipe("published", "shifted", "position", "all", "train", "all", "first", "item"),
    "corrected": BenchmarkRecipe("corrected", "own", "id", "controls-shrunk", "train", "other", "id", "known-group"),
}

_SCALERS: dict[str, dict[str, Any]] = {
    "none": {"nsc_scaler": "none", "transfer_scaler": "none", "leave_one_out_scaler": "none"},
    "all": {"nsc_scaler": "all", "leave_one_out_scaler": "all"},
    "all-with-controls": {"nsc_scaler": "all-with-controls"},
    "controls": {"nsc_scaler": "controls"},
    "controls-shrunk": {"nsc_scaler": "controls-shrunk"},
    "other": {"leave_one_out_scaler": "other"},
}


PROTOCOLS = {"leave-one-out": "item", "leave-group-out": "group"}
"""What a caller can ask for by name → `BenchmarkRecipe.held_out`."""


def load_recipe(
    name: str, *, scaler: str | None = None, protocol: str | None = None, nscb: str | None = None
) -> BenchmarkRecipe:
    """A recipe by name, with some of its choices replaced on request.

    Args:
        name: `published` or `corrected`.
        scaler: for the protocols that know it: none, all, all-with-controls, controls, controls-shrunk or other.
        protocol: a key of `PROTOCOLS`, for the tasks that leave something out.
        nscb: a key of `nsc.BATCH_RULES`.

    Raises:
        InputError: unknown recipe, scaler, protocol or rule.

    Example:
        >>> load_recipe("corrected", scaler="all").nsc_scaler
        'all'
    """
    if name not in RECIPES:
        raise InputError(f"unknown recipe {name!r}: use one of {sorted(RECIPES)}")
    changes: dict[str, Any] = {}
    names = [name]
    for what, given, choices in (("scaler", scaler, _SCALERS), ("protocol", protocol, PROTOCOLS)):
        if given is not None and given not in choices:
            raise InputError(f"unknown {what} {given!r}: use one of {sorted(choices)}")
        names += [f"{what} {given}"] if given is not None else []
    if scaler is not None:
        changes |= _SCALERS[scaler]
    if protocol is not None:
        changes["held_out"] = PROTOCOLS[protocol]
    if nscb is not None:
        changes["nscb_rule"] = nscb
        names.append(f"NSCB by {nscb}")
    return replace(RECIPES[name], name=", ".join(names), **changes)


REPAIRS = {
    "E1 labels shifted by folders": ("folder_labels",),
    "E2 fusion joined by position": ("fusion_join",),
    "E3 scaled by the scored set": ("nsc_scaler", "leave_one_out_scaler"),
    "E4 nearest row taken for the query": ("leave_out",),
    "one cell left out, not its group": ("held_out",),
}
"""What is put back → the fields of the recipe that do it."""


def variants() -> dict[str, BenchmarkRecipe]:
    """`corrected`, then each repair undone alone, then `published`, which undoes all.

    Example:
        >>> list(variants())[:2]
        ['corrected', 'E1 labels shifted by folders']
    """
    corrected, published = RECIPES["corrected"], RECIPES["published"]
    undone = {
        name: replace(corrected, name=name, **{field: getattr(published, field) for field in fields})
        for name, fields in REPAIRS.items()
    }
    return {"corrected": corrected, **undone, "published": published}
