import json
import logging

import mlcroissant
import numpy as np

from cytoimagenet_hf.dataset.cards.croissant import croissant
from cytoimagenet_hf.dataset.schema import dataset_features
from tests.datasets import write_dataset


def test_the_metadata_validates_without_a_word_and_reads_the_files_beside_it(tmp_path, caplog):
    labels = ["actin", "yeast"]
    folder = write_dataset(tmp_path / "dataset", labels, {"train": [0, 1], "validation": [1]})
    features = dataset_features(labels)
    content = croissant(
        features=features, splits=["train", "validation"], licence="other", version="1.0.0", date="2026-01-31"
    )
    (folder / "croissant.json").write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    assert not caplog.records
    assert [field.name for field in dataset.metadata.record_sets[0].fields] == list(features)
    rows = {row["images/image_id"].decode(): row for row in dataset.records("images")}
    assert set(rows) == {"train-0", "train-1", "validation-0"}
    assert rows["train-1"]["images/label"] == 1
    assert np.asarray(rows["train-1"]["images/image"]).tolist() == [[21] * 8] * 8
