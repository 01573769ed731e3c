"""What goes into the wheel, what it imports, and how fast the command line answers."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cytoimagenet_hf.cli import COMMANDS

GIT = shutil.which("git") or "git"
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel built from what is tracked: its path, and what the build said."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = subprocess.run([GIT, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in files:
        if name.startswith(("cytoimagenet_hf/", "model_card/", "pyproject", "README", "LICENSE")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    done = subprocess.run([*build, str(source)], check=True, capture_output=True, text=True)
    (path,) = folder.glob("*.whl")
    return path, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(built):
    """The built wheel, unpacked: what a user has after `pip install`."""
    path, _ = built
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.parent / "site")
    return path.parent / "site"


def run(site, *arguments):
    environment = os.environ | {"PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=site, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_package_of_the_tree_is_listed():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    tracked = subprocess.run(
        [GIT, "ls-files", "cytoimagenet_hf", "model_card"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    folders = {Path(name).parent.as_posix().replace("/", ".") for name in tracked.stdout.split()}
    assert listed == {re.sub("^model_card", "cytoimagenet_hf.model_card", folder) for folder in folders}


def test_the_wheel_holds_the_library_and_its_data_and_nothing_else(wheel):
    names = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"cytoimagenet_hf"}
    tracked = subprocess.run(
        [GIT, "ls-files", "cytoimagenet_hf"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(tracked.stdout.split()) <= names
    templates = subprocess.run([GIT, "ls-files", "model_card"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {f"cytoimagenet_hf/{name}" for name in templates.stdout.split()} <= names


def test_a_built_wheel_says_nothing_about_packages_it_ignores(built):
    assert "absent from the `packages`" not in built[1]


def test_every_listed_command_is_there(wheel):
    found = {path.stem for path in (wheel / "cytoimagenet_hf" / "cli").glob("*.py")}
    assert {name.replace("-", "_") for name in COMMANDS} == found - {"__init__", "shared"}


def test_the_metrics_travel(wheel):
    program = "from cytoimagenet_hf.metrics import METRICS, metric_path; print(*map(metric_path, METRICS))"
    for folder in run(wheel, "-c", program).split():
        assert {path.name for path in Path(folder).iterdir()} >= {"README.md", "app.py", "requirements.txt"}


def test_the_installed_package_loads_processes_and_scores(wheel):
    program = """
import numpy as np, cytoimagenet_hf
from pathlib import Path
from cytoimagenet_hf import benchmarks
from cytoimagenet_hf.dataset import cards, load
from cytoimagenet_hf.networks import MicroscopyImageProcessor
assert Path(cytoimagenet_hf.__file__).is_relative_to(Path.cwd()), cytoimagenet_hf.__file__
plane = np.arange(64, dtype=np.uint16).reshape(8, 8)
values = MicroscopyImageProcessor()([plane, plane], return_tensors="np")["pixel_values"]
card = cards.model_card(name="m", architecture="B0", preprocessing={})
print(values.shape, len(benchmarks.BENCHMARKS), cards.check_card(card), callable(load.load_cytoimagenet))
"""
    assert run(wheel, "-c", program).strip() == "(2, 3, 8, 8) 9 [] True"


@pytest.mark.parametrize("arguments", [["--help"], ["push", "--help"], ["extract", "--help"], ["benchmark", "--help"]])
def test_help_needs_neither_torch_nor_datasets(wheel, arguments):
    program = (
        "import sys; from cytoimagenet_hf.cli import main; sys.argv = ['cytoimagenet', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'datasets', 'transformers', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    assert run(wheel, "-c", program, *arguments).strip().endswith("[]")
