"""Every source of the registry: facts present, and its simulated archive annotated as its sheet says."""

import contextlib
import csv
import dataclasses
import re
from pathlib import Path

import archives
import archives_idr
import pytest

from builder.rows import annotate_source
from builder.sources import SOURCES
from builder.sources.base import Archive
from builder.vocabulary import load_vocabulary
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.schema import ANNOTATION_SCHEMA, CATEGORIES

MAKERS = {**archives.MAKERS, **archives_idr.MAKERS}
COLUMNS = (*CATEGORIES, "microscopy")
DATABASES = {
    *("Broad Bioimage Benchmark Collection", "Image Data Resource", "Recursion", "Kaggle", "Cell Image Library"),
}


def annotated(name: str, folder: Path):
    return annotate_source(SOURCES[name], folder, load_vocabulary())


def make_archive(name: str, folder: Path) -> archives.Expected:
    """The simulated archive of a source; a new source may still lack one, those of the paper may not."""
    if name not in MAKERS:
        pytest.skip(f"{name} has no simulated archive yet: write a maker in tests/builder/sources/archives.py")
    folder.mkdir(parents=True)
    return MAKERS[name](folder)


def test_the_sources_of_the_paper_and_a_simulated_archive_for_each():
    assert len(archives.OF_THE_PAPER) == 40
    assert set(SOURCES) >= set(MAKERS) >= archives.OF_THE_PAPER


@pytest.mark.parametrize("name", SOURCES)
def test_facts(name: str):
    source = SOURCES[name]
    assert source.dir_name == name
    assert source.database in DATABASES
    assert source.link.startswith("http")
    assert re.fullmatch(r"cc0|cc-by(-nc)?(-sa|-nd)?-\d\.\d|unverified", source.licence)
    assert all((source.name, source.citation, source.kind, source.download))
    assert any(count.what == "fields" for count in source.expected)
    assert {count.certainty for count in source.expected} <= {"table", "reference", "docs", "inferred"}
    assert all(count.number > 0 for count in source.expected)


def check_simulated_archive(name: str, raw: Path) -> None:
    folder = raw / name
    expected = make_archive(name, folder)
    table, _ = annotated(name, folder)
    rows = table.to_pylist()

    assert table.schema == ANNOTATION_SCHEMA
    assert table.num_rows == expected.fields > 0
    labels = {c: {token for row in rows for token in (row[c] or "").split("|")} - {""} for c in COLUMNS}
    assert {column: labels[column] for column in expected.labels} == expected.labels
    # What a maker does not name is constant, or absent.
    assert all(len({row[column] for row in rows}) == 1 for column in COLUMNS[:-1] if column not in expected.labels)
    for row in rows:
        assert row["channel_files"]
        assert all((raw / file).is_file() for file in row["channel_files"]), row["channel_files"]
        planes = list(zip(row["channel_files"], row["channel_pages"] or [0] * 9, strict=False))
        assert len(set(planes)) == len(planes) == len(row["channels"])
        assert (row["dir_name"], row["licence"]) == (name, SOURCES[name].licence)
        assert row["organism"]
        assert row["microscopy"]
        # Brightfield light and fluorescence never share an image.
        assert len(row["channels"]) == 1 or "brightfield" not in row["channels"]
    ids = [row["idx"] for row in rows]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def test_all_simulated_archives(tmp_path: Path):
    """One test, so that it can say how many it checked."""
    failed = {}
    checked = []
    for name in MAKERS:
        checked.append(name)
        try:
            check_simulated_archive(name, tmp_path)
        except (AssertionError, ValueError) as error:
            failed[name] = str(error)
    assert not failed, "\n".join(f"{name}: {error}" for name, error in failed.items())
    assert len(checked) == len(MAKERS)


def test_rows_that_show_the_same_cells_share_a_field_and_no_other_rows_do(tmp_path: Path):
    """A source says what rows of one field differ in, exactly where its archive has such rows."""
    sharing = set()
    for name in MAKERS:
        folder = tmp_path / name
        make_archive(name, folder)
        rows = annotated(name, folder)[0].to_pandas()
        assert rows["field"].notna().all(), name
        places = rows[["plate", "well", "site"]].fillna("")
        placed = (places["well"] != "") | (places["site"] != "")
        # Rows of one plate, well and site are one field, whatever else a source puts together.
        assert (rows[placed].groupby([places[column] for column in places])["field"].nunique() == 1).all(), name
        if rows["field"].duplicated().any():
            sharing.add(name)
    assert sharing == {name for name in MAKERS if SOURCES[name].rows_differ_in}
    assert len(sharing) >= 21
    assert len(list(tmp_path.iterdir())) == len(MAKERS)


def test_lists_of_what_may_be_there_and_published_cells_are_of_label_columns():
    for source in SOURCES.values():
        assert set(source.uncertain) | set(source.published) <= set(CATEGORIES), source.dir_name


@pytest.mark.parametrize("name", SOURCES)
def test_ids_do_not_depend_on_listing_order(name: str, tmp_path: Path, monkeypatch):
    folder = tmp_path / name
    make_archive(name, folder)
    whole, _ = annotated(name, folder)

    listed = Archive(folder, SOURCES[name]).files
    monkeypatch.setattr(Archive, "files", property(lambda archive: tuple(reversed(listed))))
    backwards, _ = annotated(name, folder)
    assert backwards["idx"].to_pylist() == whole["idx"].to_pylist()


def test_a_source_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SOURCES["bbbc013"].licence = "cc0"


@pytest.mark.parametrize("name", ["kag_leukemia", "rec_rxrx1", "bbbc013", "idr0072"])
@pytest.mark.parametrize("odd", ["", "9" * 5000, "²", "../x"])
def test_an_odd_cell_is_a_rejection_or_refused_by_its_source(name: str, odd: str, tmp_path: Path):
    """Each cell of the first row of each table in turn: no cell ends in a fault of ours."""
    make_archive(name, tmp_path / name)
    tried = 0
    for path in [path for path in (tmp_path / name).rglob("*") if path.suffix == ".csv"]:
        heading, first, *others = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        for place in range(len(first)):
            archives.write_table(path, heading, [[*first[:place], odd, *first[place + 1 :]], *others])
            tried += 1
            with contextlib.suppress(InputError):
                annotated(name, tmp_path / name)
        archives.write_table(path, heading, [first, *others])
    assert tried >= 3
