"""The RxRx archives of Recursion: one metadata line per site, one grey PNG per channel.

Images lie in `<top>/images/<EXPERIMENT>/Plate<n>/<well>_s<site>_w<channel>.png`; the tops and folders above the
experiment differ between releases and are ignored. Experiments are numbered with one digit or two (`HUVEC-1`,
`HUVEC-01`): both are the same.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import pandas as pd

from cytoimagenet_hf.core.numbers import plain_number

from .base import Archive, Field, RejectedItem, Source
from .plates import View, scan_wells, well_name

release = partial(Source, database="Recursion", kind="metadata table", organism="human", microscopy="fluorescence")
"""A `Source` of these archives."""
STAINS = {"1": "nucleus", "2": "er", "3": "actin", "4": "nucleoli", "5": "mitochondria", "6": "golgi"}
NAME = re.compile(r"(?P<well>[a-z]{1,2}\d{1,2})_s(?P<site>\d+)_w(?P<channel>\d+)\.png", re.IGNORECASE)
_FOLDER = re.compile(r"(?:.*/)?([^/]+)/plate_?(\d{1,9})", re.IGNORECASE)
_EXPERIMENT = re.compile(r"(.*?)-?0*(\d{1,9})")
_PLATE = r"\d{1,9}"


def metadata(archive: Archive, relative: str, labels: Mapping[str, str]) -> pd.DataFrame:
    """Read `metadata.csv`: `plate`, `well` and `site` of every line, and columns by our names (our name → column)."""
    keys = ["experiment", "plate", "well", "site"]
    table = archive.table(relative, columns=[*keys, *labels.values()])
    renamed = {ours: table[column] for ours, column in labels.items()}
    return pd.DataFrame({**place(table), "site": table["site"], **renamed})


def place(table: pd.DataFrame) -> dict[str, pd.Series]:
    """`plate` (experiment and plate number), `well`, and `left_out` where the plate is not a number."""
    plate = table["experiment"] + "_" + table["plate"]
    return {
        "plate": plate.map({name: _plate_name(*name.rsplit("_", 1)) for name in plate.unique()}),
        "well": table["well"].map({well: well_name(well) for well in table["well"].unique()}),
        "left_out": table["plate"].str.fullmatch(_PLATE).map({True: "", False: "plate_is_no_number"}),
    }


def _plate_name(experiment: str, plate: str) -> str:
    match = _EXPERIMENT.fullmatch(experiment)
    line = f"{match[1]}-{plain_number(match[2]).zfill(2)}" if match else experiment
    return f"{line}_{plain_number(plate)}".upper()


def plate_of(folder: str) -> str | None:
    """The plate whose images a folder holds, as `place` spells it.

    Example:
        >>> plate_of("rxrx1/images/HUVEC-1/Plate2")
        'HUVEC-01_2'
    """
    match = _FOLDER.fullmatch(folder)
    return _plate_name(match[1], match[2]) if match else None


def scan_sites(
    rows: Callable[[Archive], pd.DataFrame], stains: Mapping[str, str] = STAINS
) -> Callable[[Archive], Iterator[Field | RejectedItem]]:
    """A `Source.scan` that makes a field of a line of the metadata and its channels; all stains are visible."""
    view = View(stains, {"cell_visible": tuple(stains.values())})
    return scan_wells(rows, NAME, view, plate_of=lambda archive, table: plate_of)
