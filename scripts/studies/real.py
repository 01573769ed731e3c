"""Real images for the study: five sets of single cells that are scored, and training sets without them."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import datasets as hf
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image as Picture

from cytoimagenet_hf.benchmarks import BENCHMARKS, load_recipe
from cytoimagenet_hf.benchmarks.base import Benchmark
from cytoimagenet_hf.benchmarks.tasks.folder import configured
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.imaging import normalize, read_image, to_gray

CELLS_TABLE = "bbbc021/single_cells_index.csv.gz"
YEAST = "cyclops_wt2/images/yeast_toy_5proteins_60cells.zip"
HPA = "kag_hpa/images/hpa_toy_single_cells.zip"
FIELDS = ("plates", "archives", "cells")
_SUFFIXES = (".tif", ".png", ".bmp", ".tiff")
_PER_FIELD, _SMALLEST_FIELD = 4, 200  # crops of one field; smaller images are taken whole
_HELD_OUT = 10  # every tenth image validates
_PER_LABEL = 100  # crops of one label: the largest sets shall not be all that is learnt

Planes = Iterator[tuple[str, str, npt.NDArray[Any]]]


@dataclass(frozen=True)
class CellSet:
    """One set of cells that is scored.

    Attributes:
        name: of the set.
        title: for people.
        benchmark: how it is loaded and scored.
        folder: below the folder of fetched repositories.
        role: `deciding`: no candidate of the rule was found on it; `held`: candidates were found on other cells of the
            same plates or fields, these cells are scored once, with what the rule chose.
        every: one cell in so many is scored.
    """

    name: str
    title: str
    benchmark: Benchmark
    folder: str
    role: str
    every: int = 1

    def load(self, fetched: Path) -> list[Image]:
        """The scored cells."""
        return self.benchmark.load(fetched / self.folder, load_recipe("corrected"))[:: self.every]


def cell_sets(real: Path) -> list[CellSet]:
    """The five sets.

    Args:
        real: folder of real images, whose tables tell plates, and which cells choices were made on.

    Raises:
        InputError: a file of the study is missing.
    """
    for name in (CELLS_TABLE, YEAST, HPA):
        if not (real / name).is_file():
            raise InputError(f"{real / name} is missing: --real names the folder of real images")
    table = pd.read_csv(real / CELLS_TABLE)
    plates = dict(zip(table["path"].str.split("/", n=1).str[1], table["plate"], strict=True))
    plain = configured(name="bbbc021")
    cells = replace(plain, load=partial(_further, plain, set(table["path"][table["in_zip"]]), plates))
    with zipfile.ZipFile(real / YEAST) as tuned:
        seen = {name.rsplit("_", 1)[0] for name in tuned.namelist()}
    fields = configured(channels=("gfp", "rfp"), name="yeast")
    yeast = replace(fields, load=partial(_further, fields, seen, {}))
    return [
        CellSet("mitocheck", "MitoCheck nuclei", BENCHMARKS["mitocheck"], "mitocheck", "deciding", every=2),
        CellSet("hep2", "HEp-2 cells", BENCHMARKS["hep2"], "hep2", "deciding", every=10),
        CellSet("cellcognition", "CellCognition nuclei", BENCHMARKS["cellcognition"], "cellcognition", "deciding"),
        CellSet("bbbc021", "BBBC021 cells", cells, "bbbc021/data_subset", "held", every=10),
        CellSet("yeast", "yeast cells", yeast, "yeast/images", "held"),
    ]


def _further(
    benchmark: Benchmark, seen: set[str], plates: dict[str, str], root: Path, recipe: Any, *, images: bool = True
) -> list[Image]:
    """The cells of a set that no choice was made on, with the plate of each where a table tells it."""
    items = benchmark.load(root, recipe)
    further = [item for item in items if item.id not in seen and f"{root.name}/{item.id}" not in seen]
    if not plates:
        return further
    facts = ({"group": plates[item.id], "group_name": "plate"} for item in further)
    return [replace(item, metadata={**item.metadata, **fact}) for item, fact in zip(further, facts, strict=True)]


def build_corpus(
    real: Path, fetched: Path, sets: Sequence[CellSet], target: Path, *, without: str, side: int, seed: int
) -> Path:
    """A dataset of gray crops, labelled by source, class and channel, without any set of one role.

    Args:
        real: folder of real images.
        fetched: folder of fetched repositories.
        sets: all of them.
        target: dataset to write; left as it is where it stands.
        without: the role of the sets that are left out.
        side: of the square crops in pixels.
        seed: of the choice of cells and of the places of the crops.
    """
    if (target / "data" / "validation-00000-of-00001.parquet").is_file():
        return target
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    for number, (label, name, plane) in enumerate(_planes(real, fetched, sets, without, target.parent, seed)):
        split = "validation" if number % _HELD_OUT == 0 else "train"
        for place, crop in enumerate(_crops(plane, side, derive_rng(seed, "study-crop", name))):
            rows[split].append({"image": {"bytes": _png(crop)}, "label": label, "image_id": f"{name}#{place}"})
    labels = sorted({row["label"] for row in rows["train"]})
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=labels), "image_id": hf.Value("string")})
    (target / "data").mkdir(parents=True, exist_ok=True)
    for split, crops in rows.items():
        kept = [row for row in crops if row["label"] in labels]
        hf.Dataset.from_list(kept, features=features).to_parquet(
            str(target / "data" / f"{split}-00000-of-00001.parquet")
        )
    return target


def _planes(real: Path, fetched: Path, sets: Sequence[CellSet], without: str, scratch: Path, seed: int) -> Planes:
    """Label, name and pixels of every plane that is in no set left out."""
    for cells in sets:
        if cells.role != without:
            yield from _cells(cells, fetched, seed)
    _unpack(real / HPA, scratch / "hpa")
    for file in sorted((scratch / "hpa").glob("*/*.tif")):
        protein, stain = file.parent.name.split("_")[0], file.stem.rsplit("_", 1)[1]
        yield f"hpa {protein} {stain}", f"hpa/{file.stem}", read_image(file)
    for folder in (real / part for part in FIELDS):
        for file in sorted(folder.rglob("*")):
            source = file.relative_to(folder).parts[0]
            if file.suffix.lower() not in _SUFFIXES or (folder.name, source) == ("archives", "bbbc013"):
                continue  # the few wells of BBBC013 in the archives are on the whole plate, too
            plane = to_gray(read_image(file))
            if len(np.unique(plane)) > 2:  # masks of cells lie beside them
                yield f"{source} {_channel(source, file)}".strip(), str(file.relative_to(real)), plane


def _cells(cells: CellSet, fetched: Path, seed: int) -> Planes:
    items = cells.benchmark.load(fetched / cells.folder, load_recipe("corrected"))
    by_label: dict[str, list[Image]] = {}
    for row in derive_rng(seed, "study-cells", cells.name).permutation(len(items)):
        by_label.setdefault(items[row].metadata["label"], []).append(items[row])
    for label, members in by_label.items():
        for item in members[:_PER_LABEL]:
            for stain, plane in zip(item.channels, item.read(), strict=True):
                yield f"{cells.name} {label} {stain}", f"{cells.name}/{item.id}/{stain}", to_gray(plane)


def _channel(source: str, file: Path) -> str:
    if source == "bbbc013":
        return file.name.split("-")[0]
    if source in ("rec_rxrx1", "bbbc010", "bbbc014", "bbbc017"):
        return file.stem.rsplit("_", 1)[-1][-2:]
    return ""


def _crops(plane: npt.NDArray[Any], side: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.uint8]]:
    height, width = plane.shape
    least = min(height, width)
    for _ in range(1 if least < _SMALLEST_FIELD else _PER_FIELD):
        # One cell or several: magnifications differ between sources, so any size between is true to some.
        length = least if least < _SMALLEST_FIELD else int(np.exp(rng.uniform(np.log(side), np.log(least / 2.5))))
        top, left = (int(rng.integers(0, extent - length + 1)) for extent in (height, width))
        crop = np.asarray(normalize(plane[top : top + length, left : left + length]) * 255, dtype=np.uint8)
        yield np.asarray(Picture.fromarray(crop).resize((side, side), Picture.Resampling.BILINEAR))


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Picture.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _unpack(archive: Path, target: Path) -> None:
    if not target.is_dir():
        with zipfile.ZipFile(archive) as content:
            content.extractall(target)
