"""The suite on simulated sets: entries, controls, comparisons, record, report, cache, command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from builder.sources import SOURCES
from cytoimagenet_hf.benchmarks import BENCHMARKS, RECIPES, extraction, find_tasks
from cytoimagenet_hf.benchmarks.base import labelled
from cytoimagenet_hf.benchmarks.compare import compare
from cytoimagenet_hf.benchmarks.entries import CONTROLS_NOTE, table_entry
from cytoimagenet_hf.benchmarks.report import write_report
from cytoimagenet_hf.benchmarks.suite import Suite, run_suite
from cytoimagenet_hf.benchmarks.table import Table, result_tables, to_html, to_latex, to_markdown, to_rich
from cytoimagenet_hf.benchmarks.tasks.folder import configured
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import ENCODERS
from cytoimagenet_hf.scoring.contamination import (
    MARKS,
    _entries,
    _ledger,
    known_sources,
    marks,
    overlaps,
    training_sources,
)
from cytoimagenet_hf.scoring.results import from_json, read_results
from cytoimagenet_hf.tables import make_table
from tests.datasets import write_textures
from tests.running import call
from tests.tiny_encoder import tiny_encoder

MODEL = extraction.NamedModel("m", "m", tiny_encoder())


@pytest.fixture
def tables(feature_file):
    """Two feature files that describe CYCLoPs' cells, one better than the other."""
    return feature_file("good", "cyclops", noise=0.5, seed=4), feature_file("poor", "cyclops", noise=4.0, seed=8)


@pytest.fixture
def suite(suite_of, tables):
    return suite_of("cyclops", features=tables, fuse=True)


def test_fusion_stands_beside_its_controls(suite):
    results = run_suite(suite)
    kinds = {entry.name: entry.kind for entry in results.record.entries}
    assert kinds == {
        "good": "model",
        "poor": "model",
        "good + poor": "fusion",
        "good + good": "control",
        "good + noise": "control",
        "good + poor shuffled within class": "control",
    }
    scores = results.scores
    assert (scores["good + good", "cyclops"].predictions == scores["good", "cyclops"].predictions).all()
    assert results.record.controls_note == CONTROLS_NOTE
    titles = [table.title for table in result_tables(results.record)]
    assert titles[:2] == ["kNN accuracy, % (± 95 % Wald)", "Fusion beside its controls, %"]


def test_published_fusion_joins_by_position_and_so_equals_the_shuffled_control(suite):
    scores = run_suite(replace(suite, recipe=RECIPES["published"])).scores
    joined = scores["good + poor", "cyclops"].predictions
    assert (joined == scores["good + poor shuffled within class", "cyclops"].predictions).all()
    corrected = run_suite(suite).scores
    assert (
        corrected["good + poor", "cyclops"].predictions
        != corrected["good + poor shuffled within class", "cyclops"].predictions
    ).any()


def test_comparisons_are_paired_by_id_and_adjusted(suite):
    record = run_suite(suite).record
    pair = next(p for p in record.comparisons if (p.first, p.second) == ("good", "poor"))
    by_entry = record.by_entry()
    good, poor = by_entry["good", "cyclops"], by_entry["poor", "cyclops"]
    assert pair.difference == pytest.approx(poor.value - good.value)
    assert pair.only_second - pair.only_first == poor.right - good.right
    assert pair.p_holm == pair.p  # one set: nothing to adjust for


def test_compare_refuses_other_items_or_labels(suite):
    score = run_suite(suite).scores["good", "cyclops"]
    with pytest.raises(InputError, match="different items"):
        compare(score, replace(score, ids=score.ids[::-1].copy() + "x"), names=("a", "b"), seed=0)
    with pytest.raises(InputError, match="different labels"):
        compare(score, replace(score, references=np.roll(score.references, 5)), names=("a", "b"), seed=0)
    order = np.random.default_rng(0).permutation(len(score.ids))
    shuffled = replace(
        score, ids=score.ids[order], references=score.references[order], predictions=score.predictions[order]
    )
    same = compare(score, shuffled, names=("a", "b"), seed=0)
    assert (same.difference, same.p) == (0, 1.0)


def test_equal_runs_give_equal_records_and_the_report_holds_them(suite, tmp_path):
    results = run_suite(suite)
    assert run_suite(suite).record == results.record
    write_report(results, tmp_path / "report", seed=0, figures=False)
    assert read_results(tmp_path / "report" / "results.json") == from_json(results.record.to_json())
    predictions = pq.read_table(tmp_path / "report" / "predictions.parquet").to_pandas()
    for score in results.record.scores:
        rows = predictions[(predictions["entry"] == score.entry) & (predictions["set"] == score.set)]
        assert (rows["reference"] == rows["prediction"]).mean() == pytest.approx(score.value)
    for name in ("table.md", "table.tex", "table.html"):
        assert "good + poor" in (tmp_path / "report" / name).read_text()


def test_figures_are_drawn_without_touching_pyplot(suite, tmp_path):
    from cytoimagenet_hf.benchmarks import figures

    drawn = figures.save_figures(run_suite(replace(suite, fuse=False)), tmp_path, seed=0)
    names = {path.stem for path in drawn}
    assert {"accuracy", "confusion-cyclops-good", "gain-cyclops-poor-over-good", "features-cyclops-good"} <= names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


@pytest.mark.parametrize(
    ("tasks", "options", "message"),
    [
        (1, {"features": ()}, "nothing to score"),
        (1, {"features": (), "baselines": True, "redrawn": 1}, "redrawn weights are of a network: name a model"),
        (1, {"features": ("absent.csv",), "measures": ("nn", "mean")}, "unknown measure mean"),
        (1, {"fuse": True}, "takes two"),
        (2, {}, "task cyclops is given twice"),
        (1, {"measures": ("nn", "mean")}, "unknown measure mean"),
        (1, {"features": ("good.parquet",) * 2}, "two entries are called 'good'"),
    ],
)
def test_calls_without_sense_are_refused(suite_of, tables, tmp_path, monkeypatch, tasks, options, message):
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    with pytest.raises(InputError, match=message):
        run_suite(suite_of(*["cyclops"] * tasks, **{"features": tables[:1]} | options), report=lines.append)
    assert lines == []  # no features were made before


@pytest.mark.parametrize(
    ("task", "place", "message"),
    [
        ("coos7", "absent", "train and at least one test set are needed"),
        ("coos7", "coos7", "no features for"),  # the tables describe the cells of the first task alone
        ("bbbc021", "absent", "BBBC021_v1_image.csv is missing"),
        ("rxrx3-core", "absent", "metadata_rxrx3_core.csv is missing"),
        ("morphohelm", "absent", "the profiles name no perturbation"),
    ],
)
def test_what_a_later_task_lacks_is_noticed_before_the_first_is_computed(simulated, tables, task, place, message):
    tasks = ((BENCHMARKS["cyclops"], simulated / "cyclops"), (BENCHMARKS[task], simulated / place))
    lines: list[str] = []
    with pytest.raises(InputError, match=message):
        run_suite(Suite(tasks=tasks, features=tables), report=lines.append)
    assert lines == []


def test_a_network_is_loaded_once_for_all_tasks(record_of, monkeypatch):
    loaded = []
    monkeypatch.setattr(extraction, "load_encoder", lambda name, options: loaded.append(name) or tiny_encoder())
    assert len(record_of("cyclops", "coos7", models=("random:7",)).scores) == 5
    assert loaded == ["random:7"]


def test_feature_tables_and_models_are_called_by_the_names_given_to_them(suite, tables, tmp_path):
    odd = tmp_path / "a=b.parquet"
    odd.write_bytes(tables[1].read_bytes())
    named = replace(suite, features=(f"Cell Profiler={tables[0]}", odd, f"C={odd}"), fuse=False)
    record = run_suite(named).record
    assert record.names("model") == ["Cell Profiler", "a=b", "C"]
    assert [(entry["name"], entry["file"]) for entry in record.config["features"]] == [
        ("Cell Profiler", "good.parquet"),
        ("a=b", "a=b.parquet"),
        ("C", "a=b.parquet"),
    ]
    for spec in (f"={tables[0]}", "CNN="):
        with pytest.raises(InputError, match="names nothing: write NAME=WHAT"):
            run_suite(replace(suite, features=(spec,), fuse=False))
    with pytest.raises(InputError, match="two entries are called 'poor'"):
        run_suite(replace(suite, features=(f"poor={tables[0]}", tables[1]), fuse=False))


def test_features_are_kept_and_keyed_by_network_and_pixels_not_by_labels(simulated, tmp_path):
    images = BENCHMARKS["cyclops"].load(simulated / "cyclops", RECIPES["corrected"])[:5]
    table = extraction.features_of(MODEL, images, cache=tmp_path)
    assert table.ids.tolist() == [image.id for image in images]
    relabelled = [replace(image, metadata={"label": "other"}) for image in images]
    assert extraction.features_of(MODEL, relabelled, cache=tmp_path).values.tolist() == table.values.tolist()
    assert len(list(tmp_path.iterdir())) == 1
    extraction.features_of(replace(MODEL, encoder=tiny_encoder(factor=2)), images, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_datasets_of_equal_ids_and_other_pixels_share_no_features(tmp_path):
    features = []
    for name, seed in (("one", 0), ("two", 1)):
        write_textures(tmp_path / name, per_class=2, side=16, seed=seed)
        images = configured().load(tmp_path / name, RECIPES["corrected"])
        features.append(extraction.features_of(MODEL, images, cache=tmp_path / "cache"))
    assert features[0].ids.tolist() == features[1].ids.tolist()
    assert not np.isclose(features[0].values, features[1].values).all(axis=1).any()


def test_an_image_that_cannot_be_used_is_named(simulated, tmp_path):
    images = BENCHMARKS["cyclops"].load(simulated / "cyclops", RECIPES["corrected"])[:3]
    (tmp_path / "damaged.tif").write_bytes(b"II*")
    damaged = labelled("damaged", [tmp_path / "damaged.tif"] * 2, "x", channels=("protein", "cytosol"))
    with pytest.raises(InputError, match=r"1 of 4 images cannot be used; image 'damaged'.*damaged\.tif"):
        extraction.features_of(MODEL, [*images, damaged], cache=tmp_path / "c")


def test_contamination_ledger_names_real_tasks_sources_and_kinds():
    entries = _entries()
    assert len(entries) >= 10
    for entry in entries:
        assert entry.task in BENCHMARKS
        assert entry.source in SOURCES or entry.source == entry.task
        assert entry.kind in MARKS
    assert known_sources("cytoimagenet") == frozenset(SOURCES)
    assert training_sources("google/efficientnet-b0") == frozenset()
    assert training_sources("anything", declared=["idr0072"]) == {"idr0072"}
    assert marks(overlaps("coos7", frozenset(SOURCES))) == "†"
    assert marks(overlaps("bbbc021", None)) == "?"
    assert marks(overlaps("coos7", frozenset())) == ""


@pytest.mark.parametrize(
    "place", ["cytoimagenet-hf/b0", "imagenet", "randomised", "random:3", "openphenom", "google/efficientnet-b0"]
)
def test_no_folder_says_what_weights_were_trained_on(place, tmp_path, monkeypatch):
    (tmp_path / place).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert training_sources(place) is None
    assert training_sources(str(tmp_path / place)) is None
    assert training_sources(f"{place}-of-somebody") is None
    assert training_sources(place, declared=[]) == frozenset()


def test_every_network_that_the_ledger_names_is_in_the_registry():
    names = {*ENCODERS, *(facts.source.repo for facts in ENCODERS.values())}
    ledger = _ledger()
    assert ledger["networks"].keys() <= ledger["training"].keys()
    for of in ledger["networks"].values():
        assert set(of) <= names


def test_a_feature_table_carries_the_sources_of_its_network():
    table = make_table(["a"], [[0.5]], about={"training_sources": ["idr0072"]})
    assert table_entry("imagenet", table).sources == {"idr0072"}
    assert table_entry("imagenet", make_table(["a"], [[0.5]])).sources is None


def test_every_benchmark_of_the_registry_has_its_facts():
    checked = 0
    for name, benchmark in BENCHMARKS.items():
        assert name == benchmark.name
        assert all((benchmark.title, benchmark.where, benchmark.protocol))
        with pytest.raises(InputError, match=r".{20,}"):
            benchmark.load(Path("/nonexistent"), RECIPES["corrected"])
        checked += 1
    assert checked == 12


def test_tasks_find_their_folders(simulated, tmp_path):
    tasks = find_tasks(["bbbc021", "coos7"], [simulated])
    assert [root.name for _, root in tasks] == ["bbbc021", "coos7"]
    (folder, root) = find_tasks([f"folder:{tmp_path}"], [])[0]
    assert (folder.name, root) == (f"folder:{tmp_path.name}", tmp_path)
    (same, place) = find_tasks(["folder"], [tmp_path])[0]
    assert (same.name, place) == (folder.name, root)
    both = find_tasks(["folder", "bbbc021"], [tmp_path, simulated])
    assert [(benchmark.name, place) for benchmark, place in both] == [(folder.name, root), ("bbbc021", simulated)]
    with pytest.raises(InputError, match="unknown task 'bbbc022'"):
        find_tasks(["bbbc022"], [tmp_path])
    with pytest.raises(InputError, match="unknown task 'folder:'"):
        find_tasks(["folder:"], [])
    with pytest.raises(InputError, match="--data"):
        find_tasks(["bbbc021"], [])


def test_renderings_escape_and_mark():
    table = Table("A_b & c", ("", "x|y"), (("50 %", "1 ± 2"), ("<b>", "[red]")), "a note", frozenset({(0, 1)}))
    assert "| 50 % | **1 ± 2** |" in to_markdown(table)
    latex = to_latex(table)
    assert "A\\_b \\& c" in latex
    assert "50 \\% & \\textbf{1 $\\pm$ 2}" in latex
    assert "&lt;b&gt;" in to_html(table)
    assert to_rich(table).row_count == 2


def _record_of_command(*arguments):
    outcome = call("cytoimagenet", "benchmark", *arguments, "--json")
    assert outcome.code == 0, outcome.said
    return from_json(json.loads(outcome.shown))


def test_command_prints_json_and_reports(simulated, tables):
    record = _record_of_command("--task", "cyclops", "--data", simulated, "--features", tables[0])
    assert record.config["recipe"]["name"] == "corrected"
    assert (record.scores[0].entry, record.scores[0].n) == ("good", 68)


def test_command_takes_measures_postprocessing_protocol_and_options_of_extraction(simulated, feature_file):
    record = _record_of_command(
        *("--task", "bbbc021", "--data", simulated, "--features", feature_file("net", "bbbc021")),
        *("--measures", "nn,mixing", "--postprocess", "none, controls", "--nscb", "disjoint plates"),
        *("--scaler", "all-with-controls", "--protocol", "leave-one-out"),
        *("--full-scale", "4095", "--normalize", "none", "--pooling", "blocks"),
    )
    assert [score.entry for score in record.scores] == ["net", "net [controls]"]
    assert record.config["options"] == {"normalize": "none", "pooling": "blocks", "full_scale": 4095.0}
    assert record.config["measures"] == ["nn", "mixing"]
    assert record.config["recipe"]["held_out"] == "item"
    details = record.scores[0].details
    assert (details["scaler"], details["nscb_rule"]) == ("all-with-controls", "disjoint plates")
    assert details["mixing"]["of"] == "week"
    intervals = {table.title: table for table in result_tables(record)}["Intervals and protocol details, %"]
    assert {"protocol", "published scaler", "neighbourhoods unmixed"} <= set(intervals.columns)


def test_columns_of_nan_are_named_or_dropped_and_constant_features_do_no_harm(record_of, class_features, tmp_path):
    table = class_features("cyclops", noise=0.01).to_pandas()
    table.assign(Bad=np.nan, Flat=7.0).to_csv(tmp_path / "net.csv", index=False)
    with pytest.raises(InputError, match=r"1 of 14 feature columns.*'Bad'"):
        record_of("cyclops", features=(tmp_path / "net.csv",))
    record = record_of("cyclops", features=(tmp_path / "net.csv",), drop_nan=True)
    assert record.config["drop_nan"]
    assert record.scores[0].details["protocol"] == "one of 68 images left out, no groups known"
