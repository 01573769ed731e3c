"""Benchmark sets are kept out of pretraining: refused by name, and by what their files look like.

A model that has seen the images it is evaluated on scores for memory, so BBBC021, COOS-7 and CYCLoPs are never
sources, under whatever folder name they arrive (paper §2.1).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class BenchmarkSet:
    """A benchmark set: the names it goes by, and folders and file names that only it has (lower-case patterns)."""

    title: str
    names: tuple[str, ...]
    folders: re.Pattern[str]  # found anywhere in the path of a folder, which ends in "/"
    files: re.Pattern[str]  # matches the whole name of a file
    endings: tuple[str, ...] = ()  # of the name of a file


_CYCLOPS = (
    "actin|budneck|budtip|cellperiphery|cytoplasm|endosome|er|golgi|mitochondria|nuclearperiphery|nuclei|nucleolus|"
    "peroxisome|spindle|spindlepole|vacuolarmembrane|vacuole|dead|ghost"
)
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

BENCHMARK_SETS = (
    BenchmarkSet(
        "BBBC021",
        ("bbbc021", "bbbc021_v1", "idr0035"),
        re.compile(r"(^|/)(bbbc021|idr0035|week\d+_\d{5}/)"),
        # Fields have no prefix or their week as prefix, and channels 1, 2 and 4.
        re.compile(rf"(bbbc021_v1_|idr0035-).*|(week\d+_.*)?[a-h]\d\d_s[1-4]_w[124]{_UUID}\.tiff?"),
    ),
    BenchmarkSet(
        "COOS-7",
        ("coos7", "coos-7", "curated-coos7"),
        re.compile(r"(^|/)(curated-)?coos-?7"),
        re.compile(r"coos-?7.*\.(hdf5|h5)"),
        ("_protein.tif", "_protein.tiff"),
    ),
    BenchmarkSet(
        "CYCLoPs",
        ("cyclops", "cyclops_wt2", "chong_labeled"),
        re.compile(r"(^|/)(chong_labeled|cyclops)"),
        re.compile(rf"chong_(train|valid|test)_set\.(hdf5|h5)|({_CYCLOPS})_\d+_(gfp|rfp)\.tiff?"),
    ),
)


def benchmark_named(name: str) -> BenchmarkSet | None:
    """The benchmark a folder or source is named after, if any.

    Example:
        >>> benchmark_named("BBBC021").title
        'BBBC021'
    """
    return next((benchmark for benchmark in BENCHMARK_SETS if name.lower() in benchmark.names), None)


def benchmark_among(files: Iterable[str]) -> tuple[BenchmarkSet, str] | None:
    """The benchmark whose files these are, and the first file that shows it."""
    seen: set[str] = set()
    for path in files:
        folder, slash, name = path.lower().rpartition("/")
        if (
            _FILES.fullmatch(name)
            or name.endswith(_ENDINGS)
            or (folder not in seen and _FOLDERS.search(folder + slash))
        ):
            return next(benchmark for benchmark in BENCHMARK_SETS if _holds(benchmark, folder + slash, name)), path
        seen.add(folder)
    return None


def _holds(benchmark: BenchmarkSet, folder: str, name: str) -> bool:
    known_name = benchmark.files.fullmatch(name) or name.endswith(benchmark.endings)
    return bool(known_name or benchmark.folders.search(folder))


# All sets at once: every file of every archive is looked at.
_FILES = re.compile("|".join(benchmark.files.pattern for benchmark in BENCHMARK_SETS))
_FOLDERS = re.compile("|".join(benchmark.folders.pattern for benchmark in BENCHMARK_SETS))
_ENDINGS = tuple(ending for benchmark in BENCHMARK_SETS for ending in benchmark.endings)
