"""What is left out together, where groups are known and how they are found."""

import numpy as np
import pytest

from cytoimagenet_hf.benchmarks import RECIPES, load_recipe
from cytoimagenet_hf.benchmarks.groups import group_columns
from cytoimagenet_hf.benchmarks.tasks.cyclops import CYCLOPS
from cytoimagenet_hf.benchmarks.tasks.folder import configured
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import make_table

RECIPE = RECIPES["corrected"]


def _cells(root, fields):
    """Empty yeast cells of two classes, cut from fields as their names say."""
    for label in ("ER", "GOLGI"):
        (root / label).mkdir()
        for field in fields:
            for cell in (3, 8):
                for channel in ("gfp", "rfp"):
                    (root / label / f"{label}_{field}_rfp_{cell}_{channel}.tif").touch()
    return root


def _by_field(items):
    """A field lies far from the others; inside it the two classes are a little apart."""
    return make_table(
        [item.id for item in items],
        [
            [100.0 * int(item.id.split("_")[1]), float(item.metadata["label"] == "ER"), 0.1 * (item.id.endswith("3"))]
            for item in items
        ],
    )


def test_cells_named_by_field_are_scored_field_by_field_and_cell_by_cell_on_request(tmp_path):
    items = CYCLOPS.load(_cells(tmp_path, (1, 2, 3)), RECIPE)
    assert items[0].metadata["group"] == "ER_1"
    assert items[0].metadata["group_name"] == "field"
    recipe = load_recipe("corrected", scaler="none")
    (score,) = CYCLOPS.score(_by_field(items), items, recipe, 0, k=1)
    assert score.details["protocol"] == "one of 6 groups by field left out"
    assert score.cluster_name == "field"
    # The other class of the same field is nearer than the same class of another field: nothing is right.
    assert not score.correct.any()
    recipe = load_recipe("corrected", scaler="none", protocol="leave-one-out")
    (alone,) = CYCLOPS.score(_by_field(items), items, recipe, 0, k=1)
    assert alone.correct.all()
    assert alone.details["protocol"] == "one of 12 images left out, 6 groups by field ignored"
    assert len(set(alone.clusters)) == 6  # intervals and tests still go by field


def _classes(root, plate=None):
    """Empty pictures 0 to 3 of the classes a and b, and a table with a plate for each: (class, number) → plate."""
    cells = [(label, number) for label in ("a", "b") for number in range(4)]
    for label, number in cells:
        (root / label).mkdir(exist_ok=True)
        (root / label / f"{number}.png").touch()
    if plate is not None:
        rows = [f"{label}/{number}.png,{number},{plate(label, number)}" for label, number in cells]
        (root / "metadata.csv").write_text("file_name,note,plate\n" + "\n".join(rows))
    return root


def test_a_table_tells_groups_by_itself_and_none_are_invented(tmp_path):
    _classes(tmp_path)
    task = configured(k=1)
    plain = task.load(tmp_path, RECIPE)
    assert all("group" not in item.metadata for item in plain)
    table = make_table([item.id for item in plain], np.arange(8.0)[:, None])
    (score,) = task.score(table, plain, RECIPE, 0)
    assert score.details["protocol"] == "one of 8 images left out, no groups known"
    with pytest.raises(InputError, match="no groups are known"):
        task.score(table, plain, load_recipe("corrected", protocol="leave-group-out"), 0)
    grouped = task.load(_classes(tmp_path, plate=lambda label, number: f"x{number % 2}"), RECIPE)
    assert {item.metadata["group"] for item in grouped} == {"x0", "x1"}
    (score,) = task.score(table, grouped, RECIPE, 0)
    assert score.details["protocol"] == "one of 2 groups by plate left out"


def test_classes_that_coincide_with_groups_cannot_be_told_from_them(tmp_path):
    task = configured(k=1)
    items = task.load(_classes(tmp_path, plate=lambda label, number: f"plate {label}"), RECIPE)
    table = make_table([item.id for item in items], np.arange(8.0)[:, None])
    with pytest.raises(InputError, match="each of the 2 classes lies in a single plate"):
        task.score(table, items, RECIPE, 0)
    (score,) = task.score(table, items, load_recipe("corrected", protocol="leave-one-out"), 0)
    assert score.correct.mean() > 0.5


@pytest.mark.parametrize("column", ["plate", "Plate ID", "Metadata_Plate", "Barcode", "assay_plate_barcode"])
def test_plates_are_groups_whatever_their_column_is_called(column):
    assert group_columns(["label", "donor", column]) == [column, "donor"]
    assert group_columns(["label", "image"]) == []


def test_unknown_protocols_are_refused():
    with pytest.raises(InputError, match="unknown protocol 'loo'"):
        load_recipe("corrected", protocol="loo")
    with pytest.raises(InputError, match="nscb_rule"):
        load_recipe("corrected", nscb="weeks")
