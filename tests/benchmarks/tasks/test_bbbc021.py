"""BBBC021: its tables, its files, ready profiles."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.benchmarks import BENCHMARKS, RECIPES, load_recipe
from cytoimagenet_hf.benchmarks.tasks.bbbc021 import BBBC021
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import read_features

PUBLISHED, CORRECTED = RECIPES["published"], RECIPES["corrected"]


@pytest.fixture
def root(tmp_path):
    """Two plates, four compounds of two mechanisms, DMSO, one compound without annotation; no image files."""
    rows = []
    for week, plate in (("Week1", "Week1_1"), ("Week2", "Week2_2")):
        for well, (compound, dose) in enumerate(
            [("a", 0.3), ("b", 1), ("c", 3.0), ("d", 10), ("DMSO", 0), ("DMSO", 0), ("unknown", 1)]
        ):
            row = {
                "Image_Metadata_Plate_DAPI": plate,
                "Image_Metadata_Well_DAPI": f"B{well + 2:02d}",
                "Replicate": 1,
                "Image_Metadata_Compound": compound,
                "Image_Metadata_Concentration": dose,
            }
            for stain, wave in (("DAPI", "w1"), ("Tubulin", "w2"), ("Actin", "w4")):
                row[f"Image_FileName_{stain}"] = f"{plate}_{well}_{wave}.tif"
                row[f"Image_PathName_{stain}"] = f"{week}/{plate}"
            rows.append(row)
    pd.DataFrame(rows).to_csv(tmp_path / "BBBC021_v1_image.csv", index=False)
    (tmp_path / "BBBC021_v1_moa.csv").write_text(
        '"compound",concentration,"moa"\n"a",0.300000,"x"\n"b",1.000000,"x"\n'
        '"c",3.000000,"y"\n"d",10.000000,"y"\n"DMSO",0.000000,"DMSO"\n'
    )
    return tmp_path


def test_concentrations_are_joined_as_numbers_and_controls_follow_the_recipe(root):
    published = BBBC021.load(root, PUBLISHED, images=False)
    corrected = BBBC021.load(root, CORRECTED, images=False)
    assert (len(published), len(corrected)) == (8, 12)
    first = published[0]
    assert first.id == "Week1_1/Week1_1_0_w1"
    assert [plane.path.name for (plane,) in first.planes] == [
        "Week1_1_0_w1.tif",
        "Week1_1_0_w2.tif",
        "Week1_1_0_w4.tif",
    ]
    assert [first.metadata[name] for name in ("label", "treatment", "batch")] == ["x", "a at 0.3", "Week1"]


def test_missing_files_say_what_and_where_to_get_it(root):
    with pytest.raises(InputError, match=r"24 image files of 2 plates.*bbbc\.broadinstitute\.org"):
        BBBC021.load(root, PUBLISHED)
    (root / "BBBC021_v1_moa.csv").unlink()
    with pytest.raises(InputError, match=r"moa\.csv is missing.*download"):
        BBBC021.load(root, PUBLISHED, images=False)


def test_a_treatment_with_two_mechanisms_is_refused(root):
    with open(root / "BBBC021_v1_moa.csv", "a") as handle:
        handle.write('"a",0.3,"y"\n')
    with pytest.raises(InputError, match="same treatment"):
        BBBC021.load(root, PUBLISHED, images=False)


def test_a_table_that_names_files_outside_the_root_is_refused(root):
    table = pd.read_csv(root / "BBBC021_v1_image.csv")
    table["Image_PathName_DAPI"] = "../../etc"
    table.to_csv(root / "BBBC021_v1_image.csv", index=False)
    with pytest.raises(InputError, match="outside"):
        BBBC021.load(root, PUBLISHED, images=False)


def profiles(root, tmp_path, values, keep=slice(None)):
    image = pd.read_csv(root / "BBBC021_v1_image.csv")
    table = pd.DataFrame(
        {
            "Image_Metadata_Plate": image["Image_Metadata_Plate_DAPI"],
            "Image_Metadata_Well": image["Image_Metadata_Well_DAPI"],
        }
    )
    for number, column in enumerate(np.array(values, float).T):
        table[f"Cells_F{number}"] = column
    table.iloc[keep].to_csv(tmp_path / "profiles.csv", index=False)
    return read_features(tmp_path / "profiles.csv")


def scored(root, table, scaler):
    """The items of a profile table, and their score by one scaler."""
    recipe = load_recipe("corrected", scaler=scaler)
    items = BBBC021.profile_items(root, recipe, table)
    (score,) = BBBC021.score(table, items, recipe, 0)
    return items, score


def test_profiles_of_wells_are_scored_raw_over_all_and_by_the_controls_of_each_plate(root, tmp_path):
    # a (x) and c (y) lie on plate 1, b (x) and d (y) on plate 2, far out at 61 degrees. Raw, b and d find each other
    # (wrong) and a at 0 degrees b, c at 90 degrees d (right). The DMSO of each plate takes the offset away.
    effect = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [0.01, 0], [-0.01, 0.01], [0, 0]])
    offset = np.array([[500.0, 900.0]])
    keep = [0, 2, 4, 5, 8, 10, 11, 12]
    table = profiles(root, tmp_path, np.vstack([effect, effect + offset]), keep=keep)
    shares = {}
    for scaler in ("none", "all", "controls"):
        items, score = scored(root, table, scaler)
        assert score.details["treatments"] == 4
        assert score.details["compounds"] == 4
        shares[scaler] = score.correct.mean()
    assert shares["controls"] == 1.0
    assert shares["none"] == 0.5
    assert len(items) == 8  # DMSO stays for the scaler; the compound without mechanism does not


def test_the_record_says_which_rows_the_scaler_saw_and_shows_the_published_one_beside(root, tmp_path):
    table = profiles(root, tmp_path, np.random.default_rng(0).normal(size=(14, 3)))
    rows, shares = {}, {}
    for scaler in ("all", "all-with-controls", "controls-shrunk"):
        _, score = scored(root, table, scaler)
        rows[scaler] = (score.details["scaler_rows"], score.details["scaler_saw_controls"])
        shares[scaler] = score.details.get("published_scaler", {}).get("nsc", score.correct.mean())
    assert rows == {"all": (8, False), "all-with-controls": (12, True), "controls-shrunk": (4, True)}
    assert len(set(shares.values())) == 1  # beside each stands the same published result


def test_profiles_with_unknown_wells_or_columns_are_refused(root, tmp_path):
    table = profiles(root, tmp_path, np.ones((14, 1)))
    with pytest.raises(InputError, match=r"14 profile rows.*'Week1_1', well 'Z99'"):
        BBBC021.profile_items(root, PUBLISHED, replace(table, metadata=table.metadata.assign(well="Z99")))
    with pytest.raises(InputError, match="plate and well"):
        BBBC021.profile_items(root, PUBLISHED, replace(table, metadata=table.metadata.drop(columns="well")))


def test_simulated_set_scores_perfectly_on_features_of_the_class(simulated, class_features):
    table = class_features("bbbc021", noise=0.0)
    recipe = load_recipe("published")
    items = BENCHMARKS["bbbc021"].load(simulated / "bbbc021", recipe)
    (score,) = BENCHMARKS["bbbc021"].score(table, items, recipe, 0)
    assert score.correct.all()
    assert score.cluster_name == "compound"
    with pytest.raises(InputError, match="no features for"):
        BENCHMARKS["bbbc021"].score(table.take(np.arange(3)), items, recipe, 0)


@pytest.mark.real
@pytest.mark.parametrize("scaler", ["none", "all", "all-with-controls", "controls", "controls-shrunk"])
def test_the_real_tables_give_103_treatments_of_38_compounds_in_12_mechanisms(real_root, tmp_path, scaler):
    root = real_root / "bbbc021"
    image = pd.read_csv(root / "BBBC021_v1_image.csv.gz")
    wells = image[["Image_Metadata_Plate_DAPI", "Image_Metadata_Well_DAPI"]].drop_duplicates()
    wells.columns = ["Image_Metadata_Plate", "Image_Metadata_Well"]
    values = np.random.default_rng(0).normal(size=(len(wells), 6))
    frame = wells.assign(**{f"Cells_{n}": values[:, n] for n in range(6)})
    frame.to_csv(tmp_path / "wells.csv", index=False)
    table = read_features(tmp_path / "wells.csv")
    items, score = scored(root, table, scaler)
    details = score.details
    assert (details["treatments"], details["compounds"], details["classes"]) == (103, 38, 12)
    assert details["unscorable"] == []
    # Two mechanisms occur in one week only: the 92 treatments on which others report NSCB remain.
    assert details["nscb_treatments"] == 92
    assert details["nscb_rule"] == "week overlap"
    assert {rule: found["treatments"] for rule, found in details["nscb_by_rule"].items()} == {
        "week overlap": 92,
        "other week set": 92,
        "disjoint weeks": 91,
        "disjoint plates": 97,
        "other plate set": 98,
    }
    saw = {"none": 0, "all": len(items), "all-with-controls": len(items)}
    assert details["scaler"] == scaler
    assert details["scaler_saw_controls"] == (scaler not in ("none", "all"))
    if scaler in saw:
        assert details["scaler_rows"] == saw[scaler]
    assert ("published_scaler" in details) == (scaler != "all")
