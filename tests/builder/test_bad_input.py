"""What people hand to the builder's commands by mistake: one line and exit code 2, or a rejection that counts."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
import tifffile

from builder.__main__ import main
from builder.publish import publish
from builder.recipe import load
from builder.render import render
from builder.verify import verify
from tests.builder.tiny_builds import cells, tiny_build

SMALL = load("corrected", {"min_images": "2", "min_fields": "2"})
OPTIONS = ["--set", "min_images=2", "--set", "min_fields=2"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A finished build with planes."""
    raw, output = tiny_build(tmp_path_factory.mktemp("bad"), fields=8)
    render(raw, output, recipe=SMALL, seed=0, workers=1, keep_channels=True)
    (output / ".cytoimagenet-build.json").write_text("{}")
    publish(output, recipe=SMALL, seed=0)
    return raw, output


def refusal(capsys, *arguments):
    """The one line that a refused command leaves."""
    assert main([*map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize("command", ["select", "labels"])
def test_holdings_of_an_unknown_source(built, tmp_path, capsys, command):
    holdings = tmp_path / "mine.csv"
    holdings.write_text("source,column,label,fields,certainty,basis\nidr9999,,,5,table,counted\n")
    line = refusal(capsys, command, "--output", built[1], "--set", f"holdings={holdings}")
    assert f"{holdings}, line 2: 'idr9999' is not a source" in line


@pytest.mark.parametrize("command", ["annotate", "build", "select", "labels", "publish", "sources", "doctor"])
def test_a_licence_that_no_source_has(built, tmp_path, capsys, command):
    raw, output = built
    places = {"annotate": ["--raw", raw, "--output", tmp_path / "new"], "sources": [], "doctor": ["--raw", raw]}
    places["build"] = places["annotate"]
    line = refusal(capsys, command, *places.get(command, ["--output", output]), "--licences", "cc0,gpl-3.0")
    assert "gpl-3.0: no such licence; known are cc-by, " in line
    assert not (tmp_path / "new").exists()


def test_planes_of_unequal_size_are_a_rejection_that_counts(tmp_path, capsys):
    raw, output = tiny_build(tmp_path, fields=8)
    tifffile.imwrite(raw / "tiny" / "tiny-0003_w1.tif", cells(3, side=140)[1])
    (output / ".cytoimagenet-build.json").write_text("{}")
    places = ["--raw", str(raw), "--output", str(output)]
    assert main(["render", *places, *OPTIONS, "--keep-channels", "--workers", "1", "--json"]) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    assert (summary["rows_in"], summary["kept"], summary["rejected"]) == (8, 7, {"unmergeable": 1})
    assert main(["publish", "--output", str(output), *OPTIONS]) == 0
    listed = [row for row in pq.read_table(output / "rejected.parquet").to_pylist() if row["reason"] == "unmergeable"]
    assert [(row["idx"], row["stage"]) for row in listed] == [("tiny-0003", "render")]
    assert "(150, 150)" in listed[0]["detail"]
    assert "(140, 140)" in listed[0]["detail"]


def test_files_of_another_build_in_the_configurations_are_found_and_removed(built, tmp_path, capsys):
    output = tmp_path / "cytoimagenet"
    shutil.copytree(built[1], output)
    foreign = [output / name / "train-00000-of-00007.parquet" for name in ("data", "channels", "toy_20")]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        shutil.copy(next(output.glob("data/train-*")), path)
    assert main(["verify", str(output), "--json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert problems == {
        f"{path.parent.name}/{path.name}": "not in the manifest: left by another build" for path in foreign
    }
    assert main(["publish", "--output", str(output), *OPTIONS]) == 0
    assert verify(output).intact
    assert not any(path.exists() for path in foreign)


def test_an_import_into_the_folder_of_a_build_changes_nothing(built, tmp_path, capsys):
    output = tmp_path / "cytoimagenet"
    shutil.copytree(built[1], output)
    archive = tmp_path / "archive" / "drug_0"
    archive.mkdir(parents=True)
    (archive / "0.png").write_bytes(b"")
    (archive.parent / "metadata.csv").write_text("label,path,filename,idx\ndrug 0,/cytoimagenet/drug_0,0.png,x-1\n")
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    line = refusal(capsys, "import-kaggle", "--archive", archive.parent, "--output", output)
    assert "holds shards made otherwise" in line
    assert "choose another --output" in line
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()} == before
