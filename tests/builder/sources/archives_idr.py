"""Simulated archives of the Image Data Resource and of Recursion: their file names, the columns of their tables.

Well columns are written unpadded where the real tables do so, and plates, channels and screens as the studies spell
them. `write_deltavision` and the stacks hold as many planes as the sources count on.
"""

import csv
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tifffile
from archives import Expected, write_image, write_images, write_table

from tests.imaging.files import deltavision


def write_stack(path: Path, planes: int) -> None:
    """A TIFF of several planes, each of another brightness."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as handle:  # by content, so that .flex is a TIFF as well
        tifffile.imwrite(handle, _stack(planes, "u1"), photometric="minisblack")


def write_deltavision(path: Path, *, depth: int = 1, waves: int = 2, times: int = 1, sequence: int = 1) -> None:
    """A DeltaVision file of planes of 16 bits, without an extended header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    planes = _stack(depth * waves * times, "u2")
    path.write_bytes(deltavision(planes, extended=0, waves=waves, times=(times, sequence)))


def _stack(planes: int, kind: str) -> np.ndarray:
    return np.arange(planes, dtype=kind)[:, None, None] + np.zeros((planes, 8, 8), kind)


def operetta(row: int, column: int, field: str, channel: str) -> str:
    """A name as Operetta microscopes give it."""
    return f"r{row:02d}c{column:02d}f{field}p01-ch{channel}sk1fk1fl1.tiff"


def idr0003(root: Path) -> Expected:
    columns = ["Replicate", "Plate", "Well Number", "Well", "Plate_And_Well", "Gene Identifier", "Gene Symbol"]
    columns += ["Control Type", "Control Comments", "Experimental Condition[environmental stress]", "Quality Control"]
    stress = {"DTT p1": "dithiothreitol", "starvation p17": "starvation"}
    rows = [
        [1, plate, number, well, f"{plate}_{well}", "YLR106C", gene, "", '5" stray', condition, ""]
        for plate, condition in stress.items()
        for number, well, gene in ((1, "A1", "FMP27"), (26, "B2", "missing_info_possibly_empty"), (384, "P24", ""))
    ]
    path = root / "idr0003-screenA-library.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
        writer.writerows([columns, *rows])
    for folder, stems in {
        "DTT/p1": ("A01_001", "B02_003"),
        "starvation/p17": ("--W00001--P00002--Z00000--T00000",),
    }.items():
        patterns = [stem + "--{GFP,Cherry,Transmit}.tif" for stem in stems]
        write_images(root / "201301120" / "Images" / folder, *patterns)
    labels = {"phenotype": set(stress.values()), "gene": {"fmp27 targeted"}, "cell_visible": {"cell body"}}
    return Expected(6, {"organism": {"yeast"}, "cell_type": {"y6545"}} | labels)


def idr0009(root: Path) -> Expected:
    columns = ["Plate", "Plate Group", "Well Number", "Well", "siRNA Identifier"]
    columns += ["Gene Identifier %% url=http://www.ensembl.org/id/%s", "Gene Symbol (Ensembl 81)", "Control Type"]
    columns += ["Comments", "Phenotype 1", "Phenotype 1 Term Name"]
    strong, plate = "strong inhibition of secretion", "0305-01--2007-04-03"
    rows = [
        [plate, 305, 1, "A1", "", "", "", "empty well", "", "", ""],
        [plate, 305, 2, "A2", "SI00289037", "ENSG1", "AADAT", "", "", "yes", strong],
        [plate, 305, 384, "P24", "Q24546", "ENSG2", "", "positive control", "", "yes", strong],
    ]
    table = root / "idr0009-screenB-annotation.csv"
    write_table(table, columns, rows)
    # As published, every line but the header ends in one separator more.
    head, *lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([head, *(line + "," for line in lines)]) + "\n", encoding="utf-8")
    pattern = "--W00{001,002,384}--P00001--Z00000--T00000--{nucleus-dapi,pm-647,vsvg-cfp}.tif"
    write_images(root / "20150507-VSVG" / "VSVG" / plate / "data", pattern)
    labels = {"sirna": {"si00289037", "q24546"}, "gene": {"aadat targeted"}, "phenotype": {strong}}
    structures = {"cell_type": {"hela"}, "cell_visible": {"nucleus", "cell membrane"}}
    return Expected(3, {"organism": {"human"}} | labels | structures)


def idr0016(root: Path) -> Expected:
    columns = ["Plate", "Well", "Well Number", "Compound Name %% url=https://pubchem/%s", "Control Type"]
    rows = [["24277", "A1", 1, "NIFLUMIC ACID", ""], ["24277", "A2", 2, "DMSO", "negative control"]]
    write_table(root / "idr0016-screenA-annotation.csv.gz", columns, rows)
    for number, channel in enumerate(("Hoechst", "ERSyto", "ERSytoBleed", "Ph_golgi", "Mito"), start=1):
        folder = root / "2016-02-19-screens-cellimagelibrary" / f"24277-{channel}"
        write_images(folder, f"cdp2bioactives_{{a01,a02}}_s{{1,6}}_w{number}<guid>.tif")
    structures = {"er", "nucleoli", "nucleus", "mitochondria", "golgi", "cell membrane"}
    labels = {"cell_type": {"u2os"}, "cell_visible": structures, "compound": {"niflumic acid", "dmso"}}
    return Expected(4, {"organism": {"human"}} | labels)


def idr0017(root: Path) -> Expected:
    columns = ["PlateName", "Plate", "Well", "Content", "compoundID_384", "compoundID", "mol.weight.Structure", "Name"]
    rows = [
        ["P1", 1, "A01", "sample", "no treatment", "", "", ""],
        ["P1", 1, "A03", "sample", "78875", "78875", "195,22001", "Kainsäure"],
        ["P1", 1, "C01", "sample", "ctrl_DAPT", "", "", ""],
        ["P1", 1, "C02", "sample", "ctrl_Paclitaxel", "80075", "", ""],
        ["P1", 1, "C23", "sample", "neg_ctr_DMSO", "", "", ""],
        ["P2", 18, "B04", "sample", "80075", "80075", "853,9", "Taxol"],
    ]
    lines = ["\t".join(map(str, row)) for row in [columns, *rows]]
    root.mkdir(parents=True, exist_ok=True)
    (root / "PGPC_LOPAC_well_annotation.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode("latin-1")))
    wells = {"X01_LP_S01_1": ("A - 1", "A - 3", "C - 01", "C - 2", "C - 23"), "X05_LP_S02_2": ("B - 4",)}
    for plate, names in wells.items():
        folder = root / "20151124" / "14_X-Man_10x" / "source" / f"2011-11-17_X-Man_LOPAC_{plate}"
        write_images(folder, *(name + "(fld 4 wv {DAPI - DAPI,Cy3 - Cy3}).tif" for name in names))
    labels = {"compound": {"kainsäure", "dapt", "taxol", "dmso"}, "cell_type": {"02-006", "par007"}}
    return Expected(6, {"organism": {"human"}, "cell_visible": {"nucleus", "actin"}} | labels)


def idr0021(root: Path) -> Expected:
    columns = ["Dataset Name", "Image Name", "Characteristics [Organism]", "Comment [Gene Symbol]", "Channels"]
    name = "Ctrl_Cep192_Cent_20101014_Thu-1301_1_SIR_PRJ.dv"
    rows = [
        ["CENT2", name, "Homo sapiens", "CENT2", "525:CEP192-M; 615:CENT2"],
        ["CEP192-M", name, "Homo sapiens", "CEP192", "525:CENT2; 442:Sas6; 615:CEP192-M"],
        ["CEP120/20111106", "Cep120_1_SIR_PRJ.dv", "Homo sapiens", "CEP120", "525:CEP120; 615:TUBG1-N"],
    ]
    write_table(root / "idr0021-experimentA-annotation.csv.gz", columns, rows)
    write_deltavision(root / "Raw-files" / "CENT2" / "Cep192_Centrin_20101014" / name)
    write_deltavision(root / "Raw-files" / "CEP192-M" / "Cep192_Centrin_20101014" / name, waves=3)
    write_deltavision(root / "Raw-files" / "CEP120" / "20111106" / "Cep120_1_SIR_PRJ.dv")
    labels = {"cell_type": {"hela"}, "cell_visible": {"centrosome"}}
    return Expected(3, {"organism": {"human"}} | labels)


def idr0037(root: Path) -> Expected:
    columns = ["Plate", "Comment [Operetta Plate Name]", "Comment [Operetta Measurement]", "Plate Column", "Plate Row"]
    columns += ["Well", "Characteristics [Cell Line]", "Characteristics [Donor Identifier]", "Control Type"]
    first, second = "20140424_HipSci + BJ 3000c/well_OC", "2015-05-11 HipSci Exp33"
    rows = [
        ["experiment_01", first, "Measurement1", 1, 1, "A1", "A1ATD-iPSC patient 1", "", ""],
        ["experiment_33", second, "Measurement1", 12, 8, "H12", "HPSI0813i-ffdm_3", "HPSI-ffdm", ""],
    ]
    write_table(root / "idr0037-screenA-annotation.csv.gz", columns, rows)
    folders = {
        "20140424_HipSci + BJ 3000c_well_OC__2014-04-24T17_01_22-Measurement1": (1, 1),
        "2015-05-11 HipSci Exp33__2015-05-11T10_00_00-Measurement1": (8, 12),
    }
    for folder, (row, column) in folders.items():
        write_images(root / "images" / folder / "Images", operetta(row, column, "{01,09}", "{1,2,3,4}"))
    labels = {"cell_type": {"a1atd-ipsc patient 1", "hpsi0813i-ffdm_3"}}
    return Expected(8, {"organism": {"human"}, "cell_visible": {"nucleus", "cell membrane", "cell body"}} | labels)


def idr0041(root: Path) -> Expected:
    columns = ["Dataset Name", "Image Name", "Assay Name", "Comment [Gene Symbol]", "Image File"]
    columns += ["Comment [Image File Path]", "Comment [Image File Type]", "Channels"]
    kinds = {"rawtif": "original images", "masktif": "segmentation masks", "conctif": "concentration maps"}
    rows = []
    for folder, kind in kinds.items():
        for time in (1, 2):
            image = f"TR1_W0001_P0007_T{time:04d}"
            below = f"mitotic_cell_atlas/140411_KIF11_MitoSys1/cell0003_R0028/{folder}"
            rows.append([f"140411_KIF11_MitoSys1_{folder[:-3]}", image, "140411_KIF11_MitoSys1", "KIF11"])
            rows[-1] += [f"{image}.tif", below, kind, "490-552:GFP; 587-621:mCherry"]
            write_stack(root / below / f"{image}.tif", 93)
    write_stack(root / "mitotic_cell_atlas" / "140411_KIF11_MitoSys1" / "Calibration" / "beads.tif", 3)
    write_table(root / "idr0041-experimentA-annotation.csv", columns, rows)
    labels = {"cell_type": {"hela"}, "gene": {"kif11 targeted"}, "cell_visible": {"nucleus"}}
    return Expected(2, {"organism": {"human"}} | labels)


def idr0067(root: Path) -> Expected:
    columns = ["Dataset Name", "Image Name", "Characteristics [Organism]", "Characteristics [Strain]"]
    columns += ["Experimental Condition [Imaging Type]", "Comment [Protein] 1", "Comment [Image File Path]"]
    columns += ["Comment [Image File Type]", "Channels"]
    stem, channels = "010618_Hsp104Htb1_Meiosis_01_47", "FITC = Hsp104-eGFP, mCherry = Htb1-mCherry"
    images = {
        f"1B_{stem}_R3D.dv": ("Raw", channels),
        f"1B_{stem}_R3D_D3D.dv": ("Deconvolved", channels),
        f"1B_MAX_{stem}_zproj_R3D_D3D.tif": ("Deconvolved z-projected", channels),
        f"1B_{stem}_R3D_REF.dv": ("Reference", "Bright-field"),
    }
    start, folder = ["Saccharomyces cerevisiae", "SK1"], "/Figure 1/Figure 1B"
    rows = [
        ["Figure 1B", name, *start, "Live cell imaging", "Hsp104", folder, kind, structures]
        for name, (kind, structures) in images.items()
    ]
    rows.append(["Figure 5A", "tomogram.tif", *start, "Electron microscopy", "", "/Figure 5/Figure 5A", "Raw", ""])
    write_table(root / "idr0067-experimentA-annotation.csv", columns, rows)
    raw, deconvolved, projected, reference = (root / "Figure 1" / "Figure 1B" / name for name in images)
    write_deltavision(raw, depth=5, times=2)
    write_deltavision(deconvolved, depth=5, times=2)
    write_stack(projected, 2)
    write_deltavision(reference, waves=1)
    write_image(root / "Figure 5" / "Figure 5A" / "tomogram.tif")
    labels = {"cell_visible": {"hsp104", "cell body"}}
    return Expected(4, {"organism": {"yeast"}, "cell_type": {"sk1"}} | labels)


def idr0072(root: Path) -> Expected:
    columns = ["Plate", "Well", "Characteristics [Organism]", "Characteristics [Cell Line]", "Comment [Gene Symbol]"]
    columns += ["Comment [Protein Name Abbreviation]", "Channels"]
    channels = "EGFP (protein of interest), DRAQ5 (DNA)"
    human = ["WS_MCF10A_Landmark_20180613/Meas_01", "N1", "Homo sapiens", "MCF 10A", "CALR", "Calr-KDEL", channels]
    other = [*human[:1], "N2", *human[2:5], "", channels]
    split = ["WS_MCF10A_Landmark_20180509/Meas_02", "N1", *human[2:4], "VAMP5", "VAMP5", channels]
    mouse = ["VAMP_DEG_20120507/Meas_01", "A3", "Mus musculus", "NMuMG", "GOLGA5", "Golgin84", channels]
    write_table(root / "idr0072-screenA-annotation.csv", columns, [human, other, split])
    write_table(root / "idr0072-screenB-annotation.csv", columns, [mouse])
    top = root / "20191127-disk" / "UpLoadtoIDR"
    write_stack(top / "MCF10A" / "Plates" / "WS_MCF10A_landmarks_20180613" / "Meas_01" / "014001000.flex", 4)
    write_stack(top / "MCF10A" / "Plates" / "WS_MCF10A_landmarks_20180613" / "Meas_01" / "014002000.flex", 2)
    write_stack(root / "20201106-plates" / "WS_MCF10A-landmark-library_20180509_Meas_02" / "014001000.flex", 2)
    write_image(top / "NMUMG" / "converted" / "VAMP_DEG_20120507__Meas_01__A3__1.png")
    write_image(top / "NMUMG" / "converted" / "WS_NMuMG_1.png")
    genes = {"calr targeted", "vamp5 targeted", "golga5 targeted"}
    labels = {"cell_type": {"mcf 10a", "nmumg"}, "cell_visible": {"nucleus", "calr-kdel", "vamp5", "golgin84"}}
    return Expected(5, {"organism": {"human", "mouse"}, "gene": genes} | labels)


def idr0080(root: Path) -> Expected:
    columns = [
        "Plate",
        "Well",
        "Characteristics [Organism]",
        "Characteristics [Cell Line]",
        "Gene Symbol",
        "Control Type",
    ]
    rows = [
        [plate, *rest]
        for plate in ("SQ00014610", "SQ00014610_illum_corrected")
        for rest in (
            ["A1", "Homo sapiens", "A549", "", "no reagent"],
            ["B3", "Homo sapiens", "A549", "MCL1", ""],
            ["P24", "Homo sapiens", "A549", "Chr2", "negative control"],
        )
    ]
    write_table(root / "idr0080-screenA-annotation.csv", columns, rows)
    folders = ("images/SQ00014610__2016-06-16T00_38_35-Measurement2", "20200923-illumcorrected/SQ00014610")
    for folder in folders:
        for row, column in ((1, 1), (2, 3), (16, 24)):
            write_images(root / folder / "Images", operetta(row, column, "09", "{1,2,3,4,5}"))
    structures = {"nucleus", "er", "nucleoli", "rna", "actin", "golgi", "cell membrane", "mitochondria"}
    labels = {"cell_type": {"a549"}, "gene": {"mcl1 targeted", "chr2 targeted"}, "cell_visible": structures}
    return Expected(3, {"organism": {"human"}} | labels)


def idr0081(root: Path) -> Expected:
    columns = ["Plate", "Well", "Characteristics [Organism 1]", "Characteristics [Organism 2]"]
    columns += ["Characteristics [Cell Line]", "Compound Name", "Control Type", "Quality Control", "Channels"]
    cells = ["Homo sapiens", "Human adenovirus 2", "A549"]
    dmso = [*cells, "Dimethyl sulfoxide", "negative control", "pass", "Hoechst:nuclei; GFP:infection"]
    drug = [*cells, "Nelfinavir mesylate", "", "pass", "Hoechst:nuclei; GFP:infection"]
    toxic = [*cells, "Digoxin", "", "fail", "Hoechst:nuclei; GFP:infection"]
    plate = "BSF018292-1A"
    tables = {
        "A": [["preZ", "A1", *dmso]],
        "C": [["Za_BSF018104", "B2", *dmso]],
        "D": [[plate, "A2", *drug], [plate, "A3", *toxic]],
        "E": [[plate, "A2", *drug], [plate, "A3", *toxic]],
    }
    for screen, rows in tables.items():
        write_table(root / f"idr0081-screen{screen}-annotation.csv.gz", columns, rows)
    write_images(root / "1-prePlates" / "Data_UZH" / "preZ", "HAdV-preZ_A01_w{1,2}.TIF")
    write_images(root / "3-Screen" / "Data_UZH" / "Screen" / plate, plate + "_{A02,A03}_w{1,2}.TIF")
    wells = "{2-ZPLates/Data_EPFL/Za_BSF018104/B - 02,3-Screen/Data_EPFL/Screen/BSF018292_1A/A - 02}"
    write_images(root, wells + "(fld 1 wv {DAPI - DAPI,FITC - FITC}).tif")
    labels = {"cell_type": {"a549"}, "cell_visible": {"nucleus"}, "compound": {"dmso", "nelfinavir mesylate"}}
    return Expected(4, {"organism": {"human"}} | labels)


def idr0088(root: Path) -> Expected:
    columns = ["Plate", "Well", "Characteristics [Organism]", "Characteristics [Cell Line]", "Compound MoA"]
    columns += ["Compound Name", "Control Type", "Channels", "Plate Location"]
    channels = "Ch1 (blue): Nuclei/Cytoplasm, Ch2 (green): {}, Ch3 (red): {}"
    first, second = "p170915PPS073/PpsL05HepG2", "p171224PPS139/PpsL05A549"
    actin, liver = channels.format("ACTB", "RAB5A"), ["Homo sapiens", "HepG2"]
    dmso = ["DMSO", "Negative Control"]
    rows = [
        ["1013608253", "B2", *liver, "", *dmso, actin, first],
        ["1013608253", "P23", *liver, "GABA_receptor modulator|Cox inhibitor", "Aspirin", "", actin, first],
        ["110000252214", "B2", "Homo sapiens", "A549", "", *dmso, channels.format("CANX", "COX4I1"), second],
    ]
    write_table(root / "idr0088-screenA-annotation.csv.zip", columns, rows)
    top = root / "20200722-awss3" / "ds_hcs_02" / "PhenoPrintScreen" / "raw_images_for_IDR"
    wells = ("1013608253_B02_T0001F{001,002,003}", "1013608253_P23_T0001F{001,002}")
    channels = "L01A{01Z01C01,02Z01C02,03Z01C03}.tif"
    write_images(top / first / "1013608253", *(well + channels for well in wells))
    write_images(top / second / "110000252214", "110000252214_B02_T0001F{001,002,003}" + channels)
    labels = {"compound": {"dmso", "aspirin"}, "phenotype": {"gaba receptor modulator", "cox inhibitor"}}
    structures = {"cell_type": {"hepg2", "a549"}, "cell_visible": {"nucleus", "actin", "rab5a", "er", "mitochondria"}}
    return Expected(8, {"organism": {"human"}} | labels | structures)


def idr0093(root: Path) -> Expected:
    columns = ["Plate", "Well", "Characteristics [Organism]", "siRNA Pool Identifier 1", "siRNA Pool Identifier 2"]
    columns += ["Gene Symbol", "HGNC Gene Symbol", "Control Type"]
    rows = [
        ["001", "B2", "Homo sapiens", "s10427", "s2", "KIF11", "KIF11", "positive control"],
        ["082", "O23", "Homo sapiens", "s21749", "", "", "", "negative control"],
    ]
    write_table(root / "idr0093-screenA-annotation.csv", columns, rows)
    prefix = "/uod/idr/filesets/idr0093-mueller-perturbation/20200901-rsync"
    lines = [f"{prefix}/01_batch/001/001.wpi\t001", f"{prefix}/09_batch/plate82/No Response Detected.wpi\t082"]
    (root / "idr0093-screenA-plates.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    wells = "{01_batch/001/001_B02,09_batch/plate82/082_O23}"
    write_images(root / "20200901-rsync", wells + "_T0001F{001,009}L01A01Z01C{01,02,03,04,05}.tif")
    structures = {"nucleus", "pcna", "rna", "cell body"}
    labels = {"sirna": {"s10427", "s21749"}, "gene": {"kif11 targeted"}, "cell_visible": structures}
    return Expected(4, {"organism": {"human"}, "cell_type": {"hela"}} | labels)


RXRX_KEYS = ("site_id", "well_id", "cell_type", "experiment", "plate", "well", "site")


def _rxrx(top: Path, rows: Sequence[Sequence[object]], header: Sequence[str], *, channels: int) -> None:
    write_table(top / "metadata.csv", [*RXRX_KEYS, *header], rows)
    for row in rows:
        _, _, _, experiment, plate, well, site = row[:7]
        folder = top / "images" / f"{experiment}" / f"Plate{plate}"
        write_images(folder, *(f"{well}_s{site}_w{channel}.png" for channel in range(1, channels + 1)))


def _site(experiment: str, plate: int, well: str, site: int) -> list[object]:
    cell_type = experiment.rpartition("-")[0]
    place = f"{experiment}_{plate}_{well}"
    return [f"{place}_{site}", place, cell_type, experiment, plate, well, site]


def rec_rxrx1(root: Path) -> Expected:
    header = ["dataset", "well_type", "sirna", "sirna_id"]
    rows = [
        [*_site("HEPG2-08", 1, "B02", 1), "test", "negative_control", "EMPTY", 1138],
        [*_site("HEPG2-08", 1, "B02", 2), "test", "negative_control", "EMPTY", 1138],
        [*_site("U2OS-01", 4, "C03", 1), "train", "positive_control", "s8645", 1108],
        [*_site("RPE-01", 2, "M23", 2), "train", "treatment", "n337250", 5],
    ]
    _rxrx(root / "rxrx1", rows, header, channels=6)
    structures = {"nucleus", "er", "actin", "nucleoli", "mitochondria", "golgi"}
    labels = {"cell_type": {"hepg2", "u2os", "rpe"}, "sirna": {"s8645", "n337250"}, "cell_visible": structures}
    return Expected(4, {"organism": {"human"}} | labels)


def rec_rxrx2(root: Path) -> Expected:
    rows = [
        [*_site("HUVEC-1", 1, "AA02", 2), "BaLF", 0.1],
        [*_site("HUVEC-1", 1, "AA02", 4), "BaLF", 0.1],
        [*_site("HUVEC-1", 2, "B44", 1), "EMPTY", ""],
        [*_site("HUVEC-2", 2, "B44", 1), "22_cGAMP", 10],
    ]
    _rxrx(root / "rxrx2", rows, ["treatment", "treatment_conc"], channels=6)
    structures = {"nucleus", "er", "actin", "nucleoli", "mitochondria", "golgi"}
    labels = {"cell_type": {"huvec"}, "compound": {"balf", "22_cgamp"}, "cell_visible": structures}
    return Expected(4, {"organism": {"human"}} | labels)


def rec_rxrx19a(root: Path) -> Expected:
    active = "Active SARS-CoV-2"
    rows = [
        [*_site("HRCE-1", 1, "AA02", 2), active, "Remdesivir (GS-5734)", 1.0, "CC"],
        [*_site("VERO-1", 1, "AA02", 1), "Mock", "", "", ""],
        [*_site("HRCE-2", 25, "B10", 4), "UV Inactivated SARS-CoV-2", "", "", ""],
        [*_site("HRCE-2", 25, "B11", 4), "", "BX-795*HCl", 3, ""],
    ]
    _rxrx(root / "RxRx19a", rows, ["disease_condition", "treatment", "treatment_conc", "SMILES"], channels=5)
    labels = {
        "phenotype": {"active sars-cov-2", "mock", "uv inactivated sars-cov-2"},
        "compound": {"remdesivir (gs-5734)", "bx-795 -- hcl"},
        "cell_visible": {"nucleus", "er", "actin", "nucleoli", "golgi"},
    }
    return Expected(4, {"organism": {"human", "monkey"}, "cell_type": {"hrce", "vero"}} | labels)


def rec_rxrx19b(root: Path) -> Expected:
    rows = [
        [*_site("HUVEC-1", 1, "AA02", 1), "healthy", "", "", ""],
        [*_site("HUVEC-1", 1, "AA03", 1), "storm-severe", "Tamoxifen", 0.3, "C"],
        [*_site("HUVEC-1", 1, "AA04", 1), "", "", "", ""],
    ]
    _rxrx(root / "rxrx19b", rows, ["disease_condition", "treatment", "treatment_conc", "SMILES"], channels=6)
    labels = {"cell_type": {"huvec"}, "phenotype": {"healthy", "storm-severe"}, "compound": {"tamoxifen"}}
    structures = {"nucleus", "er", "actin", "nucleoli", "mitochondria", "golgi"}
    return Expected(3, {"organism": {"human"}, "cell_visible": structures} | labels)


MAKERS: dict[str, Callable[[Path], Expected]] = {
    maker.__name__: maker
    for maker in (
        *(idr0003, idr0009, idr0016, idr0017, idr0021, idr0037, idr0041, idr0067, idr0072, idr0080, idr0081),
        *(idr0088, idr0093, rec_rxrx1, rec_rxrx2, rec_rxrx19a, rec_rxrx19b),
    )
}
