"""Which planes stand for a multi-plane file: every plane of the simulated files holds its own number."""

import pytest
from archives_idr import write_deltavision, write_stack

from builder.sources.stacks import deltavision_pages, tiff_planes


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        # Five z planes, two channels, three times; the middle plane is z = 2 at the first time.
        pytest.param(0, (2, 17), id="z, time, channel"),
        pytest.param(1, (4, 5), id="channel, z, time"),
        pytest.param(2, (2, 7), id="z, channel, time"),
    ],
)
def test_the_middle_plane_of_each_channel_is_found_in_any_order(tmp_path, sequence, expected):
    write_deltavision(tmp_path / "a.dv", depth=5, waves=2, times=3, sequence=sequence)
    assert deltavision_pages(tmp_path / "a.dv", 2) == expected


def test_a_single_plane_per_channel_is_taken_as_it_is(tmp_path):
    write_deltavision(tmp_path / "a.dv", depth=1, waves=3)
    assert deltavision_pages(tmp_path / "a.dv", 3) == (0, 1, 2)


def test_a_converted_file_counts_from_its_first_plane(tmp_path):
    write_stack(tmp_path / "a.dv", 2)
    assert deltavision_pages(tmp_path / "a.dv", 2) == (0, 1)


def test_planes_are_counted_whatever_the_suffix_and_one_for_other_kinds(tmp_path):
    write_stack(tmp_path / "a.flex", 4)
    (tmp_path / "b.tif").write_bytes(b"no image")
    assert (tiff_planes(tmp_path / "a.flex"), tiff_planes(tmp_path / "b.tif")) == (4, 1)
