"""The labels of both recipes, with complete downloads and with the author's holdings, beside the paper's."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
import typer

from builder.recipe import load
from builder.select.compare import PAPER, LabelReport, compare_with_paper
from builder.sources import SOURCES

from .scale_table import write_scale_table

_HELD = {"author": "the author's holdings", "": "complete downloads"}
# What was measured before `minimum first` became the rule: the same table, another way to share the rows.
_WAYS = ("minimum first", "in turn")


def run(
    inventory: Annotated[Path | None, typer.Option(help="datasets_info.csv of the original project.")] = None,
    tables: Annotated[Path | None, typer.Option(help="Folder with a folder of tables per source.")] = None,
    rows: Annotated[int | None, typer.Option(help="Fields of view in the table; all 4.7 million if unset.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the table and the draws.")] = 0,
) -> dict[str, Any]:
    """Labels by category under both recipes, and which of the author's 51 public class names are among them.

    Example: python scripts/bench.py labels --inventory datasets_info.csv --tables /data/archives
    """
    reports: dict[str, LabelReport] = {}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "annotations.parquet"
        origins = write_scale_table(path, inventory=inventory, tables=tables, rows=rows, seed=seed)
        fields = pq.read_metadata(path).num_rows
        for recipe in ("published", "corrected"):
            for holdings, held in _HELD.items():
                rules = load(recipe, {"holdings": holdings})
                reports[f"{recipe}, {held}"] = compare_with_paper(Path(name), recipe=rules, seed=seed)
        rules = load("corrected", {"assignment": _WAYS[1]})
        reports[f"corrected but {_WAYS[1]}, {_HELD['']}"] = compare_with_paper(Path(name), recipe=rules, seed=seed)
    columns = [("paper", {"labels": sum(PAPER.values()), **PAPER, "names": 51})]
    columns += [
        (what, {"labels": sum(report.categories.values()), **report.categories, "names": len(report.found)})
        for what, report in reports.items()
    ]
    return {
        "table": [{"what": what, **counts} for what, counts in columns],
        "notes": [
            f"{fields:,} fields of view of the forty sources as complete downloads; the author's holdings are "
            f"{fields - next(iter(reports.values())).left_out:,} of them, the paper states 2.7 million",
            *(
                f"labels from {where}: {', '.join(name for name in SOURCES if origins[name] == origin)}"
                for origin, where in (
                    ("table", "the source's own table"),
                    ("inventory", "the public inventory"),
                    ("drawn", "draws of the size the source states"),
                )
                if origin in origins.values()
            ),
            "names: of the 51 in the author's subsets toy_20 and toy_50",
        ],
        "fields": fields,
        "labels_from": origins,
        "reports": {what: asdict(report) for what, report in reports.items()},
    }
