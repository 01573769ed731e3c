import json

import typer
from typer.testing import CliRunner

from cytoimagenet_hf.cli.models import command
from cytoimagenet_hf.networks import ENCODERS


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def test_every_kind_is_listed_for_people_and_for_programs() -> None:
    listed = run()
    assert all(name in listed for name in ENCODERS)
    facts = json.loads(run("--json"))
    assert facts.keys() == ENCODERS.keys()
    assert facts["openphenom"]["source"]["remote_code"] is True
    assert facts["openphenom"]["verified"] is False
