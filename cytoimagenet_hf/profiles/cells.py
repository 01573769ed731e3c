"""Which cells count: those whole in their field and of a likely size, in wells that have enough of them."""

import numpy as np

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.features import FeatureTable

from .steps import with_step

BORDER, AREA = "cell_border", "cell_area"
_AREAS = (AREA, "Cells_AreaShape_Area", "Nuclei_AreaShape_Area")


def filter_cells(table: FeatureTable, *, border: bool = False, area: str | None = None) -> FeatureTable:
    """Leave out cells; the step says how many, by reason.

    Args:
        table: a row per cell.
        border: leave out cells that touch the border of their field.
        area: least and largest area in pixels, `"200:20000"`; either may be empty.

    Raises:
        InputError: nothing says the area or whether a cell touches the border, or no cell is left.

    Example:
        >>> from cytoimagenet_hf.tables.features import make_table
        >>> facts = {"cell_border": [0, 1, 0], "cell_area": [9, 50, 60]}
        >>> cells = make_table(["a", "b", "c"], [[1.0], [2.0], [3.0]], facts)
        >>> kept = filter_cells(cells, border=True, area="20:")
        >>> kept.ids.tolist(), kept.about["steps"][0]["left_out"]
        (['c'], {'border': 1, 'area': 1})
    """
    if not border and area is None:
        return table
    keep = np.ones(len(table), bool)
    left_out: dict[str, int] = {}
    if border:
        inside = _column(table, (BORDER,), "--drop-border") == 0
        left_out["border"] = int((~inside).sum())
        keep &= inside
    if area is not None:
        least, most = _limits(area)
        sizes = _column(table, _AREAS, "--cell-area")
        fits = (sizes >= least) & (sizes <= most)
        left_out["area"] = int((keep & ~fits).sum())
        keep &= fits
    if not keep.any():
        raise InputError(f"none of the {len(table)} cells is left ({left_out}): widen --cell-area, or keep the border")
    kept = table.take(keep)
    step = {
        "step": "filter_cells",
        "name": "filter",
        "border": border,
        "area": area,
        "rows_in": len(table),
        "rows_out": len(kept),
        "left_out": left_out,
    }
    return with_step(kept, step)


def require_cells(table: FeatureTable, least: int, *, cells: bool) -> FeatureTable:
    """Leave out rows of sites or wells whose `count` is lower; the step names them.

    Raises:
        InputError: what was counted is no cells, or no row is left.
    """
    if not cells or "count" not in table.metadata:
        raise InputError("--min-cells counts cells of a site or well: extract with --cells, and choose --level well")
    counts = table.metadata["count"].to_numpy()
    keep = counts >= least
    if not keep.any():
        raise InputError(f"no row has {least} cells: the most are {int(counts.max())}")
    kept = table.take(keep)
    step = {
        "step": "min_cells",
        "name": f"min{least}cells",
        "least": least,
        "rows_in": len(table),
        "rows_out": len(kept),
        "left_out": {str(name): int(count) for name, count in zip(table.ids[~keep], counts[~keep], strict=True)},
    }
    return with_step(kept, step)


def _column(table: FeatureTable, names: tuple[str, ...], option: str) -> np.ndarray:
    for name in names:
        if name in table.metadata:
            values = table.metadata[name].astype(float).to_numpy()
        elif name in table.names:
            values = table.values[:, table.names.index(name)]
        else:
            continue
        if np.isnan(values).any():
            raise InputError(f"{option}: {int(np.isnan(values).sum())} cells have no {name}")
        return np.asarray(values)
    raise InputError(f"{option} needs {' or '.join(names)} of each cell: extract with --cells and label images")


def _limits(text: str) -> tuple[float, float]:
    low, colon, high = (part.strip() for part in text.partition(":"))
    try:
        least, most = float(low or 0), float(high or "inf")
    except ValueError:
        least, most = 1.0, 0.0
    if not colon or not least <= most:
        raise InputError(f"--cell-area {text!r}: write least:largest in pixels, such as 200:20000 or 200:")
    return least, most
