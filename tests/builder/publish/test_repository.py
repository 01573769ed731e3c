"""What stands beside the data: everything in the card comes from the build."""

import json
import shutil

import mlcroissant
import pytest
from PIL import Image

from builder import recipe as recipes
from builder.publish import publish
from builder.render import render
from tests.builder.tiny_builds import tiny_build

RECIPE = recipes.load("corrected", {"min_images": "4", "max_images": "12"})


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    raw, output = tiny_build(tmp_path_factory.mktemp("repository"), fields=12)
    render(raw, output, recipe=RECIPE, seed=0, workers=1)
    publish(output, recipe=RECIPE, seed=0)
    return output


def test_the_card_tells_stages_copies_sources_and_columns(built):
    card = (built / "README.md").read_text()
    summary = json.loads((built / "publish.summary.json").read_text())
    assert f"| publish ({RECIPE.name}) | {summary['rows_in']} | {summary['kept']} | over_max_images " in card
    copies = summary["details"]["exact_copies"]
    assert f"| exact copies | {copies['groups']} | {copies['images']} |" in card
    assert "| `sha256` | string | of the decoded pixels |" in card
    assert 'load_dataset("cytoimagenet", "published")' in card
    assert "](figures/contact_sheet.png)" in card


def test_the_picture_and_the_metadata_stand_beside_it(built):
    with Image.open(built / "figures" / "contact_sheet.png") as picture:
        assert picture.size == (170 + 8 * 99, 2 * 99)  # two classes, up to eight images each
        assert len(set(picture.getdata())) > 50
    dataset = mlcroissant.Dataset(jsonld=str(built / "croissant.json"))
    rows = list(dataset.records("images"))
    assert len(rows) == json.loads((built / "publish.summary.json").read_text())["kept"]


def test_a_split_that_leaks_is_said_to(built, tmp_path):
    copy = shutil.copytree(built, tmp_path / "copy")
    publish(copy, recipe=RECIPE, seed=0, split_scheme="published")
    same_side, row_by_row = "are on the same side", "Split row by row"
    assert same_side in (built / "README.md").read_text()
    card = (copy / "README.md").read_text()
    assert row_by_row in card
    assert same_side not in card
