"""The table of what each repair changes."""

from dataclasses import fields

from cytoimagenet_hf.benchmarks import RECIPES, BenchmarkRecipe
from cytoimagenet_hf.benchmarks.recipes import REPAIRS, variants
from cytoimagenet_hf.benchmarks.report import repair_table


def test_every_rule_that_differs_between_the_recipes_is_a_repair():
    published, corrected = RECIPES["published"], RECIPES["corrected"]
    differing = {
        field.name
        for field in fields(BenchmarkRecipe)
        if field.name != "name" and getattr(published, field.name) != getattr(corrected, field.name)
    }
    assert {name for names in REPAIRS.values() for name in names} == differing
    assert list(variants()) == ["corrected", *REPAIRS, "published"]


def test_each_repair_changes_its_own_task_alone(suite_of, feature_file):
    files = (feature_file("a", "cyclops", noise=1.0, seed=10), feature_file("b", "cyclops", noise=1.2, seed=12))
    table = repair_table(suite_of("cyclops", features=files, fuse=True))
    rows = {row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in table.rows}
    assert set(rows) == {"cyclops: a", "cyclops: b", "cyclops: a + b"}
    assert rows["cyclops: a"]["E2 fusion joined by position"] == "·"
    assert rows["cyclops: a + b"]["E2 fusion joined by position"] != "·"
    assert rows["cyclops: a"]["E1 labels shifted by folders"] != "·"
    assert rows["cyclops: a"]["E4 nearest row taken for the query"] == "·"  # no duplicates here
