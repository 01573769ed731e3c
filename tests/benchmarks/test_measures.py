"""Measures: on hand-made features whose answer can be spelled out, and on tasks, which groups they keep apart."""

import numpy as np
import pytest
from scipy.stats import chisquare

from cytoimagenet_hf.benchmarks import BENCHMARKS, RECIPES, load_recipe
from cytoimagenet_hf.benchmarks.base import labelled
from cytoimagenet_hf.benchmarks.measures import MEASURES, few_shot, measured_scores, mixing_rejection, probe
from cytoimagenet_hf.benchmarks.tasks.bbbc021 import BBBC021
from cytoimagenet_hf.benchmarks.tasks.cyclops import CYCLOPS
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import make_table

EVERY = tuple(MEASURES)


def _grouped(rng):
    """Two classes in six groups, each group with an offset of its own; nothing tells the class."""
    groups = np.repeat([f"g{n}" for n in range(6)], 30).astype(object)
    labels = np.array(["a", "b"] * 90)
    offset = np.array([rng.normal(0, 5, 6) for _ in range(6)])[np.repeat(np.arange(6), 30)]
    return offset + rng.normal(0, 1, (180, 6)), labels.astype(object), groups


def test_a_probe_cannot_learn_the_group():
    values, labels, groups = _grouped(np.random.default_rng(3))
    assert abs((probe(values, labels, groups, seed=0) == labels).mean() - 0.5) < 0.15
    values[:, 0] = np.where(labels == "a", -4, 4) + np.random.default_rng(0).normal(0, 0.5, len(labels))
    assert (probe(values, labels, groups, seed=0) == labels).mean() == 1.0
    with pytest.raises(InputError, match="2 groups"):
        probe(values[:60], labels[:60], groups[:60], seed=0)


def test_few_shots_come_from_other_groups_and_more_of_them_help():
    rng = np.random.default_rng(4)
    values, labels, groups = _grouped(rng)
    values = np.where(labels == "a", -1, 1)[:, None] * np.eye(6)[0] * 2 + rng.normal(0, 1, (180, 6))
    shares = {n: right.mean() for n, right in few_shot(values, labels, groups, seed=0).items()}
    assert list(shares) == [1, 5, 10]
    assert shares[1] < shares[5] <= shares[10] + 0.02
    assert shares[10] > 0.9


def test_as_many_shots_as_the_scarcest_class_has_outside_each_fold():
    labels = np.array(["a"] * 12 + ["b"] * 6)
    groups = np.array([*"uvwxyz" * 2, *"uvwxyz"])
    assert list(few_shot(np.eye(18), labels, groups, seed=0)) == [
        1
    ]  # b: six groups in five folds, four outside the fullest
    with pytest.raises(InputError, match="class 'b' has no example outside"):
        few_shot(np.eye(4), np.array(["a", "a", "b", "b"]), np.array(["u", "v", "w", "w"]), seed=0)


def test_mixing_of_shuffled_batches_is_rejected_at_the_level():
    rng = np.random.default_rng(0)
    values, batches = rng.normal(size=(600, 5)), rng.permutation(np.repeat(["a", "b", "c"], 200))
    assert mixing_rejection(values, batches) < 0.1
    # One neighbourhood by hand: all ten neighbours of one batch where a third is expected.
    assert chisquare([10, 0, 0], [10 / 3] * 3).pvalue < 0.05
    with pytest.raises(InputError, match="only one batch"):
        mixing_rejection(values, np.repeat("a", 600))


def _screen(noise):
    """Three plates; six compounds of two mechanisms on each, beside four DMSO wells of two sites."""
    rng = np.random.default_rng(1)
    centres = {"x": np.array([6.0, 0, 0]), "y": np.array([0, 6.0, 0]), "DMSO": np.zeros(3)}
    items, values = [], []
    for plate in ("Week1_1", "Week2_2", "Week3_3"):
        for well in range(10):
            compound = "abcdef"[well] if well < 6 else "DMSO"
            moa = "x" if compound in "abc" else "DMSO" if compound == "DMSO" else "y"
            for site in (1, 2):
                facts = {"plate": plate, "well": f"B{well:02d}", "batch": plate[:5], "compound": compound}
                facts["treatment"] = f"{compound} at 1"
                items.append(labelled(f"{plate}/{well}/{site}", (), moa, facts=facts))
                values.append(centres[moa] + noise * rng.normal(size=3))
    return items, make_table([item.id for item in items], np.array(values))


def test_every_measure_of_a_screen_finds_what_is_plain():
    items, table = _screen(noise=0.1)
    recipe = load_recipe("corrected", scaler="controls")
    scores = {s.name: s for s in measured_scores(BBBC021, table, items, recipe=recipe, seed=0, measures=EVERY)}
    assert list(scores) == [
        *("bbbc021", "bbbc021 · replicate mAP", "bbbc021 · mechanism mAP", "bbbc021 · probe", "bbbc021 · 1-shot")
    ]
    assert {name: score.outcomes.mean() for name, score in scores.items()} == dict.fromkeys(scores, 1.0)
    replicates = scores["bbbc021 · replicate mAP"]
    assert replicates.ids.tolist() == [f"{compound} at 1" for compound in "abcdef"]
    assert replicates.references.tolist() == ["x", "x", "x", "y", "y", "y"]
    assert replicates.clusters.tolist() == list("abcdef")
    assert scores["bbbc021 · probe"].cluster_name == "compound"
    assert "mixing" not in scores["bbbc021"].details or scores["bbbc021"].details["mixing"]["of"] == "week"


def test_knowing_nothing_scores_near_chance():
    items, table = _screen(noise=1e6)
    recipe = load_recipe("corrected", scaler="controls")
    (score,) = measured_scores(BBBC021, table, items, recipe=recipe, seed=0, measures=("few-shot",))
    assert 0.2 < score.outcomes.mean() < 0.8


def test_replicates_need_the_controls():
    items, table = _screen(noise=0.1)
    treated = [item for item in items if item.metadata["compound"] != "DMSO"]
    with pytest.raises(InputError, match="among DMSO wells"):
        measured_scores(BBBC021, table, treated, recipe=RECIPES["published"], seed=0, measures=("map",))


def test_transfer_sets_are_learnt_from_the_training_cells_alone(simulated, class_features):
    coos7 = BENCHMARKS["coos7"]
    items = coos7.load(simulated / "coos7", RECIPES["corrected"])
    table = class_features("coos7", noise=0.01)
    scores = measured_scores(coos7, table, items, recipe=RECIPES["corrected"], seed=0, measures=("probe", "few-shot"))
    names = [score.name for score in scores]
    assert names[:3] == ["coos7/test1 · probe", "coos7/test1 · 1-shot", "coos7/test1 · 5-shot"]  # 5 cells a class
    assert all(score.ids[0].startswith("test") for score in scores)
    assert all(score.outcomes.mean() > 0.99 for score in scores)


def test_measures_without_groups_fold_single_images(simulated, class_features):
    items = CYCLOPS.load(simulated / "cyclops", RECIPES["corrected"])
    recipe = RECIPES["corrected"]
    (score,) = measured_scores(
        CYCLOPS, class_features("cyclops", noise=0.01), items, recipe=recipe, seed=0, measures=("few-shot",)
    )
    assert (score.name, score.cluster_name) == ("cyclops · 1-shot", None)
    with pytest.raises(InputError, match="cannot be measured by what was asked for"):
        measured_scores(CYCLOPS, class_features("cyclops"), items, recipe=recipe, seed=0, measures=("map",))


def test_a_measure_that_a_set_is_too_small_for_is_told_and_the_rest_is_scored():
    items, table = _screen(noise=0.1)
    few = [item for item in items if item.metadata["compound"] in ("a", "d", "DMSO")]  # one compound a mechanism
    recipe = load_recipe("corrected", scaler="controls")
    scores = measured_scores(BBBC021, table, few, recipe=recipe, seed=0, measures=("nn", "probe", "few-shot"))
    assert [score.name for score in scores] == ["bbbc021"]
    assert set(scores[0].details["not_measured"]) == {"probe", "few-shot"}
    with pytest.raises(InputError, match="a probe needs three"):
        measured_scores(BBBC021, table, few, recipe=recipe, seed=0, measures=("probe",))
