import json

import mlcroissant

from cytoimagenet_hf.croissant import croissant
from cytoimagenet_hf.schema import dataset_features


def test_the_metadata_validates_without_a_word(tmp_path, caplog):
    features = dataset_features(["actin", "yeast"])
    content = croissant(
        features=features,
        splits=["train", "validation"],
        url="https://huggingface.co/datasets/me/cytoimagenet",
        licence="other",
        version="1.0.0",
        date="2026-01-31",
    )
    (tmp_path / "croissant.json").write_text(json.dumps(content))
    metadata = mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json")).metadata
    assert not metadata.ctx.issues.errors
    assert not metadata.ctx.issues.warnings
    assert not caplog.records
    assert [field.name for field in metadata.record_sets[0].fields] == list(features)
