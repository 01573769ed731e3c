"""CHAMMI: strips of channels, official splits, groups left out."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Picture

from cytoimagenet_hf.benchmarks import RECIPES
from cytoimagenet_hf.benchmarks.tasks.chammi import CHAMMI
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import make_table

RECIPE = RECIPES["corrected"]


@pytest.fixture
def root(tmp_path):
    """HPA-shaped: four channels of 5 x 6; cells of two classes in training, task one, and task three by cell type."""
    folder = tmp_path / "HPA" / "crops"
    folder.mkdir(parents=True)
    rows = []
    for number, (split, tasks, cell_type) in enumerate(
        [("Train", "", "u"), ("Train", "", "u"), ("Task_one", "one", "u"), ("Task_one", "one", "u")]
        + [("Task_three", "three", line) for line in ("v", "v", "w", "w")]
    ):
        strip = np.concatenate([np.full((5, 6), 10 * channel + number, np.uint8) for channel in range(4)], axis=1)
        Picture.fromarray(strip).save(folder / f"{number}.png")
        rows.append(
            {
                "file_path": f"HPA/crops/{number}.png",
                "channel_width": 6,
                "Label": "nuclei" if number % 2 else "golgi",
                "train_test_split": split,
                "Task_one": tasks == "one",
                "Task_two": False,
                "Task_three": tasks == "three",
                "cell_type": cell_type,
            }
        )
    pd.DataFrame(rows).to_csv(tmp_path / "HPA" / "enriched_meta.csv", index=False)
    return tmp_path


def test_channels_of_a_strip_are_cut_apart(root):
    items = CHAMMI.load(root, RECIPE)
    assert [len(item.channels) for item in items] == [4] * 8
    planes = items[3].read()
    assert [plane.shape for plane in planes] == [(5, 6)] * 4
    assert [int(plane[0, 0]) for plane in planes] == [3, 13, 23, 33]


def test_each_task_is_macro_f1_of_the_nearest_training_cell(root):
    items = CHAMMI.load(root, RECIPE)
    # Training: golgi at 0, nuclei at 1. Task one: 0.1 and 0.2, both nearest golgi; the truth is golgi, nuclei.
    # Task three: cells of v at 10 (golgi) and 11 (nuclei), of w beside them: right only when the other type joins.
    values = np.array([[0.0], [1.0], [0.1], [0.2], [10.0], [11.0], [10.1], [11.1]])
    table = make_table([item.id for item in items], values)
    scores = {score.name: score for score in CHAMMI.score(table, items, RECIPE, 0)}
    assert list(scores) == ["chammi/HPA task one", "chammi/HPA task three"]
    assert scores["chammi/HPA task one"].predictions.tolist() == ["golgi", "golgi"]
    assert scores["chammi/HPA task three"].predictions.tolist() == ["golgi", "nuclei", "golgi", "nuclei"]
    assert "2 groups by cell_type" in scores["chammi/HPA task three"].details["protocol"]
    assert {score.measure for score in scores.values()} == {"macro F1"}


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(InputError, match=r"no enriched_meta\.csv of Allen, HPA, CP.*zenodo"):
        CHAMMI.load(tmp_path / "HPA", RECIPE)
    (root / "HPA" / "crops" / "2.png").unlink()
    with pytest.raises(InputError, match=r"2\.png is missing"):
        CHAMMI.load(root, RECIPE)
    assert len(CHAMMI.load(root, RECIPE, images=False)) == 8
    table = pd.read_csv(root / "HPA" / "enriched_meta.csv")
    table.drop(columns="cell_type").to_csv(root / "HPA" / "enriched_meta.csv", index=False)
    with pytest.raises(InputError, match=r"4\.png has no 'cell_type'"):
        CHAMMI.load(root, RECIPE, images=False)
    table.assign(Label=table["Label"].mask(table.index == 3)).to_csv(root / "HPA" / "enriched_meta.csv", index=False)
    with pytest.raises(InputError, match=r"3\.png has no 'Label'"):
        CHAMMI.load(root, RECIPE, images=False)
