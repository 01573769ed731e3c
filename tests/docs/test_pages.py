"""Generated pages are what their generators write, links lead somewhere, and commands in the docs exist."""

import importlib
import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from huggingface_hub import DatasetCard, ModelCard

from builder.__main__ import app as builder_app
from cytoimagenet_hf.cli import COMMANDS
from scripts.benches.common import row_text
from scripts.docs import main, pages
from scripts.pages import blocks, front, numbers, repairs, results, sentences
from tests.running import training_call

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")})
GENERATED = pages()


def names(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("name", [name for name in GENERATED if name != "docs/numbers.md"])
def test_a_generated_page_is_what_would_be_written(name):
    assert (ROOT / name).read_text() == GENERATED[name], "run python scripts/docs.py"


def test_the_numbers_are_those_of_the_files_that_are_there():
    page = (ROOT / "docs" / "numbers.md").read_text()
    for name, section in numbers.sections().items():
        assert section in page, f"{name}: run python scripts/docs.py"


def test_every_measurement_has_a_sentence_with_its_own_numbers():
    files = [path for path in sorted(numbers.FOLDER.glob("*.json")) if path.stem not in numbers.ELSEWHERE]
    assert len(files) >= 14
    for path in files:
        _, sentence = sentences.heading_and_sentence(path.stem, json.loads(path.read_text()))
        assert re.search(r"\d", sentence), path.name
        assert sentence.endswith("."), path.name


def test_measurements_are_stored_a_row_per_line():
    for path in numbers.FOLDER.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert text == row_text(json.loads(text)) + "\n", f"{path.name}: write it by scripts/benches/common.py"


def test_a_sentence_follows_its_file():
    result = {"table": [{"size": "33x33", "largest difference": 2e-3}, {"size": "64x64", "largest difference": 1e-6}]}
    assert "within 2e-03" in sentences.heading_and_sentence("keras_parity", result)[1]


def test_a_measurement_without_a_sentence_is_refused(tmp_path):
    (tmp_path / "nobody_wrote_one.json").write_text("{}")
    with pytest.raises(ValueError, match=r"nobody_wrote_one\.json: write its heading"):
        numbers.sections(tmp_path)


def test_numbers_that_a_page_repeats_are_those_that_were_measured():
    sent = [one["sent, %"] for one in results.measured("push")["table"] if one["rows of a group"] == 250]
    stated = re.search(r"sends (\d+) to (\d+) %", (ROOT / "docs" / "journeys" / "curate.md").read_text())
    assert stated is not None
    assert round(min(sent)) == int(stated[1])
    assert max(sent) <= int(stated[2]) < max(sent) + 1
    differences = [one["largest difference"] for one in results.measured("keras_parity")["table"]]
    stated = re.search(r"agree\*\* with\s+their port to (\S+) at every size", (ROOT / "docs" / "paper.md").read_text())
    assert stated is not None
    assert max(differences) <= float(stated[1]) < 2 * max(differences)


def test_what_leaving_out_single_yeast_cells_measures_is_as_in_the_study():
    (yeast,) = (one for one in results.measured("study")["sets"] if one["set"] == "yeast")
    cell, field = (100 * yeast[f"pixels, one {what} out"] for what in ("cell", "field"))
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert f"score {cell:.0f} % when one cell is left out and {field:.0f} % when its whole field is" in text


def test_the_page_of_repairs_says_what_one_cell_left_out_changes():
    measured = results.measured("repairs")
    assert "nothing changes" in repairs.changes(measured)
    changed = [one | {"one cell left out, not its group": "99.00"} for one in measured["table"]]
    assert "has 99.00 % instead of" in repairs.changes(measured | {"table": changed})


def test_made_parts_of_a_page_are_all_made():
    page = "a\n<!-- made by scripts/docs.py: x -->\n<!-- end -->\nb\n"
    assert blocks.filled(page, {"x": "1"}) == "a\n<!-- made by scripts/docs.py: x -->\n1\n<!-- end -->\nb\n"
    with pytest.raises(ValueError, match="made are"):
        blocks.filled(page, {"y": "1"})


def test_the_real_plates_figure_has_the_numbers_of_the_table():
    figure = json.loads((ROOT / "docs" / "images" / "bbbc013.json").read_text())["screen"]["separations"]
    first = results.measured("screen")["table"][0]
    assert {f"Z' {one['compound']}" for one in figure} == {
        name for name in first if name.startswith("Z'") and "," not in name
    }
    for one in figure:
        assert one["z_prime"] == pytest.approx(first[f"Z' {one['compound']}"], abs=0.02)


def test_the_first_picture_is_drawn_from_its_numbers():
    for dark in (False, True):
        figure = front.draw(results.measured("screen"), dark=dark)
        assert len(figure.subfigs) == 2
        labels = [text for axis in figure.axes for text in axis.get_legend_handles_labels()[1]]
        for plate in results.measured("screen")["plates"].values():
            for one in plate["responses"]:
                assert any(one["compound"] in text and f"{one['spearman']:.2f}" in text for text in labels)
        assert front.TARGETS[dark].stat().st_size < 400_000


def test_tables_put_what_they_are_about_first_and_numbers_right():
    rows = [{"seconds": 1.23456, "what": "a|b"}, {"seconds": None, "what": "floor"}]
    assert numbers.table(rows).splitlines() == [
        "| what | seconds |",
        "| --- | --: |",
        r"| a\|b | 1.23 |",
        "| floor | – |",
    ]


def test_the_reference_names_modules_that_are_there_with_a_page_each():
    pages = sorted((ROOT / "docs" / "api").glob("*.md"))
    modules = [name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), flags=re.MULTILINE)]
    assert len(modules) > 25
    for module in modules:
        assert importlib.util.find_spec(module), module
    listed = re.findall(r"\]\(api/(\w+)\.md\)", (ROOT / "docs" / "api.md").read_text())
    assert sorted(listed) == [page.stem for page in pages]


def test_the_script_says_which_pages_differ(monkeypatch, capsys):
    changed = GENERATED | {"docs/sources.md": "other\n"}
    monkeypatch.setattr("scripts.docs.pages", lambda: changed)
    stale = [name for name, content in changed.items() if (ROOT / name).read_text() != content]
    with pytest.raises(typer.Exit):
        main(check=True)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == stale


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
def test_links_lead_to_a_file_and_to_a_heading_in_it(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        if target.startswith(
            "../../actions/workflows/"
        ):  # of the repository's page: the badge and the runs of a workflow
            assert (ROOT / ".github" / "workflows" / target.split("/")[4]).is_file(), target
            continue
        name, _, fragment = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        assert ROOT in file.parents, f"{target} leaves the project"
        if fragment:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), flags=re.MULTILINE)
            assert fragment in {blocks.anchor(heading) for heading in headings}, target


def commands():
    """Each shell command of this project in the docs, as (page, words)."""
    for path in PAGES:
        for block in re.findall(
            r"```bash\n(.*?)```|`((?:cytoimagenet|python -m builder) [^`]*)`", path.read_text(), re.DOTALL
        ):
            for line in "".join(block).replace("\\\n", " ").splitlines():
                words = shlex.split(line.split("   #")[0].replace("…", ""))
                if words[:1] == ["cytoimagenet"] or words[:3] == ["python", "-m", "builder"]:
                    yield path.name, words
                if words[:3] == ["accelerate", "launch", "scripts/train.py"]:
                    yield path.name, words


def known_options(words):
    if words[0] == "cytoimagenet":
        app = typer.Typer()
        app.command()(importlib.import_module(f"cytoimagenet_hf.cli.{words[1].replace('-', '_')}").command)
        command = typer.main.get_command(app)
    else:
        command = typer.main.get_command(builder_app).commands[words[3]]
    return {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}


def test_commands_in_the_docs_know_their_options():
    checked = 0
    for page, words in commands():
        if words[0] == "accelerate":
            if "--config" not in words and words[3] != "--help":
                training_call(*words[3:])
            checked += 1
            continue
        if words[1] in COMMANDS or (words[0] == "python" and not words[3].startswith("--")):
            unknown = {word for word in words if word.startswith("--")} - known_options(words)
            assert not unknown, f"{page}: {' '.join(words)}"
            checked += 1
    assert checked > 25


def test_the_cards_shown_are_sound_and_as_the_hub_reads_them():
    for kind, card in (("dataset", DatasetCard), ("model", ModelCard)):
        assert card.load(ROOT / "docs" / "cards" / kind / "README.md").data.license


def test_the_faults_that_code_and_pages_name_stand_on_the_page_of_the_paper():
    page = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    faults = set(re.findall(r"^\| ([A-Z]\d) \|", page, flags=re.MULTILINE))
    assert {"L1", "I4", "S1", "E2", "C1", "T1"} <= faults
    files = [
        path
        for folder in ("cytoimagenet_hf", "builder", "scripts", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]
    cited = {
        name
        for path in files
        for cells in re.findall(r"\(((?:[A-Z]\d[ ,-]+)*[A-Z]\d), docs/paper\.md\)", path.read_text(encoding="utf-8"))
        for name in re.findall(r"[A-Z]\d", cells)
    }
    assert len(cited) >= 5
    assert cited <= faults
    rows = re.findall(r"^\| `\w+` \| ([A-Z]\d) \|", (ROOT / "docs" / "recipes.md").read_text(), flags=re.MULTILINE)
    assert {"H1", "L1"} <= set(rows) <= faults
