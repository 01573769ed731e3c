"""What holds on real cells: pixels, ImageNet's network by stage, redrawn twins, and networks trained on further cells.

python scripts/study.py --real ../shared/real --fetched ../repositories           decides the default
python scripts/study.py --real ../shared/real --fetched ../repositories --held    and scores it once

Writes docs/benchmarks/study.json, from which docs/study.md is made. Groups (plates, fields, blocks) are left out
whole, and no set is scored with a network that saw any of its cells. What stands in --work, such as a trained network,
is not made again; a training that was cut off goes on.

--fetched holds clones, or links to them: mitocheck, hep2 and cellcognition as `cytoimagenet benchmark --task` of that
name takes them, bbbc021 (https://github.com/Ottohesten/02466-Cell-Profiling) and yeast (the folder
yeast_model/toy_dataset of https://github.com/alexxijielu/paired_cell_inpainting).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
import torch
import typer
from benches.common import machine, write_rows
from studies.entries import DEFAULT, PIXELS, candidates_of, gains_of, leaks, networks_of, pooled, rows_of, score_set
from studies.networks import TRAININGS, make_networks
from studies.real import build_corpus, cell_sets

ROOT = Path(__file__).resolve().parents[1]


def main(
    real: Annotated[Path, typer.Option(help="Folder of real images.")],
    fetched: Annotated[Path, typer.Option(help="Folder of cloned repositories, one per set.")],
    work: Annotated[Path, typer.Option(help="Folder for networks and features.")] = Path("runs/study"),
    output: Annotated[Path, typer.Option(help="JSON to write.")] = ROOT / "docs" / "benchmarks" / "study.json",
    held: Annotated[bool, typer.Option("--held", help="Also the cells that only what was decided may see.")] = False,
    epochs: Annotated[int, typer.Option(help="Of training; networks of views take half.")] = 2,
    side: Annotated[int, typer.Option(help="Side of the training images.")] = 48,
    train: Annotated[bool, typer.Option(help="Train networks; without them nothing is decided.")] = True,
    redrawn: Annotated[int, typer.Option(help="Twins of ImageNet's network with drawn weights.")] = 3,
) -> None:
    """Train, extract and score.

    Example: python scripts/study.py --real ../shared/real --fetched ../repositories
    """
    torch.set_num_threads(1)
    started = time.perf_counter()

    def log(line: str) -> None:
        typer.echo(f"{time.perf_counter() - started:6.0f} s  {line}")

    sets = cell_sets(real)
    rows: list[dict[str, Any]] = []
    gains: list[dict[str, Any]] = []
    candidates: list[dict[str, Any]] = []
    facts: list[dict[str, Any]] = []
    images: dict[str, int] = {}
    for role in ("deciding", "held") if held else ("deciding",):
        trained = {}
        if train:
            corpus = build_corpus(real, fetched, sets, work / f"corpus-{role}", without=role, side=side, seed=0)
            images[role] = sum(pq.read_metadata(file).num_rows for file in (corpus / "data").glob("train-*"))
            trained = make_networks(corpus, work / f"networks-{role}", trainings=TRAININGS, epochs=epochs, side=side)
            log(f"networks of {role} sets")
        for cells in (cells for cells in sets if cells.role == role):
            items = cells.load(fetched)
            groups = {item.metadata["group"] for item in items}
            classes = {item.metadata["label"] for item in items}
            facts.append({"set": cells.name, "title": cells.title, "role": role, "cells": len(items)})
            facts[-1] |= {"classes": len(classes), "groups": len(groups), "group": items[0].metadata["group_name"]}
            networks = networks_of(trained, redrawn=redrawn)
            scores = score_set(cells, items, networks, cache=work / "features", log=log)
            facts[-1] |= leaks(cells, items, scores)
            rows += rows_of(scores)
            gains += gains_of(scores)
            names = [name for _, name in scores if name.endswith("equal weight")]
            candidates += candidates_of(scores, [PIXELS, DEFAULT, *dict.fromkeys(names)])
    content = {
        "sets": facts,
        "rows": rows,
        "pooled": _pooled_rows(rows, ("network", "features")),
        "gains": gains,
        "pooled gains": _pooled_rows(gains, ("network", "less", "features")),
        "candidates": candidates,
        "decision": _decision(candidates, [cells.name for cells in sets if cells.role == "deciding"]),
        "trainings": {training.name: training.says for training in TRAININGS} if train else {},
        "options": {"epochs": epochs, "side": side, "redrawn": redrawn},
        "training images": images,
        "machine": machine(),
    }
    write_rows(output, content)
    log(f"decided: {content['decision']}")


def _pooled_rows(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """The differences of rows that agree in these keys, over all sets."""
    together: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in (row for row in rows if "error" in row):
        together.setdefault(tuple(row[key] for key in keys), []).append(row)
    means = [dict(zip(keys, names, strict=True)) | (pooled(of) or {}) for names, of in together.items()]
    return [row for row in means if "difference" in row]


def _decision(candidates: Sequence[dict[str, Any]], deciding: Sequence[str]) -> dict[str, Any]:
    """What the rule says; see docs/study.md, which states it."""

    def over(what: str, name: str, sets: Sequence[str] | None) -> Any:
        rows = (row for row in candidates if row["features"] == name and (sets is None or row["set"] in sets))
        return pooled([row[what] for row in rows])

    names = list(dict.fromkeys(row["features"] for row in candidates))
    table = [
        {"features": name, "over pixels": over("over pixels", name, deciding)} for name in names if name != PIXELS
    ]
    best = max(table, key=lambda row: row["over pixels"]["difference"])["features"]
    everywhere = over("over the default", best, None)
    replaced = best != DEFAULT and everywhere is not None and everywhere["low"] > 0
    return {
        "table": table,
        "best on deciding sets": best,
        "best over the default, all sets": everywhere,
        "default over pixels, all sets": over("over pixels", DEFAULT, None),
        "default": best if replaced else DEFAULT,
    }


if __name__ == "__main__":
    typer.run(main)
