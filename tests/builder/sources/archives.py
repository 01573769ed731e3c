"""Simulated archives of the sources: their own file names, their own tables, tiny images, and what must come out.

A maker gets the folder of its source and writes an archive into it as the download unpacks. `MAKERS` holds those of
the Broad collection, the Cell Image Library and Kaggle; `archives_idr.MAKERS` the others.
"""

import itertools
import json
import re
import tomllib
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from PIL import Image

from builder.sources import SOURCES
from builder.sources.base import Archive, Field, RejectedItem
from scripts.simulate import plan
from scripts.simulate.plates import file_uuid
from tests.tables.workbooks import workbook

_LEDGER = Path(__file__).resolve().parents[3] / "cytoimagenet_hf" / "scoring" / "contamination.toml"
OF_THE_PAPER = frozenset(tomllib.loads(_LEDGER.read_text(encoding="utf-8"))["training"]["cytoimagenet"])
"""The sources that the published model was trained on; the registry may hold more."""


@dataclass(frozen=True)
class Expected:
    """Rows that `annotate` must find, and the labels of each column."""

    fields: int
    labels: dict[str, set[str]]


def scanned(name: str, root: Path) -> tuple[dict[str, Field], list[RejectedItem]]:
    """What a source finds in a folder: fields by key, and what it leaves out."""
    items = list(SOURCES[name].scan(Archive(root, SOURCES[name])))
    fields = {item.key: item for item in items if isinstance(item, Field)}
    return fields, [item for item in items if isinstance(item, RejectedItem)]


def write_image(path: Path, *, shape: tuple[int, ...] = (8, 8)) -> None:
    """An 8-bit image of the kind its suffix names; its pixels follow from its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 255, shape, dtype=np.uint8)
    if path.suffix.lower() in {".tif", ".tiff"}:
        tifffile.imwrite(path, pixels, photometric="rgb" if shape[-1] == 3 else "minisblack")
    else:
        formats = {".png": "PNG", ".jpg": "JPEG", ".bmp": "BMP", ".dib": "DIB"}
        Image.fromarray(pixels).save(path, format=formats[path.suffix.lower()])


def expand(pattern: str) -> list[str]:
    """The names that a pattern with braces stands for, as in a shell; `<guid>` differs from name to name.

    Example:
        >>> expand("{A01,B02}_w{1,2}.tif")
        ['A01_w1.tif', 'A01_w2.tif', 'B02_w1.tif', 'B02_w2.tif']
    """
    texts = re.split(r"\{([^}]*)\}", pattern)
    choices = [text.split(",") if place % 2 else [text] for place, text in enumerate(texts)]
    names = ["".join(parts) for parts in itertools.product(*choices)]
    return [name.replace("<guid>", guid(name).lower()).replace("<GUID>", guid(name)) for name in names]


def write_images(folder: Path, *patterns: str, shape: tuple[int, ...] = (8, 8)) -> None:
    """An image for each name of the patterns, which may hold folders."""
    for name in itertools.chain.from_iterable(map(expand, patterns)):
        write_image(folder / name, shape=shape)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], *, delimiter: str = ",") -> None:
    """A text table, compressed where it is called `.gz` or `.zip`."""
    plan.write_table(path, pd.DataFrame(list(rows), columns=list(header), dtype=object), separator=delimiter)


def guid(name: str) -> str:
    """An identifier as ImageXpress microscopes put into file names."""
    return file_uuid(0, name)


def bbbc005(root: Path) -> Expected:
    write_images(root, "BBBC005_v1_{images,ground_truth}/SIMCEPImages_{A01,P24}_C10_F1_s01_w{1,2}.TIF")
    return Expected(4, {"organism": {"human"}, "cell_type": {"u2os"}, "cell_visible": {"cell body", "nucleus"}})


def bbbc006(root: Path) -> Expected:
    write_images(root, "BBBC006_v1_images_z_{00,16}/mcf-z-stacks-03212011_{a01,p24}_s{1,2}_w{1,2}<guid>.tif")
    return Expected(8, {"organism": {"human"}, "cell_type": {"u2os"}, "cell_visible": {"nucleus", "actin"}})


def bbbc010(root: Path) -> Expected:
    write_images(root / "BBBC010_v2_images", "1649_1109_0003_Amp5-1_B_20070424_{A01,C12,E13}_w{1,2}_<GUID>.tif")
    write_image(root / "BBBC010_v1_foreground_eachworm" / "A01_01_ground_truth.png")
    return Expected(6, {"organism": {"nematode"}, "phenotype": {"wildtype", "dead"}, "cell_visible": {"intestine"}})


def bbbc011(root: Path) -> Expected:
    write_images(root, "{WT_orig,fat_orig,daf-2_03}.png", shape=(8, 8, 3))
    return Expected(3, {"organism": {"nematode"}, "phenotype": {"wildtype", "fat"}})


def bbbc012(root: Path) -> Expected:
    write_images(root, "101210OranePlt1_{A01,B02}_w{1,2,3}_[<GUID>].tif")
    write_table(root / "BBBC012_platemap.csv", ["well", "phenotype"], [["A1", "Wild-type"], ["B2", "infected"]])
    labels = {"phenotype": {"wildtype", "infected"}, "cell_visible": {"intestine", "pharynx"}}
    return Expected(6, {"organism": {"nematode"}} | labels)


def bbbc013(root: Path) -> Expected:
    write_images(root / "BBBC013_v1_images_bmp", "Channel{1,2}-{01-A-01,12-A-12,60-E-12}.BMP")
    write_table(
        root / "BBBC013_platemap_long_nM.csv",
        ["row_name", "column_name", "compound", "concentration", "role"],
        [
            ["A", 1, "none", 0.0, "negative_control"],
            ["A", 12, "Wortmannin", 150.0, "positive_control"],
            ["E", 12, "LY294002", 80.0, "experiment"],
        ],
    )
    structures = {"cell_type": {"u2os"}, "cell_visible": {"cell body", "nucleus"}}
    return Expected(6, {"organism": {"human"}, "compound": {"wortmannin", "ly294002"}} | structures)


def bbbc014(root: Path) -> Expected:
    write_images(root / "BBBC014_v1_images", "Channel {1,2}-{01-A-01,96-H-12}-00.Bmp")
    structures = {"cell_type": {"mcf7", "a549"}, "cell_visible": {"cell body", "nucleus"}}
    return Expected(4, {"organism": {"human"}} | structures)


def bbbc015(root: Path) -> Expected:
    write_images(root / "BBBC015_v1_images", "{49,84}_{1,4}_{0,1}.JPG", shape=(8, 8, 3))
    structures = {"cell_type": {"u2os"}, "cell_visible": {"nucleus/cell membrane"}}
    return Expected(8, {"organism": {"human"}} | structures)


def bbbc017(root: Path) -> Expected:
    write_images(
        root,
        *(
            f"NIRHTa{plate}/AS_09125_05011603{plate[1:]}0_{{A01,B02,P24}}f00d{{0,1,2}}.DIB"
            for plate in ("+001", "-002")
        ),
    )
    # The library is a workbook in its download; a text table under its name would hide how workbooks are read.
    genes = {"A01": "Phkg2", "B02": "EMPTY", "P24": "shLuc"}
    rows = [[plate, well, gene] for plate in (1, 2) for well, gene in genes.items()]
    library = workbook({"a": [["384-Plate#", "384-well", "gene name"], *rows]})
    (root / "bbbc_colon_metadata.xls").write_bytes(library)
    labels = {"gene": {"phkg2 targeted", "shluc targeted"}, "cell_visible": {"nucleus", "actin"}}
    return Expected(6, {"organism": {"human"}, "cell_type": {"ht29"}} | labels)


def bbbc020(root: Path) -> Expected:
    for sample in ("jw-Kontrolle1", "jw-15min 2"):
        write_images(root / "BBBC020_v1_images" / sample, sample + "_{c1,c5,(c1+c5)}.TIF", shape=(8, 8, 3))
    write_image(root / "BBC020_v1_outlines_nuclei" / "jw-Kontrolle1_c5_1.TIF")
    structures = {"cell_type": {"macrophage"}, "cell_visible": {"cell membrane", "nucleus"}}
    return Expected(4, {"organism": {"mouse"}} | structures)


BBBC022_LIBRARY = "idr0036-screenA-library.txt"
BBBC022_COLUMNS = (
    *("TableNumber", "Image_FileName_OrigER", "Image_FileName_OrigHoechst", "Image_FileName_OrigMito"),
    *("Image_FileName_OrigPh_golgi", "Image_FileName_OrigSyto", "Image_Metadata_PlateID"),
    *("Image_Metadata_CPD_WELL_POSITION", "Image_Metadata_ASSAY_WELL_ROLE", "Image_Metadata_SOURCE_COMPOUND_NAME"),
)


def bbbc022(root: Path) -> Expected:
    rows = []
    for well, role, compound in (("A01", "treated", "NIFLUMIC ACID"), ("A02", "mock", ""), ("P24", "treated", "")):
        for site in (1, 9):
            names = {w: f"IXMtest_{well}_s{site}_w{w}{guid(f'{well}{site}{w}')}.tif" for w in range(1, 6)}
            for channel, name in names.items():
                write_image(root / f"BBBC022_v1_images_20585w{channel}" / name)
            rows.append([site, *(names[w] for w in (2, 1, 5, 4, 3)), "20585", well, role, compound])
    write_table(root / "BBBC022_v1_image.csv", BBBC022_COLUMNS, rows)
    structures = {"nucleus", "er", "nucleoli", "actin", "golgi", "mitochondria"}
    labels = {"cell_type": {"u2os"}, "cell_visible": structures, "compound": {"niflumic acid", "dmso"}}
    return Expected(6, {"organism": {"human"}} | labels)


def bbbc025(root: Path) -> Expected:
    for number, channel in enumerate(("Hoechst", "ERSyto", "ERSytoBleed", "PhGolgi", "Mito"), start=1):
        write_images(root / f"37983_{channel}", f"cellpaintingfollowup-reimage_f08_s{{1,9}}_w{number}<guid>.tif")
    structures = {"er", "nucleoli", "rna", "nucleus", "mitochondria", "actin", "golgi", "cell membrane"}
    return Expected(10, {"organism": {"human"}, "cell_type": {"u2os"}, "cell_visible": structures})


def bbbc026(root: Path) -> Expected:
    write_images(root, "ADSASS092408-GHAD2-D6-20x_{A01,O23}_s{1,9}_w1<GUID>.png")
    write_image(root / "BBBC026_GT_images" / "ADSASS092408-GHAD2-D6-20x_A01_s1_w1.png")
    labels = {"organism": {"human", "mouse"}, "cell_type": {"hepatocyte", "fibroblast"}}
    return Expected(4, labels | {"cell_visible": {"nucleus"}})


def bbbc038(root: Path) -> Expected:
    for stage in ("stage1_train", "stage1_test", "stage2_test_final"):
        image = uuid.uuid5(uuid.NAMESPACE_OID, stage).hex * 2
        write_image(root / stage / image / "images" / f"{image}.png", shape=(8, 8, 4))
        write_image(root / stage / image / "masks" / f"{guid(stage).replace('-', '').lower()}.png")
    return Expected(3, {"organism": {"human/mouse/fly"}, "cell_visible": {"nucleus"}})


def bbbc041(root: Path) -> Expected:
    def box(r: int, c: int, category: str) -> dict[str, object]:
        edges = {"minimum": {"r": r, "c": c}, "maximum": {"r": r + 4, "c": c + 3}}
        return {"bounding_box": edges, "category": category}

    for listed, suffix, categories in (
        ("training", "png", ["red blood cell", "leukocyte", "trophozoite"]),
        ("test", "jpg", ["ring", "difficult"]),
    ):
        name = f"{guid(listed).lower()}.{suffix}"
        write_image(root / "malaria" / "images" / name, shape=(8, 10, 3))
        boxes = [box(number, 2 * number, category) for number, category in enumerate(categories)]
        image = {"checksum": "0", "pathname": f"/images/{name}", "shape": {"r": 8, "c": 10, "channels": 3}}
        outside = [box(0, 10, "schizont")]  # begins where the image ends
        entry = {"image": image, "objects": [*boxes, *outside]}
        (root / "malaria" / f"{listed}.json").write_text(json.dumps([entry]), encoding="utf-8")
    types = {"red blood cell", "white blood cell", "trophozoite", "ring", "difficult"}
    return Expected(5, {"organism": {"human"}, "cell_type": types})


def bbbc045(root: Path) -> Expected:
    kinds = "{B cells/B,neutrophils/n}_montage_Ch{1,5}.tif"
    write_images(root / "Stained_Montages", "{2014_06_12,Donor 3}/stained/" + kinds, shape=(16, 16))
    return Expected(8, {"organism": {"human"}, "cell_type": {"white blood cell"}})


def bbbc048(root: Path) -> Expected:
    stages = ("Anaphase", "G1", "G2", "Metaphase", "Prophase", "S", "Telophase ")
    for number, stage in enumerate(stages):
        write_images(root / "CellCycle" / stage, f"{number}_Ch{{3,4,6}}.ome.jpg")
        write_image(root / "CellCycle" / stage / f"{number}_merged.jpg", shape=(8, 8, 3))
    labels = {"phenotype": {stage.strip().lower() for stage in stages}, "cell_visible": {"cell body", "nucleus"}}
    return Expected(21, {"organism": {"human"}, "cell_type": {"jurkat"}} | labels)


def bbbc051(root: Path) -> Expected:
    folders = ("CD_CNT", "DCT", "CD31int", "CD31glom", "CD45.0", "CD45.1", "CD45.2", "Nestin", "S1S2", "S2S3", "TAL")
    for number, folder in enumerate(folders):
        write_image(root / folder / "All_3D" / f"object_{number}_333__4395__44_1.tif", shape=(7, 8, 8))
    types = {"collecting duct", "distal convoluted tubule", "endothelial", "white blood cell", "podocyte"}
    types |= {"proximal tubule segments", "thick ascending limb"}
    return Expected(11, {"organism": {"human"}, "cell_type": types, "cell_visible": {"nucleus"}})


def cil_kinome(root: Path) -> Expected:
    families = ("AGC", "Atypical", "CAMK", "TK", "Other")
    for number in range(len(families)):
        write_image(root / f"{53464 + number}.tif", shape=(2, 8, 8) if number == 1 else (8, 8))
    rows = [[f"{53464 + number}.zip", family] for number, family in enumerate(families)]
    write_table(root / "cil_kinome_mapping.csv", ["file_name", "kinase"], rows)
    return Expected(5, {"organism": {"human"}, "cell_type": {"hela"}, "cell_visible": {"kinase"}})


def kag_cell_cycle(root: Path) -> Expected:
    photos = "{interphase/IMG_1681,interphase/IMG_1682,mitosis/IMG_1681}-1.jpg"
    write_images(root / "nematode cells" / "nematode cells", photos, shape=(8, 8, 3))
    labels = {"phenotype": {"interphase", "mitosis"}, "cell_visible": {"nucleus"}}
    return Expected(3, {"organism": {"nematode"}} | labels)


COLOURS = "_{red,green,blue,yellow}.png"


def kag_hpa(root: Path) -> Expected:
    targets = {"00070df0-bbc3-11e8-b2bc-ac1f6b6435d0": "16 0", "000a6c98-bb9b-11e8-b2b9-ac1f6b6435d0": "7 12 27 25"}
    for folder, images in (("train", targets), ("test", [guid("test").lower()])):
        write_images(root / folder, *(image + COLOURS for image in images))
    write_table(root / "train.csv", ["Id", "Target"], targets.items())
    structures = {
        "nucleus",
        "microtubules",
        "er",
        "cytokinetic bridge",
        "nucleoplasm",
        "golgi",
        "actin",
        "rods and rings",
    }
    return Expected(12, {"organism": {"human"}, "cell_visible": structures | {"cell body"}})


def kag_hpa_single(root: Path) -> Expected:
    labels = {"5c27f04c-bb99-11e8-b2b9-ac1f6b6435d0": "8|5|0", "60b57878-bb99-11e8-b2b9-ac1f6b6435d0": "6|1"}
    labels |= {"70b57878-bb99-11e8-b2b9-ac1f6b6435d0": "18", "80b57878-bb99-11e8-b2b9-ac1f6b6435d0": "2|3"}
    write_images(root / "train", *(image + COLOURS for image in labels))
    write_image(root / "test" / "0040581b-f1f2-4fbe-b043-b6bfea5404bb_green.png")
    write_table(root / "train.csv", ["ID", "Label"], labels.items())
    structures = {"intermediate filaments", "nuclear bodies", "nucleoplasm", "nuclear membrane", "nucleoli"}
    structures |= {"nucleus", "microtubules", "er"}
    return Expected(17, {"organism": {"human"}, "cell_type": {"u2os"}, "cell_visible": structures})


def kag_leukemia(root: Path) -> Expected:
    top = root / "C-NMC_Leukemia"
    trained = "training_data/fold_0/{all/UID_1_2_2_all,all/UID_1_2_3_all,hem/UID_H10_47_2_hem}.bmp"
    held_out = "{validation_data/C-NMC_test_prelim,testing_data/C-NMC_test_final}_phase_data/{1,2}.bmp"
    write_images(top, trained, held_out, shape=(8, 8, 3))
    write_table(
        top / "validation_data" / "C-NMC_test_prelim_phase_data_labels.csv",
        ["Patient_ID", "new_names", "labels"],
        [["UID_57_29_1_all.bmp", "1.bmp", 1], ["UID_H30_1_1_hem.bmp", "2.bmp", 0]],
    )
    labels = {"cell_type": {"white blood cell"}, "phenotype": {"leukemia", "wildtype"}}
    return Expected(7, {"organism": {"human"}} | labels)


MAKERS: dict[str, Callable[[Path], Expected]] = {
    maker.__name__: maker
    for maker in (
        *(bbbc005, bbbc006, bbbc010, bbbc011, bbbc012, bbbc013, bbbc014, bbbc015, bbbc017, bbbc020, bbbc022),
        *(bbbc025, bbbc026, bbbc038, bbbc041, bbbc045, bbbc048, bbbc051, cil_kinome),
        *(kag_cell_cycle, kag_hpa, kag_hpa_single, kag_leukemia),
    )
}
