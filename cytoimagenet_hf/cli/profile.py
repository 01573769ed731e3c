"""`cytoimagenet profile`: from features of images to profiles of wells, with a plate map and a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytoimagenet_hf.core.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from cytoimagenet_hf.images import Image
    from cytoimagenet_hf.profiles.plan import Profiles


def command(
    features: Annotated[Path, typer.Argument(help="Folder of `extract`, or a feature table (.parquet, .csv.gz).")],
    output: Annotated[Path, typer.Option(help="Profiles: .parquet, .csv, .csv.gz or .h5ad.")],
    level: Annotated[str, typer.Option(help="One row per cell, image, site or well.")] = "well",
    operation: Annotated[str, typer.Option(help="mean or median.")] = "mean",
    drop_border: Annotated[
        bool, typer.Option("--drop-border", help="Cells: leave out those that touch the border of their field.")
    ] = False,
    cell_area: Annotated[
        str | None, typer.Option(help="Cells: least and largest area in pixels, 200:20000; others are left out.")
    ] = None,
    min_cells: Annotated[
        int | None, typer.Option(help="Leave out sites or wells with fewer cells; the record names them.", min=1)
    ] = None,
    metadata: Annotated[Path | None, typer.Option(help="Plate map, joined by plate and well.")] = None,
    barcodes: Annotated[
        Path | None, typer.Option(help="barcode_platemap.csv, where the map holds several layouts.")
    ] = None,
    sheet: Annotated[
        str | None, typer.Option(help="--metadata: sheet of a workbook, by name or number; by default the first.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of tables in text that is not UTF-8: cp1252 for spreadsheets on Windows.")
    ] = None,
    controls: Annotated[
        str | None, typer.Option(help="Query of the negative controls: \"compound == 'DMSO'\".")
    ] = None,
    control_column: Annotated[
        str | None, typer.Option(help="Column of roles; by default role, control_type, pert_type, ….")
    ] = None,
    compound_column: Annotated[
        str | None, typer.Option(help="Column of compounds; by default compound, drug, broad_sample, ….")
    ] = None,
    dose_column: Annotated[
        str | None, typer.Option(help="Column of doses; by default concentration, dose, conc, …, with a unit or not.")
    ] = None,
    dose_unit: Annotated[str | None, typer.Option(help="Unit of the doses, where no column says: nM, uM, ….")] = None,
    normalize: Annotated[
        str | None, typer.Option(help="standardize, mad_robustize, robustize or inverse_normal.")
    ] = None,
    on: Annotated[str, typer.Option(help="Centre and scale of all wells, or of the (negative) controls.")] = "all",
    by: Annotated[
        str,
        typer.Option(
            help="Columns of batches that are normalised apart, such as plate,cell_line; by default plates and their "
            "time points; none: all together."
        ),
    ] = "plate,time",
    treatment: Annotated[
        str | None,
        typer.Option(
            help="Columns that together are one treatment, such as compound,compound2; by default compound, dose and "
            "what else tells treated wells apart."
        ),
    ] = None,
    select: Annotated[bool, typer.Option(help="Drop features that do not vary or that repeat others.")] = False,
    correlation: Annotated[float, typer.Option(help="--select: features that correlate more repeat.")] = 0.9,
    sphere: Annotated[bool, typer.Option(help="Whiten the features on the wells that --on names.")] = False,
    sphere_epsilon: Annotated[
        str,
        typer.Option(
            help="Added to the deviation of each direction, in deviations of a feature; larger is gentler. auto: with "
            "which replicates on other plates find each other best."
        ),
    ] = "1",
    sphere_by: Annotated[
        str, typer.Option(help="Columns of batches that are whitened apart, such as plate; none: all together.")
    ] = "none",
    tvn: Annotated[bool, typer.Option(help="Typical variation normalisation on the controls.")] = False,
    components: Annotated[int | None, typer.Option(help="--tvn: principal components kept.")] = None,
    drop_constant: Annotated[bool, typer.Option(help="Leave out features without a scale on some plate.")] = False,
    drop_nan: Annotated[bool, typer.Option(help="Leave out feature columns that hold NaN.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Also write the plate as one self-contained page, .html.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Also write heat map, controls and dose responses as a drawing, .svg.")
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="--report: the images behind the features, for pictures and intensities; by default where extract "
            "found them; none: no pictures."
        ),
    ] = None,
    pattern: Annotated[str | None, typer.Option(help="--images: names of files, as in extract.")] = None,
    stains: Annotated[str, typer.Option(help="--images: names of channels, as in extract.")] = "",
    plate_size: Annotated[
        int | None,
        typer.Option(
            help="--report, --figure: wells of the plate (24, 48, 96, 384, 1536); by default the smallest that has "
            "all wells."
        ),
    ] = None,
    full_size: Annotated[
        bool, typer.Option("--full-size", help="--report: also write each field whole, into a folder beside the page.")
    ] = False,
    seed: Annotated[int, typer.Option(help="--report: of UMAP and of permutations.")] = 0,
    record: Annotated[Path | None, typer.Option(help="Also write what --json prints to this file.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print counts, steps, Z' and dose responses as JSON.")
    ] = False,
) -> None:
    """Turn features into profiles: aggregate, annotate, normalise, select, sphere or TVN; every step is recorded.

    Where the plate map names controls and doses, Z', SSMD and the dose response of each compound are stated.
    Exits with 1 when wells are missing from the plate map.

    Example: cytoimagenet profile features --metadata platemap.csv --normalize mad_robustize --on controls --output
    wells.parquet --report plate.html
    """
    from cytoimagenet_hf.core.files import json_text, write_json
    from cytoimagenet_hf.features.source_record import recorded_cells
    from cytoimagenet_hf.profiles.cells import filter_cells
    from cytoimagenet_hf.profiles.plan import ProfilePlan, check_output, make_profiles, read_rejected, write_profiles
    from cytoimagenet_hf.tables.reading import read_features

    check_output(output)
    if report is None and (images is not None or pattern is not None or stains):
        raise InputError("images, pattern and stains belong to a report: add --report plate.html")
    if full_size and report is None:
        raise InputError("--full-size belongs to a report: add --report plate.html")
    if images is None and (pattern is not None or stains):
        raise InputError("pattern and stains say how --images are named: give --images, too")
    plan = ProfilePlan(
        level=level,
        operation=operation,
        metadata=metadata,
        barcodes=barcodes,
        sheet=sheet,
        encoding=encoding,
        controls=controls,
        control_column=control_column,
        compound_column=compound_column,
        dose_column=dose_column,
        dose_unit=dose_unit,
        normalize=normalize,
        on=on,
        by=None if by == "none" else by,
        treatment=treatment,
        select=select,
        correlation=correlation,
        sphere=sphere,
        sphere_epsilon=_epsilon(sphere_epsilon),
        sphere_by=None if sphere_by == "none" else sphere_by,
        tvn=tvn,
        components=components,
        drop_constant=drop_constant,
        drop_border=drop_border,
        cell_area=cell_area,
        min_cells=min_cells,
    )
    table = read_features(features, drop_nan=drop_nan, encoding=encoding)
    profiles = make_profiles(table, plan)
    fields: list[Image] = []
    cells: list[Image] = []
    without = ""
    if report is not None:
        from cytoimagenet_hf.profiles.report import check_report

        check_report(profiles, report, plate_size=plate_size)  # before anything is written
        fields, without = _fields(features, images, pattern, stains)
        if "cell" in table.metadata and images is None:
            table = filter_cells(table, border=drop_border, area=cell_area)
            cells, _ = recorded_cells(features)
    write_profiles(profiles.table, output)
    said = profiles.record() | {"output": str(output)}
    if figure is not None:
        from cytoimagenet_hf.profiles.report import write_figure

        write_figure(profiles, figure, plate_size=plate_size)
    if report is not None:
        from cytoimagenet_hf.profiles.report import write_report

        rejected = read_rejected(features)
        said["report"] = {"file": str(report), "without_pictures": without} | write_report(
            profiles,
            report,
            images=fields,
            cells=(table, cells) if cells else None,
            rejected=rejected,
            seed=seed,
            plate_size=plate_size,
            full_size=full_size,
        )
    if record is not None:
        write_json(record, said)
    if as_json:
        typer.echo(json_text(said))
    else:
        _print(profiles, said)
    if profiles.wells_not_in_map:
        raise typer.Exit(1)


def _epsilon(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--sphere-epsilon {text!r}: write a number, or auto") from None


def _fields(features: Path, images: str | None, pattern: str | None, stains: str) -> "tuple[list[Image], str]":
    """The fields of view that a report shows, and why there are none."""
    from cytoimagenet_hf.features.source_record import recorded_images
    from cytoimagenet_hf.images import find_images

    if images is None:
        return recorded_images(features)
    if images == "none":
        return [], "--images none"
    return find_images(images, pattern=pattern, stains=stains or None), ""


def _print(profiles: "Profiles", said: dict[str, Any]) -> None:
    from cytoimagenet_hf.core.terminal import Terminal, counted
    from cytoimagenet_hf.profiles.screening import group_name

    console = Terminal()
    console.print(
        f"{counted(said['rows'], 'row')}, {counted(said['features'], 'feature')}, {counted(said['plates'], 'plate')}: "
        f"{said['name']} in {said['output']}"
    )
    console.print("roles: " + ", ".join(f"{count} {role}" for role, count in said["roles"].items()))
    if said["columns"]:
        read = ", ".join(f"{term} from {column}" for term, column in said["columns"].items())
        console.print(f"columns: {read}")
    for step in said["steps"]:
        if step["step"] == "annotate":
            console.print(
                f"plate map: {step['rows_annotated']} of {step['rows']} rows found their well, "
                f"{len(step['wells_not_in_map'])} wells are not in the map"
                + (f" ({', '.join(step['wells_not_in_map'][:5])})" if step["wells_not_in_map"] else "")
                + f", {step['map_wells_unused']} wells of the map have no row"
            )
        if step["step"] in ("filter_cells", "min_cells"):
            shown = ", ".join(f"{why} {count}" for why, count in list(step["left_out"].items())[:5])
            kept = f"{step['rows_out']:,} of {step['rows_in']:,} rows kept"
            console.print(f"{step['name']}: {kept}; left out: {shown or 'none'}")
    notes = [note for step in said["steps"] for note in step.get("notes", [])] + said["notes"]
    screen = profiles.screen
    if screen is not None and screen.separations:
        headings = ("positive control", "wells -/+", "Z'", "robust Z'", "SSMD", "robust SSMD")
        rows = [
            (
                group_name(one.plate, one.setting),
                one.compound,
                f"{one.negatives}/{one.positives}",
                *(f"{value:.2f}" for value in (one.z_prime, one.z_prime_robust, one.ssmd, one.ssmd_robust)),
            )
            for one in screen.separations
        ]
        console.print(_table("controls", headings, rows))
    if screen is not None and screen.responses:
        headings = (
            "compound",
            "measured on",
            "wells",
            "doses",
            "Spearman",
            f"EC50, {screen.unit or 'no unit'} (95 %)",
        )
        rows = []
        for row in screen.responses:
            middle = row.why_no_curve
            if row.curve is not None:
                low, high = row.curve.interval
                middle = f"{row.curve.ec50:,.4g} ({low:,.4g} to {high:,.4g})"
            counts = (str(row.wells), str(row.doses), f"{row.spearman:.2f}")
            rows.append((group_name(row.plate, row.setting), row.compound, row.measured_on, *counts, middle))
        console.print(_table("dose response", headings, rows))
    if "report" in said:
        console.print(f"report: {said['report']['file']}, {said['report']['bytes'] / 1e6:.1f} MB")
        if said["report"]["without_pictures"]:
            console.print(f"  No pictures: {said['report']['without_pictures']} (--images).")
        for sentence in said["report"]["sentences"]:
            console.print(f"  {sentence}")
    for note in notes + list(screen.notes if screen else ()):
        console.print(f"note: {note}")


def _table(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> "Table":
    """A table whose first cells are plates, which are shown where there are several."""
    from rich.table import Table

    several = len({row[0] for row in rows}) > 1
    shown = Table(title=title, title_justify="left")
    for heading in ("plate", *headings) if several else headings:
        shown.add_column(heading)
    for row in rows:
        shown.add_row(*(row if several else row[1:]))
    return shown
