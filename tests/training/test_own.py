"""One's own folder or table of images becomes the rows of a training."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from transformers import AutoModelForImageClassification

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging import merge_channels
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.training import TrainConfig, train
from cytoimagenet_hf.training.data import decode
from cytoimagenet_hf.training.own import is_own
from cytoimagenet_hf.training.tables import load_tables

Configured = Callable[..., TrainConfig]
SIDE = 40


def pixels(label: str, number: int) -> NDArray[np.uint16]:
    """Stripes or a disc at 12 bits."""
    rng = np.random.default_rng([number, len(label)])
    y, x = np.mgrid[:SIDE, :SIDE]
    shape = (y + number) % 8 < 3 if label == "stripes" else np.hypot(y - 20, x - rng.uniform(12, 28)) < 9
    return (200 + 3000 * shape + rng.normal(0, 40, (SIDE, SIDE))).clip(0).astype(np.uint16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, a sub-folder each, of 16-bit files: ten wells of two fields."""
    for label in ("disc", "stripes"):
        (tmp_path / "own" / label).mkdir(parents=True)
        for number in range(20):
            name = f"cell{number}.tif"
            tifffile.imwrite(tmp_path / "own" / label / name, pixels(label, number))
    return tmp_path / "own"


@pytest.fixture
def table(folder: Path) -> Path:
    """The same as a table beside the folder, with wells."""
    rows = [
        {"path": f"{label}/cell{number}.tif", "drug": label, "well": f"{'AB'[label == 'disc']}{number // 2 + 1:02d}"}
        for label in ("disc", "stripes")
        for number in range(20)
    ]
    pd.DataFrame(rows).to_csv(folder / "cells.csv", index=False)
    return folder / "cells.csv"


def test_what_is_ones_own(folder: Path, table: Path, shapes: Path) -> None:
    assert is_own(str(folder))
    assert is_own(str(table))
    assert not is_own(str(shapes))
    assert not is_own("me/cytoimagenet")


def test_a_folder_of_classes_gives_every_image_once(config: Configured, folder: Path) -> None:
    tables = load_tables(config(dataset=str(folder), validation_share=0.2))
    assert {name: len(rows) for name, rows in tables.items()} == {"train": 32, "validation": 8}
    assert tables["train"].classes == ("disc", "stripes")
    everything = [*tables["train"].ids, *tables["validation"].ids]
    assert sorted(everything) == sorted(f"{label}/cell{n}" for label in ("disc", "stripes") for n in range(20))
    for rows in tables.values():
        assert np.bincount(rows.labels).tolist() == [len(rows) // 2] * 2
        assert [name.partition("/")[0] for name in rows.ids] == [rows.classes[code] for code in rows.labels]
    again = load_tables(config(dataset=str(folder), validation_share=0.2))["validation"]
    assert again.ids.tolist() == tables["validation"].ids.tolist()
    other = load_tables(config(dataset=str(folder), validation_share=0.2, seed=1))["validation"]
    assert other.ids.tolist() != again.ids.tolist()


def test_gray_levels_are_those_of_the_dataset(config: Configured, folder: Path) -> None:
    rows = load_tables(config(dataset=str(folder)))["train"]
    place = rows.ids.tolist().index("disc/cell3") if "disc/cell3" in rows.ids else 0
    label, _, name = rows.ids[place].partition("/")
    expected = merge_channels([pixels(label, int(name.removeprefix("cell")))])
    gray = decode(rows.encoded([place])[0], SIDE)
    assert np.abs(gray.astype(int) - expected).max() <= 1  # float32 against float64 before the cut
    assert decode(rows.encoded([place])[0], 16).shape == (16, 16)


def test_planes_of_stacks_are_merged_or_apart(config: Configured, tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "own" / label).mkdir(parents=True)
        for number in range(2):
            stack = np.stack([np.full((8, 8), 100, np.uint16), np.arange(64, dtype=np.uint16).reshape(8, 8)])
            tifffile.imwrite(tmp_path / "own" / label / f"{number}.ome.tif", stack, metadata={"axes": "CYX"})
    options = {"dataset": str(tmp_path / "own"), "validation_share": 0.5}
    merged = load_tables(config(**options))["train"]
    apart = load_tables(config(**options, configuration="channels"))["train"]
    assert (len(merged), len(apart)) == (2, 4)
    assert apart.labels.tolist() == [0, 0, 1, 1]
    flat, ramp = (decode(stored, 8) for stored in apart.encoded([0, 1]))
    assert not flat.any()  # a constant plane has no contrast
    assert ramp.max() >= 254
    (both,) = (decode(stored, 8) for stored in merged.encoded([0]))
    np.testing.assert_allclose(both, ramp / 2, atol=1)


def test_files_of_channels_become_one_image_by_a_pattern(config: Configured, tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "own" / label).mkdir(parents=True)
        for number in range(2):
            for stain in ("gfp", "rfp"):
                tifffile.imwrite(tmp_path / "own" / label / f"cell{number}_{stain}.tif", pixels("disc", number))
    options = {"dataset": str(tmp_path / "own"), "validation_share": 0.5, "pattern": "{cell}_{c}.tif"}
    tables = load_tables(config(**options))
    assert {name: len(rows) for name, rows in tables.items()} == {"train": 2, "validation": 2}
    assert tables["train"].classes == ("a", "b")
    assert len(load_tables(config(**options, configuration="channels"))["train"]) == 4


def test_wells_of_a_table_stay_together(config: Configured, table: Path) -> None:
    rows = pd.read_csv(table).set_index("path")
    options = {"dataset": str(table), "label_column": "drug", "validation_share": 0.3}
    tables = load_tables(config(**options))
    wells = {name: set(rows["well"][side.ids.tolist()]) for name, side in tables.items()}
    assert sum(map(len, wells.values())) == 20
    assert not wells["train"] & wells["validation"]
    assert tables["train"].classes == ("disc", "stripes")
    with pytest.raises(InputError, match=r"no column 'label'.*path, drug, well"):
        load_tables(config(dataset=str(table)))
    with pytest.raises(InputError, match="no column 'donor' to group by"):
        load_tables(config(**options, group_column="donor"))


def test_a_stored_split_is_kept(config: Configured, table: Path) -> None:
    rows = pd.read_csv(table)
    rows["split"] = ["val" if number % 5 == 0 else "train" for number in range(len(rows))]
    rows.to_csv(table, index=False)
    tables = load_tables(config(dataset=str(table), label_column="drug"))
    assert set(tables["validation"].ids) == set(rows["path"][rows["split"] == "val"])
    rows.loc[rows["split"] == "val", "split"] = "Test"
    rows.to_csv(table, index=False)
    tables = load_tables(config(dataset=str(table), label_column="drug"))  # a part of train validates, test is left
    assert sum(map(len, tables.values())) == 32
    asked = load_tables(config(dataset=str(table), label_column="drug", validation_split="test"))
    assert {name: len(part) for name, part in asked.items()} == {"train": 32, "validation": 8}
    rows["split"] = "fold1"
    rows.to_csv(table, index=False)
    with pytest.raises(InputError, match="split is 'fold1'; write train or training or"):
        load_tables(config(dataset=str(table), label_column="drug"))
    rows["split"] = ["train"] * 39 + [None]
    rows.to_csv(table, index=False)
    with pytest.raises(InputError, match=r"image stripes/cell19.tif: split is nan; write train"):
        load_tables(config(dataset=str(table), label_column="drug"))


def test_columns_of_a_table_are_those_that_are_named(config: Configured, table: Path) -> None:
    rows = pd.read_csv(table).rename(columns={"path": "photo"})
    rows.insert(0, "cell", [f"{number:03d}" for number in range(40)])
    rows.to_csv(table, index=False)
    options = {"dataset": str(table), "label_column": "drug", "id_column": "cell"}
    tables = load_tables(config(**options, image_column="photo"))
    assert {*tables["train"].ids, *tables["validation"].ids} == {f"{number:03d}" for number in range(40)}
    with pytest.raises(InputError, match=r"has no column 'photos' \(--image-column\): it has cell, photo"):
        load_tables(config(**options | {"id_column": None}, image_column="photos"))
    with pytest.raises(InputError, match=r"--image-column and --id-column are for tables"):
        load_tables(config(dataset=str(table.parent), image_column="photo"))


def into_folders(folder: Path, sides: dict[str, range]) -> None:
    """Move the files of both classes into a folder per split."""
    for side, numbers in sides.items():
        for label in ("disc", "stripes"):
            (folder / side / label).mkdir(parents=True)
            for number in numbers:
                (folder / label / f"cell{number}.tif").rename(folder / side / label / f"cell{number}.tif")
    for label in ("disc", "stripes"):
        (folder / label).rmdir()


@pytest.mark.parametrize("train", ["train", "Training", "train_images"])
@pytest.mark.parametrize("validation", ["val", "valid", "Validation", "dev"])
def test_folders_named_as_splits_are_splits(config: Configured, folder: Path, train: str, validation: str) -> None:
    into_folders(folder, {train: range(12), validation: range(12, 16), "test": range(16, 20)})
    tables = load_tables(config(dataset=str(folder)))
    assert {name: len(rows) for name, rows in tables.items()} == {"train": 24, "validation": 8}
    assert tables["train"].classes == ("disc", "stripes")
    assert not any("test" in name for rows in tables.values() for name in rows.ids)


def test_a_test_folder_is_used_when_asked_for(config: Configured, folder: Path) -> None:
    into_folders(folder, {"train": range(15), "evaluation": range(15, 20)})
    drawn = load_tables(config(dataset=str(folder), validation_share=0.2))
    assert {name: len(rows) for name, rows in drawn.items()} == {"train": 24, "validation": 6}
    asked = load_tables(config(dataset=str(folder), validation_split="test"))
    assert {name: len(rows) for name, rows in asked.items()} == {"train": 30, "validation": 10}
    with pytest.raises(InputError, match="no images of split 'validation' for validation: it has test, train"):
        load_tables(config(dataset=str(folder), validation_split="validation"))
    (folder / "odd").mkdir()
    tifffile.imwrite(folder / "odd" / "a.tif", pixels("disc", 0))
    with pytest.raises(InputError, match=r"folders of splits \(evaluation, train\) and others \(odd\)"):
        load_tables(config(dataset=str(folder)))


def test_classes_may_be_called_like_a_split(config: Configured, folder: Path) -> None:
    (folder / "disc").rename(folder / "test")
    assert load_tables(config(dataset=str(folder)))["train"].classes == ("stripes", "test")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_metadata_beside_the_files_names_their_labels(config: Configured, folder: Path, kind: str) -> None:
    rows = []
    for label in ("disc", "stripes"):
        for number in range(20):
            name = f"{label}{number}.tif"
            (folder / label / f"cell{number}.tif").rename(folder / name)
            rows.append({"file_name": name, "label": label.upper(), "donor": f"00{number // 4}"})
        (folder / label).rmdir()
    table = pd.DataFrame(rows)
    if kind == "csv":
        table.to_csv(folder / "metadata.csv", index=False)
    else:
        table.to_json(folder / "metadata.jsonl", orient="records", lines=True)
    tables = load_tables(config(dataset=str(folder), group_column="donor"))
    assert tables["train"].classes == ("DISC", "STRIPES")
    donors = [
        {int(name.removeprefix("disc").removeprefix("stripes")) // 4 for name in side.ids} for side in tables.values()
    ]
    assert not donors[0] & donors[1]
    if kind == "jsonl":
        text = (folder / "metadata.jsonl").read_text()
        (folder / "metadata.jsonl").write_text(text + "[1]\n")
        with pytest.raises(InputError, match="row 41 is not a JSON object"):
            load_tables(config(dataset=str(folder)))
        (folder / "metadata.jsonl").write_text(text)
    (folder / "disc3.tif").unlink()
    with pytest.raises(InputError, match=r"names 1 files that are not images here, such as 'disc3.tif'"):
        load_tables(config(dataset=str(folder)))


def test_numbers_as_classes_stay_whole_and_splits_of_metadata_are_kept(config: Configured, folder: Path) -> None:
    rows = [
        {"file_name": f"{label}/cell{number}.tif", "dose": number % 2, "split": "test" if number < 5 else "train"}
        for label in ("disc", "stripes")
        for number in range(20)
    ]
    lines = [json.dumps(row) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    tables = load_tables(config(dataset=str(folder), label_column="dose"))
    assert tables["train"].classes == ("0", "1")
    assert sum(map(len, tables.values())) == 30
    with pytest.raises(InputError, match=r"has no column 'doze' \(--label-column\)"):
        load_tables(config(dataset=str(folder), label_column="doze"))
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row | {"split": None}) for row in rows[:-1]))
    with pytest.raises(InputError, match="1 of 40 images have no label, such as stripes/cell19"):
        load_tables(config(dataset=str(folder), label_column="dose"))


def test_ones_own_cells_are_learnt_from_weights_that_were_saved(config: Configured, folder: Path, tmp_path) -> None:
    backbone = tmp_path / "backbone"
    network = build_efficientnet(5, seed=0, image_size=32, width_coefficient=0.25, depth_coefficient=0.2)
    network.save_pretrained(backbone)
    # Weights that were trained on 12 bits without a stretch: their record decides here and travels on.
    MicroscopyImageProcessor(method="concat-raw", full_scale=4095).save_pretrained(backbone)
    options = {"backbone": str(backbone), "pretrained": True, "model_config": {}, "epochs": 6, "learning_rate": 5e-3}
    settings = config(dataset=str(folder), **options, batch_size=8, validation_share=0.2)
    rows = load_tables(settings)["train"]
    label, _, name = rows.ids[0].partition("/")
    raw = pixels(label, int(name.removeprefix("cell"))) / 4095 * 255
    assert np.abs(decode(rows.encoded([0])[0], SIDE) - raw).max() <= 1
    metrics = train(settings)
    assert metrics["accuracy"] > 0.8
    model = AutoModelForImageClassification.from_pretrained(Path(settings.output) / "model")
    assert model.config.id2label == {0: "disc", 1: "stripes"}
    kept = MicroscopyImageProcessor.for_model(str(Path(settings.output) / "model"))
    assert (kept.method, kept.full_scale) == ("concat-raw", 4095)
    assert (Path(settings.output) / "predictions.png").is_file()
    assert len(json.loads((Path(settings.output) / "history.json").read_text())) == 6
    again = train(settings, resume=True)
    assert again["accuracy"] == pytest.approx(metrics["accuracy"])


def test_a_flat_folder_trains_views_alone(config: Configured, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    for path in folder.glob("*/*.tif"):
        path.rename(tmp_path / "flat" / f"{path.parent.name}_{path.name}")
    flat = {"dataset": str(tmp_path / "flat"), "validation_share": 0.2}
    with pytest.raises(InputError, match=r"40 of 40 images have no label, .* --objective views"):
        load_tables(config(**flat))
    tables = load_tables(config(**flat, objective="views"))
    assert {name: len(rows) for name, rows in tables.items()} == {"train": 32, "validation": 8}
    assert set(tables["train"].labels.tolist()) == {-1}


def test_a_class_that_there_is_not_is_named(config: Configured, folder: Path) -> None:
    for loose in (False, True):
        if loose:
            tifffile.imwrite(folder / "loose.tif", pixels("disc", 0))  # in no class folder
        with pytest.raises(InputError, match=r"has no class ring: choose of disc, stripes"):
            load_tables(config(dataset=str(folder), subset=["ring"]))
