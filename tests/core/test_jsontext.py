"""JSON from outside: what is sound is read as the standard library does, the rest is one line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.jsontext import MOST_LEVELS, parse_json, read_json_file

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.sampled_from(["utf-8", "utf-16", "utf-32", "utf-8-sig"]))
def test_what_others_write_is_read(value, encoding) -> None:
    text = json.dumps(value)
    assert parse_json(text, where="x") == parse_json(text.encode(encoding), where="x") == value


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"b":'])
@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 400, 100_000])
def test_deep_nesting_is_refused_whether_or_not_it_ends(opening, levels) -> None:
    closing = "".join({"[": "]", "{": "}"}[sign] for sign in reversed(opening) if sign in "[{")
    for text in (opening * levels, opening * levels + "1" + closing * levels):
        with pytest.raises(InputError, match=r"z\.json is not readable JSON"):
            parse_json(text, where="z.json")


def test_brackets_in_text_are_no_levels() -> None:
    text = json.dumps(["[" * 500 + '"\\' + "{" * 500] * 300)
    assert parse_json(text, where="x") == json.loads(text)
    wide = json.dumps([[1], {"a": [2]}] * 500)
    assert parse_json(wide, where="x") == json.loads(wide)


@pytest.mark.parametrize("text", ["", "{", "[1,]", b"\xff\xfe\xff", b"\x80", "9" * 5000, "nul"])
def test_what_is_no_json_is_one_line(text) -> None:
    with pytest.raises(InputError, match="not readable JSON"):
        parse_json(text, where="x")


def test_a_file_is_named(tmp_path) -> None:
    (tmp_path / "a.json").write_text("[" * 300)
    with pytest.raises(InputError, match=r"a\.json is not readable JSON: nested"):
        read_json_file(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError):
        read_json_file(tmp_path / "b.json")
