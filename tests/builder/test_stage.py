import pyarrow.parquet as pq
import pytest

from builder.stage import Rejection, StageSummary, claimed, count_reasons, require_disk, write_rejections
from cytoimagenet_hf.core.errors import InputError


def test_counts_that_do_not_reconcile_cannot_be_summarised():
    with pytest.raises(RuntimeError, match="10 in, but 7 kept"):
        StageSummary(stage="render", rows_in=10, kept=7, rejected={"dim": 2})


def test_rejections_are_written_in_id_order_with_all_columns(tmp_path):
    rejections = [
        Rejection("b-2", "render", "dim"),
        Rejection("a-1", "render", "unreadable", "cut short at byte 7"),
    ]
    write_rejections(tmp_path, "render", rejections)
    table = pq.read_table(tmp_path / "render.rejected.parquet").to_pylist()
    assert [row["idx"] for row in table] == ["a-1", "b-2"]
    assert table[0]["detail"] == "cut short at byte 7"
    assert count_reasons(rejections) == {"dim": 1, "unreadable": 1}


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(InputError, match="holds no dataset build"), claimed(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_second_build_into_the_same_folder_is_refused_until_the_first_ends(tmp_path):
    output = tmp_path / "cytoimagenet"
    with claimed(output), pytest.raises(InputError, match="another build"), claimed(output):
        pass
    with claimed(output):
        pass


def test_too_little_disk_is_said_with_both_numbers(tmp_path):
    with pytest.raises(InputError, match=r"GB free, about 1000000.0 GB are needed"):
        require_disk(tmp_path, 10**15)
