"""`cytoimagenet leaks`: groups and exact copies on both sides of a split."""

from dataclasses import asdict
from typing import Annotated

import typer


def command(
    dataset: Annotated[str, typer.Argument(help="A folder or Hub repository with an image dataset, split in two.")],
    group: Annotated[
        str, typer.Option(help="What should stay on one side: field (the physical one) or a column such as plate.")
    ] = "field",
    split_scheme: Annotated[
        str | None, typer.Option(help="Look at this scheme, `field` or `published`, instead of the stored split.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if anything is on both sides.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Count what stands in more than one split: groups, and exact copies under the same or another label.

    Example: cytoimagenet leaks cytoimagenet --group plate --split-scheme published
    """
    from rich.table import Table

    from cytoimagenet_hf.core.boundary import reading
    from cytoimagenet_hf.core.files import json_text
    from cytoimagenet_hf.core.terminal import Terminal
    from cytoimagenet_hf.dataset.load import load_cytoimagenet
    from cytoimagenet_hf.dataset.splits import leak_report

    with reading(dataset, kind="a dataset"):
        report = leak_report(load_cytoimagenet(dataset, split_scheme=split_scheme), group)
    if as_json:
        typer.echo(json_text(asdict(report) | {"leak_free": report.leak_free}))
    else:
        rows = ", ".join(f"{name} {count:,}" for name, count in report.rows.items())
        table = Table("what", "in more than one split", "for example", title=f"{dataset}: {rows}")
        table.add_row(
            f"{report.group} ({report.groups:,} in all)",
            f"{report.groups_on_both_sides:,} ({report.rows_of_those_groups:,} rows)",
            ", ".join(report.examples_groups) or "–",
        )
        if report.copies_by == "none":
            table.add_row("exact copies", "not compared: no images", "–")
        else:
            examples = "; ".join(" = ".join(ids) for ids in report.examples_copies) or "–"
            table.add_row("exact copies, same label", f"{report.copies_same_label:,}", examples)
            table.add_row("exact copies, other label", f"{report.copies_conflicting_label:,}", "")
        Terminal().print(table)
    if check and not report.leak_free:
        raise typer.Exit(1)
