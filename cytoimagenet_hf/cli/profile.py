"""`cytoimagenet profile`: from features of images to profiles of wells, with a plate map and a report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.options.profile import ProfilePlan, ReportOptions

from .arguments import takes_settings

if TYPE_CHECKING:
    from rich.table import Table

    from cytoimagenet_hf.images import Image
    from cytoimagenet_hf.profiles.plan import Profiles


@takes_settings
def command(
    features: Annotated[Path, typer.Argument(help="Folder of `extract`, or a feature table (.parquet, .csv.gz).")],
    output: Annotated[Path, typer.Option(help="Profiles: .parquet, .csv, .csv.gz or .h5ad.")],
    plan: ProfilePlan,
    page: ReportOptions,
    drop_nan: Annotated[
        bool, typer.Option(help="Leave out feature columns that hold NaN.", rich_help_panel="Normalisation")
    ] = False,
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
    from cytoimagenet_hf.profiles.cells import filter_cells
    from cytoimagenet_hf.profiles.plan import check_output, make_profiles, read_rejected, write_profiles
    from cytoimagenet_hf.tables.reading import read_features

    check_output(output)
    _require_apart([output, record, page.report, page.figure], [features, plan.metadata, plan.barcodes])
    table = read_features(features, drop_nan=drop_nan, encoding=plan.encoding)
    profiles = make_profiles(table, plan)
    fields: list[Image] = []
    cells: list[Image] = []
    without = ""
    if page.report is not None:
        from cytoimagenet_hf.profiles.report import check_report

        check_report(profiles, page.report, plate_size=page.plate_size)  # before anything is written
        fields, cells, without = _pictures(features, page, of_cells="cell" in table.metadata)
        if cells:
            table = filter_cells(table, border=plan.drop_border, area=plan.cell_area)
    write_profiles(profiles.table, output)
    summary = profiles.record() | {"output": str(output)}
    if page.figure is not None:
        from cytoimagenet_hf.profiles.report import write_figure

        write_figure(profiles, page.figure, plate_size=page.plate_size)
    if page.report is not None:
        from cytoimagenet_hf.profiles.report import write_report

        summary["report"] = {"file": str(page.report), "without_pictures": without} | write_report(
            profiles,
            page.report,
            images=fields,
            cells=(table, cells) if cells else None,
            rejected=read_rejected(features),
            seed=page.seed,
            plate_size=page.plate_size,
            full_size=page.full_size,
        )
    if record is not None:
        write_json(record, summary)
    if as_json:
        typer.echo(json_text(summary))
    else:
        _print(profiles, summary)
    if any(step.get("wells_not_in_map") for step in summary["steps"]):
        raise typer.Exit(1)


def _require_apart(written: list[Path | None], read: list[Path | None]) -> None:
    """Refuse to write one file twice, or over what the command reads."""
    taken = {path.resolve(): "is read" for path in read if path is not None}
    for path in written:
        if path is not None and (why := taken.get(path.resolve())):
            raise InputError(f"{path} {why} by the same command, and would be lost: write to another name")
        if path is not None:
            taken[path.resolve()] = "is written"


def _pictures(features: Path, page: ReportOptions, *, of_cells: bool) -> "tuple[list[Image], list[Image], str]":
    """The fields of view and the single cells that a report shows, and why there are no fields."""
    from cytoimagenet_hf.features.source_record import recorded_cells, recorded_images
    from cytoimagenet_hf.images import find_images

    if page.images is None and of_cells:
        return recorded_cells(features)
    if page.images is None:
        fields, without = recorded_images(features)
        return fields, [], without
    if page.images == "none":
        return [], [], "--images none"
    return find_images(page.images, pattern=page.pattern, stains=page.stains), [], ""


def _print(profiles: "Profiles", summary: dict[str, Any]) -> None:
    from cytoimagenet_hf.core.terminal import Terminal, counted
    from cytoimagenet_hf.profiles.screening import group_name

    console = Terminal()
    size = ", ".join(counted(summary[f"{noun}s"], noun) for noun in ("row", "feature", "plate"))
    console.print(f"{size}: {summary['name']} in {summary['output']}")
    console.print("roles: " + ", ".join(f"{count} {role}" for role, count in summary["roles"].items()))
    if summary["columns"]:
        console.print("columns: " + ", ".join(f"{term} from {column}" for term, column in summary["columns"].items()))
    for step in summary["steps"]:
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
    notes = [note for step in summary["steps"] for note in step.get("notes", [])] + summary["notes"]
    screen = profiles.screen
    if screen is not None and screen.separations:
        headings = ("positive control", "wells -/+", "Z'", "robust Z'", "SSMD", "robust SSMD")
        rows: list[tuple[str, ...]] = []
        for separation in screen.separations:
            numbers = (separation.z_prime, separation.z_prime_robust, separation.ssmd, separation.ssmd_robust)
            counts = f"{separation.negatives}/{separation.positives}"
            group = group_name(separation.plate, separation.setting)
            rows.append((group, separation.compound, counts, *(f"{number:.2f}" for number in numbers)))
        console.print(_table("controls", headings, rows))
    if screen is not None and screen.responses:
        ec50 = f"EC50, {screen.unit or 'no unit'} (95 %)"
        headings = ("compound", "measured on", "wells", "doses", "Spearman", ec50)
        rows = []
        for row in screen.responses:
            middle = row.why_no_curve
            if row.curve is not None:
                low, high = row.curve.interval
                middle = f"{row.curve.ec50:,.4g} ({low:,.4g} to {high:,.4g})"
            spelled = (str(row.wells), str(row.doses), f"{row.spearman:.2f}")
            rows.append((group_name(row.plate, row.setting), row.compound, row.measured_on, *spelled, middle))
        console.print(_table("dose response", headings, rows))
    if (report := summary.get("report")) is not None:
        console.print(f"report: {report['file']}, {report['bytes'] / 1e6:.1f} MB")
        if report["without_pictures"]:
            console.print(f"  No pictures: {report['without_pictures']} (--images).")
        for sentence in report["sentences"]:
            console.print(f"  {sentence}")
    for note in notes + list(screen.notes if screen else ()):
        console.print(f"note: {note}")


def _table(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> "Table":
    """A table whose first cells are plates, which are shown where there are several."""
    from rich.table import Table

    several = len({row[0] for row in rows}) > 1
    table = Table(*(["plate"] * several), *headings, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(row if several else row[1:]))
    return table
