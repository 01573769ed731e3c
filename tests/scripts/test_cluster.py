"""The launchers run as they are: a Slurm array imitated by a loop, Snakemake itself where it is installed."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from cytoimagenet_hf.tables import read_features
from tests.features.plates import write_plate
from tests.running import call

CLUSTER = Path(__file__).resolve().parents[2] / "scripts" / "cluster"


@pytest.fixture
def prepared(tmp_path):
    """A command over a tiny plate, and the folder that it writes; `whole` is what one command writes."""
    plate, output = write_plate(tmp_path / "plate"), tmp_path / "features"
    words = ["extract", plate, "--pattern", "{plate}_{well}_s{site}_{c}.tif", "--model", "random:0", "--size", "32"]
    words += ["--shard-size", "2", "--backend", "torch"]
    assert call("cytoimagenet", *words, "--output", tmp_path / "whole").code == 0
    return [sys.executable, "-m", "cytoimagenet_hf", *map(str, words), "--output"], output


def run(command, **environment):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def require_equal(output, whole):
    """The same files and rows; values within rounding, for the launchers choose the number of threads."""
    assert sorted(file.name for file in output.iterdir()) == sorted(file.name for file in whole.iterdir())
    ours, theirs = read_features(output), read_features(whole)
    assert ours.ids.tolist() == theirs.ids.tolist()
    np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-3, atol=1e-4)


def test_a_slurm_array_in_any_order_and_its_completing_job_give_the_folder_of_one_command(prepared, tmp_path):
    command, output = prepared
    for number in ("2", "1"):
        array = {"SLURM_ARRAY_TASK_ID": number, "SLURM_ARRAY_TASK_COUNT": "2"}
        run(["bash", CLUSTER / "slurm.sh", *command, output], **array)
    assert not (output / "_rejected.json").exists()
    run(["bash", CLUSTER / "slurm.sh", "--complete", *command, output])
    require_equal(output, tmp_path / "whole")


@pytest.mark.skipif(shutil.which("snakemake") is None, reason="needs Snakemake")
def test_snakemake_makes_the_parts_and_completes(prepared, tmp_path):
    command, output = prepared
    words = shlex.join([*command, str(output)])
    options = ["--cores", "1", "--directory", tmp_path, "--config", "parts=2", f"folder={output}", f"command={words}"]
    run(["snakemake", "--snakefile", CLUSTER / "Snakefile", *options])
    require_equal(output, tmp_path / "whole")


def test_the_script_for_jobs_states_what_it_needs_and_runs():
    text = (CLUSTER / "hf_job.py").read_text()
    block = re.search(r"(?m)^# /// script$\n(.*?)^# ///$", text, re.DOTALL)
    needs = tomllib.loads(re.sub(r"(?m)^# ?", "", block[1]))
    project = tomllib.loads((CLUSTER.parents[1] / "pyproject.toml").read_text())["project"]
    assert needs["requires-python"] == project["requires-python"]
    assert [Requirement(line).name for line in needs["dependencies"]] == [project["name"]]
    assert project["version"] in run([sys.executable, CLUSTER / "hf_job.py", "--version"]).stdout


def test_every_launcher_is_named_on_the_page():
    page = (CLUSTER.parents[1] / "docs" / "journeys" / "cluster.md").read_text()
    files = [file.name for file in CLUSTER.iterdir() if file.is_file()]
    assert len(files) == 4
    assert all(name in page for name in files)
