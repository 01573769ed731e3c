import json
from dataclasses import asdict

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from builder.recipe import Recipe, load
from builder.select.explain import DryRun, dry_run, explain_label
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.schema import ANNOTATION_SCHEMA
from tests.builder.tiny_builds import write_annotations

IN_TURN = {"assignment": "in turn"}
SMALL = load("corrected", {"min_fields": "4", "max_fields": "6", "min_images": "5", "max_images": "10"} | IN_TURN)


@pytest.fixture
def output(tmp_path):
    """Eight fields show actin in hela or u2os, of which five carry the rarer dmso; "rare" occurs once."""
    table = pd.DataFrame(
        {
            "idx": [f"s-{n}" for n in range(10)],
            "dir_name": ["a"] * 7 + ["b"] * 3,
            "cell_visible": ["actin"] * 8 + [None] * 2,
            "cell_type": ["hela|u2os"] * 2 + [None] * 8,
            "compound": ["dmso"] * 5 + [None] * 3 + ["rare", None],
        },
        dtype=object,
    )
    write_annotations(tmp_path, table)
    return tmp_path


def test_a_label_that_is_in_shows_its_turn_sources_and_strata(output):
    (found,) = explain_label(output, "DMSO", recipe=SMALL, seed=0).columns
    assert (found.category, found.verdict, found.turn, found.candidates) == ("compound", "in: 5 of 5 free rows", 1, 2)
    assert [(s.value, s.carrying, s.free, s.chosen) for s in found.sources] == [("a", 5, 5, 5)]
    assert found.strata_columns == ("dir_name", "organism", "cell_type", "cell_visible", "phenotype")
    assert [(s.value, s.chosen) for s in found.strata] == [
        ("a / – / – / actin / –", 3),
        ("a / – / hela|u2os / actin / –", 2),
    ]
    assert found.taken_before == ()


def test_a_label_that_is_out_shows_what_took_its_rows(output):
    (found,) = explain_label(output, "actin", recipe=SMALL, seed=0).columns
    assert found.verdict == "out: 3 rows were left when its turn came, a class needs 4"
    assert (found.carrying, found.free, found.chosen, found.turn) == (8, 3, 0, 2)
    assert found.taken_before == (("dmso", 5),)
    assert [(s.value, s.carrying, s.free) for s in found.sources] == [("a", 7, 2), ("b", 1, 1)]


def test_a_value_that_is_no_candidate_says_how_many_rows_it_lacks(output):
    (found,) = explain_label(output, "rare", recipe=SMALL, seed=0).columns
    assert (found.verdict, found.turn) == ("out: 1 rows, a candidate needs 4", None)


def test_a_label_nobody_carries_brings_up_similar_ones(output):
    with pytest.raises(InputError, match=r"no field of view carries the label 'actni'; did you mean actin\?"):
        explain_label(output, "actni", recipe=SMALL, seed=0)


def test_a_label_lost_or_no_expression_is_said_so_under_the_published_recipe(output):
    table = pq.read_table(output / "annotations.parquet").to_pydict()
    table["gene"] = ["a/b"] * 4 + [None] * 6
    table["sirna"] = [None] * 4 + ["(+)"] * 4 + [None] * 2
    pq.write_table(pa.table(table, schema=ANNOTATION_SCHEMA), output / "annotations.parquet")
    published = load("published", {"min_fields": "4", "max_fields": "6"})
    assert "L2" in explain_label(output, "a/b", recipe=published, seed=0).columns[0].verdict
    assert "L1" in explain_label(output, "(+)", recipe=published, seed=0).columns[0].verdict


def test_the_plan_counts_classes_images_disk_and_hours(output, monkeypatch):
    monkeypatch.setattr("builder.select.explain._SECONDS_PER_FIELD", 3600)
    monkeypatch.setattr("builder.select.explain._BYTES_PER_IMAGE", 1e8)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    plan = dry_run(output, recipe=SMALL, seed=0)
    # One class of five fields, four crops wanted of each, at most ten images.
    assert plan == DryRun(
        recipe=SMALL.name,
        fields=5,
        classes=1,
        classes_too_small=0,
        images=10,
        disk_gb=1.0,
        hours=2.5,
        workers=2,
    )


def test_the_plan_says_what_the_planes_would_come_to(output, monkeypatch):
    path = output / "annotations.parquet"
    table = pq.read_table(path)
    stains = pa.array([["nucleus", "actin", "golgi"]] * 10, table["channels"].type)
    pq.write_table(table.set_column(table.column_names.index("channels"), "channels", stains), path)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    three = dry_run(output, recipe=SMALL, seed=0)
    assert three.channels_gb == pytest.approx(10 * 3 * 1.8 * 63_000 / 1e9)
    assert three.channels_hours == pytest.approx(5 * 3 * 0.02 / 3600)


def test_the_plan_leaves_out_classes_of_too_few_images(output):
    recipe = load("corrected", {"min_fields": "4", "min_images": "21"} | IN_TURN)
    plan = dry_run(output, recipe=recipe, seed=0)
    assert (plan.classes, plan.classes_too_small, plan.images, plan.fields) == (0, 1, 0, 5)


def test_both_print_for_people_serialise_for_programs_and_write_nothing(output):
    before = sorted(path.name for path in output.iterdir())
    console = Console(record=True, width=150, file=open("/dev/null", "w"))  # noqa: SIM115
    for report in (explain_label(output, "actin", recipe=SMALL, seed=0), dry_run(output, recipe=SMALL, seed=0)):
        console.print(report)
        json.dumps(asdict(report))
    printed = console.export_text()
    assert "rows taken before its turn" in printed
    assert "disk for the result" in printed
    assert sorted(path.name for path in output.iterdir()) == before


def test_without_an_annotation_table_both_say_what_to_run(tmp_path):
    for call in (
        lambda: explain_label(tmp_path, "a", recipe=Recipe(), seed=0),
        lambda: dry_run(tmp_path, recipe=Recipe(), seed=0),
    ):
        with pytest.raises(InputError, match="builder annotate"):
            call()
