"""A Hub for each test, and its users: each client runs in a process of its own, as it reads the endpoint at import."""

import os
import subprocess
import sys

import pytest

from tests.hub.loopback import TOKEN, serve


@pytest.fixture
def hub():
    with serve() as running:
        yield running


@pytest.fixture
def start(hub, tmp_path):
    """Start a Python program (one argument) or a module with arguments as a user of this Hub.

    Files travel whole (`xet=False`), or in chunks of which those sent before are left out.
    """

    def run(*arguments, token=TOKEN, xet=False):
        environment = os.environ | {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": str(int(not xet)),
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": token,
        }
        command = [sys.executable, *(["-c", *arguments] if len(arguments) == 1 else ["-m", *map(str, arguments)])]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path)

    return run


@pytest.fixture
def client(start):
    """Run a program to its end; returns what it printed, or with `check=False` the exit code and the errors."""

    def run(*arguments, check=True, **options):
        process = start(*arguments, **options)
        printed, errors = process.communicate(timeout=600)  # a busy machine is not a fault
        if check:
            assert process.returncode == 0, errors[-3000:]
            return printed
        return process.returncode, errors

    return run


@pytest.fixture
def push(client):
    """`cytoimagenet push KIND FOLDER REPOSITORY OPTIONS…`, to its end."""

    def run(*arguments, **options):
        return client("cytoimagenet_hf", "push", *arguments, **options)

    return run
