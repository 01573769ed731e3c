"""A dataset says what it was made from; a download is compared with that, wherever it was unpacked."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import archives
import pytest

from builder.annotate import annotate
from builder.doctor import survey
from builder.downloads import changes, describe_download, downloads_of, recorded_downloads
from builder.sources import SOURCES
from builder.sources.base import Archive
from builder.sources.filter import SourceFilter
from cytoimagenet_hf.core.errors import InputError

TABLE = "BBBC013_platemap_long_nM.csv"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw" / "bbbc013").mkdir(parents=True)
    archives.MAKERS["bbbc013"](tmp_path / "raw" / "bbbc013")
    return tmp_path / "raw"


def described(raw: Path):
    return describe_download(Archive(raw / "bbbc013", SOURCES["bbbc013"]))


def dataset_made_from(raw: Path, folder: Path) -> Path:
    annotate(raw, folder)
    content = {"downloads": recorded_downloads(folder)}
    content |= {key: {} for key in ("files", "labels", "class_counts", "statistics", "sources")}
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_annotate_records_what_it_read(raw, tmp_path):
    annotate(raw, tmp_path / "out")
    record = recorded_downloads(tmp_path / "out")
    assert record == {"bbbc013": asdict(described(raw))}
    assert record["bbbc013"]["images"] == 6
    assert list(record["bbbc013"]["tables"]) == [TABLE.lower()]
    assert record["bbbc013"]["citation"] == SOURCES["bbbc013"].citation
    assert recorded_downloads(tmp_path / "nowhere") == {}


def test_folders_and_letter_case_do_not_count(raw, tmp_path):
    before = described(raw)
    shutil.move(raw / "bbbc013", raw / "unpacked")
    shutil.copytree(raw / "unpacked", raw / "bbbc013" / "download" / "BBBC013")
    table = raw / "bbbc013" / "download" / "BBBC013" / TABLE
    table.rename(table.with_name(TABLE.upper()))
    assert described(raw) == before


def test_each_change_is_said(raw):
    before = described(raw)
    assert changes(before, before) == ()
    table = raw / "bbbc013" / TABLE
    table.write_bytes(table.read_bytes().replace(b"Wortmannin", b"Something"))
    assert changes(before, described(raw)) == (
        f"{TABLE.lower()} has other content than the one the dataset was made from",
    )
    table.rename(table.with_name("other.csv"))
    next((raw / "bbbc013").rglob("*.BMP")).unlink()
    sentences = "; ".join(changes(before, described(raw)))
    assert f"{TABLE.lower()} was part of the download and is missing" in sentences
    assert "other.csv was not part of the download" in sentences
    assert "images differ in name or size: 5 of" in sentences


def test_doctor_compares_a_download_with_a_dataset(raw, tmp_path):
    dataset = dataset_made_from(raw, tmp_path / "dataset")
    assert survey(raw, dataset=dataset, sources=SourceFilter(only=["bbbc013"]))[0].changes == ()
    (raw / "bbbc013" / TABLE).write_text("well,phenotype\n", encoding="utf-8")
    (report,) = survey(raw, dataset=dataset, sources=SourceFilter(only=["bbbc013"]))
    assert [TABLE.lower() in change for change in report.changes] == [True]
    # A source the dataset was not made from has nothing to compare with.
    assert survey(raw, dataset=dataset, sources=SourceFilter(only=["bbbc014"]))[0].changes == ()


def test_a_dataset_that_does_not_say_what_it_was_made_from_is_refused(raw, tmp_path):
    with pytest.raises(InputError, match="has no manifest that says what was downloaded"):
        downloads_of(tmp_path)
    dataset = dataset_made_from(raw, tmp_path / "dataset")
    content = json.loads((dataset / "manifest.json").read_text(encoding="utf-8"))
    content["downloads"]["bbbc013"]["colour"] = "red"
    (dataset / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match="records downloads in another form"):
        downloads_of(dataset)
