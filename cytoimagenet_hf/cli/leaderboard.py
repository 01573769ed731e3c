"""`cytoimagenet leaderboard`: results of several runs as one sortable page."""

from pathlib import Path
from typing import Annotated

import typer

from cytoimagenet_hf.core.errors import InputError


def command(
    records: Annotated[
        list[Path], typer.Argument(help="results.json of `cytoimagenet benchmark` or of a demo, one or more.")
    ],
    output: Annotated[Path, typer.Option(help="The page (.html) or table (.md) to write.")] = Path("leaderboard.html"),
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Leaderboard",
    as_json: Annotated[bool, typer.Option("--json", help="Print entries and mean gains as JSON.")] = False,
) -> None:
    """Models by tasks with gains over the best baseline, intervals and contamination marks.

    Example: cytoimagenet leaderboard runs/*/results.json --output leaderboard.html
    """
    from cytoimagenet_hf.core.files import json_text, write_text
    from cytoimagenet_hf.core.terminal import counted
    from cytoimagenet_hf.dataset.cards.leaderboard import make_leaderboard, to_markdown, to_page
    from cytoimagenet_hf.scoring.results import read_results

    if output.suffix not in (".html", ".md"):
        raise InputError(f"--output {output}: a page ends in .html, a table in .md")
    board = make_leaderboard([read_results(record) for record in records])
    text = to_page(board, title=title) if output.suffix == ".html" else to_markdown(board)
    write_text(output, text)
    if as_json:
        rows = [{"name": row.name, "kind": row.kind, "mean_gain": row.mean_gain} for row in board.rows]
        typer.echo(json_text({"output": str(output), "sets": board.sets, "entries": rows}))
    else:
        entries, sets = counted(len(board.rows), "entry", "entries"), counted(len(board.sets), "set")
        typer.echo(f"{entries} on {sets}: {output}")
