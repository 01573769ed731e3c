import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.core.graphs import components

EDGES = st.integers(1, 12).flatmap(
    lambda nodes: st.tuples(
        st.just(nodes), st.lists(st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)), max_size=20)
    )
)


def test_numbers_of_64_bits_give_what_numbers_of_32_give():
    for kind in (np.int32, np.int64):
        assert components(np.array([4, 1], kind), np.array([2, 3], kind), nodes=6).tolist() == [0, 1, 2, 1, 2, 3]


@given(EDGES)
def test_against_labels_spread_by_hand(graph):
    nodes, edges = graph
    labels = list(range(nodes))
    for _ in range(nodes):
        for one, other in edges:
            labels[one] = labels[other] = min(labels[one], labels[other])
    numbers = components([one for one, _ in edges], [other for _, other in edges], nodes=nodes)
    assert [numbers.tolist().index(number) for number in numbers.tolist()] == labels
