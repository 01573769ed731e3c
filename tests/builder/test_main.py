"""The builder's command line, run in this process; `tests/core/test_boundary.py` starts it as a user does."""

import json
import shutil

import pytest

from builder.sources import SOURCES
from scripts.simulate import simulate_archive
from tests.running import Outcome, call, refused

SMALL = ["--set", "min_fields=4", "--set", "min_images=4", "--set", "max_fields=8", "--set", "max_images=12"]


def builder(*arguments, code=0) -> Outcome:
    done = call("builder", *arguments)
    assert done.code == code, done.shown[-1500:] + done.said[-1500:]
    return done


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive") / "raw"
    simulate_archive(folder, size="tiny", seed=0, sources=["bbbc013", "kag_hpa"])
    return folder


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory):
    output = tmp_path_factory.mktemp("build") / "cytoimagenet"
    done = builder("build", "--raw", raw, "--output", output, "--workers", 1, *SMALL, "--json")
    return output, json.loads(done.shown)


def test_build_reports_every_stage_and_each_reconciles(built):
    _, summaries = built
    assert [summary["stage"] for summary in summaries] == ["annotate", "select", "render", "publish"]
    for summary in summaries:
        assert summary["rows_in"] == summary["kept"] + sum(summary["rejected"].values())


def test_one_rendering_serves_a_dataset_of_some_licences_too(built, tmp_path):
    output, _ = built
    copy = tmp_path / "cytoimagenet"
    shutil.copytree(output, copy)
    (summary,) = json.loads(builder("publish", "--output", copy, "--licences", "cc-by-3.0", *SMALL, "--json").shown)
    assert summary["rejected"]["source_left_out"] > 0
    assert summary["rows_in"] == summary["kept"] + sum(summary["rejected"].values())
    kept = {name for name, counts in summary["by_source"].items() if counts["kept"]}
    assert kept == {"bbbc013"}


def test_explain_and_dry_run_write_nothing(built):
    output, _ = built
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    explained = builder("select", "--output", output, "--explain", "nucleus", *SMALL)
    assert "nucleus" in explained.shown
    builder("select", "--output", output, "--dry-run", *SMALL, "--json")
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before


def test_sources_lists_all_and_filters_by_licence():
    everything = json.loads(builder("sources", "--json").shown)
    free = json.loads(builder("sources", "--licences", "cc0", "--json").shown)
    assert [report["dir_name"] for report in everything] == sorted(SOURCES)
    assert {report["licence"] for report in free} == {"cc0"}


def test_doctor_says_what_is_there_and_how_to_get_the_rest(raw):
    reports = {report["dir_name"]: report for report in json.loads(builder("doctor", "--raw", raw, "--json").shown)}
    assert reports["bbbc013"]["fields"] > 0
    assert reports["idr0003"]["folder"] is None
    assert reports["idr0003"]["download"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["annotate", "--raw", "nowhere", "--output", "{tmp}/out"], "nowhere"),
        (["annotate", "--raw", "{tmp}/strange", "--output", "{tmp}/out"], "rec_rxrx1"),
        (["annotate", "--raw", "{raw}", "--output", "{tmp}/strange"], "holds no dataset build"),
        (["build", "--raw", "{raw}", "--output", "{tmp}/out", "--sources", "bbbc021"], "benchmark"),
        (["sources", "--sources", "bbbc013", "--exclude", "BBBC013"], "leave no source"),
        (["doctor", "--raw", "{raw}", "--sources", "bbbc013", "--exclude", "bbbc013"], "leave no source"),
        (
            ["annotate", "--raw", "{raw}", "--output", "{tmp}/out", "--sources", "kag_hpa", "--exclude", "kag_hpa"],
            "no s",
        ),
        (["sources", "--sources", "bbbc013", "--licences", "cc0"], "no source is left"),
        (["select", "--output", "{tmp}/out"], "annotat"),
        (["select", "--output", "{tmp}/out", "--set", "min_fields=few"], "min_fields"),
        (["select", "--output", "{tmp}/out", "--set", "min_fields"], "name=value"),
        (["render", "--raw", "{raw}", "--output", "{tmp}/out"], "select"),
        (["publish", "--output", "{tmp}/out"], "render"),
        (["import-kaggle", "--archive", "{tmp}/strange", "--output", "{tmp}/out"], "metadata.csv"),
    ],
)
def test_wrong_calls_exit_2_with_one_line_that_helps(raw, tmp_path, arguments, said):
    (tmp_path / "strange" / "holiday").mkdir(parents=True)
    (tmp_path / "strange" / "holiday" / "beach.jpg").write_bytes(b"sun")
    refused(call("builder", *(argument.format(raw=raw, tmp=tmp_path) for argument in arguments)), said)
    left = {path.name for path in (tmp_path / "out").glob("*")} if (tmp_path / "out").exists() else set()
    assert left <= {".cytoimagenet-build.json", ".cytoimagenet-build.lock"}
