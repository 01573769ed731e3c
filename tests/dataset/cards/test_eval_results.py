"""Scores in the Hub's own files, read back by the Hub's own library."""

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.cards.eval_results import write_eval_results
from cytoimagenet_hf.scoring.contamination import Overlap
from cytoimagenet_hf.scoring.results import EntryRecord, ResultsRecord
from tests.dataset.cards.records import score


@pytest.fixture
def record():
    overlap = Overlap("bbbc021", "idr0016", "compounds", "")
    scores = (
        score("net", 0.75, set="bbbc021", n=4, wilson=(0.3, 0.95), contamination=(overlap,)),
        score(
            *("net", 0.5),
            set="bbbc021 · replicate mAP",
            n=4,
            right=None,
            wilson=None,
            measure="replicate mAP",
            details={"protocol": "against controls"},
        ),
    )
    return ResultsRecord({"recipe": {"name": "corrected"}}, {}, (EntryRecord("net", "model"),), scores)


def test_entries_are_read_back_by_the_library(record, tmp_path):
    path = write_eval_results(tmp_path, record, entry="net", dataset_id="me/cells")
    assert path == tmp_path / ".eval_results" / "me_cells.yaml"
    entries = parse_eval_result_entries(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert [(entry.dataset_id, entry.task_id, entry.value) for entry in entries] == [
        ("me/cells", "bbbc021", 0.75),
        ("me/cells", "bbbc021_replicate_map", 0.5),
    ]
    assert entries[0].notes.startswith("accuracy, n = 4, 95 % 0.3000 to 0.9500; recipe corrected")
    assert "compounds" in entries[0].notes
    assert "replicate mAP, n = 4, 95 % 0.4000 to 0.6000; against controls" in entries[1].notes


def test_names_that_lead_nowhere_are_refused(record, tmp_path):
    with pytest.raises(InputError, match="no entry 'other'"):
        write_eval_results(tmp_path, record, entry="other", dataset_id="me/cells")
    with pytest.raises(InputError, match="write owner/name"):
        write_eval_results(tmp_path, record, entry="net", dataset_id="cells")
