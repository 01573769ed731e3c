"""What is done with features of a plate, and how its page is made: the options of `profile`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import check_fields, documented, setting

from .source import parse_name

EPSILON = 1.0
"""The deviation of one scaled feature. On simulated screens of six controls a plate, 0.3 to 3 find equally much."""
DEFAULT_BY = "plate,time"
"""Plates, and time points (and focal planes) where a plate has several with enough wells to be normalised on."""

_MAP, _CELLS, _NORMAL, _WHITE = "Plate map", "Which cells count", "Normalisation", "Selection and whitening"
_REPORT = "Report"


def _columns(given: Any) -> Any:
    return None if given == "none" else given


def _epsilon(given: Any) -> float | None:
    """A number, or None to choose one, which a command line writes as auto.

    Raises:
        InputError: another text.
    """
    try:
        return None if given in (None, "auto") else float(given)
    except (TypeError, ValueError):
        raise InputError(f"--sphere-epsilon {given!r}: write a number, or auto") from None


@documented
@dataclass(frozen=True, kw_only=True)
class ProfilePlan:
    """The steps from features to profiles, in this order: aggregate, annotate, normalise, select, sphere or TVN.

    Every field is an option of `cytoimagenet profile`. Here None stands for none in `by` and `sphere_by`, and for
    auto in `sphere_epsilon`. Steps that cannot follow each other are refused.
    """

    level: Literal["cell", "image", "site", "well"] = setting("well", "One row per cell, image, site or well.")
    operation: Literal["mean", "median"] = setting("mean", "How rows become one.")
    metadata: Path | None = setting(None, "Plate map, joined by plate and well.", group=_MAP)
    barcodes: Path | None = setting(None, "barcode_platemap.csv, where the map holds several layouts.", group=_MAP)
    sheet: str | None = setting(
        None,
        "Sheet of the plate map's workbook, by name or number; by default the first.",
        parse=parse_name,
        group=_MAP,
    )
    encoding: str | None = setting(
        None, "Encoding of tables that are not UTF-8: cp1252 for Windows spreadsheets.", group=_MAP
    )
    controls: str | None = setting(None, "Query of the negative controls: \"compound == 'DMSO'\".", group=_MAP)
    control_column: str | None = setting(
        None, "Column of roles; by default role, control_type, pert_type, ….", group=_MAP
    )
    compound_column: str | None = setting(
        None, "Column of compounds; by default compound, drug, broad_sample, ….", group=_MAP
    )
    dose_column: str | None = setting(
        None, "Column of doses; by default concentration, dose, conc, …, with a unit or not.", group=_MAP
    )
    dose_unit: str | None = setting(None, "Unit of the doses, where no column says: nM, uM, ….", group=_MAP)
    treatment: str | None = setting(
        None,
        "Columns that together are one treatment, such as compound,compound2; by default compound, dose and what else "
        "tells treated wells apart.",
        group=_MAP,
    )
    drop_border: bool = setting(False, "Leave out cells that touch the border of their field.", group=_CELLS)
    cell_area: str | None = setting(None, "Keep cells of this area in pixels: 200:20000.", group=_CELLS)
    min_cells: int | None = setting(
        None, "Leave out sites or wells with fewer cells; the record names them.", low=1, group=_CELLS
    )
    normalize: Literal["standardize", "mad_robustize", "robustize", "inverse_normal"] | None = setting(
        None, "Method of normalisation; by default values stay as they are.", group=_NORMAL
    )
    on: Literal["all", "controls"] = setting(
        "all", "Take centre and scale from all wells or from the (negative) controls.", group=_NORMAL
    )
    by: str | None = setting(
        DEFAULT_BY,
        "Columns of batches that are normalised apart, such as plate,cell_line; by default plates and their time "
        "points; none: all together.",
        parse=_columns,
        group=_NORMAL,
    )
    drop_constant: bool = setting(False, "Leave out features without spread on some plate.", group=_NORMAL)
    select: bool = setting(False, "Drop features that do not vary or that repeat others.", group=_WHITE)
    correlation: float = setting(0.9, "--select drops one of two features that correlate more.", group=_WHITE)
    sphere: bool = setting(False, "Whiten the features by the wells that --on names.", group=_WHITE)
    sphere_epsilon: float | None = setting(
        EPSILON,
        "Added to the deviation of each direction, in deviations of a feature; larger is gentler. auto: with which "
        "replicates on other plates find each other best.",
        parse=_epsilon,
        group=_WHITE,
    )
    sphere_by: str | None = setting(
        None,
        "Columns of batches that are whitened apart, such as plate; by default (none) all together.",
        parse=_columns,
        group=_WHITE,
    )
    tvn: bool = setting(False, "Typical variation normalisation on the controls.", group=_WHITE)
    components: int | None = setting(None, "Principal components that --tvn keeps.", group=_WHITE)

    def __post_init__(self) -> None:
        check_fields(self, name="profile")
        if self.sphere and self.tvn:
            raise InputError("sphering and TVN both whiten the features: choose one")
        if self.components is not None and not self.tvn:
            raise InputError("components belong to TVN: add --tvn")
        if self.barcodes is not None and self.metadata is None:
            raise InputError("barcodes say which plate has which layout of a plate map: name the map (--metadata)")
        if self.sheet is not None and self.metadata is None:
            raise InputError("a sheet is one of a plate map: name the map (--metadata)")


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The page of a plate and its drawing, the options of `cytoimagenet profile` under the heading Report.

    Raises:
        InputError: what belongs to a report without one.
    """

    report: Path | None = setting(None, "Also write the plate as one self-contained page, .html.", group=_REPORT)
    figure: Path | None = setting(
        None, "Also write heat map, controls and dose responses as a drawing, .svg.", group=_REPORT
    )
    images: str | None = setting(
        None,
        "--report: the images behind the features, for pictures and intensities; by default where extract found them; "
        "none: no pictures.",
        group=_REPORT,
    )
    pattern: str | None = setting(None, "Names of the --images files, as in extract.", group=_REPORT)
    stains: str | None = setting(None, "Names of the --images channels, as in extract.", commas=True, group=_REPORT)
    plate_size: Literal[24, 48, 96, 384, 1536] | None = setting(
        None,
        "--report, --figure: wells of the plate; by default the smallest that has all wells.",
        group=_REPORT,
    )
    full_size: bool = setting(False, "Also write each field whole, into a folder beside the report.", group=_REPORT)
    seed: int = setting(0, "Seed of the report's map and permutations.", group=_REPORT)

    def __post_init__(self) -> None:
        check_fields(self, name="report")
        if self.report is None and (self.images or self.pattern or self.stains):
            raise InputError("images, pattern and stains belong to a report: add --report plate.html")
        if self.report is None and self.full_size:
            raise InputError("--full-size belongs to a report: add --report plate.html")
        if self.images is None and (self.pattern or self.stains):
            raise InputError("pattern and stains say how --images are named: give --images, too")
