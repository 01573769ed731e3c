import importlib
import json
import shutil
import sys
from pathlib import Path

import archives
import pyarrow.parquet as pq
import pytest

from builder.sources import SOURCES
from cytoimagenet_hf.dataset.schema import ANNOTATION_SCHEMA, CATEGORIES

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def scale_table(tmp_path_factory):
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from benches.scale_table import write_scale_table
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    path = tmp_path_factory.mktemp("scale") / "annotations.parquet"
    origin = write_scale_table(path, inventory=None, tables=None, rows=5000, seed=0)
    return path, origin


def test_the_scale_table_has_all_sources_and_values_in_all_seven_columns(scale_table):
    path, origin = scale_table
    table = pq.read_table(path)
    assert origin == dict.fromkeys(archives.OF_THE_PAPER, "drawn")
    assert table.schema.equals(ANNOTATION_SCHEMA)
    assert set(table["dir_name"].to_pylist()) == archives.OF_THE_PAPER
    assert abs(table.num_rows - 5000) < len(SOURCES)  # each source its rounded share, at least one row
    ids = table["idx"].to_pylist()
    assert ids == sorted(set(ids))
    filled = {name: table.num_rows - table[name].null_count for name in CATEGORIES}
    assert filled["organism"] == table.num_rows
    assert min(filled.values()) > 50


def test_the_benchmark_runs_and_writes_its_numbers_with_the_machine(scale_table, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    bench, common, select = map(importlib.import_module, ("bench", "benches.common", "benches.select"))
    monkeypatch.setattr(
        select, "in_child", lambda function, *given, **options: common._measured(function, given, options)
    )
    path, origin = scale_table
    monkeypatch.setattr(select, "write_scale_table", lambda target, **_: shutil.copy(path, target) and origin)
    options = ["select", "--rows", "5000", "--labels", "1", "--repeat", "1"]
    monkeypatch.setattr(sys, "argv", ["bench.py", "--output", str(tmp_path), *options])
    assert bench.main() == 0
    assert "floor: read and write" in capsys.readouterr().out
    result = json.loads((tmp_path / "select.json").read_text())
    assert [set(row) for row in result["table"]] == [
        {"what", "seconds", "cpu_seconds", "peak_mb", "times_corrected"}
    ] * 5
    assert abs(result["rows"] - 5000) < 40
    assert result["machine"]["cores"] >= 1
    assert result["classes"]["corrected"]["fields"] > 0
