"""What goes into the wheel, what it imports, and how fast the command line answers."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

GIT = shutil.which("git") or "git"
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel, unpacked: what a user has after `pip install`."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = subprocess.run([GIT, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in files:
        if name.startswith(("cytoimagenet_hf/", "model_card/", "pyproject", "README", "LICENSE")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(source)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site, *arguments):
    environment = os.environ | {"PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=site, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_every_package_of_the_tree_is_listed():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "cytoimagenet_hf").rglob("__init__.py")}
    assert listed - {"cytoimagenet_hf.model_card"} == found


def test_the_wheel_holds_the_library_and_its_data_and_nothing_else(wheel):
    names = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"cytoimagenet_hf"}
    tracked = subprocess.run(
        [GIT, "ls-files", "cytoimagenet_hf"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(tracked.stdout.split()) <= names
    assert "cytoimagenet_hf/model_card/dataset_card.md.jinja" in names


def test_the_installed_package_loads_processes_and_scores(wheel):
    program = """
import numpy as np, cytoimagenet_hf
from pathlib import Path
from cytoimagenet_hf import benchmarks, card_check, cards, data
from cytoimagenet_hf.models import MicroscopyImageProcessor
assert Path(cytoimagenet_hf.__file__).is_relative_to(Path.cwd()), cytoimagenet_hf.__file__
plane = np.arange(64, dtype=np.uint16).reshape(8, 8)
values = MicroscopyImageProcessor()([plane, plane], return_tensors="np")["pixel_values"]
card = cards.model_card(name="m", architecture="B0", preprocessing={})
print(values.shape, len(benchmarks.BENCHMARKS), card_check.check_card(card), callable(data.load_cytoimagenet))
"""
    assert run(wheel, "-c", program).strip() == "(2, 3, 8, 8) 4 [] True"


@pytest.mark.parametrize("arguments", [["--help"], ["push", "--help"], ["extract", "--help"], ["benchmark", "--help"]])
def test_help_needs_neither_torch_nor_datasets(wheel, arguments):
    program = (
        "import sys; from cytoimagenet_hf.cli import main; sys.argv = ['cytoimagenet', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'datasets', 'transformers', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    assert run(wheel, "-c", program, *arguments).strip().endswith("[]")
