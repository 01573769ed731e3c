"""Profiles as files, opened by the tools that people use on them, without renaming a column."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from cytoimagenet_hf.cli.profile import command
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.options.profile import ProfilePlan
from cytoimagenet_hf.profiles.plan import make_profiles, write_profiles
from cytoimagenet_hf.tables.features import FeatureTable
from cytoimagenet_hf.tables.reading import read_features, write_features

pytest.importorskip("pycytominer")  # of the extra "profiles"

DOSES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


def screen_of(plates=2, replicates=4):
    """Two sites of wells on plates: negatives, positives, and a compound whose profile follows its dose."""
    rng = derive_rng(0, "screen")
    direction = rng.normal(size=12) * 2
    rows, values = [], []
    for plate in range(plates):
        shift = rng.normal(size=12)
        wells = [("negcon", "DMSO", 0.0, 0.0)] * 8 + [("poscon", "drug", 30.0, 1.0)] * 4
        wells += [("trt", "drug", dose, dose / (dose + 1)) for dose in DOSES for _ in range(replicates)]
        for place, (role, compound, dose, effect) in enumerate(wells):
            for site in (1, 2):
                well = f"{'ABCDEFGH'[place // 12]}{place % 12 + 1:02d}"
                rows.append((f"p{plate}", well, str(site), role, compound, dose))
                values.append(shift + effect * direction + 0.1 * rng.normal(size=12))
    facts = pd.DataFrame(rows, columns=["plate", "well", "site", "control_type", "compound", "concentration"])
    ids = np.array(["/".join(row[:3]) for row in rows], dtype=object)
    names = tuple(f"Image_{stain}_b0_{place:04d}" for stain in ("dna", "er") for place in range(6))
    return FeatureTable(ids, np.array(values, np.float32), facts, names, {"model": "b0"})


@pytest.fixture(scope="module")
def wells():
    plan = ProfilePlan(normalize="standardize", on="controls", dose_unit="uM")
    return make_profiles(screen_of(), plan)


def test_pycytominer_takes_profiles_as_they_are(wells, tmp_path):
    import pycytominer
    from pycytominer.cyto_utils import infer_cp_features

    write_profiles(wells.table, tmp_path / "wells.parquet")
    frame = pd.read_parquet(tmp_path / "wells.parquet")
    assert [name for name in frame if name.startswith("Metadata_")][:2] == ["Metadata_Plate", "Metadata_Well"]
    features = infer_cp_features(frame, image_features=True)
    assert features == list(wells.table.names)
    done = pycytominer.normalize(
        frame, image_features=True, method="mad_robustize", samples="Metadata_control_type == 'negcon'"
    )
    assert done[features].shape == (72, 12)
    groups = ["Metadata_Plate", "Metadata_control_type"]
    merged = pycytominer.aggregate(frame, strata=groups, features=features, operation="mean")
    assert len(merged) == 6
    selected = pycytominer.feature_select(frame, image_features=True, operation="correlation_threshold")
    assert 0 < len(infer_cp_features(selected, image_features=True)) <= 12


def test_copairs_takes_profiles_as_they_are(wells, tmp_path):
    from copairs import map as copairs_map

    write_profiles(wells.table, tmp_path / "wells.csv.gz")
    frame = pd.read_csv(tmp_path / "wells.csv.gz")
    treated = frame[frame["Metadata_control_type"] == "trt"].reset_index(drop=True)
    facts, values = treated.filter(regex="^Metadata_"), treated.filter(regex="^Image_").to_numpy()
    same = ["Metadata_compound", "Metadata_concentration"]
    scores = copairs_map.average_precision(facts, values, same, [], [], same[1:], batch_size=1000)
    found = copairs_map.mean_average_precision(scores, same, null_size=1000, threshold=0.05, seed=0)
    assert found["mean_average_precision"].between(0, 1).all()
    assert len(found) == len(DOSES)


def test_anndata_reads_the_profiles(wells, tmp_path):
    anndata = pytest.importorskip("anndata")
    write_profiles(wells.table, tmp_path / "wells.h5ad")
    found = anndata.read_h5ad(tmp_path / "wells.h5ad")
    assert found.shape == (72, 12)
    assert found.obs_names.tolist() == wells.table.ids.tolist()
    assert found.var_names.tolist() == list(wells.table.names)
    assert found.var["stain"].tolist() == ["dna"] * 6 + ["er"] * 6
    assert np.asarray(found.X) == pytest.approx(wells.table.values)
    assert found.obs["Metadata_Well"].astype(str).tolist() == wells.table.metadata["well"].tolist()
    assert found.obs["Metadata_concentration"].dtype.kind == "f"
    history = found.uns["cytoimagenet"]["steps"]
    assert [history[key]["step"] for key in sorted(history)] == ["aggregate", "normalize"]
    assert anndata.read_h5ad(tmp_path / "wells.h5ad", backed="r").shape == (72, 12)


def test_missing_facts_stay_missing_in_anndata(tmp_path):
    anndata = pytest.importorskip("anndata")
    facts = pd.DataFrame({"compound": ["x", None], "dose": [1.0, np.nan], "kept": [True, False]})
    table = FeatureTable(
        np.array(["a", "b"], dtype=object), np.ones((2, 1), np.float32), facts, ("Image_dna_b0_0000",)
    )
    write_profiles(table, tmp_path / "gaps.h5ad")
    obs = anndata.read_h5ad(tmp_path / "gaps.h5ad").obs
    assert obs["Metadata_compound"].isna().tolist() == [False, True]
    assert obs["Metadata_dose"].isna().tolist() == [False, True]
    assert obs["Metadata_kept"].tolist() == [True, False]


@pytest.mark.parametrize("name", ["wells.parquet", "wells.csv.gz"])
def test_profiles_are_features_again(wells, tmp_path, name):
    write_profiles(wells.table, tmp_path / name)
    found = read_features(tmp_path / name)
    assert found.names == wells.table.names
    assert found.ids.tolist() == wells.table.ids.tolist()
    assert found.values == pytest.approx(wells.table.values, rel=1e-5)
    if name.endswith("parquet"):
        assert found.about == json.loads(json.dumps(wells.table.about))


def test_the_screen_is_judged_plate_by_plate(wells):
    assert [(one.plate, one.compound) for one in wells.screen.separations] == [("p0", "drug"), ("p1", "drug")]
    assert all(one.z_prime > 0.7 and one.ssmd > 3 for one in wells.screen.separations)
    for one in wells.screen.responses:
        assert one.measured_on == "score"
        assert (one.wells, one.doses) == (24, 6)
        assert one.spearman > 0.9
        assert one.curve.ec50 == pytest.approx(1.0, rel=0.25)
    assert wells.screen.unit == "µM"
    assert np.median(wells.screen.distance[wells.facts.negative]) < 2 < wells.screen.distance.max()


def test_a_plate_without_controls_is_said_and_not_judged():
    table = screen_of()
    facts = table.metadata.assign(control_type=table.metadata["control_type"].replace("negcon", "trt"))
    bare = FeatureTable(table.ids, table.values, facts, table.names)
    done = make_profiles(bare, ProfilePlan(normalize="standardize"))
    assert done.screen.separations == ()
    assert done.screen.notes == (
        "no negative controls are known: name them in the plate map (role), or with --controls",
    )
    for plan in (ProfilePlan(tvn=True), ProfilePlan(normalize="standardize", on="controls")):
        with pytest.raises(InputError, match="need negative controls, and none are known"):
            make_profiles(bare, plan)


def test_without_positive_controls_the_response_is_the_distance():
    table = screen_of(plates=1)
    kept = (table.metadata["control_type"] != "poscon").to_numpy()
    done = make_profiles(table.take(kept), ProfilePlan(normalize="standardize", on="controls"))
    assert done.screen.separations == ()
    (response,) = done.screen.responses
    assert response.measured_on == "distance"
    assert response.spearman > 0.9
    assert any("no unit of the doses" in note for note in done.facts.notes)


@pytest.mark.parametrize(
    "options", [{"on": "some"}, {"sphere": True, "tvn": True}, {"components": 3}, {"barcodes": Path("b.csv")}]
)
def test_plans_that_contradict_themselves(options):
    with pytest.raises(InputError):
        ProfilePlan(**options)


def test_the_command_from_features_to_every_kind_of_file(tmp_path):
    features = screen_of(plates=1)
    bare = features.metadata[["plate", "well", "site"]]
    write_features(FeatureTable(features.ids, features.values, bare, features.names), tmp_path / "sites.parquet")
    columns = ["plate", "well", "control_type", "compound", "concentration"]
    features.metadata[columns].drop_duplicates().iloc[:-1].to_csv(tmp_path / "map.csv", index=False)
    app = typer.Typer()
    app.command()(command)
    options = ["--metadata", str(tmp_path / "map.csv"), "--dose-unit", "uM", "--normalize", "mad_robustize"]
    for name in ("wells.parquet", "wells.csv", "wells.csv.gz", "wells.h5ad"):
        call = [str(tmp_path / "sites.parquet"), "--output", str(tmp_path / name), *options, "--json"]
        done = CliRunner().invoke(app, call)
        assert done.exit_code == 1  # a well is missing from the map
        said = json.loads(done.stdout)
        assert said["steps"][1]["wells_not_in_map"] == ["p0/C12"]
        assert said["name"] == "wells_mean_madrobustize"
        assert said["screen"]["separations"][0]["z_prime"] > 0.7
        assert (tmp_path / name).is_file()
    plain = CliRunner().invoke(
        app, [str(tmp_path / "sites.parquet"), "--output", str(tmp_path / "x.parquet"), *options]
    )
    assert "Z'" in plain.stdout
    assert "p0/C12" in plain.stdout
    with pytest.raises(InputError, match="belong to a report"):
        call = [str(tmp_path / "sites.parquet"), "--output", str(tmp_path / "x.parquet"), "--images", "x"]
        CliRunner().invoke(app, call, catch_exceptions=False)
    with pytest.raises(InputError, match="written as"):
        CliRunner().invoke(app, [str(tmp_path / "sites.parquet"), "--output", "wells.xlsx"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--output", "wells.csv"], "is read"),
        (["--output", "other.csv", "--metadata", "./other.csv"], "is read"),
        (["--output", "other.csv", "--record", "other.csv"], "is written"),
    ],
)
def test_no_file_is_written_over_another_of_the_same_command(tmp_path, monkeypatch, options, why):
    monkeypatch.chdir(tmp_path)
    content = "Metadata_Plate,Metadata_Well,Cells_Area\np,A01,1\np,A02,2\n"
    for name in ("wells.csv", "other.csv"):
        Path(name).write_text(content)
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, ["wells.csv", *options])
    assert isinstance(done.exception, InputError), done.output
    assert f"csv {why} by the same command" in str(done.exception)
    assert Path("wells.csv").read_text() == Path("other.csv").read_text() == content


def test_help_needs_no_heavy_imports():
    code = "import sys, cytoimagenet_hf.cli.profile; print('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
