"""Folders, globs, patterns, tables and datasets become images with ids, named channels and metadata."""

import os
from multiprocessing.reduction import ForkingPickler

import datasets
import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import FORMATS, find_images, look
from tests.images.plates import values, write


@pytest.fixture
def plate(tmp_path):
    """Wells a1 to a3 of plate P_1, one site, two channels; pixels are 10 * well + channel."""
    for well in (1, 2, 3):
        for channel in (1, 2):
            write(tmp_path / "P_1" / f"x_a{well}_f02-{channel}.tif", 10 * well + channel)
    return tmp_path / "P_1"


PATTERN = "*_{well}_f{site}-{c}.tif"


def test_a_pattern_gives_places_and_channels(plate) -> None:
    images = find_images(plate, pattern=PATTERN)
    assert [image.id for image in images] == ["P_1/A01/2", "P_1/A02/2", "P_1/A03/2"]
    assert images[0].channels == ("1", "2")
    assert images[2].metadata == {"plate": "P_1", "well": "A03", "site": 2}
    assert [values(image) for image in images] == [[11, 12], [21, 22], [31, 32]]


@pytest.mark.parametrize("stains", ["1=DNA,2=er", {"w1": "dna", "ch02": "ER"}, "dna,er", ["DNA", "ER"]])
def test_stains_map_by_name_or_by_number(plate, stains) -> None:
    image = find_images(plate, pattern=PATTERN, stains=stains)[0]
    assert image.channels == ("dna", "er")
    assert values(image) == [11, 12]


def test_the_mapping_decides_the_order_and_channels_choose(plate) -> None:
    turned = find_images(plate, pattern=PATTERN, stains="2=er,1=dna")[0]
    assert (turned.channels, values(turned)) == (("er", "dna"), [12, 11])
    assert find_images(plate, pattern=PATTERN, stains="2=er", channels="er")[0].channels == ("er",)
    assert find_images(plate, pattern=PATTERN, channels="2,1")[0].channels == ("2", "1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stains": "w3=dna"}, "'w3', which is not there: the channels are 1, 2"),
        ({"stains": "dna,er,rna"}, "3 stains .* for 2 channels"),
        ({"stains": "1=dna,2=dna"}, "would both be 'dna'"),
        ({"stains": "1=dna,er"}, "'er' is not CHANNEL=STAIN"),
        ({"channels": "gfp"}, "no channel 'gfp'"),
        ({"channels": "{well}_w{c}.tif"}, "give it as --pattern"),
        ({"format": "phenix"}, "goes with --format pattern"),
        ({"format": "czy", "pattern": None}, "choose one of .*folder"),
        ({"projection": "median"}, "choose max, mean"),
        ({"pattern": "{well}_{well}.tif"}, "each once"),
        ({"pattern": "{row}.tif"}, "row} and {column} together"),
        ({"pattern": "plain.tif"}, "needs fields"),
        ({"pattern": "{well}.png"}, "no images"),
    ],
)
def test_wrong_calls_say_what_is_wrong(plate, options, message) -> None:
    with pytest.raises(InputError, match=message):
        find_images(plate, **{"pattern": PATTERN, **options})


def test_named_channels_refuse_a_bare_list(tmp_path) -> None:
    for stain in ("DAPI", "GFP"):
        write(tmp_path / f"A01_{stain}.tif", 1)
    with pytest.raises(InputError, match=r"have names .dapi, gfp.: say which is which"):
        find_images(tmp_path, pattern="{well}_{c}.tif", stains="dna,er")
    assert find_images(tmp_path, pattern="{well}_{c}.tif", stains="dapi=dna")[0].channels == ("dna", "gfp")
    assert find_images(tmp_path, pattern="{well}_{c}.tif", stains="gfp,dapi")[0].channels == ("gfp", "dapi")


def test_numbered_channels_with_gaps_keep_their_order(tmp_path) -> None:
    for number in (1, 2, 10):
        write(tmp_path / f"A01_w{number}.tif", number)
    (image,) = find_images(tmp_path, pattern="{well}_w{c}.tif", stains="a,b,c")
    assert values(image) == [1, 2, 10]


def test_z_is_projected_and_time_makes_images(tmp_path) -> None:
    for t in (1, 2):
        for z in (1, 2, 3):
            write(tmp_path / f"A01_t{t}_z{z}_c1.tif", 100 * t + z)
    pattern = "{well}_t{t}_z{z}_c{c}.tif"
    images = find_images(tmp_path, pattern=pattern)
    assert [image.metadata["t"] for image in images] == [1, 2]
    assert images[1].id == f"{tmp_path.name}/A01/2"
    assert [values(image) for image in images] == [[103], [203]]
    assert [values(image) for image in find_images(tmp_path, pattern=pattern, projection="mean")] == [[102], [202]]
    one = find_images(tmp_path, pattern=pattern, projection="z=1")[0]
    assert (values(one), one.metadata["z"]) == ([101], 1)
    (tmp_path / "A01_t2_z3_c1.tif").unlink()
    with pytest.raises(InputError, match="2 z planes where other images have 3"):
        find_images(tmp_path, pattern=pattern)[1].read()


def test_a_pattern_of_channels_alone_makes_an_image_of_a_folder(tmp_path) -> None:
    for folder in ("", "b/"):
        for value, stain in enumerate(("Hoechst", "Mito"), 1):
            write(tmp_path / "a" / f"{folder}{stain}.tif", value)
    images = find_images(tmp_path / "a", pattern="{c}.tif")
    assert [(image.id, image.channels) for image in images] == [("a", ("hoechst", "mito")), ("b", ("hoechst", "mito"))]
    assert [values(image) for image in images] == [[1, 2], [1, 2]]
    for z in (1, 2):
        write(tmp_path / "stack" / f"focus_{z}.tif", z)
    (stack,) = find_images(tmp_path / "stack", pattern="focus_{z}.tif")
    assert (stack.id, values(stack)) == ("stack", [2])


def test_bad_images_stay_in_the_list_and_say_why(plate) -> None:
    (plate / "x_a2_f02-2.tif").unlink()
    write(plate / "x_A01_f2-1.tif", 5)
    write(plate / "x_Z49_f2-1.tif", 5)
    write(plate / "x_a4_f02-1.tif", 41)
    write(plate / "x_a4_f02-2.tif", 42, shape=(5, 4))
    write(plate / "x_a5_f02-1.tif", 51)
    write(plate / "x_a5_f02-2.tif", 52, dtype=np.uint8)
    write(plate / "note.tif", 1)
    found = look(plate, pattern=PATTERN)
    reasons = {rejected.id: rejected.reason for rejected in found.rejected}
    assert "two planes of channel 1" in reasons["P_1/A01/2"]
    assert "A01 and a1 are one" in reasons["P_1/A01/2"] or "a1 and A01 are one" in reasons["P_1/A01/2"]
    assert reasons["P_1/A02/2"] == "no file for channel 2"
    assert "outside a plate" in reasons["P_1/Z49/2"]
    by_id = {image.id: image for image in found.images}
    assert values(by_id["P_1/A03/2"]) == [31, 32]
    for name, message in [
        ("P_1/A04/2", "1 is 4 x 5 and 2 is 5 x 4"),
        ("P_1/A05/2", "1 is uint16 and 2 is uint8"),
        ("P_1/A02/2", "no file"),
    ]:
        with pytest.raises(InputError, match=message):
            by_id[name].read()
    assert [ignored.path for ignored in found.ignored] == ["note.tif"]
    assert "does not match" in found.ignored[0].reason


def test_two_plates_of_one_name_are_refused_where_they_meet(tmp_path) -> None:
    for folder, well in [("a", "A01"), ("a", "A02"), ("b", "A01")]:
        write(tmp_path / folder / f"P7_{well}_1.tif", 1)
    found = look(tmp_path, pattern="{plate}_{well}_{c}.tif")
    assert [image.id for image in found.images] == ["P7/A02", "a/P7/A01", "b/P7/A01"]
    assert [rejected.id for rejected in found.rejected] == ["a/P7/A01", "b/P7/A01"]
    assert all("lies in several folders (a, b)" in rejected.reason for rejected in found.rejected)
    assert "P7" in found.notes[0]


def test_a_folder_and_a_glob_without_order(tmp_path) -> None:
    for name in ("b.tif", "a.tif", "deep/c.tif"):
        write(tmp_path / name, 1)
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "notes.csv").write_text("x")
    found = look(tmp_path)
    assert found.format == "folder"
    assert [image.id for image in found.images] == ["a.png", "a.tif", "b", "deep/c"]
    assert [image.id for image in find_images(f"{tmp_path}/[bc]*.tif")] == ["b"]
    assert [(ignored.path, ignored.reason) for ignored in found.ignored] == [("notes.csv", "no image file")]
    assert found.notes == ("notes.csv is a table: to read the images by it, give it as the source",)


def test_what_cannot_be_listed_is_told(tmp_path) -> None:
    write(tmp_path / "a.tif", 1)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "lost.tif").symlink_to(tmp_path / "absent.tif")
    with open(os.fsencode(tmp_path) + b"/\xff.tif", "wb"):
        pass
    found = look(tmp_path)
    assert [image.id for image in found.images] == ["a"]
    reasons = {ignored.path: ignored.reason for ignored in found.ignored}
    assert "listed already" in reasons["loop"]
    assert "nothing" in reasons["lost.tif"]
    assert "UTF-8" in reasons["\\xff.tif"]


@pytest.mark.parametrize(("given", "message"), [("absent", "does not exist"), ("*.tif", "no file matches")])
def test_nothing_there(tmp_path, given, message) -> None:
    with pytest.raises(InputError, match=message):
        find_images(tmp_path / given)
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(InputError, match="no images"):
        find_images(tmp_path)


def test_images_travel_and_stamps_follow_the_files(plate) -> None:
    image = find_images(plate, pattern=PATTERN)[0]
    assert ForkingPickler.loads(ForkingPickler.dumps(image)).read()[0][0, 0] == 11
    before = image.stamp
    assert image.stamp == before
    write(plate / "x_a1_f02-2.tif", 7, shape=(9, 9))
    assert image.stamp != before


def table_of(plate, **changes) -> pd.DataFrame:
    first = [f"x_a{well}_f02-1.tif" for well in (1, 2)]
    second = [f"x_a{well}_f02-2.tif" for well in (1, 2)]
    rows = pd.DataFrame({"id": ["x", "y"], "dna": first, "actin": second, "Metadata_Dose": ["0.1", ""]})
    return rows.assign(**changes)


def test_a_table_of_ones_own(plate, tmp_path) -> None:
    table_of(plate).to_csv(plate / "t.csv", index=False)
    images = find_images(plate / "t.csv", channels="dna,actin")
    assert [(image.id, image.channels) for image in images] == [("x", ("dna", "actin")), ("y", ("dna", "actin"))]
    assert [dict(image.metadata) for image in images] == [{"Dose": "0.1"}, {}]
    assert values(images[1]) == [21, 22]
    rows = table_of(plate)
    rows.assign(path=rows["dna"] + "|" + rows["actin"])[["id", "path"]].to_parquet(tmp_path / "t.parquet")
    joined = find_images(tmp_path / "t.parquet", root=plate, stains="dna,actin")
    assert [values(image) for image in joined] == [[11, 12], [21, 22]]
    rows.assign(dna=[str(plate / name) for name in rows["dna"]]).to_csv(tmp_path / "t.csv", index=False)
    assert values(find_images(tmp_path / "t.csv", channels="dna", root=plate)[0]) == [11]


def test_a_table_by_wells_needs_no_ids(plate) -> None:
    rows = table_of(plate).drop(columns="id")
    rows.assign(Metadata_Plate="P", Metadata_Well=["a1", "A02"], Site="01").to_csv(plate / "t.csv", index=False)
    images = find_images(plate / "t.csv", channels="dna")
    assert [image.id for image in images] == ["P/A01/1", "P/A02/1"]
    assert dict(images[0].metadata) == {"plate": "P", "well": "A01", "site": 1, "Dose": "0.1"}


@pytest.mark.parametrize(
    ("changes", "channels", "message"),
    [
        ({"dna": "../../secret.tif"}, "dna", "points outside"),
        ({"dna": "/etc/secret.tif"}, "dna", "points outside"),
        ({}, "gfp", "no column 'gfp'"),
        ({"id": "x"}, "dna", "'x' occurs twice"),
        ({"id": ""}, "dna", "row 2 has no id"),
    ],
)
def test_tables_that_cannot_serve(plate, changes, channels, message) -> None:
    table_of(plate, **changes).to_csv(plate / "t.csv", index=False)
    with pytest.raises(InputError, match=message):
        find_images(plate / "t.csv", channels=channels)


def test_an_empty_cell_refuses_its_image_alone(plate) -> None:
    table_of(plate, actin=["", "x_a2_f02-2.tif"]).to_csv(plate / "t.csv", index=False)
    found = look(plate / "t.csv", channels="dna,actin")
    assert [(rejected.id, rejected.reason) for rejected in found.rejected] == [("x", "row 2 names no file for actin")]


def test_a_built_dataset_and_hf(tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 9), np.uint8)
    kinds = {"image_id": datasets.Value("string"), "image": datasets.Image(mode="L"), "well": datasets.Value("string")}
    rows = {"image_id": ["b", "a"], "image": [pixels, pixels.T], "well": ["B02", None]}
    made = datasets.Dataset.from_dict(rows, features=datasets.Features(kinds))
    (tmp_path / "built" / "data").mkdir(parents=True)
    made.to_parquet(tmp_path / "built" / "data" / "train-00000-of-00001.parquet")
    images = find_images(tmp_path / "built")
    assert [image.id for image in images] == ["a", "b"]
    np.testing.assert_array_equal(images[1].read()[0], pixels)
    assert dict(images[1].metadata) == {"well": "B02"}
    assert ForkingPickler.loads(ForkingPickler.dumps(images[1])).stamp == images[1].stamp
    assert [image.id for image in find_images(f"hf:{tmp_path / 'built'}:train")] == ["a", "b"]


def test_every_format_has_a_line() -> None:
    assert all(kind.about and kind.about == kind.about.strip() for kind in FORMATS.values())


@pytest.mark.parametrize("given", ["", " "])
def test_an_empty_name_is_not_the_working_folder(given):
    with pytest.raises(InputError, match="is empty: give a folder"):
        find_images(given)
