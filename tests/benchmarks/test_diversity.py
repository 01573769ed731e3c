"""Distances within and between labels."""

import json

import numpy as np
import pandas as pd
import pytest
import typer
from datasets import ClassLabel, Dataset, Features, Image, Value
from scipy.spatial.distance import cdist
from typer.testing import CliRunner

from cytoimagenet_hf.benchmarks import diversity
from cytoimagenet_hf.cli.diversity import command
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.load import load_cytoimagenet


def test_distances_equal_those_of_all_pairs():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 5)) + 1
    labels = np.array(["a", "b", "c"])[np.arange(30) % 3]
    distances = diversity.label_distances(features, labels).set_index("label")
    pairs = cdist(features, features, "cosine")
    for name in "abc":
        members = labels == name
        within = pairs[np.ix_(members, members)]
        assert distances.loc[name, "intra"] == pytest.approx(within[~np.eye(10, dtype=bool)].mean())
        assert distances.loc[name, "inter"] == pytest.approx(pairs[np.ix_(members, ~members)].mean())


def test_every_other_label_counts_alike_however_large():
    features = np.array([[1.0, 0], [0, 1], [0, 1], [0, 1], [1, 0]])
    distances = diversity.label_distances(features, ["a", "b", "b", "b", "c"]).set_index("label")
    assert distances.loc["a", "inter"] == pytest.approx(0.5)  # b at 1, c at 0
    assert np.isnan(distances.loc["a", "intra"])
    assert diversity.distant_labels(distances.reset_index(), threshold=0.8) == ["b"]


def test_the_draw_is_by_id_not_by_position():
    labels, ids = ["a"] * 10 + ["b"] * 2, [f"i{n:02d}" for n in range(12)]
    rows = diversity.sample_per_label(labels, ids, per_label=3, seed=1)
    drawn = {ids[row] for row in rows}
    assert len(drawn) == 5
    order = np.random.default_rng(0).permutation(12)
    again = diversity.sample_per_label([labels[i] for i in order], [ids[i] for i in order], per_label=3, seed=1)
    assert {ids[order[row]] for row in again} == drawn


def test_what_has_no_cosine_is_refused():
    with pytest.raises(InputError, match=r"rows \[1\]"):
        diversity.label_distances(np.array([[1.0, 0], [0, 0]]), ["a", "b"])
    with pytest.raises(InputError, match="only one label"):
        diversity.label_distances(np.ones((2, 2)), ["a", "a"])


def test_command_writes_table_figures_and_a_subset_that_loads(tmp_path):
    rng = np.random.default_rng(0)
    rows = 12
    columns = {
        "image": Image(mode="L"),
        "label": ClassLabel(names=["actin", "yeast"]),
        "category": Value("string"),
        "image_id": Value("string"),
        "dir_name": Value("string"),
        "crop": Value("bool"),
        "scaling": Value("float32"),
    }
    content = {
        "image": [rng.integers(0, 255, (32, 32), dtype=np.uint8) for _ in range(rows)],
        "label": [n % 2 for n in range(rows)],
        "category": ["cell_visible" if n % 2 == 0 else "organism" for n in range(rows)],
        "image_id": [f"i{n}" for n in range(rows)],
        "dir_name": ["one", "two"] * (rows // 2),
        "crop": [n >= 6 for n in range(rows)],
        "scaling": [1.0 if n < 6 else 0.5 for n in range(rows)],
    }
    target = tmp_path / "set" / "data" / "train-00000-of-00001.parquet"
    target.parent.mkdir(parents=True)
    Dataset.from_dict(content, features=Features(columns)).to_parquet(target)
    app = typer.Typer()
    app.command()(command)
    output = tmp_path / "out"
    arguments = [str(tmp_path / "set"), "--model", "random:1", "--output", str(output), "--threshold", "0"]
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert {file.name for file in output.iterdir()} == {
        "crops.png",
        "distances.csv",
        "distances.png",
        "diversity.json",
        "subset.json",
    }
    assert pd.read_csv(output / "distances.csv")["category"].tolist() == ["cell_visible", "organism"]
    subset = json.loads((output / "subset.json").read_text())
    assert subset == ["actin", "yeast"]
    assert len(load_cytoimagenet(tmp_path / "set", subset=subset, split="train")) == rows
