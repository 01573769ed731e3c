"""Steps from features to profiles, against numpy, by hand, and through the tools that take their output."""

import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.profiles import profile as profiles
from cytoimagenet_hf.profiles.sphering import choose_epsilon
from cytoimagenet_hf.profiles.tvn import inverse_root
from cytoimagenet_hf.tables.features import FeatureTable

pytest.importorskip("pycytominer")  # of the extra "profiles"


def table_of(values, **facts):
    values = np.asarray(values, float)
    names = tuple(f"Image_dna_b0_{place:04d}" for place in range(values.shape[1]))
    return FeatureTable(
        np.array([f"r{row}" for row in range(len(values))], dtype=object),
        values,
        pd.DataFrame(facts, index=range(len(values))),
        names,
    )


def plate(wells=24, features=5, plates=2, seed=0):
    """Wells of plates that differ by a shift and a factor; the first third of each are controls."""
    rng = derive_rng(seed, "plates")
    x = np.concatenate([rng.normal(size=(wells, features)) * (1 + own) + 10 * own for own in range(plates)])
    rows = [(f"p{own}", f"{'ABCDEFGH'[at // 12]}{at % 12 + 1:02d}") for own in range(plates) for at in range(wells)]
    controls = np.tile(np.arange(wells) < wells // 3, plates)
    return table_of(x, plate=[row[0] for row in rows], well=[row[1] for row in rows]), controls


def test_aggregate_means_and_medians_by_hand():
    sites = table_of(
        [[1.0, 10], [3, 30], [8, 80], [7, 70]],
        plate=["p"] * 4,
        well=["A01", "A01", "A01", "B02"],
        site=["1", "2", "3", "1"],
        compound=["x", "x", "x", "y"],
        time=[1, 2, 3, 4],
    )
    mean = profiles.aggregate(sites)
    assert mean.ids.tolist() == ["p/A01", "p/B02"]
    assert mean.values.tolist() == [[4, 40], [7, 70]]
    assert mean.metadata["count"].tolist() == [3, 1]
    assert mean.metadata["compound"].tolist() == ["x", "y"]
    assert mean.about["steps"][0]["left_out_columns"] == ["site", "time"]
    assert profiles.aggregate(sites, operation="median").values[0].tolist() == [3, 30]
    assert len(profiles.aggregate(sites, level="site")) == 4
    assert profiles.profile_name(mean) == "wells_mean"


def test_cells_become_images_become_wells_and_are_counted():
    cells = table_of(np.arange(6.0)[:, None], plate=["p"] * 6, well=["A01"] * 6, site=["1", "1", "1", "2", "2", "2"])
    wells = profiles.aggregate(profiles.aggregate(cells, level="image"))
    assert wells.values.tolist() == [[2.5]]
    assert wells.metadata["count"].tolist() == [6]


def test_time_points_stay_apart():
    rows = table_of([[1.0], [2.0]], plate=["p", "p"], well=["A01", "A01"], t=["0", "1"])
    assert profiles.aggregate(rows).ids.tolist() == ["p/A01/0", "p/A01/1"]


def test_rows_without_a_well_are_named():
    with pytest.raises(InputError, match="no well is known"):
        profiles.aggregate(table_of([[1.0]], file=["a.tif"]))
    with pytest.raises(InputError, match=r"1 of 2 rows lack.*r1"):
        profiles.aggregate(table_of([[1.0], [2.0]], plate=["p", "p"], well=["A01", None]))


@given(st.permutations(range(6)))
def test_aggregate_does_not_depend_on_the_order_of_rows(order):
    rows = table_of(np.arange(6.0)[:, None] ** 2, plate=["p"] * 6, well=["A01", "A01", "A02", "A02", "A02", "B01"])
    shuffled = profiles.aggregate(rows.take(np.array(order)))
    assert shuffled.ids.tolist() == ["p/A01", "p/A02", "p/B01"]
    assert shuffled.values == pytest.approx(profiles.aggregate(rows).values)


def test_standardize_is_numpys_per_plate():
    table, controls = plate()
    done = profiles.normalize(table, controls=controls)
    for name in ("p0", "p1"):
        own = (table.metadata["plate"] == name).to_numpy()
        reference = table.values[own & controls]
        expected = (table.values[own] - reference.mean(axis=0)) / reference.std(axis=0)
        assert done.values[own] == pytest.approx(expected)
    assert profiles.profile_name(done) == "standardize-controls"


def test_mad_robustize_is_numpys_on_all_wells():
    table, _ = plate(plates=1)
    middle = np.median(table.values, axis=0)
    mad = np.median(np.abs(table.values - middle), axis=0) * 1.482602218505602  # to a deviation
    assert profiles.normalize(table, method="mad_robustize").values == pytest.approx(
        (table.values - middle) / mad, rel=1e-5
    )


def test_plates_that_differ_by_shift_and_factor_become_alike():
    x = derive_rng(1, "copies").normal(size=(12, 4))
    table = table_of(np.concatenate([x, x * 3 + 7]), plate=["a"] * 12 + ["b"] * 12)
    for method in profiles.METHODS:
        done = profiles.normalize(table, method=method).values
        assert done[:12] == pytest.approx(done[12:])


def test_features_without_a_scale_are_named_or_dropped():
    table, controls = plate()
    values = table.values.copy()
    values[controls, 3] = 0  # varies, but not among the controls
    table = FeatureTable(table.ids, values, table.metadata, table.names)
    for method in ("standardize", "mad_robustize", "robustize"):
        with pytest.raises(InputError, match=r"1 of 5 features.*Image_dna_b0_0003.*drop_constant"):
            profiles.normalize(table, method=method, controls=controls)
    done = profiles.normalize(table, controls=controls, drop_constant=True)
    assert len(done.names) == 4
    assert done.about["steps"][0]["dropped"] == ["Image_dna_b0_0003"]
    assert np.abs(done.values).max() < 20


def test_one_well_and_controls_of_one_plate_only_are_refused_in_a_line():
    with pytest.raises(InputError, match=r"1 of 1 plates have fewer than 2 rows"):
        profiles.normalize(table_of([[1.0]], plate=["p"]))
    table, controls = plate()
    controls[24:] = False
    with pytest.raises(InputError, match="plate 'p1' has no control rows"):
        profiles.sphere(table, controls=controls)
    for step in (profiles.normalize, partial(profiles.sphere, by="plate"), profiles.tvn):
        with pytest.raises(InputError, match=r"1 of 2 plates have fewer than . control wells: p1 \(0\)"):
            step(table, controls=controls)


def test_wells_without_a_plate_are_named():
    table, _ = plate()
    facts = table.metadata.assign(plate=[None, *table.metadata["plate"][1:]])
    with pytest.raises(InputError, match=r"1 rows have no plate, such as \['r0'\]"):
        profiles.normalize(FeatureTable(table.ids, table.values, facts, table.names))


def test_selection_drops_the_constant_and_the_copy():
    x = derive_rng(2, "select").normal(size=(30, 3))
    table = table_of(np.column_stack([x, x[:, 0] * 2, np.ones(30)]))
    done = profiles.select(table)
    assert len(done.names) == 3
    assert set(table.names[1:3]) < set(done.names)
    step = done.about["steps"][0]
    assert (step["features_in"], step["features_out"]) == (5, 3)
    with pytest.raises(InputError, match="choose of"):
        profiles.select(table, operations=["blocklist"])


def test_sphering_decorrelates_the_reference():
    rng = derive_rng(3, "sphere")
    table = table_of(rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4)), plate=["p"] * 200)
    for method in ("ZCA-cor", "ZCA"):
        done = profiles.sphere(table, method=method, epsilon=0.0)
        assert np.cov(done.values, rowvar=False) == pytest.approx(np.eye(4), abs=1e-6)
        assert done.names == table.names


def test_sphering_refuses_what_it_would_blow_up():
    x = derive_rng(4, "copy").normal(size=(50, 3))
    copy = table_of(np.column_stack([x, x[:, 0]]), plate=["p"] * 50)
    with pytest.raises(InputError, match="combinations of others"):
        profiles.sphere(copy, epsilon=1e-6)
    with pytest.raises(InputError, match="from 0 up"):
        profiles.sphere(copy, epsilon=-1.0)
    assert np.abs(profiles.sphere(copy, epsilon=0.1).values).max() < 100
    with pytest.raises(InputError, match=r"1 of 4 features do not vary.*Image_dna_b0_0003"):
        profiles.sphere(table_of(np.column_stack([x, np.ones(50)]), plate=["p"] * 50))


def test_sphering_divides_each_direction_by_its_deviation_and_epsilon():
    # Deviations 2 and 0.5 along the axes, both centred.
    x = np.array([[2.0, 0.5], [2.0, -0.5], [-2.0, 0.5], [-2.0, -0.5]]) * np.sqrt(3 / 4)
    done = profiles.sphere(table_of(x), method="ZCA", epsilon=0.5)
    assert done.values == pytest.approx(x / np.array([2.5, 1.0]))
    # A direction that the reference does not span is divided by epsilon.
    wide = table_of(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 3.0]]))
    done = profiles.sphere(wide, method="ZCA", epsilon=0.5, controls=np.arange(4) < 3, drop_constant=True)
    assert done.names == wide.names[:1]


def test_sphering_with_a_small_epsilon_is_pycytominers():
    spherize = pytest.importorskip("pycytominer.operations").Spherize
    rng = derive_rng(5, "sphere")
    x = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5))
    for method in ("ZCA", "ZCA-cor"):
        theirs = spherize(epsilon=1e-12, center=True, method=method, return_numpy=True)
        theirs.fit(pd.DataFrame(x[:40]))
        ours = profiles.sphere(table_of(x), controls=np.arange(60) < 40, method=method, epsilon=0.0)
        expected = theirs.transform(pd.DataFrame(x))
        assert np.abs(ours.values - expected).max() < 0.02 * np.abs(expected).max()  # of n or n - 1


def test_plates_are_sphered_together_or_apart_as_asked():
    rng = derive_rng(6, "sphere")
    plates = ["p"] * 30 + ["q"] * 30
    x = rng.normal(size=(60, 3)) * np.repeat([1.0, 5.0], 30)[:, None] + np.repeat([0.0, 100.0], 30)[:, None]
    apart = profiles.sphere(table_of(x, plate=plates), by="plate", epsilon=0.0)
    for own in (slice(0, 30), slice(30, 60)):
        assert np.cov(apart.values[own], rowvar=False) == pytest.approx(np.eye(3), abs=1e-6)
    together = profiles.sphere(table_of(x, plate=plates), epsilon=0.0)
    assert np.abs(together.values[:30].mean(axis=0) - together.values[30:].mean(axis=0)).max() < 0.5  # shifts are out
    assert together.values[30:].std() > 3 * together.values[:30].std()
    assert together.about["steps"][-1]["reference_rows"] == 60


def test_more_features_than_controls_and_equal_controls():
    rng = derive_rng(7, "sphere")
    x = rng.normal(size=(30, 50))
    controls = np.arange(30) < 6
    done = profiles.sphere(table_of(x), controls=controls)
    assert np.isfinite(done.values).all()
    assert done.values[~controls].std() > 0.3
    x[:6] = 1.0
    with pytest.raises(InputError, match="all features do not vary among the reference wells"):
        profiles.sphere(table_of(x), controls=controls, drop_constant=True)
    with pytest.raises(InputError, match=r"fewer than 3 control wells: all \(2\)"):
        profiles.sphere(table_of(x), controls=np.arange(30) < 2)


def test_epsilon_is_chosen_by_replicates():
    rng = derive_rng(8, "sphere")
    plates = np.repeat(["a", "b", "c"], 20)
    treatments = np.array([f"t{place % 20 - 10}" if place % 20 >= 10 else "dmso" for place in range(60)], object)
    controls = treatments == "dmso"
    effects = {name: rng.normal(size=12) * 0.5 for name in set(treatments[~controls])}
    x = rng.normal(size=(60, 12)) * np.linspace(0.2, 6, 12) + np.array(
        [effects.get(name, np.zeros(12)) for name in treatments]
    )
    epsilon, found = choose_epsilon(table_of(x, plate=plates.tolist()), controls, treatments, plates)
    assert set(found) == {"0.1", "0.3", "1", "3", "10"}
    assert found[f"{epsilon:g}"] == max(found.values())


def test_batches_of_two_columns():
    x = np.array([[0.0], [2.0], [10.0], [14.0], [100.0], [104.0]])
    lines = ["u", "u", "a", "a", "a", "a"]
    table = table_of(x, plate=["p", "p", "p", "p", "q", "q"], cell_line=lines)
    done = profiles.normalize(table, by=("plate", "cell_line"))
    assert done.values.ravel().tolist() == [-1, 1, -1, 1, -1, 1]
    with pytest.raises(
        InputError, match=r"2 of 3 batches by plate, cell_line have fewer than 2 control wells: p, u \(1\)"
    ):
        profiles.normalize(table, by=("plate", "cell_line"), controls=np.array([1, 0, 1, 1, 0, 0], bool))
    with pytest.raises(InputError, match="no column 'line'"):
        profiles.normalize(table, by=("plate", "line"))


def test_tvn_spelled_out():
    """The published form, step by step, on two plates of two features."""
    table, controls = plate(features=2, wells=9)
    x = table.values
    x = (x - x[controls].mean(axis=0)) / x[controls].std(axis=0)
    _, vectors = np.linalg.eigh(np.cov(x[controls], rowvar=False))
    x = x @ vectors[:, ::-1]
    x = (x - x[controls].mean(axis=0)) / x[controls].std(axis=0)
    for own in (np.arange(18) < 9, np.arange(18) >= 9):
        covariance = np.cov(x[own & controls], rowvar=False) + 0.5 * np.eye(2)
        x[own] = x[own] @ linalg.fractional_matrix_power(covariance, -0.5)
    done = profiles.tvn(table, controls)
    # Which way a component points is free; so the distances between wells are compared.
    assert done.values @ done.values.T == pytest.approx(x @ x.T)
    assert done.names == ("Image_all_tvn_0000", "Image_all_tvn_0001")


def test_tvn_keeps_fewer_components_than_controls():
    rng = derive_rng(5, "tvn")
    table = table_of(rng.normal(size=(40, 100)), plate=["p"] * 40)
    controls = np.arange(40) < 10
    done = profiles.tvn(table, controls)
    assert done.values.shape == (40, 9)
    assert np.abs(done.values).max() < 1e3
    with pytest.raises(InputError, match="10 components, but 10 control wells and 100 features allow 1 to 9"):
        profiles.tvn(table, controls, components=10)
    assert profiles.tvn(table, controls, components=3).values.shape == (40, 3)
    assert profiles.profile_name(profiles.tvn(profiles.normalize(table), controls)) == "standardize_tvn"


def test_tvn_of_equal_controls_drops_their_repetition():
    x = derive_rng(6, "equal").normal(size=(12, 20))
    x[3:6] = x[:3]  # six controls that are three
    done = profiles.tvn(table_of(x, plate=["p"] * 12), np.arange(12) < 6)
    assert done.values.shape == (12, 2)
    assert np.abs(done.values).max() < 1e3


def test_inverse_root_is_scipys():
    half = derive_rng(7, "root").normal(size=(4, 4))
    matrix = half @ half.T + np.eye(4)
    assert inverse_root(matrix) == pytest.approx(linalg.fractional_matrix_power(matrix, -0.5))


def test_the_name_tells_the_history():
    table, controls = plate()
    wells = profiles.aggregate(table)
    done = profiles.tvn(
        profiles.select(profiles.normalize(wells, method="mad_robustize", controls=controls)), controls
    )
    assert profiles.profile_name(done) == "wells_mean_madrobustize-controls_select_tvn"
    assert [step["step"] for step in done.about["steps"]] == ["aggregate", "normalize", "select", "tvn"]


def test_without_pycytominer_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycytominer", None)
    with pytest.raises(InputError, match=r'pip install "cytoimagenet-hf\[profiles\]"'):
        profiles.normalize(plate()[0])


def test_steps_leave_their_input_alone():
    table, controls = plate()
    before = table.values.copy()
    for step in (profiles.normalize, profiles.sphere, lambda t: profiles.tvn(t, controls), profiles.aggregate):
        step(table)
    assert (table.values == before).all()
    assert "steps" not in table.about
