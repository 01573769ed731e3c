"""Downloads that are not as documented, through the command line: every image is a field or a counted rejection."""

import gzip
import json

from archives_idr import MAKERS

from builder.__main__ import main


def annotated(raw, output, capsys):
    assert main(["annotate", "--raw", str(raw), "--output", str(output), "--json"]) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    assert summary["rows_in"] == summary["kept"] + sum(summary["rejected"].values())
    return summary


def test_of_two_kinds_of_one_plate_one_is_used_and_the_other_counted(tmp_path, capsys):
    MAKERS["idr0080"](tmp_path / "raw" / "idr0080")
    summary = annotated(tmp_path / "raw", tmp_path / "output", capsys)
    assert (summary["kept"], summary["rejected"]) == (3, {"other_version": 15})


def test_a_table_packed_under_a_plain_name_is_read(tmp_path, capsys):
    folder = tmp_path / "raw" / "idr0080"
    MAKERS["idr0080"](folder)
    plain = annotated(tmp_path / "raw", tmp_path / "plain", capsys)
    table = folder / "idr0080-screenA-annotation.csv"
    table.write_bytes(gzip.compress(table.read_bytes()))
    packed = annotated(tmp_path / "raw", tmp_path / "packed", capsys)
    assert (packed["kept"], packed["rejected"]) == (plain["kept"], plain["rejected"])


def test_a_table_cut_off_while_packed_is_said_in_one_line(tmp_path, capsys):
    folder = tmp_path / "raw" / "idr0080"
    MAKERS["idr0080"](folder)
    table = folder / "idr0080-screenA-annotation.csv"
    table.write_bytes(gzip.compress(table.read_bytes())[:-20])
    assert main(["annotate", "--raw", str(tmp_path / "raw"), "--output", str(tmp_path / "output")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert table.name in line
    assert "--exclude idr0080" in line
    assert not (tmp_path / "output").exists()
