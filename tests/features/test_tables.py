import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features.tables import (
    as_matrix,
    feature_names,
    join_features,
    make_table,
    metadata_of,
    read_features,
    write_features,
)


def table(ids, width=2, start=0, **metadata) -> pa.Table:
    rows = np.arange(start, start + len(ids) * width, dtype=np.float32).reshape(len(ids), width)
    return make_table(list(ids), rows, metadata)


@given(st.permutations(range(5)), st.permutations(range(5)))
def test_joining_follows_ids_whatever_the_order_of_rows(left, right) -> None:
    first = make_table([f"id{k}" for k in left], np.float32([[k, -k] for k in left]), {"channels": ["dna", "actin"]})
    second = make_table([f"id{k}" for k in right], np.float32([[10 * k] for k in right]), {"channels": ["dna"]})
    joined = join_features([first, second])
    assert joined["id"].to_pylist() == [f"id{k}" for k in left]
    assert as_matrix(joined).tolist() == [[k, -k, 10 * k] for k in left]
    assert feature_names(joined) == ["1:dna_0000", "1:actin_0000", "2:dna_0000"]


def test_joining_refuses_ids_that_are_missing_or_repeated() -> None:
    with pytest.raises(InputError, match=r"lacks 1 ids of the first \(b\) and has 1 others \(c\)"):
        join_features([table("ab"), table("ac")])
    repeated = pa.concat_tables([table("a"), table("a")])
    with pytest.raises(InputError, match="more than once, such as 'a'"):
        join_features([repeated, table("a")])
    with pytest.raises(InputError, match="no feature tables"):
        join_features([])


def test_file_and_back(tmp_path) -> None:
    for dtype in (np.float32, np.float16):
        written = make_table(["a", "b"], np.array([[0.5, 1], [2, 3]], dtype), {"model": "x"})
        write_features(written, tmp_path / "features.parquet")
        read = read_features(tmp_path / "features.parquet")
        assert read.equals(written)
        assert metadata_of(read) == {"model": "x"}
        assert as_matrix(read).dtype == np.float32
    assert as_matrix(read[1:]).tolist() == [[2, 3]]


def test_shards_are_read_as_one_table(tmp_path) -> None:
    write_features(table("ab", model="x"), tmp_path / "features-00000-of-00002.parquet")
    with pytest.raises(InputError, match="1 of 2 shards"):
        read_features(tmp_path)
    write_features(table("cd", start=4, model="x"), tmp_path / "features-00001-of-00002.parquet")
    assert as_matrix(read_features(tmp_path)).tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    write_features(table("cd", model="y"), tmp_path / "features-00001-of-00002.parquet")
    with pytest.raises(InputError, match="another model"):
        read_features(tmp_path)
    write_features(table("bc", model="x"), tmp_path / "features-00001-of-00002.parquet")
    with pytest.raises(InputError, match="'b'"):
        read_features(tmp_path)


def test_other_files_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no feature table"):
        read_features(tmp_path)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="columns are x"):
        read_features(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="3 ids for 2 rows"):
        make_table(["a", "b", "c"], np.zeros((2, 1), np.float32), {})
