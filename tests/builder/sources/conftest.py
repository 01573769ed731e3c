"""An archive of empty files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from builder.sources import SOURCES
from builder.sources.base import Archive


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Archive]:
    """Makes files of some names, and the archive that holds them."""

    def build(*names: str) -> Archive:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return Archive(tmp_path, SOURCES["bbbc038"])

    return build
