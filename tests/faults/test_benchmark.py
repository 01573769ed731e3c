"""`benchmark` on damaged tables and models."""

import pytest

from tests.faults.folders import snapshot
from tests.faults.models import MODELS
from tests.faults.tables import TABLES
from tests.running import call, refused, unchanged

KINDS = ("features", "groups", "images", "mechanisms")
MODELS_HERE = [name for name in MODELS if name not in ("nan_weights", "infinite_weights")]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_table_is_refused(kind, name, sound, copied, tmp_path):
    folder = ["--task", f"folder:{tmp_path / 'classes'}"]
    if kind == "features":
        table = copied("features.csv")
        copied("classes")
        call_with = [*folder, "--features", table]
    elif kind == "groups":
        table = copied("classes") / "metadata.csv"
        table.write_bytes((sound / "groups.csv").read_bytes())
        call_with = [*folder, "--features", sound / "features.csv", "--group", "plate"]
    else:
        root = copied("bbbc021")
        table = root / f"BBBC021_v1_{'image' if kind == 'images' else 'moa'}.csv"
        call_with = ["--task", "bbbc021", "--data", root, "--features", sound / "features.csv"]
    table.write_bytes(TABLES[name](table.read_bytes()))
    before = snapshot(tmp_path)
    outcome = call("cytoimagenet", "benchmark", *call_with, "--output", tmp_path / "out")
    refused(outcome, table.name)
    unchanged(before, snapshot(tmp_path))


@pytest.mark.parametrize("name", MODELS_HERE)
def test_a_bad_model_is_refused(name, sound, copied, tmp_path):
    model = copied("model")
    MODELS[name](model)
    outcome = call(
        *("cytoimagenet", "benchmark", "--task", f"folder:{sound / 'classes'}", "--model", model),
        *("--output", tmp_path / "out"),
    )
    refused(outcome, "model")
    assert not (tmp_path / "out").exists()
