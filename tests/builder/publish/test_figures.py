"""The contact sheet takes whatever a build may hold."""

import numpy as np
import pytest
import tifffile

from builder import recipe as recipes
from builder.publish import publish
from builder.publish.figures import contact_sheet
from builder.render import render
from builder.verify import verify
from tests.builder.tiny_builds import annotation, write_tables

SMALL = recipes.load("corrected", {"min_images": "1"})


@pytest.mark.parametrize("shape", [(8, 4000), (4000, 8), (1, 5000), (3, 3)])
def test_narrow_and_tiny_images_are_published(tmp_path, shape):
    raw, output = tmp_path / "raw", tmp_path / "output"
    raw.mkdir()
    rows = []
    for number in range(6):
        values = np.random.default_rng(number).integers(0, 4000, shape, dtype=np.uint16)
        tifffile.imwrite(raw / f"{number}.tif", values)
        rows.append(annotation(f"tiny-{number}", [f"{number}.tif"]))
    write_tables(output, rows, {row["idx"]: "narrow" for row in rows})
    assert render(raw, output, recipe=SMALL, seed=0, workers=1).kept == 6
    publish(output, recipe=SMALL, seed=0)
    sheet = contact_sheet(output, seed=0)
    assert np.asarray(sheet)[:, 170:].std() > 0
    assert verify(output).intact
