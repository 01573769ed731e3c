"""Acquisitions in one file per well: the name or a table says the place, the file its planes."""

import numpy as np
import pytest

from builder.recipe import RECIPES
from builder.render.reader import FieldRejected, PlaneReader
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import find_images, look
from tests.images.plates import values

czi = pytest.importorskip("pylibCZIrw.czi")


def write(path, *, channels=2, depth=1, value=0):
    path.parent.mkdir(exist_ok=True, parents=True)
    with czi.create_czi(str(path)) as file:
        for c in range(channels):
            for z in range(depth):
                pixels = np.full((16, 16, 1), value + 10 * c + z, np.uint16)
                file.write(pixels, plane={"C": c, "Z": z})


@pytest.fixture
def plate(tmp_path):
    for n, (well, site) in enumerate([("A01", 1), ("A01", 2), ("B11", 1)]):
        write(tmp_path / f"plate7_{well}_s{site}.czi", value=100 * n)
    return tmp_path


def test_the_name_says_the_place_and_the_file_its_channels(plate) -> None:
    found = look(plate, pattern="{plate}_{well}_s{site}.czi", stains="1=dna,2=er")
    assert [image.id for image in found.images] == ["plate7/A01/1", "plate7/A01/2", "plate7/B11/1"]
    assert [values(image) for image in found.images] == [[0, 10], [100, 110], [200, 210]]
    assert not found.rejected


def test_without_a_pattern_the_note_says_how_wells_are_named(plate) -> None:
    assert any("--pattern '{well}_s{site}.czi'" in note for note in look(plate).notes)


def test_a_file_per_channel_with_a_stack_each(tmp_path) -> None:
    for c, name in enumerate(("dna", "er")):
        write(tmp_path / f"A01_{name}.czi", channels=1, depth=3, value=100 * c)
    (image,) = find_images(tmp_path, pattern="{well}_{c}.czi")
    assert (image.channels, values(image)) == (("dna", "er"), [2, 102])
    (second,) = find_images(tmp_path, pattern="{well}_{c}.czi", projection="z=2")
    assert values(second) == [1, 101]


def test_a_name_that_says_one_channel_of_a_file_of_two_is_refused(plate) -> None:
    with pytest.raises(InputError, match="holds 2 channels"):
        find_images(plate, pattern="plate7_{well}_s1{c}czi")[0].read()


def test_a_table_names_files_and_places(plate) -> None:
    (plate / "t.csv").write_text("id,path,plate,well,site\na,plate7_A01_s2.czi,Q,A01,2\n")
    (image,) = find_images(plate / "t.csv")
    assert (image.id, image.metadata["well"], values(image)) == ("a", "A01", [100, 110])


def test_loaddata_chooses_channel_and_focus(tmp_path) -> None:
    write(tmp_path / "a.czi", depth=3)
    (tmp_path / "t.csv").write_text(
        "FileName_DNA,C_DNA,Z_DNA,FileName_ER,C_ER,Z_ER,Metadata_Well\na.czi,0,2,a.czi,1,1,A01\n"
    )
    (image,) = find_images(tmp_path / "t.csv")
    assert (image.channels, values(image)) == (("dna", "er"), [2, 11])
    (tmp_path / "t.csv").write_text("FileName_DNA,C_DNA,Metadata_Well\na.czi,2,A01\n")
    (image,) = find_images(tmp_path / "t.csv")
    assert "no plane of series 0, channel 2" in image.reason_against()


def test_the_builder_reads_planes_by_their_page(tmp_path) -> None:
    write(tmp_path / "source" / "a.czi")
    reader = PlaneReader(tmp_path, RECIPES["corrected"])
    field = {"channel_files": ["source/a.czi", "source/a.czi"], "channel_pages": [1, 0], "region": None}
    assert [int(plane.max()) for plane in reader.read(field)] == [10, 0]
    with pytest.raises(FieldRejected, match="say which"):
        reader.read(field | {"channel_pages": [None, None]})
