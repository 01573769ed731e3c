"""One walker: what a folder holds, with links followed or not."""

import os

import pytest

from cytoimagenet_hf.images.walk import walk


@pytest.mark.parametrize("follow", [True, False])
def test_every_entry_is_listed_once_with_what_it_is(tmp_path, follow):
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "a", root / "p.zarr", outside):
        folder.mkdir(parents=True)
    for file in (root / "a" / "1.tif", root / "p.zarr" / ".zgroup", root / ".hidden", outside / "2.tif"):
        file.touch()
    (root / "again").symlink_to(root / "a")
    (root / "gone.tif").symlink_to("nowhere")
    (root / "out").symlink_to(outside)
    os.mkfifo(root / "pipe.tif")
    with open(os.fsencode(root) + b"/caf\xe9.tif", "wb"):
        pass
    kinds = {
        place.name: place.kind
        for place in walk(
            root,
            is_skipped=lambda name: name.startswith("."),
            is_whole=lambda folder: folder.suffix == ".zarr",
            follow=follow,
        )
    }
    links = {"again": "listed_folder", "out/2.tif": "file"}
    if not follow:
        links = {"again": "no_file", "out": "link_out"}
    assert kinds == links | {
        "a/1.tif": "file",
        "p.zarr": "whole",
        ".hidden": "skipped",
        "gone.tif": "broken_link",
        "pipe.tif": "no_file",
        "caf\\xe9.tif": "name_not_utf8",
    }
