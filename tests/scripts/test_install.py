"""The set-up takes the CPU build of PyTorch where it can be had, and never hangs or fails where it cannot."""

import functools
import http.server
import socket
import sys
import threading
import time

import pytest

from scripts.install import ROOT, constraint, install_torch, torch_index


class Pip:
    """Notes what pip was asked for; what comes from an index fails, if told so."""

    def __init__(self, *, index_fails=False):
        self.calls, self.index_fails = [], index_fails

    def __call__(self, command, *, must=False):
        self.calls.append(command)
        return not (self.index_fails and "--index-url" in command)


@pytest.fixture
def index(tmp_path):
    """The address of a small index on the loopback interface."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "index.html").write_text("<a href='torch-2.13.0+cpu-py3-none-any.whl'>torch</a>")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def refusing():
    """An address that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_an_index_that_answers_is_taken_unless_there_is_a_gpu(index):
    assert torch_index(index, has_gpu=False) == index
    assert torch_index(f"{index}/", has_gpu=False) == f"{index}/"
    assert torch_index(index, has_gpu=True) is None
    assert torch_index("", has_gpu=False) is None


def test_an_index_that_refuses_or_lacks_torch_or_is_no_address_is_left_at_once(index, refusing):
    started = time.monotonic()
    assert torch_index(refusing, has_gpu=False) is None
    assert torch_index(f"{index}/empty", has_gpu=False) is None
    assert torch_index("not an address", has_gpu=False) is None
    assert time.monotonic() - started < 30


def test_what_is_installed_is_said():
    pip = Pip()
    assert "the CPU build from http://index" in install_torch(sys.executable, "torch==2.13.0", "http://index", run=pip)
    assert len(pip.calls) == 1
    assert pip.calls[0][-3:] == ["--index-url", "http://index", "torch==2.13.0"]


@pytest.mark.parametrize("index_name", [None, "http://index"])
def test_without_the_index_pip_decides(index_name):
    pip = Pip(index_fails=True)
    assert "from where pip looks" in install_torch(sys.executable, "torch==2.13.0", index_name, run=pip)
    assert "--index-url" not in pip.calls[-1]
    assert pip.calls[-1][-1] == "torch==2.13.0"


def test_torch_is_pinned_by_the_constraints():
    assert constraint("torch", (ROOT / "constraints.txt").read_text()).startswith("torch==")
    assert constraint("absent", "torch==1\n") == "absent"
