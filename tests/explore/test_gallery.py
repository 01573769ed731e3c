import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.explore.gallery import COLOURS, Gallery, Neighbour
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet, load_encoder
from tests.datasets import foreign, write_textures


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset of two textures and a small network that tells them apart without training."""
    root = tmp_path_factory.mktemp("explore")
    write_textures(root / "cytoimagenet", per_class=12, side=48)
    network = build_efficientnet(0, seed=0, width_coefficient=0.25, depth_coefficient=0.25)
    network.save_pretrained(root / "model")
    MicroscopyImageProcessor().save_pretrained(root / "model")
    return root


@pytest.fixture(scope="module")
def gallery(place):
    return Gallery(place / "cytoimagenet", model=str(place / "model"), cache=place / "cache")


def test_filters_narrow_what_is_shown(gallery):
    assert gallery.browse({}).total == 24
    stripes = gallery.browse({"label": "stripes"})
    assert stripes.total == len(stripes.rows) == 12
    assert {gallery.caption(row)[0] for row in stripes.rows} == {"stripes"}
    assert gallery.browse({"label": "stripes", "dir_name": "nowhere"}).rows == ()


def test_pages_hold_every_row_once_and_say_where_they_are(gallery):
    pages = [gallery.browse({}, page=number, size=10) for number in (1, 2, 3)]
    assert [len(page.rows) for page in pages] == [10, 10, 4]
    assert [(page.number, page.pages, page.first, page.total) for page in pages] == [
        (1, 3, 0, 24),
        (2, 3, 10, 24),
        (3, 3, 20, 24),
    ]
    assert sorted(row for page in pages for row in page.rows) == list(range(24))
    assert gallery.browse({}, page=99, size=10) == pages[2]
    assert gallery.browse({}, page=-1, size=10) == pages[0]


def test_an_unknown_filter_is_refused(gallery):
    with pytest.raises(InputError, match="no filter 'colour'"):
        gallery.browse({"colour": "red"})


def test_a_16_bit_two_channel_upload_finds_images_like_it(gallery, tmp_path):
    """Channels that a cast to 8 bits would saturate: 2 % of the 16-bit range above a pedestal."""
    rows = (np.arange(48) // 4 % 2 * 1000 + 40_000).astype(np.uint16)
    stack = np.stack([np.broadcast_to(rows[:, None], (48, 48))] * 2)
    tifffile.imwrite(tmp_path / "mine.tif", stack, photometric="minisblack")
    answer = gallery.look_up([tmp_path / "mine.tif"], k=5)
    assert set(np.unique(np.asarray(answer.seen))) == {0, 255}
    assert [set(np.unique(np.asarray(picture))) for picture in answer.channels.values()] == [{0, 255}] * 2
    assert "taken as channels" in answer.note
    assert {gallery.rows["label"][neighbour.row] for neighbour in answer.neighbours} == {"stripes"}
    assert answer.labels == {"stripes": 5}
    distances = [neighbour.distance for neighbour in answer.neighbours]
    assert distances == sorted(distances)


def test_one_image_in_several_files_is_the_same_as_in_one(gallery, tmp_path):
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 4096, (2, 48, 48)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "one.ome.tif", stack, photometric="minisblack", metadata={"axes": "CYX"})
    for name, plane in zip(("dapi", "actin"), stack, strict=True):
        tifffile.imwrite(tmp_path / f"{name}.tif", plane)
    one = gallery.look_up([tmp_path / "one.ome.tif"])
    several = gallery.look_up([tmp_path / "dapi.tif", tmp_path / "actin.tif"])
    assert set(several.channels) == {"dapi", "actin"}
    assert [n.row for n in one.neighbours] == [n.row for n in several.neighbours]
    assert np.array_equal(np.asarray(one.seen), np.asarray(several.seen))


def test_of_several_images_in_the_files_one_is_chosen(gallery, tmp_path):
    rng = np.random.default_rng(0)
    names = [f"SIM_{well}_s1_w{channel}.tif" for well in ("A01", "B02") for channel in (1, 2)]
    planes = rng.integers(0, 4096, (len(names), 48, 48)).astype(np.uint16)
    for name, plane in zip(names, planes, strict=True):
        tifffile.imwrite(tmp_path / name, plane)
    files = [tmp_path / name for name in names]
    first = gallery.look_up(files)
    assert len(first.images) == 2
    assert first.image == first.images[0]
    other = gallery.look_up(files, image=first.images[1])
    assert other.image == first.images[1]
    assert len(other.channels) == 2
    assert not np.array_equal(np.asarray(first.seen), np.asarray(other.seen))
    with pytest.raises(InputError, match="no usable image 'elsewhere'"):
        gallery.look_up(files, image="elsewhere")


def test_the_usual_distance_holds_for_19_images_of_20(gallery, place, tmp_path):
    tifffile.imwrite(tmp_path / "mine.tif", np.eye(48, dtype=np.uint8) * 255)
    nearest = [gallery.neighbours_of(row, k=1)[0].distance for row in range(24)]
    assert gallery.look_up([tmp_path / "mine.tif"]).usual == pytest.approx(np.quantile(nearest, 0.95), abs=1e-6)


def test_a_caption_says_what_each_value_is(place):
    plain = Gallery(place / "cytoimagenet")
    assert plain.caption(0) == ("dots", "phenotype · source0 · u2os")
    plain.rows["plate"], plain.rows["well"], plain.rows["channels"] = "p1", "B02", "dna|actin"
    plain.rows["category"] = "cell_visible"
    assert plain.caption(0)[1:] == ("cell visible · source0 · u2os", "channels: dna, actin", "plate p1, well B02")


def test_a_table_that_names_files_of_the_machine_is_refused(gallery, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    tifffile.imwrite(tmp_path / "elsewhere" / "private.tif", np.eye(48, dtype=np.uint8))
    (tmp_path / "wells.csv").write_text(f"id,path\na,{tmp_path / 'elsewhere' / 'private.tif'}\n")
    with pytest.raises(InputError):
        gallery.look_up([tmp_path / "wells.csv"])


def test_channels_of_two_sizes_are_refused_with_their_sizes(gallery, tmp_path):
    for name, side in (("dapi", 48), ("actin", 64)):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.eye(side, dtype=np.uint8))
    with pytest.raises(InputError, match=r"actin 64 x 64.*dapi 48 x 48|dapi 48 x 48.*actin 64 x 64"):
        gallery.look_up([tmp_path / "dapi.tif", tmp_path / "actin.tif"])


def test_the_neighbours_of_a_row_are_those_of_a_plain_search_without_itself(gallery, place):
    encoder = load_encoder(str(place / "model"), method="merge-norm")
    images = [[np.asarray(gallery.image(row))] for row in range(24)]
    features = extract_features(encoder, images, ids=[str(row) for row in range(24)]).values.astype(np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for row in (0, 1, 23):
        distances = 1 - unit @ unit[row]
        distances[row] = np.inf
        near = gallery.neighbours_of(row, k=5)
        np.testing.assert_allclose([one.distance for one in near], np.sort(distances)[:5], atol=1e-5)
        np.testing.assert_allclose([distances[one.row] for one in near], np.sort(distances)[:5], atol=1e-5)


def test_the_map_has_one_point_per_image_and_its_colours(gallery):
    points, method = gallery.map()
    assert points["row"].tolist() == list(range(24))
    assert method.startswith("t-SNE")
    assert np.isfinite(points[["x", "y"]].to_numpy()).all()
    assert set(COLOURS) <= set(points.columns)
    assert gallery.map()[0].equals(points)


def test_the_map_is_kept_for_the_next_window(gallery, place, monkeypatch):
    points, method = gallery.map()
    monkeypatch.setattr("cytoimagenet_hf.explore.gallery.embed", None)
    again = Gallery(place / "cytoimagenet", model=str(place / "model"), cache=place / "cache")
    assert not again.has_map
    kept, kept_method = again.map()
    assert again.has_map
    assert kept_method == method
    assert kept.equals(points)


def test_images_are_counted_while_their_features_are_made(place, tmp_path):
    found = Gallery(place / "cytoimagenet", model=str(place / "model"), cache=tmp_path)
    assert found.images_done == 0
    found.extract()
    assert found.images_done == 24
    again = Gallery(place / "cytoimagenet", model=str(place / "model"), cache=tmp_path)
    again.extract()
    assert again.images_done == 24


def test_an_image_that_the_network_cannot_take_is_left_out_and_counted(place, tmp_path):
    folder = tmp_path / "cytoimagenet"
    shutil.copytree(place / "cytoimagenet", folder)
    shard = folder / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(shard)
    cells = table["image"].to_pylist()
    cells[3]["bytes"] = cells[3]["bytes"][:40]
    pq.write_table(
        table.set_column(0, table.schema.field("image"), pa.array(cells, table.schema.field("image").type)), shard
    )
    found = Gallery(folder, model=str(place / "model"), cache=tmp_path / "cache")
    assert not found.is_ready
    assert found.browse({}).total == 24  # before there are features
    found.extract()
    assert found.is_ready
    assert len(found.rejected) == 1
    assert len(found.map()[0]) == 23
    assert found.image(3) is None
    with pytest.raises(InputError, match="could not take this image"):
        found.neighbours_of(3)


def test_without_a_model_browsing_works_and_the_rest_says_what_it_needs(place):
    plain = Gallery(place / "cytoimagenet", limit=5)
    assert len(plain.rows) == 5
    assert (plain.total, plain.classes, plain.sources) == (24, 2, 3)  # of the whole, not of the sample
    with pytest.raises(InputError, match="--model"):
        plain.look_up(["x.png"])


@pytest.mark.parametrize("label", ["label", None])
def test_any_dataset_is_shown_with_what_is_known(tmp_path, label) -> None:
    gallery = Gallery(foreign(tmp_path / "d", {"train": 6, "test": 2}, label=label, pixels="list"))
    assert len(gallery.rows) == gallery.total == 8
    assert gallery.filters == (("label",) if label else ())
    assert list(gallery.choices("label")) == (["no", "yes"] if label else [])
    assert gallery.image(0).size == (24, 24)
    assert gallery.caption(0) == (("no",) if label else ())


def test_choices_count_the_images_that_the_other_filters_leave(gallery):
    assert gallery.choices("label") == {"dots": 12, "stripes": 12}
    source = next(iter(gallery.choices("dir_name")))
    wanted = {"label": "stripes", "dir_name": source}
    left = gallery.choices("label", wanted)
    assert left["stripes"] == gallery.browse(wanted).total
    assert sum(left.values()) == gallery.browse({"dir_name": source}).total
    assert sum(gallery.choices("dir_name", wanted).values()) == 12


def test_an_order_holds_every_row_once(gallery):
    def rows(order):
        return [row for page in (1, 2, 3) for row in gallery.browse({}, page=page, size=10, order=order).rows]

    assert rows("as stored") == list(range(24))
    assert rows("shuffled") != rows("as stored")
    assert sorted(rows("shuffled")) == list(range(24))
    labels = gallery.rows["label"].iloc[rows("label")].tolist()
    assert labels == ["dots"] * 12 + ["stripes"] * 12
    stripes = gallery.browse({"label": "stripes"}, size=30, order="shuffled").rows
    assert stripes == tuple(row for row in rows("shuffled") if gallery.rows["label"][row] == "stripes")
    with pytest.raises(InputError, match="no order 'size': choose from shuffled, as stored"):
        gallery.browse({}, order="size")


def test_an_upload_lies_on_the_map_between_its_nearest(gallery):
    points = gallery.map()[0].set_index("row")
    near = (Neighbour(3, 0.1), Neighbour(5, 0.1), Neighbour(8, 0.1), Neighbour(9, 0.1))
    expected = points.loc[[3, 5, 8], ["x", "y"]].mean()
    assert gallery.place_of(near) == pytest.approx(tuple(expected))
    assert gallery.place_of((Neighbour(3, 0.0), Neighbour(5, 0.5))) == pytest.approx(
        tuple(points.loc[3, ["x", "y"]]), abs=1e-3
    )


def test_a_wrong_model_is_refused_before_the_dataset_is_read(tmp_path):
    with pytest.raises(InputError) as refused:
        Gallery(tmp_path / "no dataset", model=str(tmp_path / "no model"))
    assert "no model" in str(refused.value)
    assert "no dataset" not in str(refused.value)
