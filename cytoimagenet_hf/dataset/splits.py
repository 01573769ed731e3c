"""Train and validation: the leak-free split, the published one, and a report of what stands on both sides.

The published split went row by row, so crops of one field of view and exact copies fell on both sides (S1). Here rows
that belong together, by physical field, by a group column and by equal pixels, form one component and stay together;
components are given out so that each label comes close to the wanted fraction. The row-wise split remains as a named
scheme.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.graphs import components
from cytoimagenet_hf.core.seeding import derive_rng

from .fields import FIELD, field_columns, physical_fields
from .leaks import LeakReport, groups_across, leak_report, read_columns

__all__ = ["SCHEMES", "LeakReport", "apply_split_scheme", "assign_splits", "leak_report"]

SCHEMES = ("field", "published")
"""`field`: whole groups and exact copies on one side. `published`: row by row, stratified by label."""


def assign_splits(
    table: pd.DataFrame | pa.Table,
    *,
    scheme: str = "field",
    group: str = FIELD,
    fraction: float = 0.1,
    seed: int,
) -> "pd.Series[str]":
    """Deal images out to train and validation, whatever the order of the rows; exact copies stay together.

    Args:
        table: one row per image: `image_id`, `label`, and for the scheme `field` the columns named below.
        scheme: `field` or `published`.
        group: column whose equal values stay together beside the physical field, which always does: `plate` is
            stricter. `field` asks for nothing more. Rows whose group is unknown stay with their field.
        fraction: of each label that goes to validation. A label is off by at most half its largest component as long
            as components hold one label each; labels too small to give one take turns, so that all labels together
            come near the fraction, too.
        seed: of the draws.

    Returns:
        `train` or `validation` for each `image_id` (the index), in the order of the table.

    Raises:
        InputError: an unknown scheme, a missing column, a fraction outside (0, 1), repeated or missing ids or labels.

    Example:
        >>> images = pd.DataFrame({"image_id": list("abcdef"), "idx": list("112233"), "label": "actin"})
        >>> assign_splits(images, fraction=1 / 3, seed=0).groupby(list("112233")).nunique().tolist()
        [1, 1, 1]
    """
    if scheme not in SCHEMES:
        raise InputError(f"unknown split scheme {scheme!r}: choose one of {', '.join(SCHEMES)}")
    if not 0 < fraction < 1:
        raise InputError(f"the validation fraction is {fraction}: it must lie between 0 and 1")
    present = table.column_names if isinstance(table, pa.Table) else list(table.columns)
    needed, optional = ["image_id", "label"], list[str]()
    if scheme == "field":
        needed += [group] if group != FIELD or not field_columns(present) else []
        optional = [name for name in dict.fromkeys(("sha256", *field_columns(present))) if name not in needed]
    rows = _columns(table, list(dict.fromkeys(needed)), optional)
    order = np.argsort(rows["image_id"].to_numpy(dtype=object), kind="stable")  # nothing below sees the row order
    by_id = rows.iloc[order].reset_index(drop=True)
    labels, names = pd.factorize(by_id["label"], sort=True)
    if scheme == "published":
        component = np.arange(len(by_id))
    else:
        component = _components(by_id, (group, "sha256"))
    in_validation = np.empty(len(rows), bool)
    in_validation[order] = _deal(component, labels, [str(name) for name in names], fraction, seed)
    split = np.where(in_validation, "validation", "train").tolist()
    return pd.Series(split, dtype="str", index=pd.Index(rows["image_id"], name="image_id"), name="split")


def apply_split_scheme(dataset: Any, scheme: str) -> Any:
    """A loaded dataset under another split scheme; only the columns that decide are read, images stay where they are.

    A dataset that already is leak-free is returned as stored when `field` is asked for.

    Args:
        dataset: `DatasetDict` or `IterableDatasetDict` with `image_id`, `label`, and for `field` what names fields.
        scheme: `field` or `published`.

    Raises:
        InputError: as `assign_splits`.
    """
    import datasets as hf

    needed = ["image_id", "label"]
    first = next(iter(dataset.values()))
    if scheme == "field":
        present = list(first.column_names or ())
        needed += [name for name in (*field_columns(present), "sha256") if name in present]
    rows = pd.concat([read_columns(part, needed).assign(stored=name) for name, part in dataset.items()])
    classes = (first.features or {}).get("label")
    if isinstance(classes, hf.ClassLabel):  # by name, as at build time, so that equal seeds give equal splits
        rows["label"] = rows["label"].map(dict(enumerate(classes.names)))
    if scheme == "field" and field_columns(rows.columns):
        deciding = _deciding(rows, ("sha256",))
        if not any(len(groups_across(values, rows["stored"])) for values in deciding):
            return dataset
    split = assign_splits(rows, scheme=scheme, seed=0)
    whole = hf.concatenate_datasets(list(dataset.values()))
    if isinstance(whole, hf.IterableDataset):
        validation = frozenset(split.index[split == "validation"])
        sides = {
            "train": whole.filter(lambda image_id: image_id not in validation, input_columns="image_id"),
            "validation": whole.filter(lambda image_id: image_id in validation, input_columns="image_id"),
        }
        return hf.IterableDatasetDict(sides)
    positions = {side: np.flatnonzero(split.to_numpy() == side) for side in ("train", "validation")}
    return hf.DatasetDict({side: whole.select(rows_of_side) for side, rows_of_side in positions.items()})


def _columns(table: pd.DataFrame | pa.Table, needed: Sequence[str], optional: Iterable[str]) -> pd.DataFrame:
    """The columns that decide, checked: ids unique, ids and labels known."""
    present = table.column_names if isinstance(table, pa.Table) else list(table.columns)
    if absent := [name for name in needed if name not in present]:
        raise InputError(f"the image table has no column {absent}; it has {sorted(present)}")
    wanted = [*needed, *(name for name in optional if name in present)]
    rows = table.select(wanted).to_pandas() if isinstance(table, pa.Table) else table[wanted].reset_index(drop=True)
    for name in ("image_id", "label"):
        if rows[name].isna().any():
            raise InputError(f"{int(rows[name].isna().sum())} rows of the image table have no {name}")
    if (repeated := rows["image_id"].duplicated()).any():
        raise InputError(
            f"image_id {rows['image_id'][repeated].iloc[0]!r} and {int(repeated.sum()) - 1} others occur twice: "
            "a split needs one row per image"
        )
    return rows


def _components(rows: pd.DataFrame, names: Iterable[str]) -> npt.NDArray[np.int64]:
    """Number the connected components of rows that share a field, or a value of one of some columns."""
    # A graph of rows and values: an edge from each row to each of its values.
    edges_from, edges_to = [], []
    nodes = len(rows)
    for values in _deciding(rows, names):
        codes, distinct = pd.factorize(values)
        known_rows = np.flatnonzero(codes >= 0)
        edges_from.append(known_rows)
        edges_to.append(codes[known_rows] + nodes)
        nodes += len(distinct)
    component = components(np.concatenate(edges_from), np.concatenate(edges_to), nodes=nodes)[: len(rows)]
    return pd.factorize(component)[0]


def _deal(
    component: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], names: Sequence[str], fraction: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Which rows go to validation: components in a drawn order, each if that brings its labels nearer their target.

    Components of several labels come first: the many that hold one label can then make up for them.
    """
    pairs = pd.DataFrame({"component": component, "label": labels}).value_counts(sort=False).sort_index()
    of_component = pairs.index.get_level_values(0).to_numpy()
    of_label = pairs.index.get_level_values(1).to_numpy()
    sizes = pairs.to_numpy()
    target = fraction * np.bincount(labels, minlength=len(names))
    given = np.zeros(len(names))
    chosen = np.zeros(int(component.max(initial=-1)) + 1, bool)
    starts = np.flatnonzero(np.r_[True, of_component[1:] != of_component[:-1]])
    lengths = np.diff(np.r_[starts, len(sizes)])
    mixed = np.flatnonzero(lengths > 1)
    for number in derive_rng(seed, "split").permutation(mixed):
        part = slice(starts[number], starts[number] + lengths[number])
        kinds = of_label[part]
        missing = target[kinds] - given[kinds]
        if np.abs(missing - sizes[part]).sum() < np.abs(missing).sum():
            chosen[number] = True
            given[kinds] += sizes[part]
    single = np.flatnonzero(lengths == 1)
    kinds = of_label[starts[single]]
    single, kinds = single[np.argsort(kinds, kind="stable")], np.sort(kinds, kind="stable")
    bounds = np.searchsorted(kinds, np.arange(len(names) + 1))
    for label, name in enumerate(names):
        for number in derive_rng(seed, "split", name).permutation(single[bounds[label] : bounds[label + 1]]):
            missing = target[label] - given[label]
            if missing <= 0.5:
                break  # not even a component of one row would bring it nearer
            if sizes[starts[number]] < 2 * missing:
                chosen[number] = True
                given[label] += sizes[starts[number]]
    # Small labels of large components give nothing each, and together an empty validation side: in a drawn order such
    # labels give their smallest component, until all labels together have come to their target. A label of one
    # component keeps it for training.
    for label in derive_rng(seed, "split", "left out").permutation(np.flatnonzero(given == 0)):
        missing = target.sum() - given.sum()
        parts = single[bounds[label] : bounds[label + 1]]
        if missing <= 0.5 or len(parts) < 2:
            continue
        smallest = parts[np.argmin(sizes[starts[parts]])]
        if sizes[starts[smallest]] < 2 * missing:
            chosen[smallest] = True
            given[label] += sizes[starts[smallest]]
    return chosen[component]


def _deciding(rows: pd.DataFrame, names: Iterable[str]) -> list["pd.Series[Any]"]:
    """The physical field of each row, and the columns whose equal values stay together beside it."""
    return [physical_fields(rows), *(rows[name] for name in dict.fromkeys(names) if name in rows and name != FIELD)]
