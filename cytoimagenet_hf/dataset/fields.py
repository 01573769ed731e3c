"""The physical field that each row of a dataset shows, which never stands on both sides of a leak-free split.

One field of a plate may give many rows: its channels apart, raw and deconvolved copies, time points, crops. They show
the same cells. The column `field` names it; datasets without that column are judged by source, plate, well and site.
"""

from collections.abc import Iterable
from typing import Any

import pandas as pd

FIELD = "field"
"""The default group of a split and of a leak report: not only a column, but what `physical_fields` says."""

_PLACE = ("dir_name", "plate", "well", "site")


def field_columns(present: Iterable[str]) -> list[str]:
    """Those of some columns that say which physical field a row shows.

    Example:
        >>> field_columns(["image", "label", "well", "plate", "idx"])
        ['plate', 'well', 'idx']
    """
    present = set(present)
    return [name for name in (FIELD, *_PLACE, "idx") if name in present]


def physical_fields(rows: pd.DataFrame) -> "pd.Series[str]":
    """A name for the physical field of each row; equal names, same field.

    Args:
        rows: any columns; those of `field_columns` are looked at.

    Returns:
        The column `field`; where it is unknown, source, plate, well and site, if they tell a well or a site of a
        known plate or source; otherwise `idx`; null where none of these is known.

    Example:
        >>> wells = {"dir_name": "bbbc013", "plate": None, "well": ["A01", "A01", None], "idx": ["a", "b", "c"]}
        >>> names = physical_fields(pd.DataFrame(wells))
        >>> names[0] == names[1], names[2]
        (True, 'c')
    """
    fields = _cells(rows, FIELD)
    if fields.isna().any():
        places = pd.DataFrame({name: _cells(rows, name) for name in _PLACE})
        is_known = places.notna()
        is_place = (is_known["dir_name"] | is_known["plate"]) & (is_known["well"] | is_known["site"]) & fields.isna()
        texts = places[is_place].fillna("").astype(str)
        joined = texts["dir_name"].str.cat(texts[list(_PLACE[1:])], sep="/")
        fields = fields.fillna(joined.astype(object)).fillna(_cells(rows, "idx"))
    return pd.Series(fields.where(fields.notna(), None).to_numpy(), index=rows.index, dtype=object)


def _cells(rows: pd.DataFrame, name: str) -> "pd.Series[Any]":
    """A column under a plain index, so that rows of several tables may be looked at together; null where absent."""
    cells = rows[name].to_numpy(dtype=object) if name in rows else None
    return pd.Series(cells, index=range(len(rows)), dtype=object)
