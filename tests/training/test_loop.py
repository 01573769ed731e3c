import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import held
from cytoimagenet_hf.dataset.load import load_cytoimagenet
from cytoimagenet_hf.training import checkpoint, train
from cytoimagenet_hf.training.data import Batch
from cytoimagenet_hf.training.loop import LOCK, EpochMeter
from cytoimagenet_hf.training.report import varied
from cytoimagenet_hf.training.setup import prepare
from cytoimagenet_hf.training.tables import load_tables
from tests.closeness import TRAINED, assert_same_training, assert_same_weights
from tests.training.conftest import CLASSES, ROWS, write_shapes, write_spoiled


def test_a_folder_in_which_another_training_is_under_way_is_refused_before_anything_is_written(config) -> None:
    settings = config()
    output = Path(settings.output)
    output.mkdir()
    with held(output / LOCK), pytest.raises(InputError, match="another training writes into"):
        train(settings)
    assert [path.name for path in output.iterdir()] == [LOCK]


def test_a_training_that_is_refused_leaves_no_folder_and_one_that_runs_sweeps_what_a_kill_left(config) -> None:
    refused = config(dataset="nosuch/folder/here")
    with pytest.raises(InputError):
        train(refused)
    output = Path(refused.output)
    assert not output.exists()
    (output / "checkpoints" / ".step-00000001.0123456789ab.tmp").mkdir(parents=True)
    (output / ".model.0123456789ab.tmp").mkdir()
    train(config())
    assert not list(output.rglob(".*.tmp"))
    assert (output / "model" / "model.safetensors").is_file()


def weights(output: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(output) / "model" / "model.safetensors")


def test_a_run_learns_and_leaves_a_stock_checkpoint(config) -> None:
    settings = config(
        epochs=10, learning_rate=5e-3, model_config={"width_coefficient": 0.25, "depth_coefficient": 0.2}
    )
    metrics = train(settings)
    output = Path(settings.output)
    assert metrics["accuracy"] > 0.9
    assert metrics["rows"] == ROWS["validation"]  # 23 rows in batches of 64: none dropped
    assert json.loads((output / "metrics.json").read_text()) == metrics

    history = json.loads((output / "history.json").read_text())
    assert [record["epoch"] for record in history] == list(range(10))
    assert history[-1]["loss"] < history[0]["loss"]
    assert all(record["images"] == 96 for record in history)
    for figure in ("curves.png", "predictions.png", "model/curves.png", "model/categories.png"):
        assert (output / figure).read_bytes()[:4] == b"\x89PNG"

    model = AutoModelForImageClassification.from_pretrained(output / "model").eval()
    assert model.config.id2label == dict(enumerate(CLASSES))
    assert model.config.training_sources == ["bbbc010", "rec_rxrx1"]
    assert AutoModel.from_pretrained(output / "model").config.model_type == "efficientnet"
    # A user's own path, image by image through the saved processor, gives the accuracy that was reported.
    processor = AutoImageProcessor.from_pretrained(output / "model")
    table = load_tables(settings)["validation"]
    images = list(load_cytoimagenet(settings.dataset, split="validation")["image"])
    with torch.inference_mode():
        logits = model(**processor(images, return_tensors="pt")).logits
    assert (logits.argmax(1).numpy() == table.labels).mean() == pytest.approx(metrics["accuracy"])

    card = (output / "model" / "README.md").read_text()
    assert "learning_rate: 0.005" in card
    assert str(output) not in card


@pytest.mark.parametrize(
    ("recipe", "objective"),
    # Modern with labels alone: on two processes, in test_two_processes.
    [("published", "labels"), ("modern", "labels+views"), ("published", "views")],
)
def test_resume_in_mid_epoch_ends_as_a_run_that_was_never_stopped(config, tmp_path, recipe, objective) -> None:
    options = {"recipe": recipe, "objective": objective, "blur": 1.0, "noise": 0.02, "epochs": 2}
    whole = config(**options, checkpoint_every=4, keep=9)
    train(whole)
    part = config(**options, checkpoint_every=4, keep=9, cache="none", output=str(tmp_path / "part"))
    shutil.copytree(Path(whole.output) / "checkpoints", tmp_path / "part" / "checkpoints")
    for path in (tmp_path / "part" / "checkpoints").iterdir():
        if path.name > "step-00000004":  # of six in an epoch
            shutil.rmtree(path)
    train(part, resume=True)
    assert_same_training(weights(part.output), weights(whole.output))
    history, other = (json.loads((Path(run.output) / "history.json").read_text()) for run in (whole, part))
    clocks = {"seconds", "images_per_second", "data_wait"}
    compared = history[0].keys() - clocks
    assert {"images", "view_loss" if objective == "views" else "accuracy"} <= compared
    for key in compared:
        assert [record[key] for record in history] == pytest.approx([record[key] for record in other], rel=TRAINED)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_with_a_checkpoint_and_resume_ends_as_if_nothing_was(
    config, tmp_path, monkeypatch, number
) -> None:
    train(config(output=str(tmp_path / "whole")))
    settings = config()
    seen = []

    def preempted(self: EpochMeter, parameters: object) -> None:
        seen.append(1)
        if len(seen) == 3:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patched:
        patched.setattr(EpochMeter, "check", preempted)
        stopped = train(settings)
    assert stopped == {"stopped": number.name, "epoch": 0, "step": 3}
    assert not (Path(settings.output) / "model").exists()
    train(settings, resume=True)
    assert_same_training(weights(settings.output), weights(tmp_path / "whole"))


def test_accumulation_takes_the_same_images(config, tmp_path) -> None:
    """Two half batches are the whole batch: image by image, each augmented alike."""
    steps = []
    for accumulate in (1, 2):
        settings = config(accumulate=accumulate, output=str(tmp_path / str(accumulate)))
        run = prepare(settings, resume=False)
        parts = list(run.training_inputs(0))
        assert [len(batch.ids) for batch, _ in parts] == [16 // accumulate] * (6 * accumulate)
        joined = [parts[first : first + accumulate] for first in range(0, len(parts), accumulate)]
        steps.append(
            [
                ([name for batch, _ in step for name in batch.ids], torch.cat([images for _, images in step]))
                for step in joined
            ]
        )
    whole, halves = steps
    assert [ids for ids, _ in halves] == [ids for ids, _ in whole]
    assert len({name for ids, _ in whole for name in ids}) == 96
    for (_, images), (_, expected) in zip(halves, whole, strict=True):
        torch.testing.assert_close(images, expected)


def test_an_extended_run_goes_on_with_a_leg_of_its_own(config) -> None:
    options = {"schedule": "cosine", "warmup": 0.1, "bn_batches": 0}
    train(config(epochs=1, **options))
    settings = config(epochs=3, **options)
    train(settings, resume=True)
    output = Path(settings.output)
    history = json.loads((output / "history.json").read_text())
    ends = [record["learning_rate"] for record in history]
    assert ends[0] < 0.1e-3 < ends[1]  # to zero as planned, then up again
    assert ends[2] < 0.1e-3
    newest = checkpoint.newest(output / "checkpoints")
    assert newest is not None
    assert checkpoint.read_state(newest).legs == (1, 3)
    assert "| epochs of each leg | 1, 2 |" in (output / "model" / "README.md").read_text()
    with pytest.raises(InputError, match="epochs: 3 → 2"):
        train(config(epochs=2, **options), resume=True)


def test_another_configuration_or_dataset_is_refused_on_resume(config, tmp_path) -> None:
    settings = config()
    train(settings)
    with pytest.raises(InputError, match="holds a run already"):
        train(settings)
    with pytest.raises(InputError, match=r"learning_rate: 0.001 → 0.01"):
        train(config(learning_rate=0.01), resume=True)

    def relabelled(row):
        return row | ({"label": 1} if row["image_id"] == "train-0" else {})

    other = write_shapes(tmp_path / "other", change=relabelled)
    with pytest.raises(InputError, match="data: fingerprint"):
        train(config(dataset=str(other)), resume=True)
    before = weights(settings.output)
    assert train(settings, resume=True)["rows"] == 23  # a finished run only writes its results again
    assert_same_weights(weights(settings.output), before)


def test_a_loss_that_is_not_finite_names_its_images_and_is_in_no_checkpoint(config) -> None:
    # Each step multiplies the weights by 1 - 100 * 10, until they overflow.
    settings = config(learning_rate=100.0, optimizer="adamw", weight_decay=10.0, epochs=9, checkpoint_every=1, keep=99)
    message = (
        r"(the loss became (nan|inf) on|the weights are no longer finite after) the batch of images train-\d+, .*"
    )
    with pytest.raises(InputError, match=message + " and 8 more"):
        train(settings)
    newest = checkpoint.newest(Path(settings.output) / "checkpoints")
    assert newest is not None
    assert all(torch.isfinite(value).all() for value in load_file(newest / "model.safetensors").values())


def test_unreadable_rows_are_counted(config, tmp_path) -> None:
    spoiled = write_spoiled(tmp_path / "spoiled", "train-5", "validation-5")
    with pytest.raises(InputError, match="'train-5' cannot be decoded"):
        train(config(dataset=spoiled))
    metrics = train(config(dataset=spoiled, on_unreadable="skip", output=str(tmp_path / "skipping")))
    assert metrics["rows"] == 22
    (record,) = json.loads((tmp_path / "skipping" / "history.json").read_text())
    assert (record["images"], record["skipped"]) == (95, 1)


def test_pictures_show_many_classes_and_sources() -> None:
    ids = ("a-1", "a-2", "b-3", "a-4")
    pixels = torch.arange(4, dtype=torch.uint8).view(4, 1, 1)
    labels = torch.tensor([0, 0, 0, 1])
    batch = Batch(pixels, labels, torch.zeros(4), torch.arange(4), ids)
    picture = varied(iter([batch]), 3)
    assert picture is not None
    assert picture[0].flatten().tolist() == [0, 3, 2]  # both classes, then the other source, and a-2 no more
    assert picture[1].tolist() == [0, 1, 0]
    assert varied(iter([]), 3) is None


def test_the_best_weights_can_be_exported(config) -> None:
    settings = config(epochs=3, export="best", keep=1, recipe="modern")
    metrics = train(settings)
    history = json.loads((Path(settings.output) / "history.json").read_text())
    assert metrics["accuracy"] == max(record["accuracy"] for record in history)
    best = int(np.argmax([record["accuracy"] for record in history]))
    saved = load_file(Path(settings.output) / "checkpoints" / f"step-{6 * (best + 1):08d}" / "average.safetensors")
    assert_same_weights(weights(settings.output), saved)


def test_any_backbone_and_pretrained_weights(config, tmp_path) -> None:
    first = config()
    train(first)
    tuned = config(
        backbone=f"{first.output}/model",
        pretrained=True,
        model_config={},
        subset=["dots", "stripes"],
        batch_size=8,
        learning_rate=1e-9,
        bn_batches=0,
        output=str(tmp_path / "tuned"),
    )
    train(tuned)
    before, after = weights(first.output), weights(tuned.output)
    assert after["classifier.weight"].shape[0] == 2  # a new head
    name = "efficientnet.encoder.top_conv.weight"
    assert torch.allclose(before[name], after[name], atol=1e-5)  # on the old backbone
    with pytest.raises(InputError, match="no-such-model"):
        train(config(backbone=str(tmp_path / "no-such-model"), output=str(tmp_path / "x")))


def test_sync_batch_norm_is_for_gpus(config) -> None:
    with pytest.raises(InputError, match="GPU"):
        train(config(sync_batch_norm=True))
