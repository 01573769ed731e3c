"""Benchmark sets are recognised by name and by files; no source is mistaken for one."""

import archives
import archives_idr
import pytest

from builder.sources.base import Archive
from builder.sources.benchmark_sets import benchmark_among, benchmark_named

UUID = "BEDC2073-A983-4B98-95E9-84466707A25D"


@pytest.mark.parametrize("name", ["bbbc021", "BBBC021", "coos7", "CURATED-COOS7", "cyclops", "chong_labeled"])
def test_names(name):
    assert benchmark_named(name) is not None


@pytest.mark.parametrize(
    ("title", "file"),
    [
        ("BBBC021", "BBBC021_v1_image.csv"),
        ("BBBC021", "tables/BBBC021_v1_moa.csv"),
        ("BBBC021", "Week1/Week1_22123/renamed_01.tif"),
        ("BBBC021", f"flat/G10_s1_w1{UUID}.tif"),
        ("BBBC021", f"Week1_150607_B02_s1_w4{UUID}.tif"),
        ("BBBC021", "BBBC021_v1_images_Week1_22123/a.tif"),
        ("BBBC021", "idr0035-screenA-annotation.csv.gz"),
        ("COOS-7", "CURATED-COOS7/train/golgi/1_2.tif"),
        ("COOS-7", "train/0/plate1_12_protein.tif"),
        ("COOS-7", "COOS7_v1.0_training.hdf5"),
        ("CYCLoPs", "chong_labeled/ACTIN/1.tif"),
        ("CYCLoPs", "x/ACTIN/ACTIN_12_gfp.tif"),
        ("CYCLoPs", "SPINDLEPOLE_3_rfp.tif"),
        ("CYCLoPs", "Chong_train_set.hdf5"),
    ],
)
def test_files(title, file):
    match = benchmark_among(["a/b.png", file])
    assert match is not None
    assert (match[0].title, match[1]) == (title, file)


def test_no_source_is_mistaken_for_a_benchmark(tmp_path):
    makers = {**archives.MAKERS, **archives_idr.MAKERS}
    for name, make in makers.items():
        folder = tmp_path / name
        folder.mkdir()
        make(folder)
        assert benchmark_named(name) is None
        assert benchmark_among(Archive(folder, source=None).files) is None, name
    assert len(makers) >= len(archives.OF_THE_PAPER) == 40
