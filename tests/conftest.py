"""What the whole test tree shares."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

# One thread each, before any library reads it: the tests run in two processes on two cores, and threads that wait for
# each other by spinning make a small network a hundred times slower there.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is not a failure
hypothesis.settings.load_profile("untimed")

_ROOT = Path(__file__).resolve().parents[1]
_REAL = _ROOT / ".." / "shared" / "real"


@pytest.fixture(scope="session")
def real_root() -> Path:
    """The folder of real public tables and images; tests that need it skip where it is absent."""
    if not _REAL.is_dir():
        pytest.skip("needs the real tables and images in ../shared/real, which are not part of the project")
    return _REAL.resolve()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of the demo script, run once as `make demo` runs it but tiny; shared by all workers."""
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    output = root / "demo"
    with FileLock(root / "demo.lock"):
        if not (output / "report.html").is_file():
            command = [sys.executable, str(_ROOT / "scripts" / "demo.py"), "--output", str(output)]
            environment = os.environ | {"HF_HOME": str(root / "demo-home"), "HF_HUB_OFFLINE": "1"}
            environment["PYTHONPATH"] = str(_ROOT)
            options = ["--size", "tiny", "--epochs", "1"]
            done = subprocess.run([*command, *options], cwd=root, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return output
