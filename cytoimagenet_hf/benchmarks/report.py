"""Results on disk: the record, the predictions behind it, tables in three languages, figures; a table of repairs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cytoimagenet_hf.core.files import atomic_path, write_json, write_text

from .figures import save_figures
from .recipes import variants
from .suite import Results, Suite, run_suite
from .table import Table, result_tables, to_html, to_latex, to_markdown


def write_report(results: Results, folder: Path, *, seed: int, figures: bool = True) -> None:
    """Write `results.json`, `predictions.parquet`, `table.md`, `table.tex`, `table.html` and `figures/*.png`.

    Files of an earlier report are replaced; the seed is of the projections in the figures.
    """
    write_json(folder / "results.json", results.record.to_json())
    with atomic_path(folder / "predictions.parquet") as temporary:
        pq.write_table(predictions_table(results), temporary)
    tables = result_tables(results.record)
    for name, render in (("table.md", to_markdown), ("table.tex", to_latex), ("table.html", to_html)):
        write_text(folder / name, "\n".join(render(table) for table in tables))
    if figures:
        save_figures(results, folder / "figures", seed=seed)


def predictions_table(results: Results) -> pa.Table:
    """One row per entry, set and item: entry, set, id, reference, prediction (None for shares), outcome, cluster."""
    parts = [
        pa.table(
            {
                "entry": pa.array([entry] * len(score.ids), pa.string()),
                "set": pa.array([name] * len(score.ids), pa.string()),
                "id": pa.array(score.ids, pa.string()),
                "reference": pa.array(score.references, pa.string()),
                "prediction": pa.array(
                    [None] * len(score.ids) if score.predictions is None else score.predictions, pa.string()
                ),
                "outcome": pa.array(score.outcomes, pa.float64()),
                "cluster": pa.array(
                    [None] * len(score.ids) if score.clusters is None else score.clusters, pa.string()
                ),
            }
        )
        for (entry, name), score in results.scores.items()
    ]
    return pa.concat_tables(parts)


def repair_table(suite: Suite, *, report: Callable[[str], None] = lambda message: None) -> Table:
    """Accuracy of every model and fusion under each variant; what equals `corrected` is shown as a dot.

    The recipe of the suite is not used; its cache spares extracting again.
    """
    accuracies: dict[str, dict[tuple[str, str], float]] = {}
    for name, recipe in variants().items():
        report(f"recipe: {name}")
        record = run_suite(replace(suite, recipe=recipe), report=report).record
        accuracies[name] = {
            (score.set, score.entry): 100 * score.value for score in record.scores if score.kind in ("model", "fusion")
        }
    rows = []
    for (task, entry), corrected in accuracies["corrected"].items():
        others = [of[task, entry] for name, of in accuracies.items() if name != "corrected"]
        changed = (f"{value:.2f}" if value != corrected else "·" for value in others)
        rows.append((f"{task}: {entry}", f"{corrected:.2f}", *changed))
    note = "One rule of the original put back at a time; a dot: the same as corrected."
    return Table("What each repair changes, accuracy in %", ("", *accuracies), tuple(rows), note)
