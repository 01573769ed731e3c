"""The notebooks of the docs: each runs on the demo's output and gives what is stored in it, in kind and in words."""

import matplotlib
import nbformat
import pytest

from scripts.notebooks import NOTEBOOKS, errors, execute, outline

_LARGEST = 300_000  # bytes of a notebook with its pictures


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_is_one_for_each_journey():
    assert [path.stem for path in NOTEBOOKS] == ["01_load", "02_extract", "03_curate", "04_pretrain", "05_benchmark"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_its_outputs_are_those_that_are_stored(path, demo, tmp_path):
    stored = nbformat.read(path, as_version=4)
    ran = execute(path, demo, tmp_path)
    for old, new in zip(code_cells(stored), code_cells(ran), strict=True):
        assert not errors(new), new.source
        assert outline(new) == outline(old), f"run python scripts/notebooks.py: {new.source}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_with_outputs_small_and_without_noise(path):
    cells = code_cells(nbformat.read(path, as_version=4))
    assert all(cell.execution_count for cell in cells)
    assert not any(errors(cell) for cell in cells)
    assert any(cell.outputs for cell in cells)
    pictures = sum(kind.startswith("image/") for cell in cells for kind, _ in outline(cell))
    assert pictures >= 1
    assert path.stat().st_size < _LARGEST


def test_the_plate_of_the_second_notebook_may_be_any_plate(demo, tmp_path, monkeypatch):
    """One path is changed; there is no plate map beside it."""
    monkeypatch.setenv("CYTOIMAGENET_DEMO", str(demo))
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    (tmp_path / "mine").symlink_to(demo / "plate" / "phenix")
    notebook = nbformat.read(next(path for path in NOTEBOOKS if path.stem == "02_extract"), as_version=4)
    names: dict[str, object] = {}
    changed = 0
    for cell in code_cells(notebook):
        source = cell.source.replace('demo / "plate" / "imagexpress"', 'Path("mine")')
        changed += source != cell.source
        exec(compile(source, "02_extract", "exec"), names)
    assert changed == 1
    assert names["platemap"] is None
    assert len(names["profiles"].table) == 96
