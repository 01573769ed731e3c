"""BBBC041: malaria in blood smears; every annotated cell is a field, a box in its image."""

from collections.abc import Iterator
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.jsontext import parse_json

from .base import Archive, Count, Field, RejectedItem
from .bbbc import LJOSA, broad, download, link

LISTS = ("malaria/training.json", "malaria/test.json")


def scan(archive: Archive) -> Iterator[Field | RejectedItem]:
    """Boxes of the training list, then of the test list, numbered from 1 within their image."""
    for listed in LISTS:
        for entry in _entries(archive, listed):
            try:
                image = entry["image"]["pathname"].lstrip("/")
                shape = entry["image"]["shape"]
                boxes = [(_region(box["bounding_box"], shape), box["category"]) for box in entry["objects"]]
            except (KeyError, TypeError, AttributeError) as error:
                raise InputError(f"bbbc041: {listed} lacks {error} in an entry; is it the list of BBBC041?") from error
            file = archive.find(f"malaria/{image}", last=0) or f"malaria/{image}"
            for number, (region, category) in enumerate(boxes, start=1):
                key = f"{image.rpartition('/')[2].rpartition('.')[0]}_{number}"
                if region[0] >= region[1] or region[2] >= region[3]:
                    yield RejectedItem(key, "empty_box", f"box {number} of {image} has no area inside the image")
                    continue
                yield Field(
                    key=key,
                    files=[file],
                    channels=["brightfield"],
                    cell_type=category,
                    region=region,
                    site=image.rpartition("/")[2].rpartition(".")[0],
                )


def _entries(archive: Archive, listed: str) -> list[dict[str, Any]]:
    file = archive.find_table(listed)
    if file is None:
        raise InputError(f"bbbc041: {listed} is not below {archive.root}. {archive.source.download}")
    try:
        entries = parse_json(archive.content(file), where=archive.root / file)
    except InputError as error:
        raise InputError(f"bbbc041: {error}. Download it again") from error
    if not isinstance(entries, list):
        raise InputError(f"bbbc041: {archive.root / file} holds no list of images; is it the list of BBBC041?")
    return entries


def _region(box: dict[str, dict[str, int]], shape: dict[str, int]) -> tuple[int, int, int, int]:
    """x_min, x_max, y_min, y_max, clipped to the image: boxes may touch or cross its edge."""
    low, high = box["minimum"], box["maximum"]
    return max(low["c"], 0), min(high["c"], shape["c"]), max(low["r"], 0), min(high["r"], shape["r"])


SOURCE = broad(
    dir_name="bbbc041",
    name="P. vivax (malaria) infected human blood smears",
    link=link("BBBC041"),
    licence="unverified",
    citation=f"Hung et al. 2020, Keras R-CNN; {LJOSA}",
    organism="human",
    microscopy="brightfield",
    stains={"": "brightfield"},
    scan=scan,
    kind="bounding boxes",
    download=download("BBBC041", "malaria.zip", into="malaria/training.json, malaria/test.json, malaria/images/"),
    disk_gb=3.5,
    rows_differ_in="box",
    expected=(
        Count("fields", 86_000, "reference"),
        Count("images", 1_328, "docs"),
        Count("test boxes", 5_922, "table"),
    ),
    notes="Leukocytes are labelled white blood cell. The number of boxes is known for the test list only.",
)
