import bz2
import gzip
import io
import lzma
import string
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import tabular
from cytoimagenet_hf.tables.tabular import read_names, read_table, read_typed
from tests.tables.workbooks import workbook

TEXT = "plate,well,gene\np1,1E02,NA\np1,B01,\n"
ROWS = [["p1", "1E02", "NA"], ["p1", "B01", None]]


def rows_of(frame: pd.DataFrame) -> list[list[object]]:
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist()


def zipped(content: bytes, names: tuple[str, ...] = ("map.csv",)) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace(",", ";").encode(),
        ("\n\n" + TEXT + "\n,,\n").encode(),
        ("sep=;\r\n" + TEXT.replace(",", ";")).encode(),
        ("  \n" + TEXT).encode(),
        TEXT.replace(",", ", ").replace(", ", ",").replace("\n", ",\n").replace("gene,", "gene").encode(),
        gzip.compress(TEXT.encode(), mtime=0),
        bz2.compress(TEXT.encode()),
        lzma.compress(TEXT.encode()),
        zipped(TEXT.encode()),
    ],
)
@pytest.mark.parametrize("name", ["map.csv", "map.csv.gz", "map"])
def test_one_table_in_many_clothes(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    table = read_table(tmp_path / name, required=["well"])
    assert list(table.columns) == ["plate", "well", "gene"]
    assert rows_of(table) == ROWS
    assert read_names(tmp_path / name) == ["plate", "well", "gene"]


def test_parquet_under_any_name_and_as_text(tmp_path: Path) -> None:
    table = pa.table({"plate": [1, None], "well": ["A01", "A02"], "dose": [0.5, 2.0], "list": [[1], [2]]})
    pq.write_table(table, tmp_path / "map.csv")
    assert rows_of(read_table(tmp_path / "map.csv", columns=["well", "plate", "dose"])) == [
        ["A01", "1", "0.5"],
        ["A02", None, "2"],
    ]
    assert read_typed(tmp_path / "map.csv")["dose"].to_pylist() == [0.5, 2.0]
    assert [list(value) for value in read_table(tmp_path / "map.csv")["list"]] == [[1], [2]]


def test_workbooks_are_read_packed_or_not(tmp_path: Path) -> None:
    plain = workbook({"map": [["plate", "well"], ["p1", "1E02"], ["p2", "B01"]]})
    for name, content in {"map.xlsx": plain, "map.csv.gz": gzip.compress(plain), "a.zip": zipped(plain)}.items():
        (tmp_path / name).write_bytes(content)
        assert rows_of(read_table(tmp_path / name, columns=["well", "plate"])) == [["1E02", "p1"], ["B01", "p2"]]
        assert read_names(tmp_path / name) == ["plate", "well"]


def test_columns_of_a_heading_that_repeats_others(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,REF,REF,\n1,a,b,c\n")
    assert rows_of(read_table(tmp_path / "t.csv", columns=["id"])) == [["1"]]
    assert rows_of(read_table(tmp_path / "t.csv", columns=[2, 0])) == [["b", "1"]]
    assert read_names(tmp_path / "t.csv") == ["id", "REF", "REF", ""]
    (tmp_path / "u.csv").write_text(",id\n0,a\n")
    assert list(read_table(tmp_path / "u.csv").columns) == ["Unnamed: 0", "id"]


def test_published_tables_with_uneven_rows_and_old_encodings(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("id,name\n1,α\n".encode() + b"2\n3,x,y\n4,z,,\n")
    with pytest.raises(InputError, match=r"t\.csv, line 4: 3 cells under a heading of 2"):
        read_table(tmp_path / "t.csv", ragged=True)
    left_out: list[tuple[int, list[str]]] = []
    table = read_table(tmp_path / "t.csv", ragged=True, long_row=lambda line, cells: left_out.append((line, cells)))
    assert rows_of(table) == [["1", "α"], ["2", None], ["4", "z"]]
    assert left_out == [(4, ["3", "x", "y"])]
    (tmp_path / "l.csv").write_bytes("id,name\n1,Müller\n".encode("latin-1"))
    assert rows_of(read_table(tmp_path / "l.csv", encoding="latin-1")) == [["1", "Müller"]]
    (tmp_path / "q.tsv").write_text('id\tname\n1\t"5 inch\n')
    assert rows_of(read_table(tmp_path / "q.tsv", quoted=False)) == [["1", '"5 inch']]


PARQUET = io.BytesIO()
pq.write_table(pa.table({"id": [1, 2], "x": ["a", "b"]}), PARQUET)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"\n \n", "is empty"),
        ("t.csv", b"id,x\n", "heading but no rows"),
        ("t.csv", b"id,x\n1,2\n1,2,3\n", r"line 3: 3 cells under a heading of 2"),
        ("t.csv", b"id,x\n1,2\n1\n", r"line 3: 1 cells under a heading of 2"),
        ("t.csv", b'id,x\n1,"a\nb"\n2,"never\n3,4\n', r"line 4: the quote .* is never closed"),
        ("t.csv", b'id,x\n1,"a"b\n', r"line 2: .*twice"),
        ("t.csv", b"id,x\n1,a\0b\n", r"line 2: a NUL byte"),
        ("t.csv", TEXT.encode("utf-16-le"), "NUL byte"),
        ("t.csv", TEXT.encode("utf-32"), "UTF-32"),
        ("t.csv", TEXT.encode("utf-16")[:20] + b"\x00\xd8\x00\xd8", "UTF-16"),
        ("t.csv", "id,x\n1,Müller\n".encode("latin-1"), r"line 2, byte 4: 0xfc is not UTF-8.*iconv"),
        ("t.csv.gz", gzip.compress("id,x\n1,Müller\n".encode("latin-1"), mtime=0), r"line 2, byte 4"),
        ("t.csv", b"id,id\n1,2\n", "names id more than once"),
        ("t.csv", b"id , id,x\n1,2,3\n", "names id more than once"),
        ("t.csv", b"id,x\n1," + b"a" * 1_000_000 + b"\n", r"line 2: a cell of more than 524,288"),
        ("t.csv.gz", gzip.compress(b"id,x\n1," + b"a" * (1 << 25), mtime=0), r"line 2: longer than"),
        ("t.csv.gz", gzip.compress(TEXT.encode(), mtime=0)[:-12], "cut short"),
        ("t.csv.gz", b"\x1f\x8b\x08\x00rubbish that is not a deflate stream", "damaged"),
        ("t.zip", zipped(b"x", ("a.csv", "b.csv")), "holds 2 files"),
        ("t.zip", b"PK\x03\x04rubbish", "damaged"),
        ("t.parquet", b"id,x\n1,2\n", "is not a Parquet file"),
        ("t.parquet", PARQUET.getvalue()[:-20], "cut short"),
        ("t.parquet", b"PAR1" + PARQUET.getvalue()[4:30] + PARQUET.getvalue()[40:], "Parquet"),
        ("t.xlsx", b"PK\x03\x04rubbish", "workbook"),
        ("t.csv", b"a,b\n1,2\n", "has no column id; it has a, b"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_table(tmp_path / name, required=["id"])
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_table(tmp_path)


cells = st.text(alphabet=string.ascii_letters + string.digits + ' ,;\t"é\n.', max_size=8)


@given(st.lists(st.tuples(cells, cells, cells).filter(any), min_size=1, max_size=9))
def test_what_pandas_writes_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    pd.DataFrame(rows, columns=["one", "two", "three"]).to_csv(path, index=False)
    expected = [[cell or None for cell in row] for row in rows]
    assert rows_of(read_table(path)) == expected


def test_rows_over_several_chunks_stay_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "_CHUNK", 3)
    (tmp_path / "t.csv").write_text("n\n" + "".join(f"{number}\n" for number in range(10)))
    monkeypatch.setattr(tabular, "_parsed_at_once", lambda *_: None)
    assert read_table(tmp_path / "t.csv")["n"].tolist() == [str(number) for number in range(10)]


def ending(read: Callable[[], pd.DataFrame]) -> object:
    """Rows and heading of a table, or what is wrong with it."""
    try:
        table = read()
    except InputError as error:
        return str(error)
    return [list(table.columns), *rows_of(table)]


@given(st.text(alphabet='ab1,;"\n\r\té\0 ', max_size=40), st.sampled_from([None, ["a"], [1, 0]]))
def test_arrow_passes_nothing_that_the_strict_parser_refuses(
    tmp_path_factory: pytest.TempPathFactory, text: str, columns: list[str | int] | None
) -> None:
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    path.write_bytes(("a,b\n" + text).encode())
    fast = ending(lambda: read_table(path, columns=columns))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tabular, "_parsed_at_once", lambda *_: None)
        assert fast == ending(lambda: read_table(path, columns=columns))


def test_arrow_is_what_reads_a_plain_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text('plate,well,compound\np1,A01,"x, y ""z"""\np1,A02,\n\n,,\np1,A03,w\n')
    monkeypatch.setattr(tabular, "_text", lambda *_: pytest.fail("the strict parser was asked"))
    assert rows_of(read_table(tmp_path / "t.csv")) == [
        ["p1", "A01", 'x, y "z"'],
        ["p1", "A02", None],
        ["p1", "A03", "w"],
    ]
    (tmp_path / "w.csv").write_bytes("id;name\n1;Müller\n".encode("cp1252"))
    assert rows_of(read_table(tmp_path / "w.csv", encoding="cp1252")) == [["1", "Müller"]]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_too_long_for_memory_goes_row_by_row_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    (tmp_path / "t.csv").write_text(mark + "id,x\n" + "a,b\n" * 5, encoding="utf-8")
    for limit in range(16, 32):
        monkeypatch.setattr(tabular, "_AT_ONCE", limit)
        assert rows_of(read_table(tmp_path / "t.csv")) == [["a", "b"]] * 5


def test_an_encoding_that_does_not_exist_or_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"id,x\n1,\x81\n")
    with pytest.raises(InputError, match="--encoding cp1252"):
        read_table(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"line 2, byte 3: 0x81 is not cp1252"):
        read_table(tmp_path / "t.csv", encoding="cp1252")
    with pytest.raises(InputError, match="encoding 'klingon' is unknown"):
        read_table(tmp_path / "t.csv", encoding="klingon")


def test_sheets_by_name_and_number(tmp_path: Path) -> None:
    sheets = {"notes": [["what", "who"], ["a plate", "me"]], "map": [["plate", "well"], ["0012", "1E02"], [12, 7.5]]}
    (tmp_path / "map.xlsx").write_bytes(workbook(sheets))
    for sheet in ("map", "2"):
        assert rows_of(read_table(tmp_path / "map.xlsx", sheet=sheet)) == [["0012", "1E02"], ["12", "7.5"]]
        assert read_names(tmp_path / "map.xlsx", sheet=sheet) == ["plate", "well"]
    assert rows_of(read_table(tmp_path / "map.xlsx")) == [["a plate", "me"]]
    with pytest.raises(InputError, match=r"no sheet 'doses'; it has notes, map"):
        read_table(tmp_path / "map.xlsx", sheet="doses")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="is not a workbook"):
        read_table(tmp_path / "t.csv", sheet="1")


def test_files_of_other_programs_are_named(tmp_path: Path) -> None:
    arrays = io.BytesIO()
    np.savez(arrays, features=np.ones((3, 4)), metadata=np.arange(3))
    for content, says in {
        b"SQLite format 3\0" + bytes(90): "SQLite database.*ExportToSpreadsheet",
        arrays.getvalue(): "arrays of NumPy.*DeepProfiler",
        b"\x89HDF\r\n\x1a\n" + bytes(90): "HDF5",
        b"\x93NUMPY\x01" + bytes(90): "array of NumPy",
    }.items():
        (tmp_path / "t").write_bytes(content)
        with pytest.raises(InputError, match=says):
            read_table(tmp_path / "t")
