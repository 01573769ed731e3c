"""A large object as a file: which blocks are fetched, and when it gives up."""

import io

import pytest

from cytoimagenet_hf.imaging import ranges
from cytoimagenet_hf.imaging.ranges import RangedFile, ScatteredError

CONTENT = bytes(range(100))


class Recorded:
    """What a path answers, and what it was asked for."""

    def __init__(self):
        self.asked = []

    def read_ranges(self, spans):
        self.asked.append(spans)
        return [CONTENT[start:stop] for start, stop in spans]


@pytest.fixture
def path(monkeypatch):
    monkeypatch.setattr(ranges, "BLOCK", 10)
    return Recorded()


def test_blocks_are_fetched_once_and_neighbours_together(path) -> None:
    file = RangedFile(path, 100)
    assert (file.seek(8), file.read(4), file.tell()) == (8, CONTENT[8:12], 12)
    assert path.asked == [[(0, 20)]]
    assert file.fetch([(5, 3), (35, 10), (61, 1), (95, 50)])
    assert path.asked[1:] == [[(30, 50), (60, 70), (90, 100)]]
    assert not file.fetch([(0, 20), (99, 1), (7, 0)])
    file.seek(-6, io.SEEK_END)
    assert (file.read(), file.read(3)) == (CONTENT[94:], b"")
    assert len(path.asked) == 2


def test_what_is_read_all_over_the_object_comes_faster_whole(path, monkeypatch) -> None:
    monkeypatch.setattr(ranges, "_MOST", 3)
    file = RangedFile(path, 100)
    with pytest.raises(ScatteredError, match="in more than 3 places"):
        for place in range(0, 100, 10):
            file.seek(place)
            file.read(1)
    assert len(path.asked) == 4
