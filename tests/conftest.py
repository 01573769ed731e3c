"""What the whole test tree shares."""

from pathlib import Path

import pytest

_REAL = Path(__file__).resolve().parents[1] / ".." / "shared" / "real"


@pytest.fixture(scope="session")
def real_root() -> Path:
    """The folder of real public tables and images; tests that need it skip where it is absent."""
    if not _REAL.is_dir():
        pytest.skip("needs the real tables and images in ../shared/real, which are not part of the project")
    return _REAL.resolve()
