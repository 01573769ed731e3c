"""Tables of text are counted before they are parsed."""

import gzip
import io

import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import textrows
from cytoimagenet_hf.tables.tabular import read_table


def test_rows_and_bytes_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(textrows, "MAX_ROWS", 3)
    monkeypatch.setattr(textrows, "MAX_BYTES", 9)
    textrows._require_bounded(tmp_path, io.BytesIO(b"a\nb\nc\n"))
    with pytest.raises(InputError, match="more than 3 rows"):
        textrows._require_bounded(tmp_path, io.BytesIO(b"a\nb\nc\nd\n"))
    with pytest.raises(InputError, match="more than 9 bytes"):
        textrows._require_bounded(tmp_path, io.BytesIO(b"a,b,c,d,e,"))


def test_a_small_packed_file_of_very_many_rows_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    table = tmp_path / "map.csv.gz"
    table.write_bytes(gzip.compress(b"well,gene\n" + b"A01,x\n" * 200_000))
    assert len(read_table(table)) == 200_000
    monkeypatch.setattr(textrows, "MAX_ROWS", 100_000)
    monkeypatch.setattr(textrows, "_parsed", lambda *given: pytest.fail("it is parsed"))
    with pytest.raises(InputError, match=r"map\.csv\.gz holds more than 100,000 rows"):
        read_table(table)
