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
    assert {name.replace("-", "_") for name in COMMANDS} == found - {"__init__", "arguments"}


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
card = cards.model_card(cards.ModelFacts("m", "B0", {}))
print(values.shape, len(benchmarks.BENCHMARKS), card[:3], callable(load.load_cytoimagenet))
"""
    assert run(wheel, "-c", program).strip() == "(1, 2, 3, 8, 8) 12 --- True"


EXTRAS = ("cv2", "h5py", "matplotlib", "skimage", "sklearn")
LIGHT = f"""
import sys
sys.modules.update(dict.fromkeys({EXTRAS}))  # importing any of them fails from here on
import numpy as np, PIL.Image, tifffile, torch
from pathlib import Path
"""


def test_what_extras_bring_is_not_needed_to_load_read_and_extract(tmp_path):
    """The whole way of a base install: a TIFF, an 8- and a 16-bit PNG, a model, a fusion, features, tables."""
    program = (
        LIGHT
        + """
import datasets
import cytoimagenet_hf.cli, cytoimagenet_hf.dataset.load, cytoimagenet_hf.profiles.plan, cytoimagenet_hf.scoring.stats
from transformers import AutoImageProcessor, AutoModel
from cytoimagenet_hf import extract_features, find_images, read_features, read_image
from cytoimagenet_hf.networks import CytoFusionModel, MicroscopyImageProcessor, build_efficientnet, image_features
from cytoimagenet_hf.tables import write_features
folder = Path(sys.argv[1])
sixteen = np.random.default_rng(0).gamma(2.0, 300, (2, 40, 40)).astype(np.uint16)
tifffile.imwrite(folder / "a.tif", sixteen[0], compression="lzw")
PIL.Image.fromarray(sixteen[1]).save(folder / "b.png")
PIL.Image.fromarray((sixteen[1] // 16).astype(np.uint8)).save(folder / "c.png")
assert (read_image(folder / "a.tif") == sixteen[0]).all() and (read_image(folder / "b.png") == sixteen[1]).all()
assert (read_image(folder / "c.png") == sixteen[1] // 16).all()
model = build_efficientnet(0, seed=0, width_coefficient=0.25, depth_coefficient=0.25)
model.save_pretrained(folder / "model"), MicroscopyImageProcessor().save_pretrained(folder / "model")
fusion = CytoFusionModel.from_backbones([str(folder / "model")] * 2)
fusion.save_pretrained(folder / "fusion")
processor = MicroscopyImageProcessor.from_pretrained(folder / "fusion")
AutoImageProcessor.from_pretrained(folder / "fusion")
values = processor([folder / "a.tif"], return_tensors="pt")["pixel_values"]
with torch.inference_mode():
    print(tuple(image_features(AutoModel.from_pretrained(folder / "fusion"), values).shape))
table = extract_features(str(folder / "model"), list(sixteen), ids=["x", "y"])
write_features(table, folder / "features.parquet")
print(read_features(folder / "features.parquet").values.shape, len(find_images(folder, format="folder")))
from cytoimagenet_hf.networks.pixels import pixel_features
try:
    pixel_features(sixteen)
except ValueError as error:
    print(error)
"""
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    features, table, refusal = done.stdout.strip().splitlines()[-3:]
    assert (features, table) == ("(1, 640)", "(2, 320) 3")
    assert refusal == "statistics of the pixels (pixels=True) needs OpenCV: pip install 'cytoimagenet-hf[images]'"


def test_pixels_are_the_same_with_opencv_and_without(tmp_path):
    program = """
from cytoimagenet_hf.imaging import byte_counts, encode_png, normalize, percentiles
from cytoimagenet_hf.imaging.png import decode_gray_png
rng = np.random.default_rng(0)
gray = rng.integers(0, 255, (61, 83), dtype=np.uint8)
deep = rng.gamma(2.0, 300, (61, 83)).clip(0, 4095).astype(np.uint16)
PIL.Image.fromarray(deep).save(sys.argv[1])
files = [encode_png(gray), Path(sys.argv[1]).read_bytes()]
found = [normalize(gray), normalize(deep), percentiles(deep, (0.1, 99.9)), byte_counts(gray)]
found += map(decode_gray_png, files)
import hashlib
print([hashlib.sha256(np.ascontiguousarray(one).tobytes()).hexdigest()[:12] for one in found])
"""
    seen = set()
    for start in (LIGHT, LIGHT.replace("sys.modules.update", "dict")):
        call = [sys.executable, "-c", start + program, str(tmp_path / "deep.png")]
        seen.add(subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert len(seen) == 1


def test_help_needs_neither_torch_nor_datasets(wheel):
    program = (
        "import sys; from cytoimagenet_hf.cli import main\n"
        "print([main([*words.split(), '--help']) for words in ('', 'push', 'extract', 'benchmark')],\n"
        "    sorted({'torch', 'datasets', 'transformers', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    assert run(wheel, "-c", program).splitlines()[-1] == "[0, 0, 0, 0] []"
