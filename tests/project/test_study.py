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
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.training import TrainConfig
from scripts.pages import study as page
from scripts.studies.networks import BACKBONE, TRAININGS
from scripts.studies.real import CELLS_TABLE, HPA, YEAST, build_corpus, cell_sets
from tests.benchmarks.tasks.test_named_cells import NUCLEUS

ROOT = Path(__file__).resolve().parents[2]
SIDE = 32
RNG = np.random.default_rng(3)


def content(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, pixels)
    else:
        Picture.fromarray(pixels).save(buffer, "PNG" if kind == "png" else "TIFF")
    return buffer.getvalue()


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def archive(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as target:
        for name, data in files.items():
            target.writestr(name, data)


def gray(power: float) -> np.ndarray:
    return (255 * RNG.random((SIDE, SIDE)) ** power).astype(np.uint8)


@pytest.fixture
def folders(tmp_path):
    """Two classes and three groups a set; the first cells of BBBC021 and yeast have been chosen on."""
    real, fetched = tmp_path / "real", tmp_path / "fetched"
    rows, seen = [], {}
    for number in range(48):
        second, group = number % 2, number // 2 % 3
        look = 1 + 0.03 * second  # a faint difference, so that no set is solved
        for cell in range(10):
            name = f"data_subset/{('DMSO', 'Protein synthesis')[second]}/cell_{number}_{cell}.npy"
            pixels = RNG.gamma(2.0, 300 * look, (SIDE, SIDE, 3)).clip(0, 60000).astype(np.uint16)
            put(fetched / "bbbc021" / name, content(pixels, "npy"))
            rows.append({"path": name, "plate": f"Week4_{group}", "in_zip": number < 6})
        protein = ("AAC1", "AAH1")[second]
        for channel in ("gfp", "rfp"):
            name = f"{protein}/{protein}_{group}_rfp_{number}_{channel}.tif"
            data = content(RNG.random((SIDE, SIDE)).astype(np.float32) ** look, "tif")
            put(fetched / "yeast" / "images" / name, data)
            if number < 6:
                seen[name] = data
        plate = NUCLEUS.format(plate=f"LT000{group}_01").replace("X0746", f"X{number:04d}")
        put(
            fetched / "mitocheck/mitocheck_single_cell_sample_images" / ("Hole", "Large")[second] / plate,
            content(gray(look), "png"),
        )
        pattern = ("Golgi", "NuMem")[second]
        for cell in range(10):
            put(fetched / "hep2/dataset/tra" / pattern / f"{10 * number + cell:05d}.png", content(gray(look), "png"))
        frame = f"P0037_T{number // 2 * 8:05d}_X{number}_Y1__img.png"
        folder = fetched / "cellcognition/H2b_aTub_MD20x_exp911/classifier/mc64" / ("inter", "meta")[second]
        put(folder / frame, content(gray(look), "png"))
    (real / CELLS_TABLE).parent.mkdir(parents=True)
    pd.DataFrame(rows).to_csv(real / CELLS_TABLE, index=False)
    archive(real / YEAST, seen)
    names = [f"A1CF_1/{number}_{channel}.tif" for number in range(6) for channel in ("blue", "green")]
    archive(real / HPA, {name: content(RNG.random((SIDE, SIDE)).astype(np.float32), "tif") for name in names})
    field = (RNG.random((220, 220)) * 255).astype(np.uint8)
    put(real / "plates" / "bbbc013" / "Channel1-01-A-01.tif", content(field, "tif"))
    put(real / "cells" / "nf1" / "mask.tif", content(255 * (field > 9).astype(np.uint8), "tif"))
    return real, fetched


def test_every_set_is_scored_and_the_page_says_it(folders, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))  # scripts find each other by their folder, as when run
    import studies.entries
    import study

    network = tmp_path / "network"
    build_efficientnet(0, seed=1, width_coefficient=0.25, depth_coefficient=0.25).save_pretrained(network)
    MicroscopyImageProcessor().save_pretrained(network)
    monkeypatch.setattr(studies.entries, "BACKBONE", str(network))
    made = {training.name: str(network) for training in TRAININGS}
    monkeypatch.setattr(study, "make_networks", lambda *_, **__: made)
    app = typer.Typer()
    app.command()(study.main)
    real, fetched = folders
    folder = tmp_path / "docs"
    arguments = ["--real", real, "--fetched", fetched, "--work", tmp_path / "work", "--output", folder / "study.json"]
    options = [*map(str, arguments), "--side", "32", "--redrawn", "1", "--held"]
    done = CliRunner().invoke(app, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    study_of = json.loads((folder / "study.json").read_text())
    sets = {one["set"]: (one["role"], one["cells"], one["classes"], one["groups"]) for one in study_of["sets"]}
    assert sets == {
        "mitocheck": ("deciding", 24, 2, 3),
        "hep2": ("deciding", 48, 2, 6),
        "cellcognition": ("deciding", 48, 2, 9),
        "bbbc021": ("held", 42, 2, 3),  # every tenth of 420
        "yeast": ("held", 42, 2, 6),
    }
    rows = {(row["set"], row["network"], row["features"]): row for row in study_of["rows"]}
    pixels = rows["yeast", "", "pixels"]["accuracy"]
    default = rows["yeast", "labels", "stage 1 + pixels"]
    assert default["difference"] == pytest.approx(default["accuracy"] - pixels)
    gains = [row for row in study_of["gains"] if row["less"] == "ImageNet"]
    assert {row["difference"] for row in gains} == {0.0}  # the same network under another name, in this test
    (candidate,) = (
        row for row in study_of["candidates"] if (row["set"], row["features"]) == ("yeast", "stage 1 + pixels")
    )
    assert candidate["over the default"]["difference"] == 0
    assert candidate["over pixels"]["difference"] == pytest.approx(default["difference"])
    assert study_of["decision"]["default"] in ("stage 1 + pixels", study_of["decision"]["best on deciding sets"])
    parts = page.parts(folder)
    assert "| MitoCheck nuclei, plate out | 24 | 2 | 3 | deciding |" in parts["sets"]
    assert parts["scores"].count("## ") == 5
    lines = (folder / "study.json").read_text().splitlines()
    assert max(map(len, lines)) <= 400
    assert len(lines) < 2 * len(study_of["rows"] + study_of["gains"] + study_of["candidates"])


def test_training_images_have_no_cell_of_a_set_that_is_left_out(folders, tmp_path):
    real, fetched = folders
    corpus = build_corpus(real, fetched, cell_sets(real), tmp_path / "corpus", without="held", side=32, seed=0)
    table = pd.read_parquet(corpus / "data" / "train-00000-of-00001.parquet")
    sources = set(table["image_id"].str.split("/").str[0])
    assert sources == {"mitocheck", "hep2", "cellcognition", "hpa", "plates"}


def test_every_training_of_the_study_is_one_that_the_trainer_takes():
    made = [TrainConfig.from_dict({"recipe": "modern", "backbone": BACKBONE, **one.options}) for one in TRAININGS]
    assert [(config.objective, config.pretrained) for config in made] == [
        ("labels", True),
        ("labels+views", True),
        ("views", True),
        ("labels", False),
    ]


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(InputError, match="--real names the folder"):
        cell_sets(tmp_path)
