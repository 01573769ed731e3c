import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.training.cache import open_cache
from cytoimagenet_hf.training.data import RowSource
from cytoimagenet_hf.training.stream import StreamSource
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


def test_a_row_without_an_id_or_a_field_is_named() -> None:
    table = tiny([0, 1])
    with pytest.raises(InputError, match="here: 1 rows have no image_id, row 1 first"):
        make_row_table(table.remove_columns("image_id").add_column("image_id", ["a", None]), "here")
    fields = table.add_column("idx", [None, "f"])
    with pytest.raises(InputError, match="here: 1 rows have no idx, row 0 first"):
        make_row_table(fields, "here", in_fields=True)
    assert make_row_table(fields, "here").ids.tolist() == ["id0", "id1"]


def test_the_fingerprint_follows_pixels_labels_and_ids(config, tmp_path) -> None:
    def brighter(row):
        return row | ({"image": row["image"].point(lambda v: v // 2)} if row["image_id"] == "train-7" else {})

    same = load_tables(config(dataset=str(write_shapes(tmp_path / "same"))))["train"].fingerprint
    other = load_tables(config(dataset=str(write_shapes(tmp_path / "other", change=brighter))))["train"].fingerprint
    assert same == load_tables(config())["train"].fingerprint
    assert other != same


def test_every_label_that_a_row_names_is_a_target(config, tmp_path) -> None:
    def described(row):
        return row | {"cell_visible": "rings|nucleus", "phenotype": "stripes"}

    place = str(write_shapes(tmp_path / "described", change=described))
    table = load_tables(config(dataset=place, targets="all"))["train"]
    assert table.labels[:4].tolist() == [0, 1, 2, 0]
    assert table.targets[:4].tolist() == [[0, 1, 2], [1, 2, -1], [2, 1, -1], [0, 1, 2]]
    assert load_tables(config(dataset=place))["train"].targets is None
    streamed = StreamSource(config(dataset=place, targets="all", streaming=True, cache="none"), rank=0, processes=1)
    batch = next(streamed.training(0))
    assert {tuple(row) for row in batch.targets.tolist()} == {(0, 1, 2), (1, 2, -1), (2, 1, -1)}


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_the_second_view_may_be_another_crop_of_the_field(config, tmp_path, cache) -> None:
    def in_pairs(row):  # rows 0 and 1 are of field 0, …; row 5 cannot be read
        number = int(row["image_id"].split("-")[1])
        spoilt = {"image": {"bytes": b"no image", "path": None}} if row["image_id"] == "train-5" else {}
        return row | {"idx": f"field{number // 2}"} | spoilt

    place = str(write_shapes(tmp_path / "fields", change=in_pairs))
    options = {"objective": "views", "pairs": "field", "on_unreadable": "skip", "cache": cache}
    settings = config(dataset=place, **options)
    tables = load_tables(settings)
    caches = None
    if cache == "ram":
        kwargs = {"size": 32, "folder": tmp_path / "cache", "workers": 0, "skip": True}
        caches = {name: open_cache(table, name=name, **kwargs) for name, table in tables.items()}
    source = RowSource(tables, settings, caches=caches, rank=0, processes=1)
    images = {}
    for batch in source.training(0):
        images |= dict(zip(batch.ids, zip(batch.pixels, batch.partners, strict=True), strict=True))
    assert len(images) == 95
    for name, (own, partner) in images.items():
        number = int(name.split("-")[1])
        other = f"train-{number ^ 1}"
        expected = own if other == "train-5" else images[other][0]
        assert torch.equal(partner, expected), name
    with pytest.raises(InputError, match="no two images are of one field"):
        alone = config(objective="views", pairs="field")
        RowSource(load_tables(alone), alone, caches=None, rank=0, processes=1)


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
