import contextlib
import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from builder.recipe import RECIPES as CURATIONS
from builder.recipe import Recipe
from cytoimagenet_hf.benchmarks.recipes import RECIPES as BENCHMARKS
from cytoimagenet_hf.benchmarks.recipes import BenchmarkRecipe
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import build, check_fields, from_text, plain, read_yaml, setting
from cytoimagenet_hf.images import find_images
from cytoimagenet_hf.options.profile import ProfilePlan
from cytoimagenet_hf.options.source import SourceOptions
from cytoimagenet_hf.training import TrainConfig


@dataclass(frozen=True)
class Kit:
    count: int = setting(3, low=1, high=9)
    rate: float = setting(0.5, above=0, high=1)
    share: float = setting(0.5, above=0, below=1)
    wide: float = setting(1.0, low=0)
    active: bool = False
    word: str = "a"
    mode: str = setting("no", choices=("no", "yes", "auto"))
    kind: Literal["own", "other"] = "own"
    names: tuple[str, ...] = ("x",)
    listed: tuple[str, ...] = setting(("x", "y"), commas=True)
    scales: tuple[float, ...] = setting((0.5,), above=0, high=1)
    pairs: tuple[tuple[int, int], ...] = ((1, 2),)
    maybe: str | None = None
    number: int | None = None
    free: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self, name="kit")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("rate: 1e-3", "rate", 0.001),  # text in YAML 1.1
        ("rate: 1", "rate", 1.0),
        ("mode: no", "mode", "no"),  # False in YAML 1.1
        ("mode: yes", "mode", "yes"),
        ("names: toy_20", "names", ("toy_20",)),
        ("names: 'a, b'", "names", ("a, b",)),
        ("names: [a, b]", "names", ("a", "b")),
        ("names: []", "names", ()),
        ("listed: a, b", "listed", ("a", "b")),
        ("pairs: [[3, 4], [5, 6]]", "pairs", ((3, 4), (5, 6))),
        ("maybe: null", "maybe", None),
        ("maybe: b", "maybe", "b"),
        ("number: 4", "number", 4),
        ("free: {a: 1}", "free", {"a": 1}),
        ("active: yes", "active", True),
    ],
)
def test_what_yaml_says_is_what_was_meant(tmp_path: Path, text: str, name: str, value: object) -> None:
    (tmp_path / "kit.yaml").write_text(text)
    made = getattr(build(Kit, read_yaml(tmp_path / "kit.yaml", name="kit"), name="kit"), name)
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"cuont": 1}, r"no field 'cuont'\. Did you mean count\?$"),
        ({"zzz": 1}, r"no field 'zzz'; fields are .*free$"),
        ({"count": 2.5}, "count=2.5 has the wrong type: expected a whole number; write it like count=3"),
        ({"count": 2.0}, "expected a whole number"),
        ({"count": True}, "expected a whole number"),
        ({"count": "3"}, "expected a whole number"),
        ({"count": None}, "expected a whole number"),
        ({"count": 0}, "count is 0; it must lie between 1 and 9"),
        ({"rate": 0}, r"it must lie in \(0, 1\]"),
        ({"share": 1}, r"it must lie in \(0, 1\)"),
        ({"wide": -1}, "it must be at least 0"),
        ({"rate": float("nan")}, "finite"),
        ({"rate": "inf"}, "finite"),
        ({"rate": True}, "expected a number"),
        ({"rate": "fast"}, "expected a number"),
        ({"rate": [1]}, "expected a number"),
        ({"active": 1}, "expected true or false"),
        ({"active": "yes"}, "expected true or false"),
        ({"word": 5}, "put it in quotes"),
        ({"word": False}, "put it in quotes"),
        ({"mode": "maybe"}, "choose one of no, yes, auto"),
        ({"kind": "mine"}, "choose one of own, other"),
        ({"names": 5}, "expected a list"),
        ({"names": [1]}, "put it in quotes"),
        ({"scales": [0.5, 2]}, "must lie in"),
        ({"pairs": [[1]]}, "expected 2 values"),
        ({"pairs": [[1, True]]}, "whole number"),
        ({"free": [1]}, "key: value"),
        ({"names": "x" * 10**7}, None),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(values: dict[str, Any], says: str | None) -> None:
    if says is None:
        assert build(Kit, values, name="kit").names
        return
    with pytest.raises(InputError, match=says) as caught:
        build(Kit, values, name="kit")
    assert len(str(caught.value)) < 500
    if next(iter(values)) in Kit.__dataclass_fields__:
        with pytest.raises(InputError, match=says):
            Kit(**values)  # however it is made


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "4", 4),
        ("count", "010", 10),  # 8 in YAML 1.1
        ("rate", "1e-1", "1e-1"),
        ("mode", "no", "no"),
        ("word", "5", "5"),
        ("listed", "a, b", "a, b"),
        ("listed", "[a, b]", ["a", "b"]),
        ("listed", "", ()),
        ("scales", "[0.5, 0.25]", [0.5, 0.25]),
        ("pairs", "[[3, 4]]", [[3, 4]]),
        ("maybe", "null", None),
        ("maybe", "5", "5"),
        ("active", "true", True),
    ],
)
def test_text_of_a_command_line(name: str, text: str, value: object) -> None:
    assert from_text(Kit, name, text, name="kit") == value


def test_text_that_is_no_value() -> None:
    with pytest.raises(InputError, match="cannot read pairs="):
        from_text(Kit, "pairs", "[[1", name="kit")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"- 1\n", "must be a mapping"),
        (b"count: [\n", "not valid YAML"),
        (b"count: 1\ncount: 2\n", "count occurs twice"),
        (b"word: \xff\n", "not UTF-8"),
        (b"word: a\0b\n", "not valid YAML"),
        (b"word: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        (b"[" * 10_000, "not valid YAML"),
        (b"word: 2020-99-99\n", "not valid YAML"),
        (b"#" * (1 << 21), "is it a configuration"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "kit.yaml").write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_yaml(tmp_path / "kit.yaml", name="kit")
    assert "kit.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_empty_absent_and_folder(tmp_path: Path) -> None:
    (tmp_path / "kit.yaml").write_text("")
    assert read_yaml(tmp_path / "kit.yaml", name="kit") == {}
    with pytest.raises(InputError, match="no such file"):
        read_yaml(tmp_path / "none.yaml", name="kit")
    with pytest.raises(InputError, match="cannot be read"):
        read_yaml(tmp_path, name="kit")


def test_all_three_configurations_stand_on_the_kernel() -> None:
    for settings in (*CURATIONS.values(), *BENCHMARKS.values(), TrainConfig()):
        kind = type(settings)
        assert build(kind, yaml.safe_load(yaml.safe_dump(plain(settings))), name="x") == settings
        with pytest.raises(InputError, match="no field"):
            build(kind, {"nonsense": 1}, name="x")
    with pytest.raises(InputError, match="folder_labels"):
        build(BenchmarkRecipe, plain(BENCHMARKS["corrected"]) | {"folder_labels": "none"}, name="x")
    with pytest.raises(InputError, match="min_fields"):
        Recipe(min_fields=1.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="epochs"):
        TrainConfig(epochs=2.5)  # type: ignore[arg-type]


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(Kit.__dataclass_fields__)), plain_values)
def test_any_value_is_settled_or_refused(name: str, value: Any) -> None:
    made = None
    with contextlib.suppress(InputError):  # nothing else is ever raised
        made = build(Kit, {name: value}, name="kit")
    assert made is None or build(Kit, plain(made), name="kit") == made


def test_numbers_of_numpy_are_numbers() -> None:
    made = Kit(count=np.int64(4), rate=np.float32(0.5))
    assert (made.count, type(made.count), made.rate, type(made.rate)) == (4, int, 0.5, float)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"channels": 2}, "images: channels=2 has the wrong type"),
        ({"axes": 3}, "images: axes=3 has the wrong type"),
        ({"projection": "z=0"}, "counted from 1"),
        ({"sheet": True}, "True is neither a name nor a number"),
    ],
)
def test_what_an_option_cannot_read_is_named(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        SourceOptions(**fields)


@pytest.mark.parametrize("kind", [SourceOptions, ProfilePlan])
def test_the_help_of_an_option_is_the_documentation_of_its_field(kind: type[Any]) -> None:
    fields = kind.__dataclass_fields__.values()
    assert all(f"\n    {field.name}: {field.metadata['help']}" in kind.__doc__ for field in fields)


def test_options_by_position_are_refused() -> None:
    with pytest.raises(InputError, match="images: 'imagexpress' is no SourceOptions: options are given by name"):
        build(SourceOptions, {}, name="images", base="imagexpress")  # type: ignore[type-var]


def test_functions_show_the_options_that_they_take() -> None:
    shown = inspect.signature(find_images).parameters
    assert list(shown)[:2] == ["source", "options"]
    assert {"pattern", "channels", "stains", "root"} <= shown.keys()
    assert shown["pattern"].kind is inspect.Parameter.KEYWORD_ONLY
    assert "fields" not in shown


def test_a_sheet_and_an_acquisition_may_be_numbers() -> None:
    options = SourceOptions(sheet=1, acquisition=7)  # type: ignore[arg-type]
    assert (options.sheet, options.acquisition, ProfilePlan(sheet=2, metadata="map.xlsx").sheet) == ("1", "7", "2")  # type: ignore[arg-type]
