"""Which cells are cut out of fields of view, and how: the options of `find_cells` and `extract`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import check_fields, documented, setting

from .source import CHANNELS
from .storage import parse_place


@documented
@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """Where cells are and the box around each; on the command line `--cells`, `--cell-size` and so on.

    Rows stand for cells, or for nuclei where masks of cells are binary, in which cells that touch are one; objects of
    the other kinds are joined to those that they overlap most. `scale` and `masked` need label images. A box of
    `scale` is a square of this many times the longer side of its cell.
    """

    cells: Path | None = setting(
        None,
        "Single cells: a folder of label images or binary masks, an OME-Zarr store with labels, a table of centres "
        "(CellProfiler's Nuclei.csv), or a folder of DeepProfiler's locations.",
        parse=parse_place,
        group=CHANNELS,
    )
    patterns: tuple[str, ...] = setting(
        (),
        'Names of the masks: "{well}_s{site}_Nuclei.tif"; {object} is their kind. Repeatable.',
        option="cells_pattern",
        repeat=True,
        group=CHANNELS,
    )
    rows: str | None = setting(
        None,
        "Which kind of object is a row, where there are masks of several: cells.",
        option="cells_rows",
        group=CHANNELS,
    )
    size: int | None = setting(
        None, "Side of the box around a centre, in pixels.", option="cell_size", low=1, group=CHANNELS
    )
    scale: float | None = setting(
        None,
        "Box size as a multiple of each cell's own size, such as 1.2.",
        option="cell_box",
        above=0,
        high=100,
        group=CHANNELS,
    )
    border: Literal["mirror", "leave"] = setting(
        "mirror",
        "Boxes over the border of an image: mirror it there, or leave the cell out.",
        option="cell_border",
        group=CHANNELS,
    )
    masked: bool = setting(False, "Set pixels outside the cell to 0.", group=CHANNELS)

    def __post_init__(self) -> None:
        check_fields(self, name="cells")
        if self.cells is None and (self.patterns or self.rows or self.size or self.scale or self.masked):
            raise InputError("cell sizes, boxes, patterns and masking are of cells: add --cells masks/")
        if self.size is not None and self.scale is not None:
            raise InputError(
                "a cell's box has a side in pixels (--cell-size) or a multiple of the cell itself "
                "(--cell-box): give one of them"
            )

    def for_models(self, models: Sequence[str]) -> "CellOptions":
        """With a box, which nothing needs that measures cells on their field.

        Raises:
            InputError: a network needs a box, and there is none.
        """
        if self.cells is None or self.size is not None or self.scale is not None:
            return self
        if self.masked or any(name.partition(":")[0] != "cp_measure" for name in models):
            raise InputError(
                "--cells needs --cell-size, the side of the box around each centre in pixels, or --cell-box, a "
                "multiple of each cell's own size"
            )
        return replace(self, scale=1.0)
