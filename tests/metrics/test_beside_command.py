"""One call of a metric gives the scores of the command, on the simulated benchmark sets."""

import pytest

from cytoimagenet_hf.tables.reading import write_features
from scripts.benches.metrics import TASKS, drawn_features, score_by_command, score_by_metric
from scripts.simulate import simulate_benchmarks


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    simulate_benchmarks(root, size="tiny", seed=0)
    return root


@pytest.mark.parametrize("task", TASKS)
def test_a_metric_in_one_call_gives_the_scores_of_the_command(sets, task, tmp_path):
    features = tmp_path / "drawn.parquet"
    write_features(drawn_features(task, sets / task, width=16), features)
    expected = score_by_command(task, sets / task, features)
    assert score_by_metric(task, sets / task, features) == expected
    assert all(n > 5 for _, n in expected.values())
