"""A repository is checked against its manifest, and every kind of damage is named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builder import recipe as recipes
from builder.publish import publish
from builder.render import render
from builder.verify import verify
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256
from tests.builder.tiny_builds import tiny_build


@pytest.fixture
def dataset(tmp_path):
    raw, output = tiny_build(tmp_path, fields=20, side=80)
    recipe = recipes.load("corrected", {"min_images": "4"})
    render(raw, output, recipe=recipe, seed=0, workers=1)
    publish(output, recipe=recipe, seed=0)
    return output


def test_an_intact_dataset(dataset):
    report = verify(dataset)
    assert (report.intact, report.rows, report.problems) == (True, 20, {})
    assert report.files == len(list(dataset.glob("data/*")))
    assert (report.images_decoded, verify(dataset, quick=True).images_decoded) == (20, 0)


def test_a_row_that_contradicts_its_pixels_is_found_though_the_manifest_agrees(dataset):
    train = sorted(dataset.glob("data/*"))[0]
    rows = pq.read_table(train).to_pylist()
    rows[3]["image"]["bytes"] = rows[4]["image"]["bytes"]
    rows[5]["image"]["bytes"] = rows[5]["image"]["bytes"][:200]
    rows[6]["width"] = 81
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(train)), train)
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["files"][f"data/{train.name}"] |= {"bytes": train.stat().st_size, "sha256": file_sha256(train)}
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    assert verify(dataset, quick=True).intact
    report = verify(dataset)
    assert list(report.problems) == [f"data/{train.name}"]
    problem = report.problems[f"data/{train.name}"]
    assert problem.startswith(f"3 of its {len(rows)} images")
    assert f"{rows[3]['image_id']} has other pixels than its sha256" in problem


def test_a_card_with_other_classes_is_named(dataset):
    card = (dataset / "README.md").read_text()
    for old, new, problem in (
        ("'0': drug 0", "'0': drug 7", "class 0 is called 'drug 7', in the dataset 'drug 0'"),
        ("'0': drug 0\n", "", "its header"),
        ("data/train-00000", "data/train-90000", "a file that it does not name"),
        ("dataset_info", "dataset_facts", "names no classes"),
        ("---\n", "", "names no classes"),
    ):
        assert old in card
        (dataset / "README.md").write_text(card.replace(old, new))
        assert problem in verify(dataset, quick=True).problems["README.md"]
    (dataset / "README.md").write_text(card + "\nA remark of its maker.\n")
    assert verify(dataset, quick=True).intact


@pytest.mark.parametrize("name", ["README.md", "rejected.parquet", "croissant.json", "figures/contact_sheet.png"])
def test_what_stands_beside_the_data_is_missed(dataset, name):
    content = (dataset / name).read_bytes()
    (dataset / name).unlink()
    assert verify(dataset, quick=True).problems == {name: "absent"}
    if name != "README.md":
        (dataset / name).write_bytes(content[:-1])
        assert "truncated" in verify(dataset, quick=True).problems[name]


def test_rejections_that_are_united_again_are_those_of_the_manifest(dataset):
    rejected = pq.read_table(dataset / "rejected.parquet")
    (dataset / "rejected.parquet").unlink()
    publish(dataset, recipe=recipes.load("corrected", {"min_images": "4"}), seed=0)
    assert verify(dataset, quick=True).intact
    assert pq.read_table(dataset / "rejected.parquet").equals(rejected)


def test_each_kind_of_damage_is_named(dataset):
    train, validation = sorted(dataset.glob("data/*"))[0], sorted(dataset.glob("data/*"))[-1]
    content = bytearray(train.read_bytes())
    content[100] ^= 1
    train.write_bytes(content)
    validation.write_bytes(validation.read_bytes()[:-10])
    (dataset / "data" / "train-00000-of-00099.parquet").write_bytes(b"")
    problems = verify(dataset).problems
    assert problems[f"data/{train.name}"] == "content differs from what was published"
    assert "truncated" in problems[f"data/{validation.name}"]
    assert "not in the manifest" in problems["data/train-00000-of-00099.parquet"]
    train.unlink()
    assert verify(dataset).problems[f"data/{train.name}"] == "absent"


def test_no_manifest_or_one_that_points_outside(dataset, tmp_path):
    with pytest.raises(InputError, match="is not there"):
        verify(tmp_path / "nothing")
    facts = {"bytes": 1, "rows": 1, "sha256": "0"}
    (dataset / "manifest.json").write_text(json.dumps({"files": {"../../etc/passwd": facts}}))
    with pytest.raises(InputError, match="outside"):
        verify(dataset)
