"""Options out of range, outputs in the way, files that are not weights: refused before any work."""

import json
import resource
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.faults.folders import snapshot
from tests.running import call, refused, unchanged

EXTRACT = ("extract", "{sound}/plate", "--model", "{sound}/model")
DIVERSITY = ("diversity", "{sound}/dataset", "--model", "{sound}/model")
BENCHMARK = ("benchmark", "--task", "folder:{sound}/classes", "--features", "{sound}/features.csv", "--k", "3")
OUT = ("--output", "{tmp}/out")
OPTIONS: dict[str, tuple[str, ...]] = {
    "size_zero": (*EXTRACT, *OUT, "--size", "0"),
    "size_negative": (*EXTRACT, *OUT, "--size", "-3"),
    "size_huge": (*EXTRACT, *OUT, "--size", "1000000"),
    "size_text": (*EXTRACT, *OUT, "--size", "big"),
    "device_unknown": (*EXTRACT, *OUT, "--device", "nosuch"),
    "device_absent": (*EXTRACT, *OUT, "--device", "cuda:77"),
    "dtype_unknown": (*EXTRACT, *OUT, "--dtype", "int3"),
    "batch_zero": (*EXTRACT, *OUT, "--batch-size", "0"),
    "workers_negative": (*EXTRACT, *OUT, "--workers", "-1"),
    "workers_huge": (*EXTRACT, *OUT, "--workers", "1000000"),
    "shard_zero": (*EXTRACT, *OUT, "--shard-size", "0"),
    "storage_unknown": (*EXTRACT, *OUT, "--storage", "float8"),
    "backend_unknown": (*EXTRACT, *OUT, "--backend", "jax"),
    "full_scale_zero": (*EXTRACT, *OUT, "--full-scale", "0"),
    "full_scale_nan": (*EXTRACT, *OUT, "--full-scale", "nan"),
    "full_scale_negative": (*EXTRACT, *OUT, "--full-scale", "-5"),
    "unknown_option": (*EXTRACT, *OUT, "--sise", "3"),
    "stains_twice": (*EXTRACT, *OUT, "--stains", "w1=dna", "--stains", "w2=er"),
    "no_output": EXTRACT,
    "no_model": ("extract", "{sound}/plate", *OUT),
    "per_label_zero": (*DIVERSITY, "--per-label", "0"),
    "threshold_nan": (*DIVERSITY, "--threshold", "nan"),
    "split_unknown": (*DIVERSITY, "--split", "nosuch"),
    "diversity_batch_zero": (*DIVERSITY, "--batch-size", "0"),
    "k_zero": (*BENCHMARK, "--k", "0"),
    "k_huge": (*BENCHMARK, "--k", "1000000"),
    "method_unknown": (*BENCHMARK, "--method", "mean"),
    "recipe_unknown": (*BENCHMARK, "--recipe", "best"),
    "scaler_unknown": (*BENCHMARK, "--scaler", "robust"),
    "task_unknown": ("benchmark", "--task", "nosuch", "--data", "{sound}"),
    "task_nothing": ("benchmark", "--task", "folder:", "--features", "{sound}/features.csv"),
    "nothing_to_score": ("benchmark", "--task", "folder:{sound}/classes"),
    "group_unknown": ("leaks", "{sound}/dataset", "--group", "nosuch"),
    "scheme_unknown": ("leaks", "{sound}/dataset", "--split-scheme", "nosuch"),
    "port_huge": ("explore", "{sound}/dataset", "--port", "99999999"),
    "port_negative": ("explore", "{sound}/dataset", "--port", "-1"),
    "limit_zero": ("explore", "{sound}/dataset", "--json", "--limit", "0"),
    "push_kind": ("push", "nosuch", "{sound}/model", "me/model"),
    "push_no_folder": ("push", "model", "{tmp}/none", "me/model", "--dry-run"),
    "push_other_kind": ("push", "dataset", "{sound}/model", "me/model", "--dry-run"),
    "push_results_missing": ("push", "model", "{tmp}/copy", "me/m", "--results", "{tmp}/none.json", "--dry-run"),
    "push_results_text": ("push", "model", "{tmp}/copy", "me/m", "--results", "{tmp}/file", "--dry-run"),
    "unknown_command": ("extrakt",),
    "convert_missing": ("convert-keras", "{tmp}/none.h5", *OUT),
    "convert_folder": ("convert-keras", "{sound}/model", *OUT),
    "convert_labels_missing": ("convert-keras", "{tmp}/file", *OUT, "--labels", "{tmp}/none.txt"),
}
OUTPUTS: dict[str, str] = {
    "a_file": "{tmp}/file",
    "below_a_file": "{tmp}/file/out",
    "too_long": "{tmp}/" + "n" * 300,
    "a_device": "/dev/null",
    "below_proc": "/proc/nowhere/out",
    "holds_something": "{tmp}/taken",
}
WRITERS = {"extract": EXTRACT, "diversity": DIVERSITY, "benchmark": BENCHMARK}


def _h5(change: str) -> bytes:
    import io

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        if change == "stranger":
            file["weights"] = np.ones(3)
        if change == "nan":
            file["stem_conv/stem_conv/kernel:0"] = np.full((3, 3, 3, 32), np.nan, np.float32)
    return buffer.getvalue()


WEIGHTS = {
    "empty": lambda: b"",
    "text": lambda: b"not HDF5" * 40,
    "signature": lambda: b"\x89HDF\r\n\x1a\n",
    "cut": lambda: _h5("stranger")[:600],
    "nothing": lambda: _h5(""),
    "stranger": lambda: _h5("stranger"),
    "few": lambda: _h5("nan"),
    "zip": lambda: b"PK\x03\x04" + bytes(100),
    "safetensors": lambda: struct.pack("<Q", 2) + b"{}",
}
STATES = {
    "empty": b"",
    "text": b"not JSON",
    "list": b"[1]",
    "number": b"5",
    "null": b"null",
    "other": json.dumps({"nothing": 1}).encode(),
    "nul": bytes(60),
}


@pytest.fixture
def place(tmp_path: Path, sound: Path) -> Path:
    import shutil

    (tmp_path / "file").write_text("a file\n")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "holiday.txt").write_text("mine\n")
    shutil.copytree(sound / "model", tmp_path / "copy")
    return tmp_path


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_out_of_range_is_refused(name, sound, place):
    before = snapshot(place)
    outcome = call("cytoimagenet", *(text.format(sound=sound, tmp=place) for text in OPTIONS[name]))
    refused(outcome)
    unchanged(before, snapshot(place))


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("writer", WRITERS)
def test_an_output_in_the_way_is_refused(writer, name, sound, place):
    if name == "holds_something" and writer != "extract":
        pytest.skip("reports go beside what is there")
    before = snapshot(place)
    target = OUTPUTS[name].format(tmp=place)
    outcome = call(
        "cytoimagenet", *(text.format(sound=sound, tmp=place) for text in WRITERS[writer]), "--output", target
    )
    below = {"below_a_file": "file", "below_proc": "/proc/nowhere"}
    refused(outcome, below.get(name, Path(target).name[:50]))
    unchanged(before, snapshot(place))


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_none(name, place):
    (place / "weights.h5").write_bytes(WEIGHTS[name]())
    outcome = call("cytoimagenet", "convert-keras", place / "weights.h5", "--output", place / "out")
    refused(outcome, "weights.h5")
    assert not (place / "out").exists()


def test_names_of_classes_that_are_not_utf8(place):
    (place / "labels.txt").write_bytes(b"caf\xe9\n")
    arguments = ("convert-keras", place / "file", "--output", place / "out", "--labels", place / "labels.txt")
    refused(call("cytoimagenet", *arguments), "labels.txt cannot be read")


@pytest.mark.parametrize("name", STATES)
def test_a_damaged_state_of_an_extraction(name, sound, place):
    arguments = [text.format(sound=sound, tmp=place) for text in (*EXTRACT, *OUT)]
    assert call("cytoimagenet", *arguments).code == 0
    whole = {path: path.read_bytes() for path in sorted((place / "out").glob("*.json"))}
    assert len(whole) == 5
    for path, content in whole.items():
        path.write_bytes(STATES[name])
        outcome = call("cytoimagenet", *arguments)
        if path.name == "_extraction.json":
            refused(outcome, "out" if name == "other" else path.name)
            path.write_bytes(content)
        assert outcome.code in (0, 2), outcome.said
        assert path.read_bytes() == content, path.name  # made again, and equal


@pytest.mark.parametrize("writer", WRITERS)
def test_a_disk_that_takes_no_more(writer, sound, place):
    """A limit on the size of files stands in for a full disk: both end in an error of the system's write."""
    arguments = [text.format(sound=sound, tmp=place) for text in (*WRITERS[writer], *OUT)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        outcome = call("cytoimagenet", *arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    refused(outcome)
    assert [path for path in place.glob("out/**/*") if path.is_file() and path.stat().st_size >= 100] == []
