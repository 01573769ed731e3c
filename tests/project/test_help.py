"""Every `--help` ends with an example, and the example is one that the command would take."""

import importlib
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import typer

from builder.__main__ import app as builder_app
from cytoimagenet_hf.cli import COMMANDS, _app, main
from cytoimagenet_hf.core.boundary import COMMON
from tests.running import call

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path for path in (ROOT / "scripts").glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))
BUILDER = typer.main.get_command(builder_app).commands


def library(name):
    return typer.main.get_command(_app([name])).commands[name]


def example(text):
    """The words after `Example:`, with every line of that paragraph."""
    match = re.search(r"Example:(.*?)(?:\n\s*\n|\Z)", text or "", flags=re.DOTALL)
    assert match, f"no example in: {text}"
    return shlex.split(match[1].replace("\\\n", " "))


def check(words, command):
    options = {option for parameter in command.params for option in parameter.opts} | set(COMMON)
    assert {word for word in words if word.startswith("--")} <= options
    required = {parameter.opts[-1] for parameter in command.params if parameter.required}
    assert {name for name in required if name.startswith("--")} <= set(words)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_of_the_library(name):
    words = example(library(name).help)
    assert words[:2] == ["cytoimagenet", name]
    check(words, library(name))


@pytest.mark.parametrize("name", BUILDER)
def test_a_command_of_the_builder(name):
    words = example(BUILDER[name].help)
    assert words[:4] == ["python", "-m", "builder", name]
    check(words, BUILDER[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_on_a_narrow_terminal_options_and_sentences_are_whole(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    words = re.sub(r"\s+", "", printed)  # lines break at hyphens, too
    for parameter in library(name).params:
        assert all(option in words for option in parameter.opts if option.startswith("--"))
        assert re.sub(r"\s+", "", parameter.help or "") in words


def test_the_roots_show_an_example_of_one_of_their_commands():
    assert example(_app([]).info.help)[1] in COMMANDS
    assert example(builder_app.info.help)[3] in BUILDER


@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_a_script(path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert re.search(rf"example:\s.*scripts/{path.name}", printed, flags=re.IGNORECASE | re.DOTALL), printed


def test_a_command_of_the_benches():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        names = importlib.import_module("bench").BENCHES
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    for name in names:
        text = (ROOT / "scripts" / "benches" / f"{name}.py").read_text(encoding="utf-8")
        assert f"Example: python scripts/bench.py {name}" in text


@pytest.mark.parametrize("option", COMMON)
def test_common_options_are_taken_by_every_command(option):
    done = call("cytoimagenet", "models", option, "--json")
    assert done.code == 0, done.said[-2000:]
    assert done.shown.startswith("{")
