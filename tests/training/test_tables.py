import pytest
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.training.tables import load_tables, make_row_table, resolve_subset
from tests.training.conftest import CLASSES, ROWS, write_shapes


def tiny(labels: list[int | None]) -> Dataset:
    features = Features(
        {"image": ImageFeature(mode="L"), "label": ClassLabel(names=["a", "b"]), "image_id": Value("string")}
    )
    images = [Image.new("L", (4, 4), 9) for _ in labels]
    ids = [f"id{i}" for i in range(len(labels))]
    # Codes outside the map cannot be written through the features, only by other tools.
    plain = Features({**features, "label": Value("int64")})
    made = Dataset.from_dict({"image": images, "label": labels, "image_id": ids}, features=plain)
    made.info.features = features
    return made


def test_both_splits_with_all_rows(config) -> None:
    tables = load_tables(config())
    assert {name: len(table) for name, table in tables.items()} == ROWS
    assert tables["train"].classes == CLASSES
    for name, table in tables.items():
        assert table.ids.tolist() == [f"{name}-{number}" for number in range(ROWS[name])]
        assert table.labels.tolist() == [number % 3 for number in range(ROWS[name])]


@pytest.mark.parametrize(("labels", "shown"), [([0, 1, 2], "'id2' has label 2"), ([None, 1], "'id0' has label null")])
def test_a_label_outside_the_map_is_named(labels: list[int | None], shown: str) -> None:
    with pytest.raises(InputError, match=f"{shown}, outside the map of 2 classes"):
        make_row_table(tiny(labels), "here")


def test_missing_columns_and_rows_are_named() -> None:
    with pytest.raises(InputError, match="no column"):
        make_row_table(tiny([0]).remove_columns("image_id"), "here")
    with pytest.raises(InputError, match="no rows"):
        make_row_table(tiny([0]).select([]), "here")


def test_a_row_without_an_id_is_named() -> None:
    table = tiny([0, 1])
    with pytest.raises(InputError, match="here: 1 rows have no image_id, row 1 first"):
        make_row_table(table.remove_columns("image_id").add_column("image_id", ["a", None]), "here")


def test_the_fingerprint_follows_pixels_labels_and_ids(config, tmp_path) -> None:
    def brighter(row):
        return row | ({"image": row["image"].point(lambda v: v // 2)} if row["image_id"] == "train-7" else {})

    same = load_tables(config(dataset=str(write_shapes(tmp_path / "same"))))["train"].fingerprint
    other = load_tables(config(dataset=str(write_shapes(tmp_path / "other", change=brighter))))["train"].fingerprint
    assert same == load_tables(config())["train"].fingerprint
    assert other != same


def test_subsets_by_name_list_and_category(config) -> None:
    assert resolve_subset(config()) == "full"
    assert resolve_subset(config(subset=["toy_20"])) == "toy_20"
    assert resolve_subset(config(subset=["dots", "rings"])) == ["dots", "rings"]
    assert resolve_subset(config(subset=["category:compound"])) == ["dots", "rings"]
    assert load_tables(config(subset=["category:phenotype"]))["train"].classes == ("stripes",)
    with pytest.raises(InputError, match="no category 'colour'"):
        resolve_subset(config(subset=["category:colour"]))
    with pytest.raises(InputError, match="no row"):
        resolve_subset(config(subset=["category:gene"]))
