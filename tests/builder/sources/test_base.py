"""Archives on disk: what is listed, how a documented path is found, how tables are read."""

import pytest

from builder.sources.base import keyed
from builder.sources.names import matching
from cytoimagenet_hf.core.errors import InputError


def test_listing_leaves_out_junk_and_what_the_source_ignores(archive):
    files = archive("b/1.PNG", "a/masks/2.png", "__MACOSX/b/._1.png", "b/Thumbs.db", ".DS_Store", "t.csv")
    assert files.files == ("a/masks/2.png", "b/1.PNG", "t.csv")
    assert files.images == ("b/1.PNG",)


@pytest.mark.parametrize(
    ("wanted", "real"),
    [
        ("x/y/a.tif", "x/y/a.tif"),
        ("X/Y/A.TIF", "x/y/a.tif"),
        ("y/a.tif", "x/y/a.tif"),  # one folder deeper than documented
        ("b.tif", "deep/est/b.tif"),
        ("a.tif", None),  # twice: neither is taken for the other
        ("y/c.tif", None),
        ("z/a.tif", "z/a.tif"),
    ],
)
def test_find(archive, wanted, real):
    assert archive("x/y/a.tif", "z/a.tif", "deep/est/b.tif").find(wanted) == real


def test_links_out_of_the_archive_are_not_listed(archive, tmp_path):
    files = archive("a/1.png")
    inside = tmp_path / "a" / "2.png"
    inside.symlink_to(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "3.png").symlink_to("/etc/hostname")
    assert files.files == ("a/1.png", "a/2.png")
    assert files.links_out == {"a/3.png"}


def test_matching_prefers_the_longest_end(archive):
    files = archive("top/wt plate/1.png", "top/2.png")
    assert [name["path"] for _, name in matching(files, r"(?P<path>(?:wt[^/]*/)?[^/]+)\.png")] == ["2", "wt plate/1"]


def test_tables_are_text(archive, tmp_path):
    files = archive()
    (tmp_path / "t.csv").write_text("plate,well,extra\n001,1E2,x\n NA , 2021-01-02 ,\nshort\n")
    table = files.table("T.csv", columns=["well", "plate"])
    assert table.to_numpy().tolist() == [["1E2", "001"], ["2021-01-02", "NA"], ["", "short"]]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "t.csv is not below"),
        (b"x,y\n1,2\n", r"bbbc038: .*t\.csv has no column a; it has x, y.*this source"),
        (b"a,b\n1,2\n3,4,5\n", r"t\.csv, line 3: 3 cells under a heading of 2"),
    ],
)
def test_bad_tables(archive, tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        archive().table("t.csv", columns=["a"])


def test_keyed():
    assert keyed("ab", (1, 2), table="t.csv") == {"a": 1, "b": 2}
    with pytest.raises(InputError, match=r"t.csv has two rows for a"):
        keyed("aa", (1, 2), table="t.csv")
