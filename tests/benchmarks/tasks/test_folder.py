"""Any folder of classes, or a HuggingFace dataset, as a benchmark; real cells where they are at hand."""

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from datasets import ClassLabel, Dataset, Features, Image, Value

from cytoimagenet_hf.benchmarks import RECIPES, load_recipe
from cytoimagenet_hf.benchmarks.baselines import pixel_baselines
from cytoimagenet_hf.benchmarks.tasks.folder import configured
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.options.source import ImageColumns
from cytoimagenet_hf.tables import make_table
from tests.datasets import foreign

RECIPE = RECIPES["corrected"]


@pytest.fixture
def root(tmp_path):
    for label in ("alive", "dead"):
        (tmp_path / label).mkdir()
        for number in range(4):
            for channel in ("dna", "actin"):
                image = np.full((6, 7), number + (1000 if label == "dead" else 0), np.uint16)
                tifffile.imwrite(tmp_path / label / f"cell_{number}_{channel}.tif", image)
    return tmp_path


def features_of(items, value):
    return make_table([item.id for item in items], np.array([value(item) for item in items], float))


def test_channels_are_paired_by_suffix_in_the_order_given(root):
    items = configured(channels=("dna", "actin"), k=3).load(root, RECIPE)
    assert {item.id: [plane.path.name for (plane,) in item.planes] for item in items} == {
        f"{label}/cell_{n}": [f"cell_{n}_dna.tif", f"cell_{n}_actin.tif"]
        for label in ("alive", "dead")
        for n in range(4)
    }
    plain = configured(k=3).load(root, RECIPE)
    assert [item.id for item in plain] == sorted(path.relative_to(root).as_posix() for path in root.glob("*/*.tif"))
    (root / "dead" / "cell_4_dna.png").touch()
    with pytest.raises(InputError, match=r"_dna that end in \.png and in \.tif: keep one kind"):
        configured(channels=("dna", "actin"), k=3).load(root, RECIPE)


def test_groups_of_metadata_csv_are_left_out_together(root):
    rows = [f"{label}/cell_{n},{'p' if n < 2 else 'q'}" for label in ("alive", "dead") for n in range(4)]
    (root / "metadata.csv").write_text("file_name,plate\n" + "\n".join(rows))
    task = configured(channels=("dna", "actin"), group="plate", k=1)
    items = task.load(root, RECIPE)
    # The nearest of an image is always one of its own plate; outside it, the nearest is of its class.
    table = features_of(
        items, lambda item: [float(item.metadata["label"] == "dead") + 0.1 * (item.metadata["group"] == "q")]
    )
    (score,) = task.score(table, items, RECIPE, 0)
    assert score.correct.all()
    assert set(score.clusters) == {"p", "q"}
    (root / "metadata.csv").write_text("file_name,plate\nalive/cell_0,p\n")
    with pytest.raises(InputError, match="no row for"):
        task.load(root, RECIPE)
    with pytest.raises(InputError, match="has no column 'donor'"):
        configured(channels=("dna", "actin"), group="donor").load(root, RECIPE)


def test_leave_one_out_without_groups(root):
    task = configured(channels=("dna", "actin"), k=3)
    items = task.load(root, RECIPE)
    (score,) = task.score(features_of(items, lambda item: [item.read()[0].mean()]), items, RECIPE, 0)
    assert score.correct.all()
    with pytest.raises(InputError, match="k = 8"):
        configured(channels=("dna", "actin"), k=8).score(
            features_of(items, lambda item: [1.0, item.read()[0].mean()]), items, RECIPE, 0
        )


def test_empty_classes_single_classes_and_missing_channels_are_named(root):
    (root / "empty").mkdir()
    with pytest.raises(InputError, match=r"class folder .*empty has no images"):
        configured().load(root, RECIPE)
    (root / "empty").rmdir()
    (root / "dead" / "cell_1_actin.tif").unlink()
    with pytest.raises(InputError, match=r"cell_1.*cell_1_actin\.tif"):
        configured(channels=("dna", "actin")).load(root, RECIPE)
    for file in (root / "dead").iterdir():
        file.unlink()
    (root / "dead").rmdir()
    items = configured().load(root, RECIPE)
    with pytest.raises(InputError, match="only one class"):
        configured(k=1).score(features_of(items, lambda item: [1.0]), items, RECIPE, 0)


def with_donors(folder, **change):
    """A dataset of six pictures of three donors, with some columns changed."""
    rows = {
        "image_id": [f"i{n}" for n in range(6)],
        "image": [np.arange(64, dtype=np.uint8).reshape(8, 8)] * 6,
        "label": [0, 1, 0, 1, 0, 1],
        "donor": list("aabbcc"),
    }
    kinds = {"image": Image(), "label": ClassLabel(names=["no", "yes"])}
    columns = Features({name: kinds.get(name, Value("string")) for name in rows})
    (folder / "data").mkdir(parents=True)
    Dataset.from_dict(rows | change, features=columns).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


def test_a_dataset_in_parquet_with_a_group_column(tmp_path):
    items = configured(group="donor", k=3).load(with_donors(tmp_path / "set"), RECIPE)
    assert [(item.id, item.metadata["label"], item.metadata["group"]) for item in items[:2]] == [
        ("i0", "no", "a"),
        ("i1", "yes", "a"),
    ]
    (plane,) = items[0].read()
    assert plane.shape == (8, 8)
    with pytest.raises(InputError, match="plate"):
        configured(group="plate").load(tmp_path / "set", RECIPE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # A set whose labels are kept back has -1 for each, which no class is.
        ({"label": [0, 1, -1, 1, 0, 1]}, "row 2 has the label -1, which is not a class"),
        ({"label": [0, 1, 0, None, 0, 1]}, "row 3 has the label None"),
        ({"donor": ["a", None, "b", "b", "c", "c"]}, "row 1 has no donor"),
        ({"image_id": [*"abcde", None]}, "row 5 has no image_id"),
    ],
)
def test_rows_of_a_dataset_that_lack_a_class_a_group_or_an_id_are_named(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        configured(group="donor", k=3).load(with_donors(tmp_path / "set", **change), RECIPE)


def test_a_group_that_is_known_for_some_images_alone_is_none_where_nobody_asks_for_it(tmp_path):
    items = configured(k=3).load(with_donors(tmp_path / "set", donor=["a", None, "b", "b", "c", "c"]), RECIPE)
    assert not any("group" in item.metadata for item in items)


@pytest.mark.real
def test_real_cells_are_told_apart_by_pixels_alone(real_root, tmp_path):
    with zipfile.ZipFile(real_root / "bbbc021/images/single_cells_dmso_vs_protein_synthesis.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")][::6]
        for name in names:
            target = tmp_path / name.split("/")[-2] / name.split("/")[-1]
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(archive.read(name))
    task = configured()
    items = task.load(tmp_path, RECIPE)
    counts = Counter(item.metadata["label"] for item in items)
    assert len(counts) == 2
    assert [plane.shape for plane in items[0].read()] == [(68, 68)] * 3
    for table in pixel_baselines(items, seed=0).values():
        (score,) = task.score(table, items, RECIPE, 0)
        # Better than always naming the larger class by two standard errors is not asked of pixels; chance is.
        assert score.correct.mean() > 0.4


@pytest.mark.real
def test_real_yeast_cells_are_grouped_by_field_which_a_histogram_gives_away(real_root, tmp_path):
    with zipfile.ZipFile(real_root / "cyclops_wt2/images/yeast_toy_5proteins_60cells.zip") as archive:
        archive.extractall(tmp_path)
    task = configured(channels=("gfp", "rfp"))
    items = task.load(tmp_path, RECIPE)
    assert len(items) == 300
    assert {item.metadata["group_name"] for item in items} == {"field"}
    histogram = pixel_baselines(items, seed=0)["raw histogram"]
    (by_field,) = task.score(histogram, items, RECIPE, 0)
    (by_cell,) = task.score(histogram, items, load_recipe("corrected", protocol="leave-one-out"), 0)
    # The neighbours of a cell are those of its field: without them, half of what a histogram seemed to know is gone.
    assert by_cell.correct.mean() > by_field.correct.mean() + 0.25


@pytest.mark.parametrize("pixels", ["L", "list"])
def test_any_dataset_is_a_benchmark(tmp_path, pixels) -> None:
    root = foreign(tmp_path / "d", {"train": 4, "test": 2}, image="photo", label="kind", kind="string", pixels=pixels)
    items = configured(columns=ImageColumns(label="kind")).load(Path(f"hf:{root}:test"), RECIPE)
    assert [(item.id, item.metadata["label"]) for item in items] == [("test-0", "no"), ("test-1", "yes")]
    assert [len(item.read()) for item in items] == [2 if pixels == "list" else 1] * 2
