"""The command line as a whole: what it shows without arguments, short help, quiet runs, groups and choices."""

import inspect
import subprocess
import sys
from typing import get_args, get_type_hints

import pytest

from cytoimagenet_hf.cli import COMMANDS, main
from cytoimagenet_hf.cli.groups import CHOICES, GROUPS, arranged
from cytoimagenet_hf.features.runtimes import BACKENDS
from cytoimagenet_hf.networks import METHODS
from cytoimagenet_hf.networks.pooling import POOLINGS
from cytoimagenet_hf.profiles import profile as profiles


def test_without_arguments_five_journeys_are_shown(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Five journeys")
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line[2] != " "] == [
        "Load",
        "Profile",
        "Compare",
        "Curate",
        "Pretrain",
    ]
    calls = [line[12:].split() for line in shown.splitlines() if line[12:].startswith("cytoimagenet ")]
    assert len(calls) == 5
    assert {call[1] for call in calls} <= set(COMMANDS)


@pytest.mark.parametrize("words", [["-h"], ["extract", "-h"], ["models", "-h"]])
def test_short_help(words, capsys):
    assert main(words) == 0
    assert "Usage:" in capsys.readouterr().out


def test_options_of_long_commands_are_grouped_and_show_their_choices(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "140")
    for name, groups in GROUPS.items():
        assert main([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(group in shown for group in groups)
        assert all("|".join(values)[:20] in shown for values in CHOICES[name].values())


def test_groups_name_options_that_there_are():
    import importlib

    for name, groups in GROUPS.items():
        command = arranged(name, importlib.import_module(f"cytoimagenet_hf.cli.{name}").command)
        named = [one for names in groups.values() for one in names]
        assert len(named) == len(set(named))
        assert set(named) | set(CHOICES[name]) <= set(inspect.signature(command).parameters)
        hints = get_type_hints(command, include_extras=True)
        shown = {one: get_args(hints[one])[1].metavar for one in CHOICES[name]}
        assert shown == {one: "|".join(values) for one, values in CHOICES[name].items()}


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("extract", {"source", "model", "output", "list_only", "as_json"}),
        ("profile", {"features", "output", "level", "operation", "record", "as_json"}),
    ],
)
def test_every_option_but_the_first_ones_has_its_group(name, first):
    import importlib

    command = importlib.import_module(f"cytoimagenet_hf.cli.{name}").command
    named = {one for names in GROUPS[name].values() for one in names}
    assert set(inspect.signature(command).parameters) - named == first


def test_choices_are_those_that_the_code_takes():
    assert set(CHOICES["extract"]["backend"]) == {"auto", *BACKENDS}
    assert set(CHOICES["extract"]["method"]) == set(METHODS)
    assert CHOICES["extract"]["pooling"] == POOLINGS
    assert set(CHOICES["profile"]["normalize"]) == set(profiles.METHODS)


def test_a_quiet_command_prints_errors_only(tmp_path, capsys):
    (tmp_path / "results.json").write_text("{}")
    assert main(["leaderboard", str(tmp_path / "results.json"), "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert main(["models", "--quiet", "--json"]) == 0
    assert capsys.readouterr().out.startswith("{")


def test_the_shell_completes_commands_and_options():
    program = "import sys; from cytoimagenet_hf.cli import main; sys.exit(main([]))"
    environment = {"_CYTOIMAGENET_COMPLETE": "complete_bash", "PATH": "/usr/bin"}
    found = {}
    for words, place in (("cytoimagenet ext", "1"), ("cytoimagenet extract --pool", "2")):
        asked = environment | {"COMP_WORDS": words, "COMP_CWORD": place, "_TYPER_COMPLETE_ARGS": words}
        done = subprocess.run([sys.executable, "-c", program], env=asked, capture_output=True, text=True)
        found[words] = done.stdout.split()
    assert found == {"cytoimagenet ext": ["extract"], "cytoimagenet extract --pool": ["--pooling"]}
