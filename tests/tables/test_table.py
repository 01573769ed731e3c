"""The one feature table: rows by id, joins that refuse to guess, and every form on disk."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import FeatureTable, join_features, make_table, read_features, write_features

COLUMNS = {"plate": ["p1", "p1"], "well": ["A01", "B02"], "site": [1, 2], "compound": ["dmso", None]}


def table(ids, width=2, start=0, **about) -> FeatureTable:
    values = np.arange(start, start + len(ids) * width, dtype=np.float32).reshape(len(ids), width)
    return make_table(list(ids), values, about=about)


def test_rows_come_in_the_order_asked_for_with_their_metadata():
    found = make_table(["a", "b", "c"], [[1], [2], [3]], {"well": ["A01", "A02", "A03"]}).rows(["c", "a"])
    assert found.values.tolist() == [[3], [1]]
    assert found.metadata["well"].tolist() == ["A03", "A01"]
    assert found.take(np.array([True, False])).ids.tolist() == ["c"]
    with pytest.raises(InputError, match=r"1 of 2 ids.*'z'"):
        found.rows(["a", "z"])


@given(st.permutations(range(5)), st.permutations(range(5)))
def test_joining_follows_ids_whatever_the_order_of_rows(left, right):
    first = make_table([f"id{k}" for k in left], [[k, -k] for k in left], {"well": [f"w{k}" for k in left]})
    second = make_table([f"id{k}" for k in right], [[10 * k] for k in right], {"site": list(right)}, names=["b_0000"])
    joined = join_features([first, second])
    assert joined.ids.tolist() == [f"id{k}" for k in left]
    assert joined.values.tolist() == [[k, -k, 10 * k] for k in left]
    assert joined.names == ("Image_all_x_0000", "Image_all_x_0001", "b_0000")
    assert joined.metadata.to_dict("list") == {"well": [f"w{k}" for k in left], "site": list(left)}


def test_joining_refuses_other_ids_and_facts_that_disagree():
    with pytest.raises(InputError, match=r"lacks 1 ids of the first \(b\) and has 1 others \(c\)"):
        join_features([table("ab"), table("ac")])
    with pytest.raises(InputError, match="no feature tables"):
        join_features([])
    one, other = make_table(["a"], [[1]], {"well": ["A01"]}), make_table(["a"], [[1]], {"well": ["B01"]})
    with pytest.raises(InputError, match=r"well of 1 ids differs.*'A01' and 'B01'"):
        join_features([one, other])
    assert join_features([one, one]).names == ("Image_all_x_0000", "Image_all_x_0000_2")


def test_wrong_parts_are_named():
    with pytest.raises(InputError, match=r"more than once.*'a'"):
        make_table(["a", "b", "a"], [[1], [2], [3]])
    with pytest.raises(InputError, match=r"NaN or infinite.*'b'.*x_0001"):
        make_table(["a", "b"], [[1, 1], [2, np.inf]])
    with pytest.raises(InputError, match="3 ids"):
        make_table(["a", "b", "c"], np.zeros((2, 1)))
    with pytest.raises(InputError, match="1 names for 2"):
        make_table(["a"], np.zeros((1, 2)), names=["x"])


@pytest.mark.parametrize("packed", [True, False])
def test_arrow_and_back(packed):
    written = make_table(["x", "y"], np.float32([[0.5, 1], [2, 3]]), COLUMNS, about={"model": "m"})
    arrow = written.to_arrow(packed=packed)
    assert arrow.column_names[:5] == ["id", "Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_compound"]
    read = FeatureTable.from_arrow(arrow)
    assert (read.ids.tolist(), read.values.tolist()) == (written.ids.tolist(), written.values.tolist())
    assert (read.names, read.about) == (written.names, {"model": "m"})
    assert read.metadata["site"].tolist() == [1, 2]
    assert read.metadata["compound"].isna().tolist() == [False, True]
    assert list(read.to_pandas().columns) == [*arrow.column_names[:5], *written.names]


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.csv.gz"])
def test_files_of_one_column_per_feature_come_back_and_open_in_pandas(tmp_path, name):
    written = make_table(["x", "y"], np.float32([[0.5, 1], [2, 3]]), COLUMNS)
    write_features(written, tmp_path / name)
    read = read_features(tmp_path / name)
    assert (read.ids.tolist(), read.values.tolist(), read.names) == (["x", "y"], [[0.5, 1], [2, 3]], written.names)
    assert read.metadata["well"].tolist() == ["A01", "B02"]
    frame = pd.read_parquet(tmp_path / name) if name.endswith("parquet") else pd.read_csv(tmp_path / name)
    assert frame["Image_all_x_0001"].tolist() == [1, 3]
    first = (tmp_path / name).read_bytes()
    write_features(written, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_half_precision_comes_back_as_float32():
    read = FeatureTable.from_arrow(table("ab").to_arrow(packed=True, dtype=np.float16))
    assert read.values.dtype == np.float32
    assert read.values.tolist() == [[0, 1], [2, 3]]


def shard(folder, number, of, ids, start=0, width=2, **about):
    arrow = table(ids, width=width, start=start, **about).to_arrow(packed=True)
    pq.write_table(arrow, folder / f"features-{number:05d}-of-{of:05d}.parquet")


def test_shards_are_read_as_one_table(tmp_path):
    shard(tmp_path, 0, 2, "ab", model="x")
    with pytest.raises(InputError, match="1 of 2 shards"):
        read_features(tmp_path)
    shard(tmp_path, 1, 2, "cd", start=4, model="x")
    (tmp_path / "_extraction.json").write_text("{}")
    assert read_features(tmp_path).values.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert len(pd.read_parquet(tmp_path)) == 4
    shard(tmp_path, 1, 2, "cd", model="y")
    with pytest.raises(InputError, match="another model"):
        read_features(tmp_path)
    shard(tmp_path, 1, 2, "cd", width=3, model="x")
    with pytest.raises(InputError, match="3 features, not 2"):
        read_features(tmp_path)
    shard(tmp_path, 1, 2, "bc", model="x")
    with pytest.raises(InputError, match="'b'"):
        read_features(tmp_path)
    (tmp_path / "features-00001-of-00002.parquet").unlink()
    shard(tmp_path, 1, 3, "cd", model="x")
    with pytest.raises(InputError, match="2 extractions"):
        read_features(tmp_path)


@pytest.mark.parametrize("form", ["csv", "csv.gz", "tsv", "parquet"])
def test_wide_tables_with_an_id_column(tmp_path, form):
    frame = pd.DataFrame({"id": ["a", "b"], "f1": [0.5, 1.5], "f2": [2, 3], "ImageNumber": [7, 8], "note": ["x", "y"]})
    path = tmp_path / f"wide.{form}"
    frame.to_parquet(path) if form == "parquet" else frame.to_csv(
        path, index=False, sep="\t" if form == "tsv" else ","
    )
    found = read_features(path)
    assert found.values.tolist() == [[0.5, 2.0], [1.5, 3.0]]
    assert found.names == ("f1", "f2")
    assert list(found.metadata) == ["imagenumber", "note"]


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
    found = read_features(tmp_path / "profiles.csv")
    assert found.ids.tolist() == ["p1/A01", "p1/A02"]
    assert found.names == ("Nuclei_AreaShape_Area", "Cells_Texture")
    assert {"plate", "well", "Concentration"} <= set(found.metadata.columns)


def test_columns_with_nan_are_named_or_left_out_on_request(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "good": [1.0, 2.0], "bad": [np.nan, 1.0], "worse": [np.inf, 1.0]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"2 of 3 feature columns.*'bad', 'worse'.*'a'.*drop_nan"):
        read_features(tmp_path / "t.csv")
    found = read_features(tmp_path / "t.csv", drop_nan=True)
    assert found.names == ("good",)
    (step,) = found.about["steps"]
    assert (step["step"], step["dropped"]) == ("drop_nan", ["bad", "worse"])
    frame[["id", "bad", "worse"]].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match="all 2 feature columns"):
        read_features(tmp_path / "t.csv", drop_nan=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,f\na,1\n,2\n", "1 rows have no id, row 2 first"),
        ("plate,well,f\np,A01,1\n,A02,2\np,,3\n", "2 rows have no plate or no well, row 2 first"),
        ("plate,well,site,f\np,A01,,1\n", "no plate or no well or no site"),
    ],
)
def test_rows_without_an_id_are_refused(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_features(tmp_path / "t.csv")


def test_a_fact_stated_twice_must_agree(tmp_path):
    frame = pd.DataFrame(
        {
            "Metadata_Plate": ["p", "p"],
            "Image_Metadata_Plate": ["p", "p"],
            "Metadata_Well": ["A01", "A02"],
            "f": [1.0, 2.0],
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    found = read_features(tmp_path / "t.csv")
    assert found.metadata.to_dict("list") == {"plate": ["p", "p"], "well": ["A01", "A02"]}
    frame["Image_Metadata_Plate"] = ["p", "q"]
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"Metadata_Plate and Image_Metadata_Plate .* plate .* row 2 \(p and q\)"):
        read_features(tmp_path / "t.csv")


def test_a_table_of_this_package_that_lost_a_feature_is_refused(tmp_path):
    write_features(table("ab"), tmp_path / "t.parquet")
    whole = pq.read_table(tmp_path / "t.parquet")
    pq.write_table(whole.drop_columns(whole.column_names[-1]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet: 1 of 2 features have no column"):
        read_features(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("content", "message"), [("id,label\na,x\n", "no numeric"), ("f1,f2\n1,2\n", "Metadata_Plate"), ("", "empty")]
)
def test_tables_without_features_or_ids_are_refused(tmp_path, content, message):
    (tmp_path / "odd.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_features(tmp_path / "odd.csv")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no feature table"):
        read_features(tmp_path)
    with pytest.raises(InputError, match="not a file"):
        read_features(tmp_path / "absent.csv")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="Metadata_Plate"):
        read_features(tmp_path / "other.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(InputError, match=r"cut\.parquet"):
        read_features(tmp_path / "cut.parquet")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((b"cytoimagenet_features", value) for value in (b"[1]", b"3", b"{", b"[" * 100_000)),
        *((b"cytoimagenet_names", value) for value in (b"[1]", b"3", b"{", b'{"a": 1}', b'[["x", 1e400]]')),
        *((b"cytoimagenet_names", value) for value in (b'[["x", 1000000000000]]', b'[["x", -1]]', b"null")),
    ],
)
def test_damaged_metadata_of_a_feature_table_is_refused_at_once(tmp_path, key, value):
    stored = make_table(["a"], [[0.5]]).to_arrow()
    pq.write_table(stored.replace_schema_metadata(stored.schema.metadata | {key: value}), tmp_path / "f.parquet")
    with pytest.raises(InputError, match=rf"f\.parquet.*{key.decode()}"):
        read_features(tmp_path / "f.parquet")


def test_values_that_float16_cannot_hold_are_refused_with_their_number():
    made = make_table(["a", "b"], np.array([[1.0, 70_000.0], [-1e9, 2.0]], np.float32))
    with pytest.raises(InputError, match=r"2 of 4 values are larger than float16 holds \(65,504\), such as 7e\+04"):
        made.to_arrow(packed=True, dtype=np.float16)
    fits = make_table(["a"], np.array([[65_504.0]], np.float32)).to_arrow(packed=True, dtype=np.float16)
    assert fits["features"].to_pylist() == [[65_504.0]]


WIDE = "Metadata_Plate,Metadata_Well,Metadata_gene,Cells_Area,Cells_Form\n"


def test_wide_tables_keep_identities_and_spell_wells(tmp_path):
    (tmp_path / "t.csv").write_text(WIDE + "0012,A1,NA,1,5\n0012,a 02,00123,2,6\n")
    found = read_features(tmp_path / "t.csv")
    assert found.ids.tolist() == ["0012/A01", "0012/A02"]
    assert found.metadata.to_dict("list") == {"plate": ["0012"] * 2, "well": ["A01", "A02"], "gene": ["NA", "00123"]}
    frame = pd.DataFrame(
        {"Plate Barcode": [12.0, 12.0], "Row": ["A", "B"], "Col": [1, 2], "dose_uM": [1, 3], "f": [1, 2]}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    found = read_features(tmp_path / "t.parquet")
    assert (found.ids.tolist(), found.names) == (["12/A01", "12/B02"], ("f",))
    assert found.metadata["dose_uM"].tolist() == [1, 3]


def test_time_points_tell_rows_of_a_well_apart_and_what_nothing_tells_apart_is_refused(tmp_path):
    rows = pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": "A1", "Metadata_T": [1, 2], "Cells_A": [1, 2]})
    rows.to_csv(tmp_path / "t.csv", index=False)
    assert read_features(tmp_path / "t.csv").ids.tolist() == ["P/A01/1", "P/A01/2"]
    rows.assign(Metadata_T=1).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"t.csv: 2 rows share plate, well, T with another, .* 'P/A01/1': .*`id`"):
        read_features(tmp_path / "t.csv")


def test_kinds_of_parquet_that_are_neither_text_nor_floats(tmp_path):
    columns = {
        "Metadata_Plate": pa.array([b"P1", b"P1"]),
        "Metadata_Well": ["A01", "A02"],
        "Metadata_tags": [["x", "y"], None],
        "Cells_Area": [Decimal("1.5"), Decimal("2.5")],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found = read_features(tmp_path / "t.parquet")
    assert (found.ids.tolist(), found.names, found.values.tolist()) == (
        ["P1/A01", "P1/A02"],
        ("Cells_Area",),
        [[1.5], [2.5]],
    )
    assert found.metadata["tags"].isna().tolist() == [False, True]


@pytest.mark.parametrize("cell", ["#DIV/0!", "0,5", "remark", "#NUM!"])
def test_text_in_a_column_of_features_is_refused_with_the_cell(tmp_path, cell):
    cells = ["1.5", "2.5", cell, "3"]
    rows = [f'p,A0{n},g,"{text}",{n}\n' for n, text in enumerate(cells, 1)]
    (tmp_path / "t.csv").write_text(WIDE + "".join(rows))
    with pytest.raises(InputError, match=rf"has 1 cell that is not a number, '{cell}' in row 3.*--drop-nan"):
        read_features(tmp_path / "t.csv")
    found = read_features(tmp_path / "t.csv", drop_nan=True)
    assert found.names == ("Cells_Form",)
    assert "Cells_Area" in found.about["steps"][0]["notes"][0]


def test_decimal_commas_of_features(tmp_path):
    text = WIDE.replace(",", ";") + "p;A01;g;1,5;0,25\np;A02;g;2;10,125\n"
    (tmp_path / "t.csv").write_text(text)
    assert read_features(tmp_path / "t.csv").values.tolist() == [[1.5, 0.25], [2, 10.125]]


def test_facts_of_tables_of_this_package_are_typed(tmp_path):
    facts = {"plate": [12, 12], "well": ["a1", "A02"], "dose": ["1", "0.5"]}
    write_features(make_table(["x", "y"], np.eye(2), facts), tmp_path / "t.parquet")
    found = read_features(tmp_path / "t.parquet").metadata
    assert found.to_dict("list") == {"plate": ["12", "12"], "well": ["A01", "A02"], "dose": [1.0, 0.5]}
    one = make_table(["x"], [[1.0]], {"dose": ["1"]})
    joined = join_features([one, make_table(["x"], [[2.0]], {"dose": ["1.0"]})])
    assert joined.metadata["dose"].tolist() == ["1"]
