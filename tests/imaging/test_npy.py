"""Arrays in NPY files, which may be cut while they are read."""

import numpy as np
import pytest

from cytoimagenet_hf.imaging import ImageReadError, read_image
from cytoimagenet_hf.imaging.npy import npy_header, read_npy_part

STACK = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("index", [(), (1,), (1, 2), (slice(None), 1), (0, slice(None), 3), (1, 2, 3)])
def test_a_part_is_what_numpy_gives(tmp_path, order, index) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.asarray(STACK, order=order))
    part = read_npy_part(path, npy_header(path), index)
    np.testing.assert_array_equal(part, STACK[index])
    assert part.dtype == STACK.dtype


def test_a_file_that_shrinks_between_header_and_pixels_is_one_line(tmp_path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, STACK)
    header = npy_header(path)
    with open(path, "rb+") as handle:
        handle.truncate(150)
    with pytest.raises(ImageReadError, match="cut while it was read"):
        read_npy_part(path, header)
    with pytest.raises(ImageReadError, match="truncated"):
        read_image(path)


def test_a_header_that_states_more_than_there_is_takes_no_memory(tmp_path) -> None:
    path = tmp_path / "a.npy"
    with open(path, "wb") as handle:
        np.lib.format.write_array_header_1_0(handle, {"shape": (10**9, 10**9), "fortran_order": False, "descr": "<u2"})
    with pytest.raises(ImageReadError, match="truncated"):
        npy_header(path)


def test_a_place_beyond_the_array_is_an_error(tmp_path) -> None:
    np.save(tmp_path / "a.npy", STACK)
    with pytest.raises(IndexError):
        read_npy_part(tmp_path / "a.npy", npy_header(tmp_path / "a.npy"), (2,))
