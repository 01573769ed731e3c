"""Real images for the study: two tasks laid out as class folders, and a training set in which neither has a part."""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets as hf
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image as Picture

from cytoimagenet_hf.benchmarks.base import Benchmark
from cytoimagenet_hf.benchmarks.tasks.folder import configured
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.imaging import normalize, read_image, to_gray
from cytoimagenet_hf.networks.pixels import relative_log

CELLS = "bbbc021/images/single_cells_dmso_vs_protein_synthesis.zip"
CELLS_TABLE = "bbbc021/single_cells_index.csv.gz"
YEAST = "cyclops_wt2/images/yeast_toy_5proteins_60cells.zip"
HPA = "kag_hpa/images/hpa_toy_single_cells.zip"
FIELDS = ("plates", "archives")
GAIN_RANGE = (-0.7, 2.3)
"""What extraction with `normalize="gain"` makes of a pixel of a 27th of the mean or less, and of 36 times the mean: 0
and 255 of a training image."""
Scaling = Callable[[npt.NDArray[Any]], npt.NDArray[np.uint8]]
_SUFFIXES = (".tif", ".png", ".bmp")
_PER_FIELD, _SMALLEST_FIELD = 8, 200  # crops of one field; smaller images are taken whole
_HELD_OUT = 10  # every tenth field validates


@dataclass(frozen=True)
class Task:
    """One task: images in class folders, and how they are scored."""

    name: str
    title: str
    root: Path
    benchmark: Benchmark


def lay_out(real: Path, target: Path) -> list[Task]:
    """Unpack both tasks; BBBC021 is scored by plate, yeast by field, and by field number over all proteins.

    Raises:
        InputError: an archive of the study is missing.
    """
    for name in (CELLS, CELLS_TABLE, YEAST, HPA):
        if not (real / name).is_file():
            raise InputError(f"{real / name} is missing: --real names the folder of real images")
    cells, yeast = target / "bbbc021", target / "yeast"
    _unpack(real / CELLS, cells)
    table = pd.read_csv(real / CELLS_TABLE)
    table = table[table["in_zip"]]
    names = table["path"].str.split("/", n=1).str[1]
    pd.DataFrame({"file_name": names, "plate": table["plate"]}).to_csv(cells / "metadata.csv", index=False)
    _unpack(real / YEAST, yeast)
    stems = sorted({f"{file.parent.name}/{file.stem.rsplit('_', 1)[0]}" for file in yeast.glob("*/*.tif")})
    fields = [stem.split("/")[1].split("_rfp_")[0] for stem in stems]
    numbers = [field.rsplit("_", 1)[1] for field in fields]
    pd.DataFrame({"file_name": stems, "field": fields, "number": numbers}).to_csv(yeast / "metadata.csv", index=False)
    channels = ("gfp", "rfp")
    return [
        Task("bbbc021", "BBBC021 cells, plate out", cells, configured(group="plate", name="bbbc021")),
        Task("yeast", "yeast cells, field out", yeast, configured(channels=channels, group="field", name="yeast")),
        Task(
            "yeast-number",
            "yeast cells, field number out",
            yeast,
            configured(channels=channels, group="number", name="yeast-number"),
        ),
    ]


def build_corpus(real: Path, target: Path, *, scaling: str, side: int, seed: int) -> Path:
    """A dataset of gray crops of all other real images, labelled by source and channel.

    Args:
        real: folder of real images.
        target: dataset to write; left as it is where it stands.
        scaling: of each crop, one of `SCALINGS`.
        side: of the square crops in pixels.
        seed: of the places of the crops.
    """
    if (target / "data" / "validation-00000-of-00001.parquet").is_file():
        return target
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "validation": []}
    for number, (label, name, plane) in enumerate(_planes(real, target.parent)):
        split = "validation" if number % _HELD_OUT == 0 else "train"
        for place, crop in enumerate(_crops(plane, side, SCALINGS[scaling], derive_rng(seed, "study-crop", name))):
            rows[split].append({"image": {"bytes": _png(crop)}, "label": label, "image_id": f"{name}#{place}"})
    labels = sorted({row["label"] for row in rows["train"]})
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=labels), "image_id": hf.Value("string")})
    (target / "data").mkdir(parents=True, exist_ok=True)
    for split, own in rows.items():
        kept = [row for row in own if row["label"] in labels]
        hf.Dataset.from_list(kept, features=features).to_parquet(
            str(target / "data" / f"{split}-00000-of-00001.parquet")
        )
    return target


def _planes(real: Path, scratch: Path) -> Iterator[tuple[str, str, npt.NDArray[Any]]]:
    """Label, name and pixels of every plane that is in neither task."""
    _unpack(real / HPA, scratch / "hpa")
    for file in sorted((scratch / "hpa").glob("*/*.tif")):
        yield (
            f"hpa {file.parent.name.split('_')[0]} {file.stem.rsplit('_', 1)[1]}",
            f"hpa/{file.stem}",
            read_image(file),
        )
    for folder in (real / part for part in FIELDS):
        for file in sorted(folder.rglob("*")):
            source = file.relative_to(folder).parts[0]
            if file.suffix.lower() not in _SUFFIXES or (folder.name, source) == ("archives", "bbbc013"):
                continue  # the few wells of BBBC013 in the archives are on the whole plate, too
            yield f"{source} {_channel(source, file)}".strip(), str(file.relative_to(real)), to_gray(read_image(file))


def _channel(source: str, file: Path) -> str:
    if source == "bbbc013":
        return file.name.split("-")[0]
    if source in ("rec_rxrx1", "bbbc010", "bbbc014", "bbbc017"):
        return file.stem.rsplit("_", 1)[-1][-2:]
    return ""


def _crops(
    plane: npt.NDArray[Any], side: int, scaled: Scaling, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.uint8]]:
    height, width = plane.shape
    least = min(height, width)
    for _ in range(1 if least < _SMALLEST_FIELD else _PER_FIELD):
        # One cell or several: magnifications differ between sources, so any size between is true to some.
        length = least if least < _SMALLEST_FIELD else int(np.exp(rng.uniform(np.log(side), np.log(least / 2.5))))
        top, left = (int(rng.integers(0, extent - length + 1)) for extent in (height, width))
        picture = Picture.fromarray(scaled(plane[top : top + length, left : left + length]))
        yield np.asarray(picture.resize((side, side), Picture.Resampling.BILINEAR))


def _stretched(crop: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.asarray(normalize(crop) * 255, dtype=np.uint8)


def _by_gain(crop: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    low, high = GAIN_RANGE
    unit = (relative_log(crop) / 2 + 0.5 - low) / (high - low)
    return np.asarray(np.clip(unit, 0, 1) * 255, dtype=np.uint8)


SCALINGS: dict[str, Scaling] = {"image": _stretched, "gain": _by_gain}
"""How the pixels of a crop become gray levels: as extraction with `normalize` of that name scales them."""


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Picture.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _unpack(archive: Path, target: Path) -> None:
    if not target.is_dir():
        with zipfile.ZipFile(archive) as content:
            content.extractall(target)
