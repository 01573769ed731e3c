"""Simulated benchmark sets and hand-made feature tables."""

import numpy as np
import pytest

from cytoimagenet_hf.benchmarks import BENCHMARKS, RECIPES
from cytoimagenet_hf.benchmarks.suite import Suite, run_suite
from cytoimagenet_hf.tables import make_table, write_features
from scripts.simulate import simulate_benchmarks


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """Folder with bbbc021/, coos7/ and cyclops/ of the smallest size."""
    root = tmp_path_factory.mktemp("simulated")
    simulate_benchmarks(root, size="tiny", seed=3)
    return root


@pytest.fixture
def class_features(simulated):
    """Make features for a simulated set: (task, noise, seed) → table in which each class has its own direction."""

    def make(task, *, noise=0.3, seed=0, width=12):
        # Items of both recipes: one takes DMSO, the other DEAD and GHOST.
        loaded = [item for recipe in RECIPES.values() for item in BENCHMARKS[task].load(simulated / task, recipe)]
        items = sorted({item.id: item for item in loaded}.values(), key=lambda item: item.id)
        rng = np.random.default_rng(seed)
        centres = {label: rng.normal(size=width) for label in sorted({item.metadata["label"] for item in items})}
        values = np.array([centres[item.metadata["label"]] for item in items]) + noise * rng.normal(
            size=(len(items), width)
        )
        return make_table([item.id for item in items], values.astype(np.float32))

    return make


@pytest.fixture
def feature_file(class_features, tmp_path):
    """Write such features: (name, task, noise, seed) → file."""

    def write(name, task, **options):
        write_features(class_features(task, **options), tmp_path / f"{name}.parquet")
        return tmp_path / f"{name}.parquet"

    return write


@pytest.fixture
def suite_of(simulated):
    """A suite of simulated sets: (task, …, features=…) → suite."""
    return lambda *names, **options: Suite(
        tasks=tuple((BENCHMARKS[name], simulated / name) for name in names), **options
    )


@pytest.fixture
def record_of(suite_of):
    """The record of such a suite."""
    return lambda *names, **options: run_suite(suite_of(*names, **options)).record
