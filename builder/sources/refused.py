"""Benchmark sets are kept out of pretraining: refused by name, and by what their files look like.

A model that has seen the images it is evaluated on scores for memory, so BBBC021, COOS-7 and CYCLoPs are never
sources, under whatever folder name they arrive (paper §2.1, FACTS §4).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Benchmark:
    """A refused set: the folder names it goes by, and a pattern only its own files have (lower-case paths)."""

    title: str
    names: tuple[str, ...]
    files: re.Pattern[str]


_CYCLOPS = (
    "actin|budneck|budtip|cellperiphery|cytoplasm|endosome|er|golgi|mitochondria|nuclearperiphery|nuclei|nucleolus|"
    "peroxisome|spindle|spindlepole|vacuolarmembrane|vacuole|dead|ghost"
)
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

BENCHMARKS = (
    Benchmark(
        "BBBC021",
        ("bbbc021", "bbbc021_v1", "idr0035"),
        re.compile(
            # Its tables, its <Week>/<Week_plate> folders, and names of fields with or without the week in front:
            # channels 1, 2 and 4, no prefix but the week.
            r"(^|/)(bbbc021_v1_|idr0035-|(bbbc021_v1_images_)?week\d+_\d{5}[/.]"
            rf"|(week\d+_[^/]*)?[a-h]\d\d_s[1-4]_w[124]{_UUID}\.tif)"
        ),
    ),
    Benchmark(
        "COOS-7",
        ("coos7", "coos-7", "curated-coos7"),
        re.compile(r"(^|/)(curated-coos-?7/|coos-?7[^/]*\.(hdf5|h5)$|[^/]+_protein\.tiff?$)"),
    ),
    Benchmark(
        "CYCLoPs",
        ("cyclops", "cyclops_wt2", "chong_labeled"),
        re.compile(
            rf"(^|/)(chong_labeled/|chong_(train|valid|test)_set\.hdf5$|({_CYCLOPS})/[^/]+_(gfp|rfp)\.tiff?$"
            rf"|({_CYCLOPS})_\d+_(gfp|rfp)\.tiff?$)"
        ),
    ),
)


def refused_name(name: str) -> Benchmark | None:
    """The benchmark a folder or source is named after, if any.

    Example:
        >>> refused_name("BBBC021").title
        'BBBC021'
    """
    return next((benchmark for benchmark in BENCHMARKS if name.lower() in benchmark.names), None)


def refused_files(files: Iterable[str]) -> tuple[Benchmark, str] | None:
    """The benchmark whose files these are, and the first file that shows it."""
    for name in files:
        lower = name.lower()
        for benchmark in BENCHMARKS:
            if benchmark.files.search(lower):
                return benchmark, name
    return None
