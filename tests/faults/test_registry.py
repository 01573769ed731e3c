"""How many cases there are: a registry that shrinks must not pass unseen."""

from tests.faults import (
    test_benchmark,
    test_builder,
    test_datasets,
    test_extract,
    test_folders,
    test_full_disk,
    test_network,
    test_options,
    test_train,
)


def test_there_are_more_than_six_hundred_cases():
    modules = (
        test_extract,
        test_benchmark,
        test_builder,
        test_datasets,
        test_folders,
        test_full_disk,
        test_network,
        test_options,
        test_train,
    )
    for module in modules:
        assert len(set(module.CASES)) == len(module.CASES), module.__name__
    assert sum(len(module.CASES) for module in modules) > 600
