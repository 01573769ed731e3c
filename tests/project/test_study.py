"""The study from end to end on a few drawn cells laid out as the real ones are."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image as Picture
from typer.testing import CliRunner

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.training import TrainConfig
from scripts.pages import study as page
from scripts.studies.networks import TRAININGS
from scripts.studies.real import CELLS, CELLS_TABLE, HPA, YEAST, lay_out

ROOT = Path(__file__).resolve().parents[2]
SIDE = 32


def content(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, pixels)
    else:
        Picture.fromarray(pixels).save(buffer, "TIFF")
    return buffer.getvalue()


def archive(path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as target:
        for name, data in files.items():
            target.writestr(name, data)


@pytest.fixture
def real(tmp_path):
    rng = np.random.default_rng(3)
    root = tmp_path / "real"
    cells, rows = {}, []
    for number in range(48):  # two classes, three plates; the second class is brighter
        label, plate = ("DMSO", "Protein synthesis")[number % 2], f"Week4_{number % 3}"
        name = f"{label}/cell_{number}.npy"
        pixels = rng.gamma(2.0, 300 * (1 + number % 2), (SIDE, SIDE, 3)).clip(0, 60000).astype(np.uint16)
        cells[name] = content(pixels, "npy")
        rows.append({"path": f"data_subset/{name}", "plate": plate, "in_zip": True})
    archive(root / CELLS, cells)
    pd.DataFrame(rows).to_csv(root / CELLS_TABLE, index=False)
    yeast = {}
    for number in range(48):
        protein = ("AAC1", "AAH1")[number % 2]
        for channel in ("gfp", "rfp"):
            pixels = rng.random((SIDE, SIDE)).astype(np.float32) ** (1 + number % 2)
            yeast[f"{protein}/{protein}_{number // 2 % 3}_rfp_{number}_{channel}.tif"] = content(pixels, "tif")
    archive(root / YEAST, yeast)
    names = [f"A1CF_1/{number}_{channel}.tif" for number in range(6) for channel in ("blue", "green")]
    archive(root / HPA, {name: content(rng.random((SIDE, SIDE)).astype(np.float32), "tif") for name in names})
    for number in range(12):
        field = (rng.random((220, 220)) * 255).astype(np.uint8)
        target = root / "plates" / "bbbc013" / f"Channel1-{number:02d}-A-01.tif"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content(field, "tif"))
    return root


def test_every_task_is_scored_and_the_page_says_it(real, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))  # scripts find each other by their folder, as when run
    import study

    monkeypatch.setattr(study, "NETWORK", {"width_coefficient": 0.25, "depth_coefficient": 0.25})
    kept = ("labels", "labels, gain pixels", "views, SimCLR", "untrained")  # the others cost more of the same
    monkeypatch.setattr(study, "WAYS", tuple(way for way in study.WAYS if way.training in kept))
    app = typer.Typer()
    app.command()(study.main)
    folder = tmp_path / "docs"
    arguments = ["--real", real, "--work", tmp_path / "work", "--output", folder / "study.json"]
    options = ["--seeds", "1", "--epochs", "1", "--image-size", "32"]
    done = CliRunner().invoke(app, [*map(str, arguments), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads((folder / "study.json").read_text())
    assert [task["task"] for task in found["tasks"]] == ["bbbc021", "yeast", "yeast-number"]
    assert [task["groups"] for task in found["tasks"]] == [3, 6, 3]
    for task in found["tasks"]:
        rows = {row["entry"]: row for row in task["table"]}
        assert len(rows) == 34  # 7 baselines, 4 parts of the networks of 4 trainings, 7 other ways, 4 kinds of pixels
        best = rows[task["best_baseline"]]
        assert best["accuracy"] == max(row["accuracy"] for row in task["table"] if row["kind"] == "baseline")
        assert best["gain"]["mean"] == 0
        assert task["default_minus_best"] == rows["default"]["gain"]
        gain = rows["default"]["accuracy"] - best["accuracy"]
        assert rows["default"]["gain"]["mean"] == pytest.approx(gain)
        trainings = {(row["training"], row["part"]): row for row in task["trainings"]}
        assert len(trainings) == 16
        untrained, trained = trainings["untrained", "last"], trainings["labels", "last"]
        assert untrained["accuracy"] == rows["last: untrained"]["accuracy"]
        assert trained["over untrained"]["mean"] == pytest.approx(trained["accuracy"] - untrained["accuracy"])
        assert "over labels" not in trained
    text = page.page(folder)
    assert text.count("\n| views, SimCLR | ") == 3
    assert "BBBC021 cells, plate out" in text
    assert text.count("| **default** |") == 3
    assert "no choice was made on" not in text
    held = CliRunner().invoke(app, [*map(str, [*arguments, "--held", tmp_path / "work"]), *options])
    assert held.exit_code == 0, held.output
    (again, _) = json.loads((folder / "study_held.json").read_text())["tasks"]
    held_out = [row["entry"] for row in again["table"] if row["kind"] in ("default", "variant", "training")]
    assert held_out == ["default", "default: labels, gain pixels"]
    assert again["default_minus_best"] == found["tasks"][0]["default_minus_best"]  # the same cells, in this test
    assert "| BBBC021 cells, plate out | 48 |" in page.page(folder)


def test_every_training_of_the_study_is_one_that_the_trainer_takes():
    options = [training.options for training in TRAININGS if training.options is not None]
    made = [TrainConfig.from_dict({"recipe": "modern", **own}) for own in options]
    assert [config.objective for config in made] == ["labels", "labels", "labels+views", "views"]


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(InputError, match="--real names the folder"):
        lay_out(tmp_path, tmp_path / "work")
