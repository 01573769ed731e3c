"""Names of instruments that say everything themselves, each with the well, site and channels that they mean."""

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.images import look
from cytoimagenet_hf.tables.wells import normalise_well
from tests.images.plates import values, write


def plate(folder, names):
    for value, name in enumerate(names):
        write(folder / name, value)
    return look(folder)


def told(found):
    """Id and values of the channels of the images."""
    return [(image.id, values(image)) for image in found.images]


LEICA = "image--L0000--S00--U02--V01--J08--E00--O00--X00--Y01--T0000--Z00--C0"
CELLOMICS = [f"AS_09125_050116030001_{w}f0{s}d{c}" for w in ("D03", "E4") for s in (0, 1) for c in (0, 1)]
CELLOMICS_IMAGES = [
    (f"AS_09125_050116030001/{well}/{site}", [first, first + 1])
    for first, well, site in ((0, "D03", 1), (2, "D03", 2), (4, "E04", 1), (6, "E04", 2))
]
PLATES = {
    "gen5": (
        [f"{w}_01_{n}_{s}_{c}_001.tif" for w, s in (("B7", 3), ("H12", 1)) for n, c in ((1, "DAPI"), (2, "GFP"))],
        ["dapi", "gfp"],
        [("P/B07/3", [0, 1]), ("P/H12/1", [2, 3])],
    ),
    "gen5 with commas and a stack": (
        [f"A1_02_1_1Z{z}_DAPI 377,447_001.tif" for z in (0, 1)],
        ["dapi 377,447"],
        [("P/A01/1", [1])],
    ),
    "bdpathway": (
        [f"Well {w}/{c} - n00000{s}.tif" for w in ("A01", "B02") for s in (0, 1) for c in ("DAPI", "FITC")],
        ["dapi", "fitc"],
        [("P/A01/1", [0, 1]), ("P/A01/2", [2, 3]), ("P/B02/1", [4, 5]), ("P/B02/2", [6, 7])],
    ),
    "cellomics": ([f"{name}.DIB" for name in CELLOMICS], ["0", "1"], CELLOMICS_IMAGES),
    "cellomics as TIFF": ([f"{name}.tif" for name in CELLOMICS], ["0", "1"], CELLOMICS_IMAGES),
    "incell of version 7.2": (
        [
            f"{r}_01_f{f}_c{c}_x{x}_m{m}_z1_t1.tif"
            for r in "AB"
            for f in (1, 2)
            for c, x, m in ((1, "UV", "DAPI"), (2, "Blue", "FITC"))
        ],
        ["dapi", "fitc"],
        [("P/A01/1", [0, 1]), ("P/A01/2", [2, 3]), ("P/B01/1", [4, 5]), ("P/B01/2", [6, 7])],
    ),
    "incell with stacks": (
        [f"B - 3(fld 2 wv {c} z {z}).tif" for c in ("DAPI - DAPI", "FITC - FITC") for z in (1, 2)],
        ["dapi - dapi", "fitc - fitc"],
        [("P/B03/2", [1, 3])],
    ),
    "incell with the plate in front": (["P7_A - 01(fld 1 wv 390 - Blue).tif"], ["390 - blue"], [("P7/A01/1", [0])]),
    "incell whose spaces an archive replaced": (
        [f"C_-_23(fld_4_wv_{c}).tif" for c in ("Cy3_-_Cy3", "DAPI_-_DAPI")],
        ["cy3_-_cy3", "dapi_-_dapi"],
        [("P/C23/4", [0, 1])],
    ),
    "yokogawa keyed by the channel, not the action": (
        [
            f"P#1_x_B03_T0001F002L01A{a:02d}Z{z:02d}C{c:02d}.tif"
            for a, z, c in [(1, 1, 1), (2, 1, 2), (3, 1, 4), (1, 2, 1), (2, 2, 2), (4, 2, 4)]
        ],
        ["1", "2", "4"],
        [("P#1_x/B03/2", [3, 4, 5])],
    ),
    "yokogawa of 1536 wells": (
        [f"Q_{w}_T0001F001L01A0{c}Z01C0{c}.tif" for w in ("A01.a1", "A01.a2", "A02.b1") for c in (1, 2)],
        ["1", "2"],
        [("Q/A01/1", [0, 1]), ("Q/A02/1", [2, 3]), ("Q/B03/1", [4, 5])],
    ),
    "scanr": (
        [f"data/B03--W00015--P00002--Z00000--T00000--{c}.tif" for c in ("Cy5", "DAPI")],
        ["cy5", "dapi"],
        [("P/B03/2", [0, 1])],
    ),
    "scanr without a well's name": (
        ["data/--W00001--P00001--Z00000--T00000--cherry.tif"],
        ["cherry"],
        [("data/00001-00001", [0])],
    ),
    "leica": (
        [f"chamber--U02--V01/field--X00--Y01/{LEICA}{c}.ome.tif" for c in (0, 1)],
        ["0", "1"],
        [("P/B03/x0y1", [0, 1])],
    ),
}


@pytest.mark.parametrize("case", PLATES)
def test_names_say_well_site_and_channel(tmp_path, case) -> None:
    names, stains, images = PLATES[case]
    found = plate(tmp_path / "P", names)
    assert (found.format, list(found.stains.values()), told(found)) == (case.split()[0], stains, images)


def test_plates_are_one_in_both_forms_of_unicode(tmp_path) -> None:
    names = [f"Zelle\u00fc_A01_w{c}.tif" if c == 1 else f"Zelleu\u0308_A01_w{c}.tif" for c in (1, 2)]
    for name in names:
        write(tmp_path / name, 1)
    images = look(tmp_path, pattern="{plate}_{well}_w{c}.tif").images
    assert [(image.metadata["plate"], image.problem) for image in images] == [("Zelle\u00fc", "")]


def test_other_files_of_gen5_are_ignored(tmp_path) -> None:
    found = plate(tmp_path, ["B7_01_1_3_DAPI_001.tif", "B7_01_1_3_DAPI_001_MaskNuclei.tiff"])
    assert (len(found.images), len(found.ignored)) == (1, 1)


def test_cq1_says_that_wells_are_numbers(tmp_path) -> None:
    found = plate(tmp_path, [f"W0013F0001T0001Z001C{c}.tif" for c in (1, 2)])
    (image,) = found.images
    assert (found.format, image.metadata.get("well"), image.metadata["site"], values(image)) == (
        "cq1",
        None,
        1,
        [0, 1],
    )
    assert image.metadata["well_number"] == "0013"
    assert any("B01 of 96" in note for note in found.notes)


def test_flex_asks_what_its_pages_are(tmp_path) -> None:
    for field in (1, 2):
        with open(tmp_path / f"00101200{field}.flex", "wb") as handle:
            tifffile.imwrite(handle, np.stack([np.full((8, 8), 10 * field + c, np.uint16) for c in (0, 1)]))
    found = look(tmp_path, axes="C")
    plate_name = tmp_path.name
    assert (found.format, told(found)) == ("flex", [(f"{plate_name}/A12/{n}", [10 * n, 10 * n + 1]) for n in (1, 2)])
    assert any("which page is which channel" in note for note in found.notes)
    with pytest.raises(ValueError, match="axes"):
        look(tmp_path)


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
    plate(tmp_path / "P", [f"{c}/{w}_f1.tif" for w in ("A1", "B2") for c in ("DAPI", "tubulin")])
    assert len(look(tmp_path / "P").images) == 4
    found = look(tmp_path / "P", format="channelfolders")
    assert told(found) == [("P/A01/1", [0, 1]), ("P/B02/1", [2, 3])]
    assert found.images[0].channels == ("dapi", "tubulin")


def test_folders_of_channels_without_wells(tmp_path) -> None:
    plate(tmp_path, [f"x/{c}/cell {n}.tif" for n in (1, 2) for c in ("first", "second")])
    found = look(tmp_path, format="channelfolders")
    assert [values(image) for image in found.images] == [[0, 1], [2, 3]]
