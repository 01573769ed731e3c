"""The leaderboard: order, gains, marks, and what two records may not disagree about."""

import json
from dataclasses import replace

import pytest

from cytoimagenet_hf.cli import main
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import write_json
from cytoimagenet_hf.dataset.cards.leaderboard import make_leaderboard, to_markdown, to_page
from cytoimagenet_hf.scoring.contamination import Overlap
from cytoimagenet_hf.scoring.results import Comparison, EntryRecord, ResultsRecord
from tests.dataset.cards.records import score


def _gain(entry, difference, interval, name="cells"):
    return Comparison(
        name, "histogram", entry, 100, difference, interval, 0, 0, "exact McNemar", None, None, 0.01, 0.01, None
    )


@pytest.fixture
def record():
    shared = {"marks": "†", "contamination": (Overlap("task", "idr0072", "laboratory", "one laboratory"),)}
    return ResultsRecord(
        {"recipe": {"name": "corrected"}},
        {},
        (EntryRecord("net <b>", "model"), EntryRecord("poor", "model"), EntryRecord("histogram", "baseline")),
        (
            score("poor", 0.4),
            score("net <b>", 0.8, **shared),
            score("histogram", 0.6, kind="baseline"),
        ),
        gains=(_gain("net <b>", 0.2, (0.1, 0.3)), _gain("poor", -0.2, (-0.3, -0.1))),
    )


def test_best_gain_first_and_baselines_below(record):
    board = make_leaderboard([record])
    assert [row.name for row in board.rows] == ["net <b>", "poor", "histogram"]
    assert [row.mean_gain for row in board.rows] == [0.2, -0.2, None]
    assert board.rows[0].cells["cells"].clear
    assert not board.rows[1].cells["cells"].clear


def test_page_is_one_file_escapes_names_and_explains_marks(record):
    page = to_page(make_leaderboard([record]), title="A & B")
    assert "net &lt;b&gt;" in page
    assert "A &amp; B" in page
    assert "† laboratory" in page
    assert "http" not in page
    assert page.count("<tr class=") == 3
    assert "<b>+20.0</b> [+10.0, +30.0]" in page


def test_markdown_has_a_row_per_entry(record):
    lines = to_markdown(make_leaderboard([record])).splitlines()
    assert lines[2] == "| net <b> | model | +20.0 | 80.0† (+20.0 [+10.0, +30.0]) |"
    assert lines[4] == "| histogram | baseline | – | 60.0 |"


def test_records_add_up_or_are_refused(record):
    other = replace(record, scores=tuple(replace(score, set="other") for score in record.scores), gains=())
    assert make_leaderboard([record, other]).sets == ("cells", "other")
    assert make_leaderboard([record, record]) == make_leaderboard([record])
    with pytest.raises(InputError, match=r"0\.8000 in one record and 0\.7000 in another"):
        changed = tuple(replace(score, right=70, value=0.7) if score.right == 80 else score for score in record.scores)
        make_leaderboard([record, replace(record, scores=changed)])
    with pytest.raises(InputError, match="no results"):
        make_leaderboard([])


def test_the_command_writes_the_page_or_the_table(record, tmp_path, capsys):
    write_json(tmp_path / "results.json", record.to_json())
    for name in ("board.html", "board.md"):
        command = ["leaderboard", str(tmp_path / "results.json"), "--output", str(tmp_path / name), "--json"]
        assert main(command) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed["sets"] == ["cells"]
        assert [entry["name"] for entry in printed["entries"]] == ["net <b>", "poor", "histogram"]
        assert (tmp_path / name).stat().st_size > 100
    assert main([*command[:-1], "--output", str(tmp_path / "board.pdf")]) == 2
    assert "a page ends in .html" in capsys.readouterr().err


def test_an_entry_of_a_run_without_baselines_is_compared_and_sorted(record):
    """The best entry must not be last because its run scored no baselines; without pairs it has no interval."""
    alone = replace(record, entries=(EntryRecord("best", "model"),), scores=(score("best", 0.9),), gains=())
    board = make_leaderboard([record, alone])
    assert [row.name for row in board.rows] == ["best", "net <b>", "poor", "histogram"]
    assert board.rows[0].mean_gain == pytest.approx(0.3)
    assert board.rows[0].cells["cells"].gain is None
    assert "<small><b>+30.0</b></small>" in to_page(board)
    assert "90.0 (+30.0)" in to_markdown(board)
    fewer = replace(alone, scores=(score("best", 0.9, n=50),))
    assert make_leaderboard([record, fewer]).rows[-1].mean_gain is None  # other items: not to be compared


def test_results_of_drawn_images_are_called_simulated(record):
    assert "Simulated" not in to_page(make_leaderboard([record]))
    drawn = replace(record, config={**record.config, "simulated": ["bbbc021"]})
    assert "Simulated: these images are drawn" in to_page(make_leaderboard([record, drawn]))
    assert to_markdown(make_leaderboard([drawn])).startswith("**Simulated")


def test_the_results_of_a_demo_are_read(record, tmp_path, capsys):
    write_json(tmp_path / "results.json", {"seed": 0, "benchmarks": record.to_json()})
    assert main(["leaderboard", str(tmp_path / "results.json"), "--output", str(tmp_path / "board.html")]) == 0
    assert "3 entries on 1 set" in capsys.readouterr().out
