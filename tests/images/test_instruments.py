"""What single instruments and programs write: names, indices and tables, each by a few files of its form."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import find_images, look
from scripts.simulate.plate_layouts import write_imagexpress, write_phenix
from tests.images.plates import eight_fields, values, write

UUID = "0A1B2C3D-1234-ABCD-0123-0123456789AB"


def one(source, **options):
    (image,) = find_images(source, **options)
    return image


# ImageXpress


def test_the_flat_names_of_bbbc021(tmp_path) -> None:
    for plate in ("Week1_22123", "Week1_22141"):
        for wave in (1, 2, 4):
            write(tmp_path / "Week1" / plate / f"Week1_150607_B02_s4_w{wave}{UUID}.tif", wave)
    for wave in (1, 2, 4):
        write(tmp_path / "Week4" / "Week4_27481" / f"G10_s1_w{wave}{UUID}.tif", 10 * wave)
    found = look(tmp_path, stains="w1=dna,w2=tubulin,w4=actin")
    assert found.format == "imagexpress"
    assert [image.id for image in found.images] == ["Week1_22123/B02/4", "Week1_22141/B02/4", "Week4_27481/G10/1"]
    assert [values(image) for image in found.images] == [[1, 2, 4], [1, 2, 4], [10, 20, 40]]
    assert "called by the folders" in found.notes[0]
    assert found.rejected == []


@pytest.mark.parametrize(
    "name",
    [
        "P_x_B02_w10.tif",
        f"B02_w1{UUID}.TIF",
        "p_b02_s1.tif",
        f"B02{UUID}.tif",
        "HEPG2/B02_s1_w1.tif",
        f"x-1_B02_w1_{UUID}.tif",
        f"x_B02_w1_[{UUID}].tif",
    ],
)
def test_names_of_imagexpress(tmp_path, name) -> None:
    write(tmp_path / "folder" / name)
    found = look(tmp_path)
    assert found.format == "imagexpress"
    assert found.images[0].metadata["well"] == "B02"
    assert found.images[0].channels == (("10",) if "w10." in name else ("1",))


def test_thumbnails_are_dropped_and_counted(tmp_path) -> None:
    source = write_imagexpress(tmp_path, "P", eight_fields(), seed=0)
    ignored = [file.reason for file in look(source).ignored]
    assert ignored.count("thumbnail") == 40
    assert ignored.count("no image file") == 1  # the .HTD


def test_wave_names_and_numbers_both_name_a_channel(tmp_path) -> None:
    source = write_imagexpress(tmp_path, "P", eight_fields(), seed=0)
    by_number = find_images(source, stains="w1=hoechst")[0]
    by_name = find_images(source, stains="DNA=hoechst")[0]
    assert by_number.channels == by_name.channels == ("hoechst", "er", "rna", "agp", "mito")


def test_projections_beside_their_stacks_are_left_out(tmp_path) -> None:
    """As MetaXpress writes a plate: w1 a stack and its projection above it, w2 a projection alone, w3 one z step."""
    for name, value in {
        f"P_B02_s1_w1{UUID}.tif": 90,
        f"ZStep_1/P_B02_s1_w1{UUID}.tif": 1,
        f"ZStep_2/P_B02_s1_w1{UUID}.tif": 3,
        f"P_B02_s1_w2{UUID}.tif": 20,
        f"ZStep_1/P_B02_s1_w3{UUID}.tif": 30,
    }.items():
        write(tmp_path / "P" / "TimePoint_1" / name, value)
    found = look(tmp_path / "P", projection="mean")
    assert values(found.images[0]) == [2, 20, 30]
    assert [(file.path, file.reason) for file in found.ignored] == [
        (f"TimePoint_1/P_B02_s1_w1{UUID}.tif", "a projection of planes that are there")
    ]
    assert values(one(tmp_path / "P", projection="z=1")) == [1, 20, 30]


def test_the_projections_of_an_export_lie_in_step_zero(tmp_path) -> None:
    for step in (0, 1, 2):
        write(tmp_path / "P" / "TimePoint_1" / f"ZStep_{step}" / "9_B02_w1.TIF", 90 if step == 0 else step)
        write(tmp_path / "Q" / "TimePoint_1" / "ZStep_0" / "7_B02_w1.TIF", 70)
    header = tmp_path / "P" / "TimePoint_1" / "9.HTD"  # repeated below the plate's folder
    header.write_text('"HTSInfoFile", Version 1.0\n"WaveName1", "DAPI"\n')
    image = one(tmp_path / "P", projection="mean")
    assert (image.channels, values(image)) == (("dapi",), [1])  # (1 + 2) / 2, as a whole number
    assert values(one(tmp_path / "Q", projection="mean")) == [70]


def test_waves_without_a_header_are_named_by_their_illumination(tmp_path) -> None:
    planes = '<PlaneInfo><custom-prop id="_IllumSetting_" type="string" value="{}"/></PlaneInfo>'
    for wave, name in ((1, "DAPI"), (2, "Cy3")):
        description = f"<MetaData>{planes.format(name)}</MetaData>"
        path = tmp_path / f"P_B02_s1_w{wave}.tif"
        tifffile.imwrite(path, np.full((4, 5), wave, np.uint16), description=description, software="MetaSeries")
    image = one(tmp_path, stains="w2=actin")
    assert (image.channels, values(image)) == (("actin", "dapi"), [2, 1])
    (tmp_path / "P_A01_s1_w1.tif").write_bytes(b"damaged")  # the first of its wave takes no name from the others
    found = look(tmp_path, stains="w2=actin")
    assert {image.channels for image in found.images} == {("actin", "dapi")}
    assert [rejected.id for rejected in found.rejected] == ["P/A01/1"]


def test_a_header_that_cannot_be_read_is_refused(tmp_path, monkeypatch) -> None:
    """Its channels would go by other names."""
    source = write_imagexpress(tmp_path, "P", eight_fields(), seed=0)
    whole = Path.read_bytes

    def denied(path: Path) -> bytes:
        if path.suffix == ".HTD":
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(InputError, match=r"P\.HTD cannot be read: Permission denied"):
        look(source)


@pytest.mark.parametrize("kept", [0, 30, 100, 120])  # nothing, then before the waves, then in the midst of their names
def test_a_header_that_ends_early_is_refused(tmp_path, kept) -> None:
    source = write_imagexpress(tmp_path, "P", eight_fields(), seed=0)
    header = source / "P.HTD"
    content = header.read_bytes()
    assert len(content) > 120
    header.write_bytes(content[:kept])
    with pytest.raises(InputError, match=r"P\.HTD is damaged or cut off"):
        look(source)
    header.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"P\.HTD is damaged or cut off"):
        look(source)


def test_plates_with_other_channels_are_told_what_to_do(tmp_path) -> None:
    for plate, waves in (("P", "12"), ("Q", "1")):
        for wave in waves:
            write(tmp_path / plate / f"{plate}_B02_s1_w{wave}.tif", int(wave))
    found = look(tmp_path)
    assert [(rejected.id, rejected.reason) for rejected in found.rejected] == [("Q/B02/1", "no file for channel 2")]
    assert "Q has no channel 2: choose channels that all have (--channels)" in found.notes[0]
    assert look(tmp_path, channels="w1").notes == ()


# Harmony


@pytest.mark.parametrize("index", [True, False])
def test_the_first_time_point_is_one_by_index_and_by_name(tmp_path, index) -> None:
    entries = ""
    for t in (0, 1):
        name = f"r02c03f01p01-ch1sk{t + 1}fk1fl1.tiff"
        write(tmp_path / "Images" / name, t)
        place = "<Row>2</Row><Col>3</Col><FieldID>1</FieldID><PlaneID>1</PlaneID><ChannelID>1</ChannelID>"
        entries += f"<Image><URL>{name}</URL>{place}<TimepointID>{t}</TimepointID></Image>"
    if index:
        (tmp_path / "Images" / "Index.idx.xml").write_text(f"<EvaluationInputData>{entries}</EvaluationInputData>")
    assert [(image.metadata["t"], values(image)) for image in look(tmp_path).images] == [(1, [0]), (2, [1])]


def test_an_index_that_names_absent_files_and_files_it_does_not_name(tmp_path) -> None:
    source = write_phenix(tmp_path, "P", eight_fields(), seed=0)
    (source / "Images" / "r02c02f01p01-ch3sk1fk1fl1.tiff").unlink()
    write(source / "Images" / "r09c09f01p01-ch1sk1fk1fl1.tiff")
    found = look(source)
    assert [rejected.id for rejected in found.rejected] == ["P/B02/1"]
    assert "names r02c02f01p01-ch3sk1fk1fl1.tiff, which is absent" in found.rejected[0].reason
    assert [file.reason for file in found.ignored if "r09" in file.path] == ["its index does not name it"]
    with pytest.raises(InputError, match="absent"):
        found.images[0].read()


def test_two_measurements_of_one_plate_are_refused(tmp_path) -> None:
    first = write_phenix(tmp_path, "P", eight_fields(), seed=0)
    first.rename(tmp_path / "P__2024-01-30T09_00_00-Measurement 1")
    write_phenix(tmp_path, "P", eight_fields(), seed=0)
    found = look(tmp_path)
    assert len(found.images) == len(found.rejected) == 16
    assert all("several folders" in rejected.reason for rejected in found.rejected)


@pytest.mark.parametrize("content", ["", "<a><b></a>", "no xml"])
def test_a_damaged_index_is_one_line(tmp_path, content) -> None:
    source = write_phenix(tmp_path, "P", eight_fields(), seed=0)
    (source / "Images" / "Index.idx.xml").write_text(content)
    with pytest.raises(InputError, match="not readable XML"):
        find_images(source)


def test_an_index_with_unreadable_numbers_and_places_elsewhere(tmp_path) -> None:
    write(tmp_path / "P" / "x.tiff", 4)
    entry = "<Image><URL>{}</URL><Row>{}</Row><Col>3</Col><FieldID>1</FieldID><ChannelID>1</ChannelID></Image>"
    images = entry.format("../../etc/x.tiff", 2) + entry.format("", "a b")
    (tmp_path / "P" / "Index.xml").write_text(f"<E><Images>{images}</Images></E>")
    found = look(tmp_path / "P")
    assert [values(image) for image in found.images if not image.problem] == [[4]]
    assert ["absent" in rejected.reason or "no place" in rejected.reason for rejected in found.rejected] == [True]


# Yokogawa


MLF = """<?xml version="1.0" encoding="utf-8"?>
<bts:MeasurementData xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0" bts:Version="1.0">{}</bts:MeasurementData>
"""
RECORD = (
    '<bts:MeasurementRecord bts:Type="{}" bts:Row="2" bts:Column="3" bts:FieldIndex="2" bts:TimePoint="1" '
    'bts:ZIndex="1" bts:Ch="{}" bts:ActionIndex="1"{}>{}</bts:MeasurementRecord>'
)


def test_records_of_yokogawa(tmp_path) -> None:
    for name in ("a_B03_T0001F002L01A01Z01C01.tif", "a_B03_T0001F002L01A01Z01C03.tif", "mip.tif", "stray.tif"):
        write(tmp_path / name, 3 if "C03" in name else 1)
    records = [
        RECORD.format("IMG", 1, "", "a_B03_T0001F002L01A01Z01C01.tif"),
        RECORD.format("IMG", 3, "", "a_B03_T0001F002L01A01Z01C03.tif"),
        RECORD.format("IMG", 1, ' bts:ZImageProcessing="MIP"', "mip.tif"),
        RECORD.format("ERR", 1, "", ""),
    ]
    (tmp_path / "MeasurementData.mlf").write_text(MLF.format("".join(records)))
    (tmp_path / "s.mes").write_text('<x:S xmlns:x="u"><x:Channel x:Ch="3" x:Fluorophore="Alexa 488"/></x:S>')
    found = look(tmp_path, stains="C01=dna")
    assert found.format == "yokogawa"
    (image,) = found.images
    assert (image.id, image.channels, values(image)) == ("a/B03/2", ("dna", "alexa 488"), [1, 3])
    reasons = {file.path: file.reason for file in found.ignored}
    assert "projection" in reasons["mip.tif"]
    assert "does not name it" in reasons["stray.tif"]
    for name in ("s.mes", "p.wpi"):  # channels and the plate would go by other names
        (tmp_path / name).write_text("<cut")
        with pytest.raises(InputError, match=rf"{name} is not readable XML.*remove it to do without its names"):
            look(tmp_path)
        (tmp_path / name).unlink()
    assert look(tmp_path).images[0].channels == ("1", "3")


# IN Cell, scanR, Leica, Cellomics


def test_the_xdce_of_incell(tmp_path) -> None:
    images = ""
    for wave, label in enumerate(("DAPI", "FITC")):
        write(tmp_path / "P" / "Images" / f"{wave}.tif", 5 + wave)
        images += (
            f'<Image filename="Images\\{wave}.tif" thumbnail="{wave}_t.tif"><Well label="B - 3"><Row number="2"/>'
            f'<Column number="3"/></Well><EmissionFilter name="{label}"/>'
            f'<Identifier field_index="1" z_index="0" wave_index="{wave}" time_index="0"/></Image>'
        )
    (tmp_path / "P" / "run.xdce").write_text(f"<ImageStack><Images>{images}</Images></ImageStack>")
    image = one(tmp_path / "P")
    assert (image.id, image.channels, values(image)) == ("P/B03/2", ("dapi", "fitc"), [5, 6])


@pytest.mark.parametrize(
    ("names", "stains", "channels"),
    [
        ([f"x--L0--S0--U02--V01--X0--Y1--T0--Z0--C0{c}.tif" for c in (0, 1)], "C00=dna,C01=er", ("dna", "er")),
        ([f"AS_D03f01d{channel}.tif" for channel in (0, 1, 2)], "d0=dna", ("dna", "1", "2")),
    ],
)
def test_channels_are_named_as_their_files_write_them(tmp_path, names, stains, channels) -> None:
    for value, name in enumerate(names):
        write(tmp_path / name, value)
    image = one(tmp_path, stains=stains)
    assert (image.channels, values(image)) == (channels, list(range(len(names))))


def test_the_number_of_a_well_in_scanr_is_kept(tmp_path) -> None:
    write(tmp_path / "data" / "B03--W00015--P00002--Z00000--T00000--DAPI.tif")
    assert one(tmp_path).metadata["well_number"] == "00015"


# Tables of CellProfiler and nf-core


def write_table(folder: Path, *lines: str) -> Path:
    """A table as it is written, beside `deep/a.tif` (of 1) and `deep/b.tif` (of 2)."""
    for name in ("a.tif", "b.tif"):
        write(folder / "deep" / name, ord(name[0]) - 96)
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    return folder / "t.csv"


def test_loaddata_as_bbbc021_writes_it(tmp_path) -> None:
    files = "Image_FileName_DAPI,Image_PathName_DAPI,Image_FileName_Actin,Image_PathName_Actin"
    facts = "Image_Metadata_Plate_DAPI,Image_Metadata_Well_DAPI,Replicate,Image_Metadata_Compound"
    table = write_table(tmp_path, f"TableNumber,ImageNumber,{files},{facts}", "1,7,a.tif,deep,b.tif,deep,P,B2,1,taxol")
    image = one(table)
    assert (image.id, image.channels, values(image)) == ("P/B02", ("dapi", "actin"), [1, 2])
    assert dict(image.metadata) == {"plate": "P", "well": "B02", "Compound": "taxol", "Replicate": "1"}


def test_a_folder_with_one_table_may_be_given_with_its_format(tmp_path) -> None:
    write_table(tmp_path, "FileName_A,PathName_A", "a.tif,deep")
    assert values(one(tmp_path, format="loaddata")) == [1]
    with pytest.raises(InputError, match="it has none"):
        find_images(tmp_path / "deep", format="loaddata")


def test_the_ids_of_loaddata(tmp_path) -> None:
    head = "FileName_A,PathName_A,Metadata_Well,Metadata_Key"
    table = write_table(tmp_path, head, "a.tif,deep,A01,first", "a.tif,deep,A02,second")
    images = find_images(table, id_column="Metadata_Key")
    assert [(image.id, dict(image.metadata)) for image in images] == [
        ("first", {"well": "A01"}),
        ("second", {"well": "A02"}),
    ]
    with pytest.raises(InputError, match="has no column Metadata_Kye"):
        find_images(table, id_column="Metadata_Kye")
    table = write_table(tmp_path, head, "a.tif,deep,A01,first", "a.tif,deep,A02,")
    with pytest.raises(InputError, match="line 3: no Metadata_Key"):
        find_images(table, id_column="Metadata_Key")


def test_loaddata_by_url_with_illumination_and_row_tokens(tmp_path) -> None:
    table = write_table(
        tmp_path,
        "URL_OrigDNA,FileName_IllumDNA,Metadata_Row,Metadata_Col,Metadata_Plate",
        f"file://{tmp_path}/deep/a.tif,x.npy,A,1,P",
        "ftp://bucket/a.tif,x.npy,B,1,P",
    )
    found = look(table)
    assert (found.images[0].channels, values(found.images[0])) == (("origdna",), [1])
    assert found.images[0].metadata["well"] == "A01"
    assert "ftp://bucket/a.tif is no address that is known here: s3://, " in found.rejected[0].reason
    assert "correction functions" in found.notes[0]


def test_loaddata_chooses_planes_of_stacks(tmp_path) -> None:
    stack = np.arange(6, dtype=np.uint16).reshape(2, 3, 1, 1) * np.ones((1, 1, 4, 5), np.uint16)
    tifffile.imwrite(tmp_path / "s.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    rows = ("s.tif,5,,,A1", "s.tif,,1,1,A2", "s.tif,,9,,A3")
    found = look(write_table(tmp_path, "FileName_A,Frame_A,C_A,Z_A,Metadata_Well", *rows))
    assert [values(image) for image in found.images[:2]] == [[5], [4]]
    assert "has no C 9" in found.rejected[0].reason


def test_loaddata_with_broken_rows(tmp_path) -> None:
    rows = ("deep/a.tif,P,A01,1", "deep/gone.tif,P,A02,1", ",P,A03,1", "deep/a.tif,P,A1,1", "deep/b.tif,P,Q99,1")
    table = write_table(tmp_path, "FileName_A,Metadata_Plate,Metadata_Well,Metadata_Site", *rows)
    reasons = {rejected.id: rejected.reason for rejected in look(table).rejected}
    assert [reason for name, reason in reasons.items() if name.startswith("P/A01/1")] == [
        "plate 'P', well A01, site 1 is there more than once"
    ] * 2
    for name, reason in (("P/A02/1", "absent"), ("P/A03/1", "names no file"), ("P/Q99/1", "outside a plate")):
        assert reason in reasons[name]


def test_a_table_names_its_root(tmp_path) -> None:
    table = write_table(tmp_path / "tables", "FileName_A,PathName_A", f"a.tif,{tmp_path}/images/deep")
    write(tmp_path / "images" / "deep" / "a.tif", 9)
    with pytest.raises(InputError, match="--root"):
        find_images(table)
    assert values(one(table, root=tmp_path / "images")) == [9]


def test_a_table_that_is_not_utf8_is_one_line(tmp_path) -> None:
    (tmp_path / "t.csv").write_bytes("FileName_A,Metadata_Well\nä.tif,A01\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        find_images(tmp_path / "t.csv")


def test_the_samplesheet_of_nfcore(tmp_path) -> None:
    files = ("DNA,deep/a.tif,B03", "ER,deep/b.tif,B03", "DNA,ftp://bucket/x.tif,B04")
    rows = [f"{row},s1,b1,P,1,2,3" for row in files]
    found = look(write_table(tmp_path, "channel,path,well,source,batch,plate,site,row,col", *rows))
    assert found.format == "samplesheet"
    image = found.images[0]
    assert (image.id, image.channels, values(image)) == ("P/B03/1", ("dna", "er"), [1, 2])
    assert dict(image.metadata) == {"plate": "P", "well": "B03", "site": 1, "source": "s1", "batch": "b1"}
    assert "is no address that is known here" in found.rejected[0].reason


# Whatever is missing


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 39)))
def test_every_field_that_has_a_file_is_an_image_or_a_reason(gone) -> None:
    with TemporaryDirectory() as folder:
        source = write_phenix(Path(folder), "P", eight_fields(), seed=0, index=False)
        files = sorted(source.rglob("*.tiff"))
        left = [file for number, file in enumerate(files) if number not in gone]
        for number in gone:
            files[number].unlink()
        fields = {file.name[:9] for file in left}
        if not fields:
            return
        found = look(source, format="phenix")
        assert len(found.images) == len(fields) == len({image.id for image in found.images})
        refused = {rejected.id for rejected in found.rejected}
        present = {file.name.partition("-")[2][:3] for file in left}
        for image in found.images:
            assert image.channels == tuple(sorted(name[2] for name in present))
            if image.id not in refused:
                assert len(image.read()) == len(present)


# A real plate


def test_the_real_plate_of_bbbc013(real_root) -> None:
    folder = real_root / "plates" / "bbbc013" / "BBBC013_v1_images_bmp"
    images = find_images(folder, pattern="Channel{c}-{_}-{row}-{column}.*", stains="1=fkhr,2=dna")
    assert len(images) == 96
    assert images[0].metadata["well"] == "A01"
    assert [plane.shape for plane in images[0].read()] == [(640, 640)] * 2
