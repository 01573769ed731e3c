"""Neighbours against a float64 search, and votes with spelled-out answers."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsClassifier

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.scoring import knn
from cytoimagenet_hf.scoring.knn import kneighbors, vote


def reference(train, query, k, metric="euclidean", exclude=None):
    distances = cdist(np.asarray(query, float), np.asarray(train, float), metric)
    if exclude is not None:
        for row, hidden in enumerate(exclude):
            if hidden >= 0:
                distances[row, hidden] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), order


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_neighbours_equal_those_of_a_float64_search(metric, dtype, offset):
    rng = np.random.default_rng(0)
    train = (rng.normal(size=(1500, 40)) + offset).astype(dtype)
    query = (rng.normal(size=(200, 40)) + offset).astype(dtype)
    distances, indices = kneighbors(train, query, 11, metric=metric, chunk_bytes=1 << 18)
    wanted, order = reference(train, query, 11, metric)
    if metric == "euclidean" or offset == 0:  # at an offset, scipy's 1 - cos has lost the digits that decide
        assert (indices == order).all()
    np.testing.assert_allclose(distances, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, ">f4"])
def test_memory_maps_are_read_in_blocks(tmp_path, monkeypatch, metric, dtype):
    monkeypatch.setattr(knn, "_BLOCK", 100)
    values = np.random.default_rng(6).normal(size=(730, 12)) + 40
    np.save(tmp_path / "values.npy", values.astype(dtype))
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    rows = np.arange(730)
    _, indices = kneighbors(mapped, mapped, 5, metric=metric, exclude=rows, chunk_bytes=1 << 15)
    near = kneighbors(np.array(mapped, float), np.array(mapped, float), 5, metric=metric, exclude=rows)[1]
    assert (indices == near).all()
    if metric == "euclidean":
        assert (indices == reference(mapped, mapped, 5, exclude=rows)[1]).all()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtypes", [("f4", "f4"), ("f4", "f8"), ("f8", "f4"), ("i4", "f8"), ("f8", "f8")])
@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_rows_far_from_the_origin_in_any_two_types(metric, dtypes, offset):
    rng = np.random.default_rng(4)
    train = (rng.normal(size=(200, 5)) + offset).astype(dtypes[0])
    query = (rng.normal(size=(30, 5)) + offset).astype(dtypes[1])
    distances, indices = kneighbors(train, query, 9, metric=metric)
    if metric == "cosine":  # half the squared distance of unit vectors, to 12 decimals
        exact = [values.astype(float) for values in (query, train)]
        units = [values / np.sqrt((values * values).sum(1, keepdims=True)) for values in exact]
        apart = np.round(cdist(*units, "sqeuclidean") / 2, 12)
    else:
        apart = cdist(query, train)
    order = np.argsort(apart, axis=1, kind="stable")[:, :9]
    assert (indices == order).all()
    np.testing.assert_array_equal(distances, np.take_along_axis(apart, order, 1))


def test_near_ties_that_float32_cannot_see_are_ordered_by_float64():
    # 200 rows around the query, at distances that differ by 1e-9 of themselves; float32 has 1e-7.
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(200, 300))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radii = 1 + 1e-9 * rng.permutation(200)
    centre = rng.normal(size=300)
    _, indices = kneighbors(centre + directions * radii[:, None], centre[None], 11)
    assert indices[0].tolist() == np.argsort(radii)[:11].tolist()


def test_equal_distances_come_in_the_order_of_the_training_rows():
    train = np.zeros((500, 3), np.float32)  # more ties than the fast path keeps
    distances, indices = kneighbors(train, np.ones((2, 3)), 5)
    assert indices.tolist() == [[0, 1, 2, 3, 4]] * 2
    np.testing.assert_allclose(distances, np.sqrt(3))


def test_equal_directions_tie_under_cosine():
    train = [[2.0, 1.0], [3.0, 3.0], [1.0, 1.0], [7.0, 7.0]]
    distances, indices = kneighbors(train, [[1.0, 1.0]], 3, metric="cosine")
    assert indices.tolist() == [[1, 2, 3]]
    assert distances.tolist() == [[0.0, 0.0, 0.0]]


def test_a_mask_hides_many_rows_of_each_query():
    rng = np.random.default_rng(0)
    train, query = rng.normal(size=(70, 3)), rng.normal(size=(40, 3))
    hidden = rng.random((40, 70)) < 0.7
    distances, indices = kneighbors(train, query, 4, exclude=hidden, chunk_bytes=2000)
    for row, mask in enumerate(hidden):
        seen = (~mask).nonzero()[0]
        near, order = kneighbors(train[seen], query[[row]], 4)
        assert indices[row].tolist() == seen[order[0]].tolist()
        assert distances[row].tolist() == near[0].tolist()
    with pytest.raises(InputError, match="may see 1 training rows"):
        kneighbors([[0.0], [1.0]], [[0.0], [2.0]], 2, exclude=np.array([[False, False], [False, True]]))


def test_excluded_row_is_unseen_even_among_duplicates():
    train = np.array([[0.0], [0.0], [0.0], [1.0]])
    _, indices = kneighbors(train, train, 2, exclude=[0, 1, 2, -1])
    assert indices.tolist() == [[1, 2], [0, 2], [0, 1], [3, 0]]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 90),
    st.integers(0, 12),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.integers(2, 9),
    st.sampled_from([3, 20, knn._BLOCK]),
)
def test_small_integers_tie_often_and_still_agree(n_train, n_query, width, seed, leave_out, levels, block):
    rng = np.random.default_rng(seed)
    train, query = rng.integers(0, levels, (n_train, width)), rng.integers(0, levels, (n_query, width))
    exclude = rng.integers(-1, n_train, n_query) if leave_out and n_train > 1 else None
    k = int(rng.integers(1, n_train)) if n_train > 1 else 1
    with mock.patch.object(knn, "_BLOCK", block):
        distances, indices = kneighbors(train, query, k, exclude=exclude, chunk_bytes=2000)
    wanted, order = reference(train, query, k, exclude=exclude) if n_query else (distances, indices)
    assert (indices == order).all()
    np.testing.assert_allclose(distances, wanted, atol=1e-12)


def test_scale_free_of_underflow():
    rng = np.random.default_rng(2)
    train = rng.normal(size=(300, 20)) * 1e-25  # squares vanish in float32
    _, indices = kneighbors(train, train[:20], 4)
    assert (indices == reference(train, train[:20], 4)[1]).all()


def test_lowered_matmul_precision_changes_nothing_and_is_restored():
    rng = np.random.default_rng(3)
    train = rng.normal(size=(400, 64)).astype(np.float32)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        _, indices = kneighbors(train, train, 5)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert (indices == reference(train, train, 5)[1]).all()


def test_inputs_are_left_alone_and_may_be_read_only():
    train = np.random.default_rng(4).normal(size=(50, 8)).astype(np.float32)
    train.setflags(write=False)
    copy = train.copy()
    kneighbors(train, train, 3, metric="cosine")
    assert (train == copy).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kneighbors([[0.0], [1.0]], [[0.0]], 3), "k = 3"),
        (lambda: kneighbors([[0.0], [1.0]], [[0.0]], 2, exclude=[0]), "may see 1"),
        (lambda: kneighbors([[0.0], [1.0]], [[0.0]], 0), "k = 0"),
        (lambda: kneighbors([[0.0], [1.0]], [[0.0]], 1.0), r"k = 1\.0, .*: choose a whole number"),
        (lambda: kneighbors([[0.0], [1.0]], [[0.0]], "1"), "k = '1', .*: choose a whole number"),
        (lambda: kneighbors([[0.0], [np.nan]], [[0.0]], 1), r"train rows \[1\]"),
        (lambda: kneighbors([[0.0]], [[0.0], [0.0], [np.inf]], 1, chunk_bytes=8), r"query rows \[2\]"),
        (lambda: kneighbors([[0.0, 1.0]], [[0.0]], 1), "features"),
        (lambda: kneighbors(np.zeros((0, 2)), [[0.0, 0.0]], 1), "neither empty"),
        (lambda: kneighbors([0.0], [[0.0]], 1), "expected"),
        (lambda: kneighbors([[1.0], [0.0]], [[1.0]], 1, metric="cosine"), "zero vectors"),
        (lambda: kneighbors([[1.0]], [[1.0]], 1, metric="manhattan"), "unknown metric"),
        (lambda: kneighbors([[1.0]], [[1.0]], 1, exclude=[1]), "0..0"),
        (lambda: kneighbors([[1.0]], [[1.0]], 1, exclude=[0, 0]), "exclude"),
        (lambda: kneighbors([[1e20]], [[1.0]], 1), "standardise"),
        (lambda: kneighbors([[0.0], [1.0]], [[1.0]], 1.5), "k = 1.5"),
        (lambda: kneighbors([[0.0], [1.0]], [[1.0]], float("nan")), "k = nan"),
        (lambda: kneighbors([[0.0], [1.0]], [[1.0]], float("inf")), "k = inf"),
        (lambda: kneighbors([["a"]], [[1.0]], 1), "train must be rows of numbers"),
        (lambda: kneighbors([[1.0]], [[1.0], [1.0, 2.0]], 1), "query must be rows of numbers"),
        (lambda: kneighbors([[None]], [[1.0]], 1), "NaN"),
        (lambda: vote([[0.0, float("nan")]], [[1.0, 2.0]]), "labels hold NaN"),
        (lambda: vote([[0, 1]], [["a", "b"]]), "finite numbers"),
        (lambda: vote([[1, 2]], [[0.1]]), "k at least 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ([5], 5),  # k = 1: the nearest
        ([2, 1], 2),  # all differ: the nearest
        ([2, 1, 1], 1),  # most frequent
        ([3, 1, 1, 3, 2], 1),  # tie of two: the smallest label, not the nearest
        ([3, 2, 1], 3),  # all differ, k = 3
    ],
)
def test_vote_tie_rules(labels, wanted):
    assert vote([labels], [np.arange(len(labels))]).tolist() == [wanted]


def test_vote_on_names_and_nearest_by_distance_not_by_column():
    assert vote([["yeast", "actin"], ["er", "actin"]], [[0.5, 0.1], [0.1, 0.5]]).tolist() == ["actin", "er"]


def test_vote_agrees_with_sklearn_where_the_rules_agree():
    rng = np.random.default_rng(5)
    train, labels, query = rng.normal(size=(300, 4)), rng.integers(0, 2, 300), rng.normal(size=(100, 4))
    distances, indices = kneighbors(train, query, 11)  # two classes and odd k: never a tie
    wanted = KNeighborsClassifier(11, algorithm="brute").fit(train, labels).predict(query)
    assert (vote(labels[indices], distances) == wanted).all()


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")], ids=str)
@pytest.mark.parametrize(
    "call",
    [
        lambda x: kneighbors([[x], [1.0]], [[1.0]], 1),
        lambda x: kneighbors([[0.0], [1.0]], [[x]], 1, metric="cosine"),
        lambda x: vote([[0, 1]], [[x, 1.0]]),
    ],
)
def test_what_is_not_finite_is_refused_everywhere(call, odd):
    with pytest.raises(InputError):
        call(odd)
