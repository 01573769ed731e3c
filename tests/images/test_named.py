"""Names of instruments that say everything themselves, each with the well, site and channels that they mean."""

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.images import look
from cytoimagenet_hf.images.suggest import suggest_pattern
from cytoimagenet_hf.tables.wells import normalise_well


def plate(tmp_path, names):
    for value, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with open(tmp_path / name, "wb") as handle:  # whatever its ending, a TIFF
            tifffile.imwrite(handle, np.full((8, 8), value, np.uint16), photometric="minisblack")
    return look(tmp_path)


def told(found):
    """(well, site, values of the channels) of the images."""
    return [
        (image.metadata.get("well"), image.metadata.get("site"), [int(plane.max()) for plane in image.read()])
        for image in found.images
    ]


def test_gen5(tmp_path) -> None:
    names = [f"{w}_01_{n}_{s}_{c}_001.tif" for w, s in (("B7", 3), ("H12", 1)) for n, c in ((1, "DAPI"), (2, "GFP"))]
    found = plate(tmp_path, [*names, "B7_01_1_3_DAPI_001_MaskNuclei.tiff"])
    assert found.format == "gen5"
    assert told(found) == [("B07", 3, [0, 1]), ("H12", 1, [2, 3])]
    assert list(found.stains.values()) == ["dapi", "gfp"]
    assert len(found.ignored) == 1


def test_gen5_with_commas_and_a_stack(tmp_path) -> None:
    found = plate(tmp_path, [f"A1_02_1_1Z{z}_DAPI 377,447_001.tif" for z in (0, 1)])
    assert told(found) == [("A01", 1, [1])]
    assert look(tmp_path, channels="DAPI 377,447").images[0].channels == ("dapi 377,447",)
    assert look(tmp_path, stains="dapi=dna").images[0].channels == ("dna",)


def test_cq1_says_that_wells_are_numbers(tmp_path) -> None:
    found = plate(tmp_path, [f"W0013F0001T0001Z001C{c}.tif" for c in (1, 2)])
    assert (found.format, told(found)) == ("cq1", [(None, 1, [0, 1])])
    assert found.images[0].metadata["well_number"] == "0013"
    assert any("B01 of 96" in note for note in found.notes)


def test_bd_pathway(tmp_path) -> None:
    names = [f"Well {w}/{c} - n00000{s}.tif" for w in ("A01", "B02") for s in (0, 1) for c in ("DAPI", "FITC")]
    found = plate(tmp_path, names)
    assert (found.format, len(found.stains)) == ("bdpathway", 2)
    assert told(found) == [("A01", 1, [0, 1]), ("A01", 2, [2, 3]), ("B02", 1, [4, 5]), ("B02", 2, [6, 7])]


def test_flex_asks_what_its_pages_are(tmp_path) -> None:
    for field in (1, 2):
        with open(tmp_path / f"00101200{field}.flex", "wb") as handle:
            tifffile.imwrite(handle, np.stack([np.full((8, 8), 10 * field + c, np.uint16) for c in (0, 1)]))
    found = look(tmp_path, axes="C")
    assert (found.format, told(found)) == ("flex", [("A12", 1, [10, 11]), ("A12", 2, [20, 21])])
    assert any("which page is which channel" in note for note in found.notes)
    with pytest.raises(ValueError, match="axes"):
        look(tmp_path)


@pytest.mark.parametrize("ending", ["DIB", "tif"])
def test_cellomics(tmp_path, ending) -> None:
    names = [f"AS_09125_050116030001_{w}f0{s}d{c}.{ending}" for w in ("D03", "E4") for s in (0, 1) for c in (0, 1)]
    found = plate(tmp_path, names)
    assert found.format == "cellomics"
    assert told(found) == [("D03", 1, [0, 1]), ("D03", 2, [2, 3]), ("E04", 1, [4, 5]), ("E04", 2, [6, 7])]
    assert {image.metadata["plate"] for image in found.images} == {"AS_09125_050116030001"}


@pytest.mark.parametrize(
    "times", [("00d00h00m", "00d04h00m", "01d00h00m"), ("2026y01m31d_22h00m", "2026y02m01d_02h00m")]
)
def test_incucyte(tmp_path, times) -> None:
    found = plate(tmp_path, [f"VID7_A1_2_{time}.tif" for time in times])
    assert found.format == "incucyte"
    assert [(image.metadata["t"], image.metadata["time"]) for image in found.images] == list(enumerate(times, 1))
    assert {(image.metadata["plate"], image.metadata["well"]) for image in found.images} == {("VID7", "A01")}


def test_incucyte_colours_are_channels(tmp_path) -> None:
    found = plate(tmp_path, [f"{c}_A1_2_00d00h00m.tif" for c in ("Phase", "Green")])
    assert len(found.images) == 1
    assert set(found.images[0].channels) == {"phase", "green"}


def test_incell_of_version_7_2(tmp_path) -> None:
    names = [
        f"{r}_01_f{f}_c{c}_x{x}_m{m}_z1_t1.tif"
        for r in "AB"
        for f in (1, 2)
        for c, x, m in ((1, "UV", "DAPI"), (2, "Blue", "FITC"))
    ]
    found = plate(tmp_path, names)
    assert (found.format, list(found.stains.values())) == ("incell", ["dapi", "fitc"])
    assert told(found) == [("A01", 1, [0, 1]), ("A01", 2, [2, 3]), ("B01", 1, [4, 5]), ("B01", 2, [6, 7])]


def test_incell_with_the_plate_in_front(tmp_path) -> None:
    found = plate(tmp_path, ["P7_A - 01(fld 1 wv 390 - Blue).tif"])
    assert (found.images[0].metadata["plate"], told(found)) == ("P7", [("A01", 1, [0])])


def test_cellvoyager_of_1536_wells(tmp_path) -> None:
    names = [
        f"210305NAR005AAN_{w}_T0001F001L01A0{c}Z01C0{c}.tif" for w in ("A01.a1", "A01.a2", "A02.b1") for c in (1, 2)
    ]
    found = plate(tmp_path, names)
    assert (found.format, told(found)) == ("yokogawa", [("A01", 1, [0, 1]), ("A02", 1, [2, 3]), ("B03", 1, [4, 5])])


def test_quarters_are_all_1536_wells_once() -> None:
    quarters = [
        f"{row}{column:02d}.{a}{n}"
        for row in "ABCDEFGHIJKLMNOP"
        for column in range(1, 25)
        for a in "ab"
        for n in (1, 2)
    ]
    assert len({normalise_well(name) for name in quarters}) == 1536


def test_folders_of_channels_when_asked_for(tmp_path) -> None:
    plate(tmp_path, [f"{c}/{w}_f1.tif" for w in ("A1", "B2") for c in ("DAPI", "tubulin")])
    assert len(look(tmp_path).images) == 4
    found = look(tmp_path, format="channelfolders")
    assert told(found) == [("A01", 1, [0, 1]), ("B02", 1, [2, 3])]
    assert found.images[0].channels == ("dapi", "tubulin")


def test_folders_of_channels_without_wells(tmp_path) -> None:
    plate(tmp_path, [f"x/{c}/cell {n}.tif" for n in (1, 2) for c in ("first", "second")])
    found = look(tmp_path, format="channelfolders")
    assert [[int(plane.max()) for plane in image.read()] for image in found.images] == [[0, 1], [2, 3]]


UNEXPLAINED = {
    "a plate or a channel": [f"{f}/{w}.tif" for f in ("alpha", "beta") for w in ("A1", "B2")],
    "several fields in a part": [f"x_{w}f0{s}d{c}.tif" for w in ("D03", "E04") for s in (0, 1) for c in (0, 1)],
    "two parts that are wells": [f"{w}.{q}_{c}.tif" for w in ("A01", "A02") for q in ("a1", "b1") for c in ("x", "y")],
    "unequal channels": ["A01_dapi.tif", "A01_gfp.tif", "B02_dapi.tif", "B02_gfp.tif", "C03_dapi.tif"],
    "twelve channels": [f"s{s}_w{w}.tif" for s in (1, 2) for w in range(1, 13)],
    "two parts that are channels": [f"A01_w{w}_c{c}.tif" for w in (1, 2) for c in (1, 2)],
}


@pytest.mark.parametrize("case", UNEXPLAINED)
def test_what_is_not_fully_explained_is_not_suggested(case) -> None:
    assert suggest_pattern(UNEXPLAINED[case]) is None
