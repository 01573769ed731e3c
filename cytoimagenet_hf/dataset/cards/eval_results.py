"""Scores as the Hub reads them: `.eval_results/*.yaml` in a model's repository, `eval.yaml` in a benchmark's.

Both are written from one results record, so that no number is typed. A benchmark dataset has one task per scored set,
since an entry holds one value. Whether the Hub shows a leaderboard for them is the Hub's decision; the format is
marked as work in progress there.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.scoring.results import ResultsRecord, ScoreRecord

FOLDER = ".eval_results"


def task_id(name: str) -> str:
    """The id of a scored set as a task of a benchmark dataset.

    Example:
        >>> task_id("coos7/test1"), task_id("bbbc021 · replicate mAP")
        ('coos7_test1', 'bbbc021_replicate_map')
    """
    return re.sub(r"[^a-z0-9-]+", "_", name.lower()).strip("_")


def write_eval_results(
    folder: str | Path,
    record: ResultsRecord,
    *,
    entry: str,
    dataset_id: str,
    dataset_revision: str | None = None,
    date: str | None = None,
    source_url: str | None = None,
) -> Path:
    """`.eval_results/<dataset>.yaml` beside a model: one entry per set that it was scored on.

    Args:
        folder: of the model.
        record: of `cytoimagenet benchmark`.
        entry: name of the model in it.
        dataset_id: the benchmark dataset on the Hub, `owner/name`, whose `eval.yaml` names the sets.
        dataset_revision: of that dataset.
        date: of the run, YYYY-MM-DD.
        source_url: where the record can be read.

    Raises:
        InputError: no such entry, or a name that is no `owner/name`.
    """
    _require_repository(dataset_id)
    scores = [score for score in record.scores if score.entry == entry]
    if not scores:
        raise InputError(
            f"the record has no entry {entry!r}: choose one of {', '.join(record.names('model', 'fusion'))}"
        )
    entries = [
        EvalResultEntry(
            dataset_id=dataset_id,
            task_id=task_id(score.set),
            value=round(score.value, 6),
            dataset_revision=dataset_revision,
            date=date,
            source_url=source_url,
            notes=_notes(score, record),
        )
        for score in scores
    ]
    path = Path(folder) / FOLDER / f"{task_id(dataset_id)}.yaml"
    with atomic_path(path) as temporary:
        temporary.write_text(
            yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
    return path


def write_eval_yaml(
    folder: str | Path, record: ResultsRecord, *, name: str, description: str, evaluation_framework: str
) -> Path:
    """`eval.yaml` of a benchmark dataset: one task per scored set of the record.

    Args:
        folder: of the dataset.
        record: whose sets become the tasks.
        name: of the benchmark.
        description: one or two sentences.
        evaluation_framework: one that the Hub knows; its documentation has the list.

    Raises:
        InputError: two sets would have one id.
    """
    ids = [task_id(found) for found in record.sets]
    twice = sorted({found for found in ids if ids.count(found) > 1})
    if twice:
        raise InputError(
            f"two sets of the record would be the task {twice[0]!r}: rename one (folder tasks have names)"
        )
    content: dict[str, Any] = {
        "name": name,
        "description": description,
        "evaluation_framework": evaluation_framework,
        "tasks": [{"id": found, "config": "default", "split": "test"} for found in ids],
    }
    path = Path(folder) / "eval.yaml"
    with atomic_path(path) as temporary:
        temporary.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def _notes(score: ScoreRecord, record: ResultsRecord) -> str:
    """What a number cannot be read without: measure, interval, protocol, contamination."""
    low, high = score.interval
    recipe = record.config.get("recipe", {}).get("name", "unknown")
    parts = [f"{score.measure}, n = {score.n}, 95 % {low:.4f} to {high:.4f}"]
    parts += [str(score.details["protocol"])] if "protocol" in score.details else []
    parts.append(f"recipe {recipe}")
    if score.contamination:
        parts.append(
            "training shares with the set: " + ", ".join(sorted({found.kind for found in score.contamination}))
        )
    return "; ".join(parts)


def _require_repository(name: str) -> None:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise InputError(f"{name!r} is not a dataset of the Hub: write owner/name")
