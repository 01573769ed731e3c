"""Labels beside the paper's: what is counted, and why a name of the author's subsets is missing."""

import io

import pandas as pd
import pytest
from rich.console import Console

from builder.recipe import load
from builder.select.compare import PAPER, compare_with_paper
from cytoimagenet_hf.dataset.schema import SUBSETS
from tests.builder.tiny_builds import write_annotations

SMALL = load("corrected", {"min_fields": "4", "max_fields": "6", "min_images": "5", "max_images": "10"})
FREQUENT, RARE, ABSENT = sorted({*SUBSETS["toy_20"], *SUBSETS["toy_50"]})[:3]


@pytest.fixture
def report(tmp_path):
    """Six fields carry one of the author's names, a single one another."""
    table = pd.DataFrame(
        {
            "idx": [f"s-{n}" for n in range(8)],
            "dir_name": "a",
            "phenotype": [FREQUENT] * 6 + [RARE, None],
            "licence": "cc0",
        },
        dtype=object,
    )
    write_annotations(tmp_path, table)
    return compare_with_paper(tmp_path, recipe=SMALL, seed=0)


def test_labels_are_counted_by_category_beside_the_papers(report):
    assert report.categories == {category: int(category == "phenotype") for category in PAPER}
    assert report.paper == PAPER
    assert (report.fields, report.left_out, report.chosen) == (8, 0, 6)


def test_a_missing_name_has_its_reason(report):
    assert report.found == (FREQUENT,)
    assert report.missing[RARE] == "out: 1 rows, a candidate needs 4"
    assert report.missing[ABSENT] == "out: no field of view that is held carries it"
    assert len(report.missing) == len({*SUBSETS["toy_20"], *SUBSETS["toy_50"]}) - 1


def test_it_is_shown_with_both_tables(report):
    console = Console(width=120, file=io.StringIO())
    console.print(report)
    printed = console.file.getvalue()
    assert "nothing written" in printed
    assert "6 fields of view of 8" in printed
    assert RARE in printed
