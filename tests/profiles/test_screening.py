"""What controls say of profiles before and after features are selected."""

import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.options.profile import ProfilePlan
from cytoimagenet_hf.profiles.plan import make_profiles
from cytoimagenet_hf.tables import make_table

LEVELS = np.concatenate([np.zeros(8), np.ones(4), np.tile([0.2, 0.4, 0.6, 0.8], 9)])


def plate(*columns):
    """8 negative controls, 4 positive ones and 36 treated wells, with a column per feature."""
    wells = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 13)]
    metadata = pd.DataFrame({"plate": "p", "well": wells})
    metadata["role"] = ["negative"] * 8 + ["positive"] * 4 + ["treatment"] * 36
    metadata["compound"] = [""] * 8 + ["toxin"] * 40
    return make_table(wells, np.column_stack(columns).astype(np.float32), metadata=metadata, about={})


def effect(name, noise):
    return LEVELS + noise * derive_rng(0, "screening", name).normal(size=48)


NOISE = [derive_rng(0, "screening", f"noise {number}").normal(size=48) for number in range(6)]


def test_a_selection_that_loses_the_effect_is_told():
    pytest.importorskip("pycytominer")
    # The sharp features correlate most with all others: pycytominer keeps the blurred one for them, and the noise.
    table = plate(*(effect(name, 0.02) for name in "abcdefgh"), effect("blurred", 0.12), *NOISE)
    plan = {"normalize": "standardize"}
    whole = make_profiles(table, ProfilePlan(**plan)).screen
    fewer = make_profiles(table, ProfilePlan(**plan, select=True))
    assert whole.separations[0].z_prime > 0.5 > fewer.screen.separations[0].z_prime + 0.1
    assert "Feature_0000" not in fewer.table.names
    assert fewer.table.names == table.names[8:]
    (note,) = fewer.screen.notes
    assert note.startswith("p, toxin: Z' is ")
    assert note.endswith("judge the assay without --select")
    assert f"{whole.separations[0].z_prime:.2f} with all of them" in note


def test_a_selection_that_keeps_the_effect_says_nothing():
    pytest.importorskip("pycytominer")
    table = plate(effect("a", 0.02), *NOISE)
    kept = make_profiles(table, ProfilePlan(normalize="standardize", select=True))
    assert len(kept.table.names) == 7
    assert kept.screen.notes == ()
