"""Settings classes as options of a command: kinds of fields, what a command leaves out, and files of options."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

from cytoimagenet_hf.cli.arguments import Only, Without, takes_settings
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import check_fields, setting


@dataclass(frozen=True)
class Kit:
    count: int = setting(3, "How many.", low=1, high=9)
    mode: Literal["own", "other"] = setting("own", "Which.", group="Ways")
    turns: Literal[1, 8] | None = setting(None, "Orientations.")
    names: tuple[str, ...] = setting((), "With commas.", commas=True)
    files: tuple[Path, ...] = setting((), "Repeatable.", option="file", repeat=True)
    exact: bool | None = setting(None, "Or not.")
    half: float = setting(0.5, "A share.", parse=lambda given: 0.5 if given == "half" else float(given))
    inside: str | None = setting(None, command=False)
    plate_name: str | None = setting(None, "An identity.")

    def __post_init__(self) -> None:
        check_fields(self, name="kit")


def run(*arguments: str, marks: Only = Without()) -> Kit:  # noqa: B008
    made = []

    @takes_settings
    def command(kit: Annotated[Kit, marks]) -> None:
        made.append(kit)

    app = typer.Typer()
    app.command()(command)
    outcome = CliRunner().invoke(app, list(arguments))
    if isinstance(outcome.exception, InputError):
        raise outcome.exception
    return made[0] if made else outcome.output


def test_without_options_the_settings_are_their_defaults() -> None:
    assert run() == Kit()


def test_each_kind_of_field_is_read() -> None:
    typed = ("--count", "4", "--mode", "other", "--turns", "8", "--names", "a, b", "--file", "x", "--file", "y")
    made = run(*typed, "--no-exact", "--half", "half")
    assert made == Kit(4, "other", 8, ("a", "b"), (Path("x"), Path("y")), False, 0.5)


def test_a_file_gives_options_and_what_is_typed_goes_before_it(tmp_path) -> None:
    file = tmp_path / "kit.yaml"
    file.write_text("count: 7\nnames: [a, b]\nfile: x\nexact: yes\nmode: other\n")
    assert run("--config", str(file), "--mode", "own") == Kit(7, "own", None, ("a", "b"), (Path("x"),), True)


@pytest.mark.parametrize("plate", ["007", "010", "no", "1e3", "2026-01-31", "1_000", "0x1F", "~x", "1:20", "none"])
def test_a_value_of_a_file_is_what_is_written(tmp_path, plate) -> None:
    (tmp_path / "kit.yaml").write_text(f"plate-name: {plate}\nnames: [{plate}]\nfile: [{plate}]\n")
    made = run("--config", str(tmp_path / "kit.yaml"))
    assert (made.plate_name, made.names, made.files) == (plate, (plate,), (Path(plate),))


@pytest.mark.parametrize("count", ["4.5", "yes", "10"])
def test_a_number_of_a_file_is_checked_as_a_typed_one(tmp_path, count) -> None:
    (tmp_path / "kit.yaml").write_text(f"count: {count}\n")
    assert "Invalid value for '--count'" in run("--config", str(tmp_path / "kit.yaml"))


def test_what_is_null_in_a_file_is_not_given(tmp_path) -> None:
    (tmp_path / "kit.yaml").write_text("count:\nnames: null\nfile: ~\nexact: null\n")
    assert run("--config", str(tmp_path / "kit.yaml")) == Kit()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cuont: 1", r"--config \S+kit.yaml: there is no field 'cuont'\. Did you mean count\?$"),
        ("inside: x", "no field 'inside'"),
        ("mode: none", "kit: mode is 'none'; choose one of own, other"),
        ("turns: 3", "kit: turns is 3; choose one of 1, 8"),
        ("count: ''", "count is not a value"),
        ("names: {a: [b]}", "names is not a value"),
        ("file-s: x\nfile_s: y", "no field 'file_s'"),
        ("plate-name: x\nplate_name: y", "plate_name occurs twice"),
    ],
)
def test_a_wrong_line_of_a_file_is_named(tmp_path, text, says) -> None:
    (tmp_path / "kit.yaml").write_text(text)
    with pytest.raises(InputError, match=says):
        run("--config", str(tmp_path / "kit.yaml"))


@pytest.mark.parametrize("values", [("a", "b"), ("a,b", "c")])
def test_a_list_in_two_options_is_refused_since_one_of_them_would_be_lost(values) -> None:
    with pytest.raises(InputError, match="--names is given 2 times: write all in one --names, separated by commas"):
        run("--names", values[0], "--names", values[1])


def test_a_command_offers_some_fields_only() -> None:
    shown = run("--help", marks=Only("count", "mode"))
    assert ("--count" in shown, "own|other" in shown, "--turns" in shown) == (True, True, False)
    assert "--count" not in run("--help", marks=Without("count"))
    assert "No such option" in run("--inside", "x")
