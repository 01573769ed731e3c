"""The same fields from the same files, however a downloader laid them out: a property of all sources.

Servers, mirrors and unpackers put folders above a source (an FTP path, a share, a folder named like the zip) or leave
some out, compress its tables, and stop half-way. None of that may change what is found of the files that are there.
"""

import gzip
import lzma
import os
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import archives
import archives_idr
import pytest

from builder.rows import annotate_source
from builder.sources import SOURCES
from builder.vocabulary import load_vocabulary
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.images.source import SUFFIXES

MAKERS = {**archives.MAKERS, **archives_idr.MAKERS}
# Folders nearest to an image that carry facts: plate and measurement, dataset, class. All above may be cut or added.
EXPECTED = {
    **dict.fromkeys(("bbbc005", "bbbc006", "bbbc017", "bbbc025", "bbbc026", "bbbc048"), 1),
    **dict.fromkeys(("idr0016", "idr0017", "idr0081", "idr0088", "idr0093"), 1),
    **dict.fromkeys(("kag_cell_cycle", "kag_leukemia", "idr0003"), 1),
    **dict.fromkeys(("bbbc038", "bbbc051", "idr0009", "idr0021", "idr0037", "idr0072", "idr0080"), 2),
    **dict.fromkeys(("rec_rxrx1", "rec_rxrx2", "rec_rxrx19a", "rec_rxrx19b"), 2),
    "idr0041": 3,
    "bbbc045": 4,
}


def is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def below(*folders: str) -> Callable[[str], str]:
    """Everything some folders deeper."""
    return lambda name: "/".join((*folders, name))


FTP = below("pub", "databases", "IDR", "study-author-title", "20201106-ftp")


def last_folders(number: int) -> Callable[[str], str]:
    """Of every image only its last folders; tables where they are."""

    def place(name: str) -> str:
        *above, last = name.split("/")
        return "/".join([*above[max(len(above) - number, 0) :], last]) if is_image(name) else name

    return place


def apart(name: str) -> str:
    """Images below a folder of the transfer, tables beside it without any folder."""
    return f"20201106-aspera/{name}" if is_image(name) else name.rpartition("/")[2]


def tables_below(name: str) -> str:
    """Images as documented, tables in a checkout of the study's repository."""
    return name if is_image(name) else f"study-repository/screens/{name}"


def unzipped(name: str) -> str:
    """Every top folder in one of its own name, as unpackers of zips make it."""
    top, slash, _ = name.partition("/")
    return f"{top}/{name}" if slash else name


@dataclass(frozen=True)
class Variant:
    """What happens to an archive between its server and us."""

    name: str
    place: Callable[[str], str] = str
    pack: str = ""
    missing: int | None = None  # the seed of which half of the images is missing


def variants(source: str) -> list[Variant]:
    """The same number for each source."""
    facts = EXPECTED.get(source, 0)
    layouts = [
        Variant("as documented"),
        Variant("one folder deeper", below("download")),
        Variant("an FTP path", FTP),
        Variant("a Globus share", below("~", "share", "data", source)),
        Variant("in a folder of its own name", below(source)),
        Variant("each zip in its own folder", unzipped),
        Variant("images and tables apart", apart),
        Variant("tables in a checkout", tables_below),
        Variant("last folders only", last_folders(facts)),
        Variant("one folder more than the last", last_folders(facts + 1)),
        Variant("last folders only, below others", lambda name: FTP(last_folders(facts)(name))),
        Variant(
            "upper case", lambda name: f"{PurePosixPath(name).with_suffix('')}{PurePosixPath(name).suffix.upper()}"
        ),
    ]
    packed = [
        Variant(f"{layout.name}, tables as {pack}", layout.place, pack)
        for pack, layout in zip(
            ("gz", "gz under a plain name", "zip", "xz"), 2 * (layouts[0], layouts[2]), strict=True
        )
    ]
    halves = [
        Variant(f"{layout.name}, half {seed} missing", layout.place, layout.pack, seed)
        for seed, layout in enumerate((layouts[0], layouts[8], packed[1]))
    ]
    return layouts + packed + halves


@cache
def archive_of(source: str, base: Path) -> tuple[tuple[str, ...], dict[str, dict]]:
    """Make the archive of a source once: its files, and the rows found in it."""
    folder = base / source
    folder.mkdir()
    MAKERS[source](folder)
    names = tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))
    rows, _ = annotated(source, folder)
    return names, rows


def lay_out(source: Path, target: Path, names: Iterable[str], variant: Variant) -> None:
    for name in names:
        real = target / variant.place(name)
        real.parent.mkdir(parents=True, exist_ok=True)
        content = source / name
        if is_image(name) or not variant.pack or content.suffix in {".gz", ".zip"}:
            os.link(content, real)
        elif variant.pack == "gz under a plain name":
            real.write_bytes(gzip.compress(content.read_bytes()))
        elif variant.pack == "zip":
            with zipfile.ZipFile(real.with_name(real.name + ".zip"), "w") as archive:
                archive.write(content, content.name)
        else:
            pack = {"gz": gzip.compress, "xz": lzma.compress}[variant.pack]
            real.with_name(f"{real.name}.{variant.pack}").write_bytes(pack(content.read_bytes()))


def annotated(source: str, folder: Path) -> tuple[dict[str, dict], str]:
    """Rows by id, and all that was said of what was left out."""
    table, rejections = annotate_source(SOURCES[source], folder, load_vocabulary())
    return {row["idx"]: row for row in table.to_pylist()}, "\n".join(rejection.detail for rejection in rejections)


def facts_of(row: dict, *, without: Iterable[str] = ()) -> dict:
    """A row without the place of its files, in any letter case."""
    names = [name.rpartition("/")[2].lower() for name in row["channel_files"]]
    facts = {**row, "path": None, "channel_files": names, "filename": row["filename"].lower()}
    return {key: value for key, value in facts.items() if key not in without}


@pytest.mark.parametrize("source", MAKERS)
def test_a_layout_changes_nothing(source: str, tmp_path: Path):
    checked = 0
    for variant in variants(source):
        names, whole = archive_of(source, tmp_path)
        images = [name for name in names if is_image(name)]
        gone = set()
        if variant.missing is not None:
            rng = derive_rng(variant.missing, "layouts", source)
            gone = set(rng.permutation(images)[: (len(images) + 1) // 2].tolist())
        placed = {name: variant.place(name) for name in names if name not in gone}
        assert len(set(placed.values())) == len(placed), f"{variant.name}: two files at one place"
        target = tmp_path / str(checked) / source
        lay_out(tmp_path / source, target, placed, variant)
        rows, details = annotated(source, target)
        if not gone:
            assert {idx: facts_of(row) for idx, row in rows.items()} == {
                idx: facts_of(row) for idx, row in whole.items()
            }, variant.name
        else:
            check_half(source, variant, whole, rows, details, {f"{source}/{name}" for name in gone})
        checked += 1
    assert checked == 19


def check_half(source: str, variant: Variant, whole: dict, rows: dict, details: str, gone: set[str]) -> None:
    """Fields of which a file is left are found unchanged; every image and every lost row is accounted for."""
    left = {idx for idx, row in whole.items() if not gone.issuperset(row["channel_files"])}
    assert rows.keys() == left, variant.name
    for idx, row in rows.items():
        files = ("channel_files", "filename")  # a missing file is recorded under its documented name
        assert facts_of(row, without=files) == facts_of(whole[idx], without=files), variant.name
        for before, after in zip(whole[idx]["channel_files"], row["channel_files"], strict=True):
            if before not in gone:
                assert after == f"{source}/{variant.place(before.partition('/')[2])}", variant.name
    lost = [row for idx, row in whole.items() if idx not in left]
    wells = {(row["plate"], row["well"]) for idx, row in whole.items() if idx in left}
    # bbbc017 goes through its images: its library holds plates that were never imaged.
    if SOURCES[source].kind == "metadata table" and source != "bbbc017":
        for row in lost:
            place = (row["plate"], row["well"])
            # The table names wells: of a well that has another site left, the site was never announced.
            assert place in wells or "no_image" in details or str(row["plate"] or row["site"]).split("/")[0] in details
