"""Not-same-compound accuracy on profiles small enough to answer by hand."""

import numpy as np
import pytest

from cytoimagenet_hf.benchmarks import nsc_accuracy
from cytoimagenet_hf.benchmarks.nsc import BATCH_RULES, nscb_by_rule
from cytoimagenet_hf.core.errors import InputError


def angles(*degrees):
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def named(treatments, moas, batches=None):
    """Columns of treatments such as `a1 a2 b`, whose compound is their letter, and of mechanisms of a letter each."""
    names = treatments.split()
    columns = {"treatments": names, "compounds": [name[0] for name in names], "moas": list(moas)}
    return columns | ({} if batches is None else {"batches": list(batches)})


def test_other_doses_of_the_own_compound_are_unseen():
    # a1 and a2 are one compound, 1 degree apart; without the exclusion both would find each other.
    result = nsc_accuracy(angles(0, 1, 20, 90, 22), **named("a1 a2 b1 c1 d1", "xxyxy"))
    # a1, a2 → b1 (y, wrong); b1 → d1 (y, right); c1 → d1 (68 degrees, y, wrong); d1 → b1 (y, right)
    assert result.predictions.treatment.tolist() == ["a1", "a2", "b1", "c1", "d1"]
    assert result.predictions.nearest.tolist() == ["b1", "b1", "d1", "d1", "b1"]
    assert result.nsc == 2 / 5
    assert result.per_class == {"x": 0.0, "y": 1.0}
    assert result.confusion.loc["x", "y"] == 3
    assert result.confusion.loc["y", "y"] == 2
    assert result.nscb is None
    assert result.unscorable == ()


def test_rows_are_averaged_per_treatment_before_the_search():
    # The wells of a point left and right; their mean points where b is.
    result = nsc_accuracy([[1, 1], [-1, 1], [0, 2], [1, 0.2], [1, 0]], **named("a a b c d", "xxxyy"))
    assert result.nsc == 1.0
    assert len(result.predictions) == 4


def test_compound_alone_in_its_mechanism_is_reported_and_cannot_be_right():
    moas = ["alone", "alone", "y", "y", "other", "other"]
    result = nsc_accuracy(angles(0, 1, 50, 51, 90, 91), **named("a1 a2 b c d1 d2", moas))
    assert result.unscorable == ("a1", "a2", "d1", "d2")
    assert result.nsc == 2 / 6


def test_nscb_also_asks_for_another_batch():
    result = nsc_accuracy(angles(0, 2, 10, 30, 31), **named("a b c d e", "xxyxy", batches="11221"))
    # NSC: a→b right, b→a right, c→b (8 degrees) wrong, d→e wrong, e→d wrong
    assert result.nsc == 2 / 5
    # NSCB: a→c wrong, b→c wrong, c→b wrong, d→e wrong, e→d wrong
    assert result.nscb == 0.0
    assert result.unscorable_nscb == ()


def test_nscb_leaves_out_who_cannot_be_right():
    result = nsc_accuracy(angles(0, 5, 40, 90), **named("a b c d", "xxyy", batches="1211"))
    assert result.unscorable_nscb == ("c", "d")  # y in week 1 alone
    assert result.nscb == 1.0  # a ↔ b
    assert result.nsc == 1.0 - 1 / 4  # c → b


def test_control_compound_of_every_batch_stays_a_neighbour():
    # t lies in four weeks, a quarter each: it shares no batch with anyone.
    result = nsc_accuracy(angles(0, 0, 0, 0, 3, 80, 81), **named("t t t t a b c", "xxxxxyy", batches="1234123"))
    assert result.nscb == 1.0


def test_several_neighbours_vote():
    columns, features = named("a b c d e f", "xyxxyy"), angles(0, 1, 2, 3, 50, 51)
    predicted = {
        k: nsc_accuracy(features, **columns, k=k).predictions.set_index("treatment").predicted for k in (1, 3)
    }
    assert predicted[1]["a"] == "y"
    assert predicted[3]["a"] == "x"  # b (y), c (x), d (x)


def test_duplicate_profiles_are_ordered_by_treatment_name():
    features, names, moas = angles(0, 5, 5, 5), "qzmb", "xxyx"
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        columns = named(" ".join(names[row] for row in order), [moas[row] for row in order])
        result = nsc_accuracy(features[order], **columns)
        assert result.predictions.set_index("treatment").nearest["q"] == "b"


def test_agrees_with_a_plain_float64_loop():
    rng = np.random.default_rng(0)
    count = 60
    compounds = [f"c{i % 20}" for i in range(count)]
    moas = [f"m{(i % 20) % 5}" for i in range(count)]
    features = rng.normal(size=(count, 30))
    result = nsc_accuracy(features, treatments=[f"t{i:02d}" for i in range(count)], compounds=compounds, moas=moas)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    right = 0
    for i in range(count):
        others = [j for j in range(count) if compounds[j] != compounds[i]]
        right += moas[max(others, key=lambda j, i=i: unit[i] @ unit[j])] == moas[i]
    assert result.nsc == right / count


GOOD = {"treatments": ["a", "b"], "compounds": ["a", "b"], "moas": ["x", "x"]}


@pytest.mark.parametrize(
    ("features", "change", "message"),
    [
        (np.eye(2), {"treatments": ["a", "a"], "compounds": ["a", "a"], "moas": ["x", "y"]}, "2 values of moa"),
        (np.eye(2), {"treatments": ["a", "a"]}, "2 values of compound"),
        (np.eye(2), {"compounds": ["a", "a"]}, "at least two compounds"),
        (np.eye(2), {"moas": ["x"]}, "same rows"),
        (np.eye(2), {"moas": ["x", None]}, r"rows \[1\].*lack a name"),
        ([[1.0, np.nan], [0, 1]], {}, r"rows \[0\].*treatments \['a'\]"),
        (np.zeros((0, 2)), {"treatments": [], "compounds": [], "moas": []}, "at least one"),
        (np.eye(2), {"k": 2}, "k = 2"),
    ],
)
def test_bad_input_is_named(features, change, message):
    with pytest.raises(InputError, match=message):
        nsc_accuracy(features, **(GOOD | change))


def test_rules_of_the_same_batch_differ_as_papers_do():
    # a1 is in weeks 1 and 2, b1 in week 1, c1 in weeks 1 and 2 (mostly 2), d1 in week 3.
    columns = named("a1 a1 b1 c1 c1 c1 c1 d1", "xxxxxxxy", batches="12112223")
    scorable = {}
    for rule in ("overlap", "set", "shared"):
        result = nsc_accuracy(np.random.default_rng(0).normal(size=(8, 3)), same_batch=rule, **columns)
        scorable[rule] = sorted({"a1", "b1", "c1", "d1"} - set(result.unscorable_nscb))
    # overlap: a-b share half, a-c three quarters, b-c a quarter; set: a and c are equal; shared: all three meet.
    assert scorable == {"overlap": ["b1", "c1"], "set": ["a1", "b1", "c1"], "shared": []}
    with pytest.raises(InputError, match="use overlap, set or shared"):
        nsc_accuracy(np.ones((8, 3)), same_batch="weeks", **columns)


def test_all_rules_at_once_give_what_each_gives_alone():
    rng = np.random.default_rng(1)
    treatments = np.array([f"t{number:02d}" for number in np.tile(np.arange(24), 3)])
    numbers = np.tile(np.arange(24), 3)
    columns = {
        "treatments": treatments,
        "compounds": [f"c{number // 2}" for number in numbers],
        "moas": [f"m{number // 6}" for number in numbers],
    }
    batches = {"week": rng.integers(0, 4, 72).astype(str), "plate": rng.integers(0, 9, 72).astype(str)}
    features = rng.normal(size=(72, 5))
    result = nscb_by_rule(features, batches=batches, **columns)
    assert list(result) == list(BATCH_RULES)
    for name, (batch, rule) in BATCH_RULES.items():
        alone = nsc_accuracy(features, batches=batches[batch], same_batch=rule, **columns)
        assert result[name] == (alone.nscb, 24 - len(alone.unscorable_nscb))
