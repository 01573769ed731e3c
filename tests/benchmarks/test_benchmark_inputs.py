"""Feature tables: read from three forms, joined by id, refused with names."""

import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.benchmarks import FeatureTable, read_feature_table
from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features.tables import make_table, write_features


def table(ids, values):
    return FeatureTable("model", np.array(ids, dtype=object), np.array(values, float))


def test_rows_come_in_the_order_asked_for():
    found = table(["a", "b", "c"], [[1], [2], [3]]).rows(["c", "a"])
    assert found.tolist() == [[3], [1]]


def test_extracted_parquet_is_read_by_id(tmp_path):
    write_features(make_table(["x", "y"], np.float32([[1, 2], [3, 4]]), {"model": "m"}), tmp_path / "net.parquet")
    found = read_feature_table(tmp_path / "net.parquet")
    assert found.name == "net"
    assert found.rows(["y"]).tolist() == [[3, 4]]
    assert found.about["model"] == "m"


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
def test_wide_tables_with_an_id_column(tmp_path, form):
    frame = pd.DataFrame({"id": ["a", "b"], "f1": [0.5, 1.5], "f2": [2, 3], "ImageNumber": [7, 8]})
    path = tmp_path / f"wide.{form}"
    frame.to_parquet(path) if form == "parquet" else frame.to_csv(path, index=False)
    found = read_feature_table(path)
    assert found.values.tolist() == [[0.5, 2.0], [1.5, 3.0]]
    assert found.about["features"] == ["f1", "f2"]
    assert not found.is_profile


@pytest.mark.parametrize("prefix", ["Metadata_", "Image_Metadata_"])
def test_cellprofiler_profiles_name_wells_and_keep_other_columns_as_features(tmp_path, prefix):
    pd.DataFrame(
        {
            f"{prefix}Plate": ["p1", "p1"],
            f"{prefix}Well": ["A01", "A02"],
            f"{prefix}Concentration": [0.3, 3.0],
            "TableNumber": [1, 1],
            "Image_FileName_DAPI": ["x.tif", "y.tif"],
            "Nuclei_AreaShape_Area": [100.0, 90.0],
            "Cells_Texture": [0.1, 0.2],
        }
    ).to_csv(tmp_path / "profiles.csv", index=False)
    found = read_feature_table(tmp_path / "profiles.csv")
    assert found.is_profile
    assert found.ids.tolist() == ["p1/A01", "p1/A02"]
    assert found.about["features"] == ["Nuclei_AreaShape_Area", "Cells_Texture"]
    assert {"plate", "well", "concentration"} <= set(found.metadata.columns)


def test_duplicates_missing_ids_and_bad_values_are_named():
    with pytest.raises(InputError, match=r"more than once.*'a'"):
        table(["a", "b", "a"], [[1], [2], [3]])
    with pytest.raises(InputError, match=r"1 of 2 items.*'z'"):
        table(["a", "b"], [[1], [2]]).rows(["a", "z"])
    with pytest.raises(InputError, match=r"NaN or infinite.*'b'"):
        table(["a", "b"], [[1, 1], [2, np.nan]])
    with pytest.raises(InputError, match=r"columns \[1\].*'a'"):
        table(["a", "b"], [[1, np.inf], [2, 1]])
    with pytest.raises(InputError, match="shape"):
        table([], np.zeros((0, 3)))


@pytest.mark.parametrize(
    ("content", "message"), [("id,label\na,x\n", "no numeric"), ("f1,f2\n1,2\n", "Metadata_Plate")]
)
def test_tables_without_features_or_ids_are_refused(tmp_path, content, message):
    (tmp_path / "odd.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_feature_table(tmp_path / "odd.csv")
    with pytest.raises(InputError, match="no file"):
        read_feature_table(tmp_path / "absent.csv")


def test_fingerprint_depends_on_ids_and_values():
    one = table(["a", "b"], [[1], [2]])
    assert one.fingerprint == table(["a", "b"], [[1], [2]]).fingerprint
    assert one.fingerprint != table(["a", "c"], [[1], [2]]).fingerprint
    assert one.fingerprint != table(["a", "b"], [[1], [3]]).fingerprint
