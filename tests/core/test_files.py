import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import (
    absent_folders,
    atomic_folder,
    atomic_path,
    file_sha256,
    held,
    held_folder,
    inside,
    json_text,
    read_json_object,
    require_folder,
    sweep_temporary,
    take_back,
    write_json,
)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "table.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="disk"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("disk full")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.txt"]


def test_json_bytes_do_not_depend_on_key_order(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": "µ"})
    write_json(tmp_path / "b.json", {"a": "µ", "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_file_sha256_is_hashlibs(tmp_path):
    (tmp_path / "x").write_bytes(b"cells" * 400_000)
    assert file_sha256(tmp_path / "x") == hashlib.sha256(b"cells" * 400_000).hexdigest()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=errno.errorcode.get)
@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_disk_without_locks_is_said_and_keeps_no_mark(tmp_path, monkeypatch, code):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(code, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError, match="cannot lock files"), held(tmp_path / "_lock", wait=True):
        pytest.fail("held without a lock")


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../secret"])
def test_paths_out_of_the_root_are_refused(tmp_path, path):
    with pytest.raises(InputError, match="outside"):
        inside(tmp_path, path)


def test_a_link_out_of_the_root_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="outside"):
        inside(tmp_path / "root", "link/secret")


def test_paths_inside_are_joined(tmp_path):
    assert inside(tmp_path, "a/./b.tif") == tmp_path.resolve() / "a" / "b.tif"


def test_a_lock_is_held_by_one_and_let_go_by_the_dead(tmp_path):
    lock = tmp_path / "_lock"
    with (
        held(lock, refusal="taken"),
        pytest.raises(InputError, match="taken"),
        held(lock, refusal="taken"),
    ):
        pytest.fail("two hold it")
    code = (
        "import os, sys; from cytoimagenet_hf.core.files import held\n"
        "with held(sys.argv[1], refusal='taken'):\n    print('held', flush=True); sys.stdin.read(); os._exit(1)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="taken"), held(lock, refusal="taken"):
        pytest.fail("two processes hold it")
    other.communicate("", timeout=60)
    with held(lock, refusal="taken"):
        pass


@pytest.mark.parametrize("content", [b"", b"[]", b"5", b"null", b"\xff", b"not JSON", b"[" * 100_000])
def test_a_record_that_is_no_object_is_named(tmp_path, content):
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(InputError, match=r"state\.json is damaged .*: make it again"):
        read_json_object(tmp_path / "state.json", remedy="make it again")
    with pytest.raises(InputError, match=r"nope\.json cannot be read"):
        read_json_object(tmp_path / "nope.json")
    write_json(tmp_path / "state.json", {"a": 1})
    assert read_json_object(tmp_path / "state.json") == {"a": 1}


def test_what_refused_work_began_with_is_taken_back_unless_more_lies_there(tmp_path):
    folder = tmp_path / "new" / "deeper"
    made = absent_folders(folder)
    assert made == [folder, tmp_path / "new"]
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "result").touch()
    take_back(folder, files=("lock", "plan"), made=made)
    assert {path.name for path in folder.iterdir()} == {"lock", "result"}
    (folder / "result").unlink()
    take_back(folder, files=("lock", "plan"), made=made)
    assert list(tmp_path.iterdir()) == []
    assert absent_folders(tmp_path) == []


def test_a_folder_is_tried_without_leaving_a_trace(tmp_path):
    require_folder(tmp_path / "new" / "deeper")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        require_folder(tmp_path / "file" / "out")


def test_a_folder_is_put_in_place_whole_and_replaces_what_stood_there(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(OSError, match="no room"), atomic_folder(target) as aside:
        (aside / "half").touch()
        raise OSError("no room")
    assert [path.name for path in target.iterdir()] == ["old"]
    with atomic_folder(target) as aside, atomic_folder(target) as other:  # two writers never share a folder
        assert aside != other
        (aside / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_killed_writers_left_is_swept_by_name(tmp_path):
    (tmp_path / ".model.0123456789ab.tmp").mkdir()
    (tmp_path / ".model.0123456789ab.tmp" / "half").touch()
    (tmp_path / ".table.json.0123456789ab.tmp").touch()
    (tmp_path / ".keep").touch()
    sweep_temporary(tmp_path, "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".keep", ".table.json.0123456789ab.tmp"]
    sweep_temporary(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".keep"]


def test_a_held_folder_is_taken_back_only_where_it_is_new_and_refused(tmp_path):
    place = tmp_path / "a" / "b"
    with pytest.raises(InputError), held_folder(place, lock="_lock", begun=("plan",), refusal="taken"):
        (place / "plan").touch()
        raise InputError("refused")
    assert list(tmp_path.iterdir()) == []
    with held_folder(place, lock="_lock", begun=(), refusal="taken"):
        with pytest.raises(InputError, match="taken"), held_folder(place, lock="_lock", begun=(), refusal="taken"):
            pytest.fail("two hold it")
        (place / "result").touch()
    assert sorted(path.name for path in place.iterdir()) == ["_lock", "result"]


def test_json_holds_no_word_that_json_does_not_know(tmp_path):
    content = {
        "z_prime": float("-inf"),
        "spearman": np.float32("nan"),
        "nested": [{"p": (0.5, float("inf"))}, np.array([1.0, np.nan])],
        "count": np.int64(3),
        "flag": np.bool_(True),
        "path": Path("a/b"),
        "names": {"µ", "b"},
        1: None,
    }
    write_json(tmp_path / "a.json", {str(name): value for name, value in content.items()})

    def refuse(word):
        raise AssertionError(word)

    for text in (json_text(content), (tmp_path / "a.json").read_text(encoding="utf-8")):
        assert json.loads(text, parse_constant=refuse) == {
            "z_prime": None,
            "spearman": None,
            "nested": [{"p": [0.5, None]}, [1.0, None]],
            "count": 3,
            "flag": True,
            "path": "a/b",
            "names": ["b", "µ"],
            "1": None,
        }
    assert json_text(content).isascii()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_devices_are_not_replaced_by_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for target in (tmp_path / "pipe.json", Path("/dev/null")):
        with pytest.raises(InputError, match="is a pipe, a socket or a device"), atomic_path(target):
            pytest.fail("the block was entered")
    assert (tmp_path / "pipe.json").is_fifo()
    assert Path("/dev/null").is_char_device()
