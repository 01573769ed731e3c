import hashlib

import pytest

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import atomic_path, file_sha256, inside, write_json


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
