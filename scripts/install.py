"""Set up the environment that `make demo` and `make test` run in. Needs nothing but Python.

Example: python scripts/install.py .venv --extras demo
         python scripts/install.py .venv --extras dev --torch-index https://download.pytorch.org/whl/cpu

PyTorch comes first. Without an NVIDIA GPU its CPU build is taken from PyTorch's own index, if that answers within
seconds; from elsewhere pip may bring several GB of CUDA. Else what pip is configured to find is installed, and said.
uv installs the rest where it is there; it does in seconds what pip does in minutes.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
_ANSWER_SECONDS = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Make the environment, or complete it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("venv", type=Path, help="folder of the environment")
    parser.add_argument("--extras", default="dev", help="extras of pyproject.toml, comma-separated")
    parser.add_argument("--torch-index", default=TORCH_INDEX, help="index of CPU builds; empty: never ask one")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    if not (options.venv / "pyvenv.cfg").is_file():
        venv.EnvBuilder(with_pip=True).create(options.venv)
    binaries = options.venv / ("Scripts" if sys.platform == "win32" else "bin")
    python = str(binaries / "python")
    pinned = constraint("torch", (ROOT / "constraints.txt").read_text(encoding="utf-8"))
    index = torch_index(options.torch_index, has_gpu=shutil.which("nvidia-smi") is not None)
    print(install_torch(python, pinned, index, run=run), flush=True)
    install_rest(python, options.extras)
    megabytes = sum(file.stat().st_size for file in options.venv.rglob("*") if file.is_file()) / 1e6
    print(f"{options.venv}: {megabytes / 1000:.1f} GB, {(time.perf_counter() - started) / 60:.1f} minutes", flush=True)
    return 0


def constraint(package: str, constraints: str) -> str:
    """The requirement of a package as the constraints pin it.

    Example:
        >>> constraint("torch", "tensorboard==2\\ntorch==2.13.0\\n")
        'torch==2.13.0'
    """
    pinned = re.search(rf"^{re.escape(package)}==\S+", constraints, flags=re.MULTILINE)
    return pinned[0] if pinned else package


def torch_index(index: str, *, has_gpu: bool) -> str | None:
    """The index to take the CPU build from; None with a GPU, without an index, or where it does not answer.

    One request, which ends after five seconds.
    """
    if has_gpu or not index:
        return None
    try:
        with urllib.request.urlopen(f"{index.rstrip('/')}/torch/", timeout=_ANSWER_SECONDS) as answer:
            return index if answer.status == 200 else None
    except (OSError, ValueError, urllib.error.URLError):
        return None


def install_torch(python: str, requirement: str, index: str | None, *, run: Callable[..., bool]) -> str:
    """Install PyTorch from the index, or else from where pip looks; what was done, in words.

    `run` runs pip with these words and says whether it succeeded; `must=True` ends the program where it did not.
    """
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if index and run([*pip, "--retries", "1", "--timeout", "15", "--no-deps", "--index-url", index, requirement]):
        return f"{requirement}: the CPU build from {index}"
    run([*pip, "--constraint", str(ROOT / "constraints.txt"), requirement], must=True)
    return f"{requirement}: from where pip looks (no CPU index asked, or it did not answer)"


def install_rest(python: str, extras: str) -> None:
    """Install this project, editable, with its extras."""
    if uv := shutil.which("uv"):
        installer = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        installer = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    constraints = str(ROOT / "constraints.txt")
    run([*installer, "--constraint", constraints, "--editable", f"{ROOT}[{extras}]"], must=True)


def run(command: list[str], *, must: bool = False) -> bool:
    """Run an installer; what it says is shown only where it fails and has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode and must:
        sys.exit(f"{done.stdout}{done.stderr}\nthe command failed: {' '.join(command)}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
