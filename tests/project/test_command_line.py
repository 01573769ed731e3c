"""The command line as a whole: what it shows without arguments, short help, quiet runs, groups and choices."""

import subprocess
import sys

import pytest
import typer

from cytoimagenet_hf.cli import COMMANDS, _app, main
from cytoimagenet_hf.features.runtimes import BACKENDS
from cytoimagenet_hf.networks import METHODS, NORMALIZE
from cytoimagenet_hf.networks.pooling import POOLINGS
from cytoimagenet_hf.profiles import profile as profiles


def test_without_arguments_five_journeys_are_shown(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Five journeys")
    assert [line.split()[0] for line in printed.splitlines() if line.startswith("  ") and line[2] != " "] == [
        "Load",
        "Profile",
        "Compare",
        "Curate",
        "Pretrain",
    ]
    calls = [line[12:].split() for line in printed.splitlines() if line[12:].startswith("cytoimagenet ")]
    assert len(calls) == 5
    assert {call[1] for call in calls} <= set(COMMANDS)


@pytest.mark.parametrize("words", [["-h"], ["extract", "-h"], ["models", "-h"]])
def test_short_help(words, capsys):
    assert main(words) == 0
    assert "Usage:" in capsys.readouterr().out


HEADINGS = {
    "extract": ("Where the images are", "Channels and cells", "The network and its features", "How it runs"),
    "profile": ("Plate map", "Which cells count", "Normalisation", "Selection and whitening", "Report"),
}
UNDER_NONE = {
    "extract": {"source", "model", "output", "list_only", "as_json", "config", "help"},
    "profile": {"features", "output", "level", "operation", "record", "as_json", "config", "help"},
}


def parameters(name):
    return {one.name: one for one in typer.main.get_command(_app([name])).commands[name].params}


@pytest.mark.parametrize("name", HEADINGS)
def test_options_of_long_commands_stand_under_headings(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "140")
    headings = {one: parameter.rich_help_panel for one, parameter in parameters(name).items()}
    assert {one for one, heading in headings.items() if heading is None} | {"help"} == UNDER_NONE[name]
    assert tuple(dict.fromkeys(heading for heading in headings.values() if heading)) == HEADINGS[name]
    assert main([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(heading in printed for heading in HEADINGS[name])


@pytest.mark.parametrize(
    ("name", "option", "values"),
    [
        ("extract", "backend", ("auto", *BACKENDS)),
        ("extract", "method", METHODS),
        ("extract", "pooling", POOLINGS),
        ("extract", "normalize", NORMALIZE),
        ("profile", "normalize", profiles.METHODS),
    ],
)
def test_choices_are_shown_and_those_that_the_code_takes(name, option, values):
    assert set(parameters(name)[option].metavar.split("|")) == set(values)


def test_options_come_from_a_file_and_what_is_typed_goes_before_it(tmp_path, capsys):
    (tmp_path / "rows.csv").write_text("id,path\na,a.tif\n")
    config = tmp_path / "extract.yaml"
    call = ["extract", str(tmp_path / "rows.csv"), "--config", str(config)]
    for text, says in (
        ("list: true\nchanels: [dna]", "no field 'chanels'"),
        ("list: true\nprojection: sum", "projection 'sum'"),
        ("list: true\nprojection: mean\non: 1", "no field 'on'"),
        ("batch_size: many", "--batch-size"),
    ):
        config.write_text(text)
        assert main(call) == 2
        assert says in capsys.readouterr().err
    config.write_text("list: true\njson: true\nprojection: sum")
    assert main([*call, "--projection", "max"]) == 0
    assert capsys.readouterr().out.startswith("{")


def test_a_quiet_command_prints_errors_only(tmp_path, capsys):
    (tmp_path / "results.json").write_text("{}")
    assert main(["leaderboard", str(tmp_path / "results.json"), "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert main(["models", "--quiet", "--json"]) == 0
    assert capsys.readouterr().out.startswith("{")


def test_the_shell_completes_commands_and_options():
    program = "import sys; from cytoimagenet_hf.cli import main; sys.exit(main([]))"
    environment = {"_CYTOIMAGENET_COMPLETE": "complete_bash", "PATH": "/usr/bin"}
    completions = {}
    for words, place in (("cytoimagenet ext", "1"), ("cytoimagenet extract --pool", "2")):
        asked = environment | {"COMP_WORDS": words, "COMP_CWORD": place, "_TYPER_COMPLETE_ARGS": words}
        done = subprocess.run([sys.executable, "-c", program], env=asked, capture_output=True, text=True)
        completions[words] = done.stdout.split()
    assert completions == {"cytoimagenet ext": ["extract"], "cytoimagenet extract --pool": ["--pooling"]}
