"""Broad Bioimage Benchmark Collection: 16-bit TIFF, palette bitmaps, RGBA pictures in folders of their own."""

import hashlib

import pandas as pd

from cytoimagenet_hf.core.seeding import derive_rng
from scripts.simulate.library import EFFECTS
from scripts.simulate.phenotypes import Phenotype, mix
from scripts.simulate.plan import FieldPlan, Plan, Shot, plate_optics
from scripts.simulate.plates import allot, file_uuid
from scripts.simulate.sizes import Size

PAINTING = {"Hoechst": "nucleus", "ER": "er", "Syto": "nucleoli", "Ph_golgi": "actin+golgi", "Mito": "mitochondria"}
# Letter case, brackets and a plus sign as the compound library has them.
COMPOUNDS = {
    "CYCLOPIAZONIC ACID": "collapsed er",
    "(+)-Catharanthine": "two nuclei",
    "FENBUFEN [INN]": "fragmented mitochondria",
    "NIFLUMIC ACID": "condensed chromatin",
    "Vitexin": "thick actin fibres",
}


def bbbc022(size: Size, seed: int) -> Plan:
    """Five channels in folders of plate and channel; mock wells have an empty compound name."""
    compounds = dict(list(COMPOUNDS.items())[: size.labels])
    plates = ("20585", "20586", "20589", "20590")
    fields: list[FieldPlan] = []
    rows: list[dict[str, object]] = []
    for plate_number, well, compound in allot([*compounds, ""], repeats=max(2, size.wells // 2), plates=4):
        plate = plates[plate_number]
        for site in (1, 2):
            names = {
                stain: f"IXMtest_{well}_s{site}_w{channel}{file_uuid(seed, f'{plate}{well}{site}{channel}')}.tif"
                for channel, stain in enumerate(PAINTING, start=1)
            }
            folders = {
                stain: f"BBBC022_v1_images_{plate}w{channel}" for channel, stain in enumerate(PAINTING, start=1)
            }
            fields.append(
                FieldPlan(
                    key=f"bbbc022/{plate}/{well}/{site}",
                    phenotype=EFFECTS[compounds.get(compound, "none")].variant(elongation=0.2),
                    optics=plate_optics(seed, "bbbc022", plate),
                    size=size.side,
                    shots=tuple(
                        Shot(f"bbbc022/{folders[stain]}/{names[stain]}", PAINTING[stain], "uint12")
                        for stain in PAINTING
                    ),
                    labels={"compound": compound},
                )
            )
            order = ("ER", "Hoechst", "Mito", "Ph_golgi", "Syto")
            row: dict[str, object] = {"ImageNumber": len(rows) + 1}
            rows.append(
                row
                | {f"Image_FileName_Orig{stain}": names[stain] for stain in order}
                | {f"Image_PathName_Orig{stain}": folders[stain] for stain in order}
                | {
                    "Image_Metadata_PlateID": plate,
                    "Image_Metadata_CPD_WELL_POSITION": well,
                    "Image_Metadata_ASSAY_WELL_ROLE": "treated" if compound else "mock",
                    "Image_Metadata_SOURCE_COMPOUND_NAME": compound,
                    "Image_Metadata_CPD_MMOL_CONC": "5.0" if compound else "",
                    "Image_Metadata_BROAD_ID": f"BRD-A{list(compounds).index(compound):08d}" if compound else "",
                    "Image_Metadata_CPD_PLATE_MAP_NAME": "H-BIOA-004-3",
                }
            )
    return Plan(tuple(fields), {"bbbc022/BBBC022_v1_image.csv": pd.DataFrame(rows)})


def bbbc013(size: Size, seed: int) -> Plan:
    """A 96-well plate of palette bitmaps: FKHR moves into the nucleus with the dose."""
    fields, rows = [], []
    last_column = 12 if size.labels > 4 else 2
    inside = Phenotype(confluence=0.9, moved={"cytosol": "nucleus"})
    for row_number, row in enumerate("ABCDEFGH"):
        for column in range(1, last_column + 1):
            number = row_number * 12 + column
            role = "experiment" if 2 < column < 12 else "negative_control" if column == 1 else "empty"
            compound = "none" if role != "experiment" else "Wortmannin" if row in "ABCD" else "LY294002"
            dose = 0.0 if compound == "none" else round(0.977 * 2 ** (column - 3), 3)
            name = f"{number:02d}-{row}-{column:02d}.BMP"
            strength = 0.0 if compound == "none" else (column - 2) / 9
            fields.append(
                FieldPlan(
                    key=f"bbbc013/{name}",
                    phenotype=mix(Phenotype(confluence=0.9), inside, strength),
                    optics=plate_optics(seed, "bbbc013", "plate"),
                    size=size.side + 48,  # large enough that crops are cut, at any size
                    shots=tuple(
                        Shot(f"bbbc013/BBBC013_v1_images_bmp/Channel{channel}-{name}", stain, encoding="palette")
                        for channel, stain in ((1, "cytosol"), (2, "nucleus"))
                    ),
                    labels={"compound": compound},
                )
            )
            rows.append(
                {"row_name": row, "column_name": column, "compound": compound, "concentration": dose, "role": role}
            )
    return Plan(tuple(fields), {"bbbc013/BBBC013_platemap_long_nM.csv": pd.DataFrame(rows)})


def bbbc038(size: Size, seed: int) -> Plan:
    """RGBA pictures of nuclei, each in a folder of its own beside a folder of masks, which are not fields."""
    fields = []
    for number in range(size.wells):
        name = hashlib.sha256(f"{seed}/bbbc038/{number}".encode()).hexdigest()
        rng = derive_rng(seed, "bbbc038", name)
        fields.append(
            FieldPlan(
                key=f"bbbc038/{name}",
                phenotype=Phenotype(
                    radius=float(rng.uniform(11, 24)), nucleus=0.6, confluence=float(rng.uniform(0.6, 1.2))
                ),
                optics=plate_optics(seed, "bbbc038", str(number % 5), severity=1.5),
                size=size.side,
                shots=(
                    Shot(f"bbbc038/stage1_train/{name}/images/{name}.png", "nucleus", encoding="rgba"),
                    Shot(f"bbbc038/stage1_train/{name}/masks/{hashlib.sha256(name.encode()).hexdigest()}.png", "mask"),
                ),
                labels={"cell_visible": "nucleus"},
            )
        )
    return Plan(tuple(fields))


def bbbc006(size: Size, seed: int) -> Plan:
    """Two channels in one folder of the focal plane, 12-bit values in 16-bit words, wells in lower case."""
    fields, rows = [], []
    for _, well, _ in allot(["U2OS"], repeats=max(2, size.wells // 2), plates=1):
        for site in (1, 2):
            stem = f"mcf-z-stacks-03212011_{well.lower()}_s{site}"
            names = [f"{stem}_w{c}{file_uuid(seed, f'{stem}{c}').lower()}.tif" for c in (1, 2)]
            fields.append(
                FieldPlan(
                    key=f"bbbc006/{stem}",
                    phenotype=Phenotype(confluence=0.8),
                    optics=plate_optics(seed, "bbbc006", "plate"),
                    size=size.side,
                    shots=tuple(
                        Shot(f"bbbc006/BBBC006_v1_images_z_16/{name}", stain, "uint12")
                        for name, stain in zip(names, ("nucleus", "actin"), strict=True)
                    ),
                    labels={"cell_visible": "nucleus"},
                )
            )
            rows.append(
                {
                    "Image_Count_Nuclei": 12,
                    "Image_FileName_OrigDAPI": names[0],
                    "Image_Metadata_Site": site,
                    "Image_Metadata_Well": well.lower(),
                }
            )
    return Plan(tuple(fields), {"bbbc006/BBBC006_v1_counts.csv": pd.DataFrame(rows)})
