"""`scripts/train.py` on configurations, datasets and checkpoints that are wrong."""

import json
import math
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.faults.configs import TRAINING
from tests.faults.folders import DATASETS, snapshot
from tests.running import Outcome, call, refused, unchanged

pytest.importorskip("accelerate")

TINY = ("--image-size", "32", "--batch-size", "4", "--epochs", "1", "--workers", "0", "--cache", "ram")
SMALL = ("--model-config", "width_coefficient=0.125", "depth_coefficient=0.125")
RUN = (*TINY, *SMALL, "--trackers")
OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "image_size": (("--image-size", "15"), "image_size"),
    "image_size_text": (("--image-size", "big"), "image_size"),
    "epochs": (("--epochs", "2.5"), "epochs"),
    "rate": (("--learning-rate", "nan"), "learning_rate"),
    "precision": (("--precision", "fp8"), "precision"),
    "cache": (("--cache", "tape"), "cache"),
    "seed": (("--seed", "-1"), "seed"),
    "subset": (("--subset", "nosuch"), "nosuch"),
    "tracker": (("--trackers", "wandb"), "wandb"),
    "objective": (("--objective", "dino"), "objective"),
    "equal_views": (("--objective", "views", "--rotation", "0"), "augmentation"),
    "batch": (("--batch-size", "4096"), "4096"),
    "model_config": (("--model-config", "nosuch=1"), "nosuch"),
    "model_config_form": (("--model-config", "nosuch"), "nosuch"),
    "unknown": (("--epoch-count", "1"), "epoch-count"),
    "config_missing": (("--config", "nosuch.yaml"), "nosuch.yaml"),
}
STATES: dict[str, Callable[[dict], object] | bytes] = {
    "empty": b"",
    "text": b"not JSON",
    "list": b"[]",
    "nul": bytes(80),
    "epoch_nan": lambda state: state | {"epoch": math.nan},
    "epoch_text": lambda state: state | {"epoch": "one"},
    "epoch_negative": lambda state: state | {"epoch": -1},
    "step_missing": lambda state: {key: value for key, value in state.items() if key != "step"},
    "config_missing": lambda state: {key: value for key, value in state.items() if key != "config"},
    "config_list": lambda state: state | {"config": []},
    "history_text": lambda state: state | {"history": "none"},
    "optimizer_missing": lambda state: {key: value for key, value in state.items() if key != "optimizer"},
    "optimizer_text": lambda state: state | {"optimizer": "adam"},
}
TENSORS = {
    "empty": b"",
    "text": b"not tensors" * 10,
    "header": struct.pack("<Q", 1 << 60) + b"{}",
    "none": struct.pack("<Q", 2) + b"{}",
}
DATASETS_HERE = [name for name in DATASETS if not name.startswith("card")]


def train(sound: Path, output: Path, *options: object, dataset: Path | None = None) -> Outcome:
    return call("train", "--dataset", dataset or sound / "dataset", "--output", output, *options)


@pytest.mark.parametrize("name", TRAINING)
def test_a_bad_configuration_is_refused(name, sound, tmp_path):
    content, word = TRAINING[name]
    (tmp_path / "run.yaml").write_bytes(content)
    places = ["--output", tmp_path / "run"]
    if not content.startswith(b"dataset"):
        places += ["--dataset", sound / "dataset"]
    arguments = TINY if b"model_config" in content or b"trackers" in content else RUN
    given = _without(arguments, content)
    before = snapshot(tmp_path)
    outcome = call("train", "--config", tmp_path / "run.yaml", *places, *given)
    refused(outcome, word)
    unchanged(before, snapshot(tmp_path))


def _without(arguments: tuple[str, ...], content: bytes) -> list[str]:
    """The options that the file does not give, so that its values count."""
    kept, skip = [], False
    for text in arguments:
        if text.startswith("--"):
            skip = f"{text[2:].replace('-', '_')}:".encode() in content
        if not skip:
            kept.append(text)
    return kept


@pytest.mark.parametrize("name", OPTIONS)
def test_a_bad_option_is_refused(name, sound, tmp_path):
    options, word = OPTIONS[name]
    before = snapshot(tmp_path)
    refused(train(sound, tmp_path / "run", *TINY, *options), word)
    unchanged(before, snapshot(tmp_path))


@pytest.fixture(scope="module")
def trained(sound, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    outcome = train(sound, folder, *RUN)
    assert outcome.code == 0, outcome.said
    return folder


def resumed(trained: Path, tmp_path: Path, sound: Path, spoil: Callable[[Path], None]) -> None:
    folder = shutil.copytree(trained, tmp_path / "run")
    (checkpoint,) = (folder / "checkpoints").glob("step-*")
    spoil(checkpoint)
    before = snapshot(folder)
    refused(train(sound, folder, *RUN, "--resume"), checkpoint.name)
    unchanged(before, snapshot(folder))


@pytest.mark.parametrize("name", STATES)
def test_a_damaged_state_is_refused(name, trained, sound, tmp_path):
    change = STATES[name]

    def spoil(checkpoint: Path) -> None:
        path = checkpoint / "state.json"
        path.write_bytes(
            change if isinstance(change, bytes) else json.dumps(change(json.loads(path.read_text()))).encode()
        )

    resumed(trained, tmp_path, sound, spoil)


@pytest.mark.parametrize("name", [*TENSORS, "gone"])
@pytest.mark.parametrize("file", ["model", "optimizer"])
def test_damaged_tensors_are_refused(file, name, trained, sound, tmp_path):
    def spoil(checkpoint: Path) -> None:
        path = checkpoint / f"{file}.safetensors"
        path.unlink() if name == "gone" else path.write_bytes(TENSORS[name])

    resumed(trained, tmp_path, sound, spoil)


@pytest.mark.parametrize("name", DATASETS_HERE)
def test_a_damaged_dataset_is_refused(name, sound, copied, tmp_path):
    folder = copied("dataset")
    DATASETS[name](folder)
    refused(train(sound, tmp_path / "run", *RUN, dataset=folder), "dataset")
    assert not (tmp_path / "run" / "model").exists()


def test_another_objective_is_refused_on_resume(trained, sound, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    before = snapshot(folder)
    refused(train(sound, folder, *RUN, "--resume", "--objective", "views"), "objective")
    refused(train(sound, folder, *RUN), "--resume")
    unchanged(before, snapshot(folder))


def _images(folder: Path, count: int, *, depth: type = np.uint8) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 200, (20, 20)).astype(depth)
        Image.fromarray(pixels).save(folder / f"{number}.png")


OWN: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (lambda place: place.mkdir(), "no images"),
    "no_image": (lambda place: (place.mkdir(), (place / "notes.txt").write_text("x")), "no images"),
    "unlabelled": (lambda place: _images(place, 6), "no label"),
    "one_class": (lambda place: _images(place / "actin", 6), "one class"),
    "fewer_than_a_batch": (lambda place: (_images(place / "a", 2), _images(place / "b", 2)), "batch_size 4"),
    "one_image": (lambda place: (_images(place / "a", 9), _images(place / "b", 1)), "validated with: b;"),
    "depths": (lambda place: (_images(place / "a", 5), _images(place / "b", 4, depth=np.uint16)), "4 are uint16"),
    "table": (lambda place: (place.mkdir(), (place / "t.csv").write_text("path,label\nno.png,a\n")), "t.csv"),
}


@pytest.mark.parametrize("name", OWN)
def test_images_of_ones_own_that_cannot_be_trained_on_are_refused(name, tmp_path):
    make, word = OWN[name]
    make(tmp_path / "own")
    given = tmp_path / "own" / "t.csv" if name == "table" else tmp_path / "own"
    before = snapshot(tmp_path)
    refused(call("train", "--dataset", given, "--output", tmp_path / "run", *RUN), word)
    unchanged(before, snapshot(tmp_path))
