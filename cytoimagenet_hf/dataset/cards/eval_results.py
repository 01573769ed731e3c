"""Scores as the Hub reads them: `.eval_results/*.yaml` in a model's repository, written from a results record.

A benchmark dataset has one task per scored set, since an entry holds one value. Whether the Hub shows a leaderboard
for them is the Hub's decision; the format is marked as work in progress there.
"""

import re
from pathlib import Path

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import write_text
from cytoimagenet_hf.scoring.results import ResultsRecord, ScoreRecord

FOLDER = ".eval_results"


def _task_id(name: str) -> str:
    """The id of a scored set as a task of a benchmark dataset: `coos7/test1` is `coos7_test1`."""
    return re.sub(r"[^a-z0-9-]+", "_", name.lower()).strip("_")


def write_eval_results(folder: str | Path, record: ResultsRecord, *, entry: str, dataset_id: str) -> Path:
    """Write `.eval_results/<dataset>.yaml` beside a model: one entry per set that it was scored on.

    Args:
        folder: of the model.
        record: of `cytoimagenet benchmark`.
        entry: name of the model in it.
        dataset_id: the benchmark dataset on the Hub, `owner/name`, whose `eval.yaml` names the sets.

    Raises:
        InputError: no such entry, or a name that is no `owner/name`.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", dataset_id):
        raise InputError(f"{dataset_id!r} is not a dataset of the Hub: write owner/name")
    scores = [score for score in record.scores if score.entry == entry]
    if not scores:
        raise InputError(
            f"the record has no entry {entry!r}: choose one of {', '.join(record.names('model', 'fusion'))}"
        )
    entries = [
        EvalResultEntry(
            dataset_id=dataset_id,
            task_id=_task_id(score.set),
            value=round(score.value, 6),
            notes=_notes(score, record),
        )
        for score in scores
    ]
    path = Path(folder) / FOLDER / f"{_task_id(dataset_id)}.yaml"
    write_text(path, yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True))
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
            "training shares with the set: " + ", ".join(sorted({overlap.kind for overlap in score.contamination}))
        )
    return "; ".join(parts)
