"""`cytoimagenet extract SOURCE --list`: what was found, before anything is computed."""

import json

import pandas as pd
import typer
from typer.testing import CliRunner

from cytoimagenet_hf.cli.extract import command
from scripts.simulate.plate_layouts import write_imagexpress
from tests.images.plates import eight_fields


def run(*arguments: str):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_the_list_says_what_became_what_and_what_was_left(tmp_path) -> None:
    source = write_imagexpress(tmp_path, "P", eight_fields(), seed=0)
    next(source.rglob("P_C02_s1_w3*")).unlink()
    listed = json.loads(run(source, "--stains", "w1=hoechst", "--list", "--json").stdout)
    assert (listed["format"], listed["images"]) == ("imagexpress", 8)
    assert listed["plates"] == {"P": {"images": 8, "wells": 4, "sites": 2}}
    assert {"channel": "1", "label": "DNA", "stain": "hoechst"} in listed["channels"]
    assert [entry["id"] for entry in listed["rejected"]] == ["P/C02/1"]
    shown = run(source, "--list")
    assert shown.exit_code == 0
    assert "40 x thumbnail" in shown.stdout or "39 x thumbnail" in shown.stdout
    assert "P/C02/1" in shown.stdout


def test_cells_are_listed_as_images(tmp_path) -> None:
    source = write_imagexpress(tmp_path, "P", eight_fields(), seed=0)
    rows = {"Metadata_Well": ["B02"] * 3, "Metadata_Site": [1] * 3, "ObjectNumber": [1, 2, 3]}
    rows |= {"Location_Center_X": [5, 6, 7], "Location_Center_Y": [5, 6, 7]}
    pd.DataFrame(rows).to_csv(tmp_path / "cells.csv", index=False)
    listed = json.loads(run(source, "--cells", tmp_path / "cells.csv", "--cell-size", 4, "--list", "--json").stdout)
    assert listed["images"] == 3
    assert "cell-size" in str(run(source, "--cells", tmp_path / "cells.csv", "--list").exception)
