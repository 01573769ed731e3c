"""The page of formats has a row for every kind of source, in the order in which they are tried."""

import re
from pathlib import Path

from cytoimagenet_hf.images import FORMATS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


def test_every_format_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE.read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == list(FORMATS)
    tried = [name for name, files in rows if not files.startswith("none")]
    assert len(tried) == 12
    for name, files in rows:
        assert name not in tried or re.search(r"\]\(https://\S+\)", files), f"{name}: where its files are from"
