"""The table of what each repair changes."""

from dataclasses import fields

from cytoimagenet_hf.benchmarks import BENCHMARKS, RECIPES, BenchmarkRecipe
from cytoimagenet_hf.benchmarks.recipes import REPAIRS, variants
from cytoimagenet_hf.benchmarks.report import repair_table
from cytoimagenet_hf.benchmarks.suite import Suite
from cytoimagenet_hf.tables import make_table, write_features


def test_every_rule_that_differs_between_the_recipes_is_a_repair():
    published, corrected = RECIPES["published"], RECIPES["corrected"]
    differing = {
        field.name
        for field in fields(BenchmarkRecipe)
        if field.name != "name" and getattr(published, field.name) != getattr(corrected, field.name)
    }
    assert {name for names in REPAIRS.values() for name in names} == differing
    assert list(variants()) == ["corrected", *REPAIRS, "published"]


def test_each_repair_changes_its_own_task_alone(simulated, class_features, tmp_path):
    files = []
    for name, noise in (("a", 1.0), ("b", 1.2)):
        table = class_features("cyclops", noise=noise, seed=int(10 * noise))
        files.append(tmp_path / f"{name}.parquet")
        write_features(make_table(table.ids, table.values), files[-1])
    suite = Suite(tasks=((BENCHMARKS["cyclops"], simulated / "cyclops"),), features=tuple(files), fuse=True)
    found = repair_table(suite)
    rows = {row[0]: dict(zip(found.columns[1:], row[1:], strict=True)) for row in found.rows}
    assert set(rows) == {"cyclops: a", "cyclops: b", "cyclops: a + b"}
    assert rows["cyclops: a"]["E2 fusion joined by position"] == "·"
    assert rows["cyclops: a + b"]["E2 fusion joined by position"] != "·"
    assert rows["cyclops: a"]["E1 labels shifted by folders"] != "·"
    assert rows["cyclops: a"]["E4 nearest row taken for the query"] == "·"  # no duplicates here
