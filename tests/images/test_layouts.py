"""One plate in every layout: equal pixels, channels, metadata and ids, whatever wrote it."""

from pathlib import Path

import numpy as np
import pytest
import yaozarrs

from cytoimagenet_hf.images import Image, find_images, look
from scripts.simulate.plate_layouts import (
    write_imagexpress,
    write_loaddata,
    write_ometiff,
    write_omezarr,
    write_phenix,
)
from tests.images.plates import STAINS, eight_fields

PLATE = "P-7_x#2"
NUMBERED = ",".join(f"{number}={stain}" for number, stain in enumerate(STAINS, 1))


def require_equal(images: list[Image], *, projected=lambda stack: stack) -> None:
    """The eight fields, as `eight_fields` made them."""
    wanted = {f"{PLATE}/{field.well}/{field.site}": field for field in eight_fields(depth=DEPTH.get(projected, 1))}
    assert [image.id for image in images] == sorted(wanted)
    for image in images:
        field = wanted[image.id]
        assert image.channels == STAINS
        assert dict(image.metadata) == {"plate": PLATE, "well": field.well, "site": field.site}
        for stain, plane in zip(STAINS, image.read(), strict=True):
            assert plane.dtype == np.uint16
            np.testing.assert_array_equal(plane, projected(field.planes[stain]))


def deepest(stack):
    return stack.max(axis=0)


DEPTH = {deepest: 3}
WAYS = {
    "imagexpress": (write_imagexpress, {}, {}),
    "phenix V6": (write_phenix, {}, {}),
    "phenix V5": (write_phenix, {"version": 5}, {}),
    "phenix by names": (write_phenix, {"index": False}, {"stains": NUMBERED}),
    "loaddata": (write_loaddata, {}, {}),
    "omezarr 0.5": (write_omezarr, {}, {}),
    "omezarr 0.4": (write_omezarr, {"version": "0.4"}, {}),
}
"""Kind and version → who writes it, how, and how it is read."""


@pytest.mark.parametrize("way", WAYS)
def test_every_layout_gives_the_same_images(tmp_path: Path, way: str) -> None:
    write, how, options = WAYS[way]
    source, kind = write(tmp_path, PLATE, eight_fields(), seed=0, **how), way.split()[0]
    found = look(source, **options)
    assert found.format == kind == look(source, format=kind.upper(), **options).format
    assert (found.rejected, found.notes) == ([], ())
    require_equal(found.images)


@pytest.mark.parametrize("write", [write_imagexpress, write_phenix, write_omezarr])
def test_stacks_are_projected_equally(tmp_path: Path, write) -> None:
    source = write(tmp_path, PLATE, eight_fields(depth=3), seed=0)
    require_equal(find_images(source), projected=deepest)
    second = find_images(source, projection="z=2")[0]
    np.testing.assert_array_equal(second.read()[0], eight_fields(depth=3)[0].planes["dna"][1])
    assert second.metadata["z"] == 2


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_zarr_plates_are_valid(tmp_path: Path, version: str) -> None:
    store = write_omezarr(tmp_path, PLATE, eight_fields(), seed=0, version=version)
    yaozarrs.validate_zarr_store(store)


def test_an_index_may_be_given_itself(tmp_path: Path) -> None:
    require_equal(find_images(write_phenix(tmp_path, PLATE, eight_fields(), seed=0) / "Images" / "Index.idx.xml"))
    header = write_imagexpress(tmp_path, PLATE, eight_fields(), seed=0) / f"{PLATE}.HTD"
    require_equal(find_images(header))


def test_the_measurement_folder_of_several_plates(tmp_path: Path) -> None:
    write_phenix(tmp_path, "A", eight_fields(), seed=0)
    write_phenix(tmp_path, "B", eight_fields(), seed=0)
    images = find_images(tmp_path)
    assert len(images) == 16
    assert {image.metadata["plate"] for image in images} == {"A", "B"}


def test_the_images_folder_of_a_measurement_names_its_plate(tmp_path: Path) -> None:
    source = write_phenix(tmp_path, PLATE, eight_fields(), seed=0, index=False)
    require_equal(find_images(source / "Images", stains=NUMBERED))


def test_stacks_named_by_a_pattern(tmp_path: Path) -> None:
    source = write_ometiff(tmp_path, PLATE, eight_fields(), seed=0)
    require_equal(find_images(source, pattern="{plate}_{well}_s{site}.ome.tiff"))
    deep = write_ometiff(tmp_path / "deep", PLATE, eight_fields(depth=3), seed=0)
    require_equal(find_images(deep, pattern="{plate}_{well}_s{site}.ome.tiff"), projected=deepest)
