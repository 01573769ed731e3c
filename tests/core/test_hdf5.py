"""HDF5 files from outside cannot make this program read another file."""

import h5py
import numpy as np
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.hdf5 import own_array


@pytest.fixture
def place(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.arange(4)
    (tmp_path / "raw.bin").write_bytes(bytes(range(16)))
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["group/own"] = np.arange(3)
        file["soft"] = h5py.SoftLink("/group/own")
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
        file["link"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")
        file["group/out"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
        file.create_dataset("raw", (16,), "u1", external=[(str(tmp_path / "raw.bin"), 0, 16)])
        layout = h5py.VirtualLayout((4,), "i8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (4,))
        file.create_virtual_dataset("virtual", layout)
    return tmp_path / "file.h5"


def test_own_arrays_are_read_through_groups_and_links_of_the_file(place):
    with h5py.File(place) as file:
        assert own_array(file, "group/own")[:].tolist() == [0, 1, 2]
        assert own_array(file, "/soft")[:].tolist() == [0, 1, 2]
        assert own_array(file["group"], "own")[:].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *((name, "another file") for name in ("link", "group/out/secret", "raw", "virtual")),
        *((("a", "too many"), ("none", "doesn't exist"), ("group", "not an array"), ("group/own/x", "own"))),
    ],
)
def test_what_lies_elsewhere_is_refused(place, name, message):
    with h5py.File(place) as file, pytest.raises(InputError, match=message):
        own_array(file, name)
