"""Layouts drawn as plates, in text and in workbooks."""

from pathlib import Path

import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables.layouts import read_layout
from cytoimagenet_hf.tables.wells import well_at
from tests.tables.workbooks import workbook


def grid(title: str, rows: int, columns: int, cell: str = "{well}", mark: str = ",") -> str:
    lines = [mark.join([title, *map(str, range(1, columns + 1))])]
    for row in range(1, rows + 1):
        wells = [well_at(row, column) for column in range(1, columns + 1)]
        lines.append(mark.join([wells[0][:-2], *(cell.format(well=well) for well in wells)]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (4, 6), (8, 12), (16, 24), (32, 48)])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_every_plate_there_is(tmp_path: Path, rows: int, columns: int, mark: str) -> None:
    (tmp_path / "map.csv").write_text(grid("compound", rows, columns, "c {well}", mark))
    layout = read_layout(tmp_path / "map.csv")
    assert layout is not None
    wells = [well_at(row, column) for row in range(1, rows + 1) for column in range(1, columns + 1)]
    assert layout.rows.to_dict("list") == {"well": wells, "compound": [f"c {well}" for well in wells]}


def test_several_grids_with_titles_above_or_in_the_corner(tmp_path: Path) -> None:
    text = "Compound,,,\n,01,02,03\nA,DMSO,x,\nB,DMSO,y,y\n\n\nDose [µM],1,2,3\nA,,1,\nB,,3,10\n"
    (tmp_path / "map.csv").write_text(text, encoding="utf-8")
    layout = read_layout(tmp_path / "map.csv")
    assert layout is not None
    assert layout.rows["well"].tolist() == ["A01", "A02", "B01", "B02", "B03"]
    assert layout.rows["Compound"].tolist() == ["DMSO", "x", "DMSO", "y", "y"]
    assert layout.rows["Dose [µM]"].fillna("").tolist() == ["", "1", "", "3", "10"]


@pytest.mark.parametrize("corner", ["", "<>", "Plate 1", "Row"])
def test_a_grid_without_a_title_is_of_compounds_or_roles_and_it_is_said(tmp_path: Path, corner: str) -> None:
    (tmp_path / "map.csv").write_text(f"{corner},1,2,3\nA,DMSO,x,y\nB,DMSO,x,y\n")
    layout = read_layout(tmp_path / "map.csv")
    assert layout is not None
    assert layout.rows["compound"].tolist() == ["DMSO", "x", "y"] * 2
    assert "taken for the compound of each well" in layout.notes[-1]
    (tmp_path / "map.csv").write_text(f"{corner},1,2,3\nA,neg ctrl,trt,pos\nB,neg ctrl,trt,trt\n")
    layout = read_layout(tmp_path / "map.csv")
    assert layout is not None
    assert list(layout.rows) == ["well", "role"]


@pytest.mark.parametrize(
    "text",
    [
        ",1,2,3\nA,0.1,1,10\nB,0.1,1,10\n",
        "dose,1,2,3\nA,1,1,1\nB,1,1,1\ndose,1,2,3\nA,2,2,2\nB,2,2,2\n",
        ",1,2,3\nA,x,x,x\nB,x,x,x\n,1,2,3\nA,y,y,y\nB,y,y,y\n",
    ],
)
def test_grids_that_do_not_say_what_they_are(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(InputError, match="title"):
        read_layout(tmp_path / "map.csv")


@pytest.mark.parametrize("text", ["well,compound\nA01,x\n", "plate,1,2\nA,x,y\n", "1,2,3\n4,5,6\n", "a\n"])
def test_tables_are_no_layouts(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.csv").write_text(text)
    assert read_layout(tmp_path / "map.csv") is None


def test_sheets_of_a_workbook_are_grids_called_after_them(tmp_path: Path) -> None:
    head = ["", 1, 2, 3]
    sheets = {
        "Compound": [head, ["A", "00123", "x", "y"], ["B", "DMSO", "x", "y"]],
        "Conc (uM)": [head, ["A", 0.3, 1, 10], ["B", 0, 1, 10]],
        "remarks": [["made on Monday"]],
    }
    (tmp_path / "map.xlsx").write_bytes(workbook(sheets))
    layout = read_layout(tmp_path / "map.xlsx")
    assert layout is not None
    assert layout.rows["Compound"].tolist() == ["00123", "x", "y", "DMSO", "x", "y"]
    assert layout.rows["Conc (uM)"].tolist() == ["0.3", "1", "10", "0", "1", "10"]
    only = read_layout(tmp_path / "map.xlsx", sheet="Conc (uM)")
    assert only is not None
    assert list(only.rows) == ["well", "Conc (uM)"]
