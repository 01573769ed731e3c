"""What stands on both sides of a split: groups (fields, plates, donors) and exact copies of images.

For any image dataset with a column that says what belongs together. Copies are found by a `sha256` column of decoded
pixels where there is one, otherwise by decoding every image.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm.auto import tqdm

from cytoimagenet_hf.core.errors import InputError

from .fields import FIELD, field_columns, physical_fields

_BATCH = 10_000


@dataclass(frozen=True)
class LeakReport:
    """Counts of what stands in more than one split; `examples_*` hold the first few in order of id.

    A copy is one distinct image content found in several splits. It conflicts when its rows carry different labels.
    `copies_by` tells how contents were compared: by the `sha256` column, by decoded `pixels`, or not (`none`: the
    dataset has neither column nor images).
    """

    group: str
    rows: dict[str, int]
    groups: int
    groups_on_both_sides: int
    rows_of_those_groups: int
    copies_by: str
    copies_same_label: int
    copies_conflicting_label: int
    examples_groups: tuple[str, ...]
    examples_copies: tuple[tuple[str, ...], ...]

    @property
    def leak_free(self) -> bool:
        """Nothing stands on both sides."""
        return not (self.groups_on_both_sides or self.copies_same_label or self.copies_conflicting_label)


def leak_report(dataset: Any, group: str = FIELD, *, examples: int = 5) -> LeakReport:
    """Groups and exact copies that stand in more than one split.

    Args:
        dataset: a `DatasetDict` (or its iterable form, or any mapping of split to `Dataset`), or one `Dataset`, Arrow
            table or DataFrame with a `split` column.
        group: column whose equal values should stay together; `field` for the physical field, which
            `fields.physical_fields` names for datasets without that column, too. Rows in which it is unknown are in no
            group.
        examples: how many groups and copies to name.

    Raises:
        InputError: no group column, or nothing that says which split a row is in.

    Example:
        >>> rows = pd.DataFrame({"split": ["train", "validation"], "idx": ["a", "a"], "sha256": ["1", "2"]})
        >>> leak_report(rows).groups_on_both_sides
        1
    """
    rows, copies_by = _rows(dataset, group)
    groups = physical_fields(rows) if group == FIELD else rows[group]
    crossing = groups_across(groups, rows["split"])
    ids = rows.get("image_id", groups).astype(str)
    copies: list[tuple[str, ...]] = []
    conflicting = 0
    if "sha256" in rows:
        is_copy = rows["sha256"].isin(groups_across(rows["sha256"], rows["split"]))
        labels = rows["label"] if "label" in rows else pd.Series("", index=rows.index)
        by_content = pd.DataFrame({"id": ids, "label": labels, "sha256": rows["sha256"]})[is_copy].groupby("sha256")
        conflicting = int((by_content["label"].nunique(dropna=False) > 1).sum())
        copies = sorted(tuple(sorted(members)) for members in by_content["id"].agg(list))
    return LeakReport(
        group=group,
        rows={str(name): int(count) for name, count in rows["split"].value_counts(sort=False).items()},
        groups=groups.nunique(),
        groups_on_both_sides=len(crossing),
        rows_of_those_groups=int(groups.isin(crossing).sum()),
        copies_by=copies_by,
        copies_same_label=len(copies) - conflicting,
        copies_conflicting_label=conflicting,
        examples_groups=tuple(sorted(map(str, crossing))[:examples]),
        examples_copies=tuple(copies[:examples]),
    )


def groups_across(values: "pd.Series[Any]", split: "pd.Series[str]") -> "pd.Index[Any]":
    """The known values that occur in more than one split."""
    pairs = pd.DataFrame({"value": values, "split": split}).dropna().drop_duplicates()
    return pd.Index(pairs["value"][pairs["value"].duplicated()].unique())


def read_columns(dataset: Any, columns: list[str]) -> pd.DataFrame:
    """Some columns of a `Dataset` or `IterableDataset` as a DataFrame; the others are neither read nor decoded."""
    batches = dataset.select_columns(columns).with_format("arrow").iter(batch_size=_BATCH)
    tables = [batch if isinstance(batch, pa.Table) else pa.table(batch) for batch in batches]
    return pa.concat_tables(tables).to_pandas() if tables else pd.DataFrame(columns=columns)


def _rows(dataset: Any, group: str) -> tuple[pd.DataFrame, str]:
    """The deciding columns of all rows with a column `split`, and how copies are found."""
    if isinstance(dataset, pa.Table):
        dataset = dataset.to_pandas()
    if isinstance(dataset, pd.DataFrame):
        rows = dataset[_wanted(list(dataset.columns), group, "the table", "split")].reset_index(drop=True)
        return rows, "sha256" if "sha256" in rows else "none"
    if not isinstance(dataset, Mapping):
        return _read(dataset, group, "split", where="a dataset that is not divided into splits")
    if not dataset:
        raise InputError("the dataset has no split: nothing can stand on both sides")
    parts = []
    for split, part in dataset.items():
        rows, copies_by = _read(part, group)
        parts.append(rows.assign(split=str(split)))
    return pd.concat(parts, ignore_index=True), copies_by


def _read(part: Any, group: str, *more: str, where: str = "the dataset") -> tuple[pd.DataFrame, str]:
    names = list(part.column_names or [])
    rows = read_columns(part, _wanted(names, group, where, *more))
    if "sha256" in names:
        return rows, "sha256"
    image = next((name for name, kind in part.features.items() if type(kind).__name__ == "Image"), None)
    if image is None:
        return rows, "none"
    return rows.assign(sha256=list(_pixel_hashes(part.select_columns([image]), image))), "pixels"


def _wanted(present: list[str], group: str, where: str, *needed: str) -> list[str]:
    """The columns that decide, after those that must be there were found."""
    grouping = field_columns(present) if group == FIELD else [group]
    if absent := [name for name in (*(grouping or [FIELD]), *needed) if name not in present]:
        raise InputError(
            f"{where} has no column {absent}; it has {sorted(present)}. "
            "--group names the column whose values should stay on one side"
        )
    names = dict.fromkeys((*grouping, *needed, "image_id", "label", "sha256"))
    return [name for name in names if name in present]


def _pixel_hashes(images: Any, column: str) -> Iterator[str]:
    """A hash of each decoded image: shape, type and pixels, so the file format does not matter."""
    total = getattr(images, "num_rows", None)
    for row in tqdm(images, total=total, desc="compare pixels", unit="image", disable=None):
        pixels = np.ascontiguousarray(row[column])
        yield hashlib.sha256(f"{pixels.shape}{pixels.dtype}".encode() + pixels.tobytes()).hexdigest()
