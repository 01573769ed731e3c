"""No room left, and places that cannot be written to: every family of commands, one line each."""

import errno
import os
from pathlib import Path

import pytest

from tests.faults.folders import snapshot
from tests.running import call, refused, unchanged

OUT = ("--output", "{out}")
COMMANDS: dict[str, tuple[str, ...]] = {
    "extract": ("cytoimagenet", "extract", "{sound}/plate", "--model", "{sound}/model", *OUT),
    "diversity": ("cytoimagenet", "diversity", "{sound}/dataset", "--model", "{sound}/model", *OUT),
    "benchmark": (
        *("cytoimagenet", "benchmark", "--task", "folder:{sound}/classes", "--features", "{sound}/features.csv"),
        *("--k", "3", *OUT),
    ),
    "annotate": ("builder", "annotate", "--raw", "{raw}", *OUT),
    "build": ("builder", "build", "--raw", "{raw}", *OUT),
    "import-kaggle": ("builder", "import-kaggle", "--archive", "{sound}/kaggle", *OUT, "--workers", "1"),
    "train": (
        *("train", "--dataset", "{sound}/dataset", "--image-size", "32", "--batch-size", "4", "--epochs", "1"),
        *("--workers", "0", "--cache", "ram", "--model-config", "width_coefficient=0.125"),
        *("depth_coefficient=0.125", *OUT, "--trackers"),
    ),
    "profile": ("cytoimagenet", "profile", "{features}", "--output", "{out}/wells.parquet"),
}
PLACES = {"below_a_file": "{tmp}/file/out", "below_proc": "/proc/nowhere/out", "too_long": "{tmp}/" + "n" * 300}


@pytest.fixture(scope="module")
def plates(sound, tmp_path_factory) -> dict[str, Path]:
    """What the commands start from beside the sound things: features of a plate, and an archive to build."""
    import shutil

    root = tmp_path_factory.mktemp("plates")
    shutil.copytree(sound / "bbbc013", root / "raw" / "bbbc013")
    made = call(
        "cytoimagenet",
        "extract",
        sound / "plate",
        "--model",
        sound / "model",
        "--output",
        root / "features",
        "--pattern",
        "{well}.tif",
    )
    assert made.code == 0, made.said
    return {"raw": root / "raw", "features": root / "features"}


def _arguments(name: str, sound: Path, plates: dict[str, Path], out: str) -> tuple[str, ...]:
    if name == "train":
        pytest.importorskip("accelerate")
    if name == "profile":
        pytest.importorskip("pycytominer")
    return tuple(text.format(sound=sound, out=out, **plates) for text in COMMANDS[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_no_room_left(name, sound, plates, tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    arguments = _arguments(name, sound, plates, str(tmp_path / "out"))
    monkeypatch.setattr(os, "fsync", full)  # what every write ends with: see files.atomic_path
    outcome = call(*arguments)
    refused(outcome, "disk is full")
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".tmp"] == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_place_that_cannot_be_written_to(name, place, sound, plates, tmp_path):
    (tmp_path / "file").write_text("a file\n")
    before = snapshot(tmp_path)
    outcome = call(*_arguments(name, sound, plates, PLACES[place].format(tmp=tmp_path)))
    refused(outcome)
    unchanged(before, snapshot(tmp_path))
