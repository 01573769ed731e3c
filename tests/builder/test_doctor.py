"""The survey of archives."""

from dataclasses import asdict
from io import StringIO

import archives
import pytest
from rich.console import Console

from builder.doctor import doctor_table, sources_table, survey
from builder.sources import SOURCES
from builder.sources.filter import SourceFilter
from cytoimagenet_hf.core.errors import InputError


@pytest.fixture
def raw(tmp_path):
    for name in ("bbbc013", "bbbc017", "bbbc048"):
        (tmp_path / name).mkdir()
        archives.MAKERS[name](tmp_path / name)
    (tmp_path / "bbbc017" / "bbbc_colon_metadata.xls").unlink()
    return tmp_path


def text_of(table) -> str:
    console = Console(width=300, file=StringIO())
    console.print(table)
    return console.file.getvalue()


def test_survey_without_an_archive_lists_all():
    reports = survey(None)
    assert [report.dir_name for report in reports] == sorted(SOURCES)
    assert all(report.folder is None for report in reports)
    assert "idr0088" in text_of(sources_table(reports))


def test_survey_counts_images(raw):
    images = {report.dir_name: report.images for report in survey(raw) if report.folder}
    assert images == {"bbbc013": 6, "bbbc017": 18, "bbbc048": 21}


def test_doctor_says_what_differs_and_what_is_missing(raw):
    reports = {report.dir_name: report for report in survey(raw, count=True)}
    assert reports["bbbc013"].fields == 6
    assert [(d.what, d.expected, d.found) for d in reports["bbbc013"].differences] == [("fields", 192, 6)]
    assert "bbbc_colon_metadata.xls" in reports["bbbc017"].problem
    # Seven stages are there, as expected; the numbers of rows differ.
    whats = {d.what: d.found for d in reports["bbbc048"].differences}
    assert whats == {"fields": 21} | {f"phenotype={s}": 3 for s in ("g1", "s", "g2", "prophase", "metaphase")}
    assert reports["bbbc005"].folder is None
    absent = sum(s.disk_gb or 0 for n, s in SOURCES.items() if n not in {"bbbc013", "bbbc017", "bbbc048"})
    text = text_of(doctor_table(list(reports.values()), raw))
    for part in (
        "absent",
        "BBBC005_v1_images.zip",
        "192 expected (table)",
        "--exclude bbbc017",
        f"{absent:,.0f} GB;",
    ):
        assert part in text


def test_reports_are_json(raw):
    report = asdict(survey(raw, count=True, sources=SourceFilter(only=["bbbc013"]))[0])
    assert report["differences"] == ({"what": "fields", "expected": 192, "found": 6, "certainty": "table"},)


def test_filters_and_bad_folders(tmp_path):
    assert {report.licence for report in survey(None, sources=SourceFilter(licences=["cc0"]))} == {"cc0"}
    with pytest.raises(InputError, match="is not a folder"):
        survey(tmp_path / "nowhere")
