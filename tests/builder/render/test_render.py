"""Rendering: what a field becomes and what is rejected, under both values of each rule."""

import dataclasses
import hashlib
import io
import tracemalloc

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest
import tifffile

import builder.render.reader
from builder.recipe import RECIPES, Recipe
from builder.render import render
from builder.render.field import REASONS
from builder.render.plan import crops_wanted
from builder.render.reader import PlaneReader
from builder.render.shard import SHARD_SCHEMA
from cytoimagenet_hf.dataset.schema import dataset_features
from cytoimagenet_hf.imaging import ImageReadError, Merger, merge_channels
from tests.builder.tiny_builds import annotation, cells, rendered_images, tiny_build, write_tables
from tests.faults.files import tiff_header
from tests.imaging.files import png

CORRECTED = RECIPES["corrected"]


def rule(**changes) -> Recipe:
    return dataclasses.replace(CORRECTED, **changes)


def pixels(row: dict) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(row["image"]["bytes"])))


def one_field(tmp_path, planes, *, recipe=CORRECTED, **columns):
    """Render one field from arrays: its images and its rejections as (reason, detail, image_id)."""
    raw, output = tmp_path / "raw", tmp_path / "output"
    raw.mkdir()
    files = []
    for number, plane in enumerate(planes):
        files.append(f"w{number}.tif")
        if plane is not None:
            tifffile.imwrite(raw / files[-1], plane)
    write_tables(output, [annotation("tiny-1", files, **columns)], {"tiny-1": "drug"})
    summary = render(raw, output, recipe=recipe, seed=3, workers=1)
    assert (summary.rows_in, summary.kept) == (1, int(not summary.rejected))
    rejected = pq.read_table(output / "render.rejected.parquet").to_pylist()
    assert {row["reason"] for row in rejected} <= REASONS
    return rendered_images(output), [(row["reason"], row["detail"], row["image_id"]) for row in rejected]


@pytest.mark.parametrize("margins", ["trim", "keep"])
def test_a_cell_on_black_is_trimmed_or_rejected_as_dim(tmp_path, margins):
    cell = cells(0, side=90)[0]
    images, rejected = one_field(
        tmp_path, [np.pad(cell, ((120, 90), (30, 200)))], recipe=rule(black_margins=margins, crops_wanted=((0, 1),))
    )
    if margins == "keep":
        assert rejected == [("dim", "", None)]
        return
    row = images["tiny-1"]
    # Not the whole box: the darkest pixels of its border are below the first gray level.
    assert 30 <= row["x_min"] < 40 < 110 < row["x_max"] <= 120
    assert 120 <= row["y_min"] < 130 < 200 < row["y_max"] <= 210
    assert (row["width"], row["height"]) == (row["x_max"] - row["x_min"], row["y_max"] - row["y_min"])
    assert (row["crop"], row["scaling"]) == (False, None)


def test_crops_of_a_trimmed_field_lie_in_the_field(tmp_path):
    cell = cells(1, side=300)[0]
    field = np.pad(cell, ((400, 0), (300, 0)))
    images, _ = one_field(tmp_path, [field])
    stretched = Merger([field]).unit()
    assert len(images) == 4
    for row in images.values():
        assert row["x_min"] >= 300
        assert row["y_min"] >= 400
        box = stretched[row["y_min"] : row["y_max"], row["x_min"] : row["x_max"]]
        assert np.array_equal(pixels(row), merge_channels([box]))


def test_a_small_field_stays_whole_and_is_the_merge_of_its_channels(tmp_path):
    planes = cells(0, side=100)
    images, rejected = one_field(tmp_path, planes, plate="p1", well="B02", site="2")
    assert (list(images), rejected) == (["tiny-1"], [])
    row = images["tiny-1"]
    assert np.array_equal(pixels(row), merge_channels(planes))
    assert row["sha256"] == hashlib.sha256(pixels(row).tobytes()).hexdigest()
    expected = {
        "crop": False,
        "scaling": None,
        "x_min": None,
        "width": 100,
        "height": 100,
        "plate": "p1",
        "well": "B02",
    }
    expected |= {"label": "drug", "category": "compound", "channels": "nucleus|actin", "channels_missing": None}
    assert {name: row[name] for name in expected} == expected
    assert row["image"]["path"] == "tiny-1.png"


def test_crops_are_stretched_from_the_merged_image_at_full_depth(tmp_path):
    planes = cells(1, side=300)
    images, rejected = one_field(tmp_path, planes)
    assert (len(images), rejected) == (4, [])
    merged = Merger(planes).unit()
    for image_id, row in images.items():
        box = merged[row["y_min"] : row["y_max"], row["x_min"] : row["x_max"]]
        assert np.array_equal(pixels(row), merge_channels([box]))
        assert image_id == f"tiny-1-{2 * (row['y_min'] >= 150) + (row['x_min'] >= 150)}"
        assert (row["crop"], row["width"], row["height"]) == (
            True,
            int(300 * row["scaling"]),
            int(300 * row["scaling"]),
        )


def test_crops_may_keep_the_contrast_of_the_field(tmp_path):
    planes = cells(1, side=300)
    images, _ = one_field(tmp_path, planes, recipe=rule(renormalise_crops=False))
    whole = merge_channels(planes)
    for row in images.values():
        assert np.array_equal(pixels(row), whole[row["y_min"] : row["y_max"], row["x_min"] : row["x_max"]])


def test_crop_counts_follow_the_class(tmp_path):
    assert [crops_wanted(n, CORRECTED) for n in (1, 399, 400, 549, 550, 999, 1000, 5000)] == [4, 4, 3, 3, 2, 2, 1, 1]
    raw, output = tiny_build(tmp_path, fields=3, labels=1)
    sized = rule(crops_wanted=((3, 2), (0, 4)))
    assert render(raw, output, recipe=sized, seed=0, workers=1).details["images"] == 6


@pytest.mark.parametrize(("replace_single", "crop"), [(True, True), (False, False)])
def test_a_single_crop_replaces_the_image_only_under_the_published_rule(tmp_path, replace_single, crop):
    images, _ = one_field(tmp_path, cells(0), recipe=rule(crops_wanted=((0, 1),), replace_single=replace_single))
    assert [row["crop"] for row in images.values()] == [crop]  # I6


def test_a_dark_window_gives_way_to_another_and_is_recorded(tmp_path):
    plane = np.zeros((300, 300), np.uint16)
    plane[:, 130:] = cells(0, side=300)[0][:, 130:]
    images, rejected = one_field(tmp_path, [plane], recipe=rule(crops_wanted=((0, 2),), crop_scales=(1 / 4,)))
    assert len(images) == 2
    for reason, _, image_id in rejected:
        assert reason.startswith("crop_")
        assert image_id in {"tiny-1-0", "tiny-1-2"}
    assert all(row["x_max"] > 130 for row in images.values())


@pytest.mark.parametrize(("least", "kept"), [(0.1, {"tiny-1-3"}), (0.0, {f"tiny-1-{window}" for window in range(4)})])
def test_background_is_no_example_of_a_label(tmp_path, least, kept):
    # Camera noise of 1 % of the signal's range everywhere, cells in the last quarter alone.
    plane = np.random.default_rng(0).normal(300, 10, (300, 300)).clip(0).astype(np.uint16)
    plane[150:, 150:] = cells(0, side=150)[0]
    images, rejected = one_field(tmp_path, [plane], recipe=rule(min_crop_contrast=least))
    assert set(images) == kept
    assert {image_id: reason for reason, _, image_id in rejected} == {
        f"tiny-1-{window}": "crop_empty" for window in range(4) if f"tiny-1-{window}" not in kept
    }


def test_a_field_whose_crops_all_fail_stays_whole(tmp_path):
    plane = np.kron([[50, 100], [150, 200]], np.ones((150, 150))).astype(np.uint8)  # each window is flat
    images, rejected = one_field(tmp_path, [plane])
    assert list(images) == ["tiny-1"]
    assert not images["tiny-1"]["crop"]
    assert {image_id: reason for reason, _, image_id in rejected} == {
        "tiny-1-0": "crop_dark",
        "tiny-1-1": "crop_uniform",
        "tiny-1-2": "crop_uniform",
        "tiny-1-3": "crop_bright",
    }


REFUSED = {
    "uniform": [np.full((80, 80), 7, np.uint16)],
    "binary": [np.pad(np.full((40, 40), 255, np.uint8), 20)],
    "dim": [np.where(np.arange(90 * 90).reshape(90, 90) % 7, 0, cells(0, side=90)[0])],
    "unmergeable": [cells(0, side=80)[0], cells(0, side=81)[0]],
    "missing_file": [None, None],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_fields_that_show_nothing_are_rejected_with_the_reason(tmp_path, reason):
    images, rejected = one_field(tmp_path, REFUSED[reason])
    assert images == {}
    assert [(name, image_id) for name, _, image_id in rejected] == [(reason, None)]


@pytest.mark.parametrize(
    ("columns", "reason", "detail"),
    [
        ({"channel_files": ["../secret.tif"]}, "outside_root", "secret.tif"),
        ({"channel_pages": [4]}, "unreadable", "no page 4"),
        ({"region": [0, 90, 0, 40]}, "bad_region", "80 x 80"),
    ],
)
def test_rows_that_point_nowhere_are_rejected(tmp_path, columns, reason, detail):
    tifffile.imwrite(tmp_path / "secret.tif", cells(0, side=80)[0])
    images, rejected = one_field(tmp_path, [cells(0, side=80)[0]], **columns)
    assert (images, [name for name, *_ in rejected]) == ({}, [reason])
    assert detail in rejected[0][1]


def test_a_truncated_file_is_named_without_the_place_of_the_build(tmp_path):
    raw, output = tiny_build(tmp_path, fields=2, side=80)
    broken = raw / "tiny" / "tiny-0001_w1.tif"
    broken.write_bytes(broken.read_bytes()[:3000])
    summary = render(raw, output, recipe=CORRECTED, seed=0, workers=1)
    assert summary.rejected == {"unreadable": 1}
    assert summary.by_source == {"tiny": {"in": 2, "unreadable": 1, "kept": 1}}
    detail = pq.read_table(output / "render.rejected.parquet")["detail"][0].as_py()
    assert detail.startswith("tiny/tiny-0001_w1.tif is truncated")


def test_truncated_files_pass_without_full_decoding(tmp_path):
    raw, output = tiny_build(tmp_path, fields=1, side=80)
    broken = raw / "tiny" / "tiny-0000_w1.tif"
    content = broken.read_bytes()
    broken.write_bytes(content[: int(len(content) * 0.8)])
    assert render(raw, output, recipe=rule(full_decode=False), seed=0, workers=1).kept == 1  # I5


@pytest.mark.parametrize(
    ("rule_name", "kept", "channels", "missing"),
    [("record", 1, "nucleus", "actin"), ("drop", 1, "nucleus|actin", None), ("reject", 0, None, None)],
)
def test_a_missing_channel_is_recorded_dropped_or_refused(tmp_path, rule_name, kept, channels, missing):
    planes = cells(0, side=80)
    images, rejected = one_field(tmp_path, [planes[0], None], recipe=rule(missing_channels=rule_name))
    assert len(images) == kept  # I4
    for row in images.values():
        assert np.array_equal(pixels(row), merge_channels(planes[:1]))
        assert (row["channels"], row["channels_missing"]) == (channels, missing)
    if not kept:
        assert rejected == [("missing_channel", "actin", None)]


def test_eight_bit_reading_loses_the_levels_of_12_bit_files(tmp_path):
    plane = cells(0, side=100, channels=1)[0]
    for name, depth, levels in (("native", "native", 200), ("cut", "8-bit", 16)):
        (tmp_path / name).mkdir()
        images, _ = one_field(tmp_path / name, [plane], recipe=rule(read_depth=depth))
        count = len(np.unique(pixels(images["tiny-1"])))
        assert count > levels if depth == "native" else count <= levels  # I1


def test_colour_is_the_mean_or_the_published_zeros_and_ones(tmp_path):
    colour = np.stack([(plane >> 4).astype(np.uint8) for plane in cells(0, side=100, channels=3)], axis=-1)
    colour[0, :60] = 255
    for name in ("mean", "unit-bytes"):
        (tmp_path / name).mkdir()
        images, rejected = one_field(tmp_path / name, [colour], recipe=rule(rgb=name))
        if name == "mean":
            assert np.array_equal(pixels(images["tiny-1"]), merge_channels([colour]))
        else:
            assert rejected[0][0] == "binary"  # I3: images of zeros and ones


def test_a_constant_channel_is_black_under_the_published_cast(tmp_path):
    flat = np.full((80, 80), 9, np.uint16)
    images, _ = one_field(tmp_path, [flat, cells(0, side=80)[0]], recipe=rule(reject_uniform="nan-cast"))
    assert not pixels(images["tiny-1"]).any()  # I2
    (tmp_path / "corrected").mkdir()
    images, _ = one_field(tmp_path / "corrected", [flat, cells(0, side=80)[0]])
    assert pixels(images["tiny-1"]).any()


def test_pages_and_regions_of_one_file(tmp_path):
    raw, output = tmp_path / "raw", tmp_path / "output"
    raw.mkdir()
    stack = np.stack(cells(5, side=120, channels=2))
    tifffile.imwrite(raw / "slide.tif", stack, photometric="minisblack")
    boxes = {"slide-a": [0, 100, 10, 120], "slide-b": [20, 120, 0, 90]}
    rows = [annotation(idx, ["slide.tif"], channel_pages=[1], region=box) for idx, box in boxes.items()]
    write_tables(output, rows, dict.fromkeys(boxes, "cell"))
    render(raw, output, recipe=CORRECTED, seed=0, workers=1)
    images = rendered_images(output)
    for idx, (x_min, x_max, y_min, y_max) in boxes.items():
        assert np.array_equal(pixels(images[idx]), merge_channels([stack[1, y_min:y_max, x_min:x_max]]))


def test_neighbouring_fields_of_one_file_read_it_once(tmp_path, monkeypatch):
    raw, output = tmp_path / "raw", tmp_path / "output"
    raw.mkdir()
    for name in ("a", "b"):
        tifffile.imwrite(raw / f"{name}.tif", cells(1, side=120)[0])
    rows = [
        annotation(f"slide-{name}{box}", [f"{name}.tif"], region=[box, box + 90, 0, 90])
        for name in "ab"
        for box in range(4)
    ]
    write_tables(output, rows, {row["idx"]: "cell" for row in rows})
    read = []
    original = builder.render.reader.read_image
    monkeypatch.setattr(
        builder.render.reader, "read_image", lambda path, **k: read.append(path.name) or original(path, **k)
    )
    render(raw, output, recipe=CORRECTED, seed=0, workers=1)
    assert sorted(read) == ["a.tif", "b.tif"]


def test_shard_columns_are_those_of_the_dataset(tmp_path):
    raw, output = tiny_build(tmp_path, fields=1, side=80)
    render(raw, output, recipe=CORRECTED, seed=0, workers=1)
    (path,) = output.glob("shards/shard-*")
    assert pq.read_schema(path).remove_metadata() == SHARD_SCHEMA
    assert set(dataset_features([])) - set(SHARD_SCHEMA.names) == {"path", "filename"}


def test_a_source_folder_may_be_a_link_to_another_disk(tmp_path):
    (tmp_path / "disk" / "bbbc013").mkdir(parents=True)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "bbbc013").symlink_to(tmp_path / "disk" / "bbbc013")
    tifffile.imwrite(tmp_path / "disk" / "bbbc013" / "a.tif", np.arange(64, dtype=np.uint8).reshape(8, 8))
    reader = PlaneReader(tmp_path / "raw", RECIPES["corrected"])
    (plane,) = reader.read({"channel_files": ["bbbc013/a.tif"], "channel_pages": None, "region": None})
    assert plane[7, 7] == 63


def test_links_in_circles_and_what_memory_cannot_hold_are_recorded_and_the_rest_is_rendered(tmp_path, monkeypatch):
    raw, output = tiny_build(tmp_path, fields=6, side=80)
    loop = raw / "tiny" / "tiny-0001_w0.tif"
    loop.unlink()
    loop.symlink_to(loop.name)
    reads = builder.render.reader.read_image

    def hungry(path, **options):
        if path.name == "tiny-0002_w1.tif":
            raise MemoryError
        if path.name == "tiny-0003_w1.tif":
            raise ImageReadError(f"cannot decode {path}: not enough memory for it") from MemoryError()
        return reads(path, **options)

    monkeypatch.setattr(builder.render.reader, "read_image", hungry)
    summary = render(raw, output, recipe=CORRECTED, seed=0, workers=1)
    assert (summary.kept, summary.rejected) == (3, {"out_of_memory": 2, "outside_root": 1})
    rejected = pq.read_table(output / "render.rejected.parquet").to_pylist()
    details = {row["idx"]: row["detail"] for row in rejected}
    assert "tiny-0002_w1.tif" in details["tiny-0002"]
    assert "tiny-0003_w1.tif" in details["tiny-0003"]
    assert str(tmp_path) not in details["tiny-0003"]
    monkeypatch.undo()
    assert render(raw, output, recipe=CORRECTED, seed=0, workers=1, retry_rejected=["out_of_memory"]).kept == 5


def test_an_image_of_too_many_pixels_is_rejected_by_its_header_with_its_name(tmp_path):
    images, rejected = one_field(tmp_path, [cells(0, side=100)[0]], recipe=rule(max_pixels=9_999))
    assert images == {}
    assert [(reason, image_id) for reason, _, image_id in rejected] == [("too_large", None)]
    assert rejected[0][1].startswith("w0.tif claims 100 x 100 pixels")


def test_a_small_file_that_claims_a_huge_image_takes_no_memory(tmp_path):
    raw, output = tmp_path / "raw", tmp_path / "output"
    raw.mkdir()
    (raw / "gray.png").write_bytes(png(30_000, 30_000, b""))
    (raw / "gray.tif").write_bytes(tiff_header(30_000, 30_000))
    write_tables(
        output,
        [annotation("tiny-1", ["gray.png"]), annotation("tiny-2", ["gray.tif"])],
        {"tiny-1": "a", "tiny-2": "a"},
    )
    tracemalloc.start()
    assert render(raw, output, recipe=CORRECTED, seed=0, workers=1).rejected == {"too_large": 2}
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
