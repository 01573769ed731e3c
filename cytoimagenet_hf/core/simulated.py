"""Whether data are drawn, not taken: the mark that simulated data carry, and what pages and pictures say of them.

Whoever draws images puts a file `SIMULATED.txt` at the top of them (`mark_simulated`). Everything made from a folder
with the mark in it or above it says so: datasets, features, results, pages, cards and pictures. No option can leave it
out.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

from .files import atomic_path, write_text

MARK = "SIMULATED.txt"
"""The file that marks the folder it lies in and everything below."""
SIMULATED = "Simulated"
"""The word on pages and pictures."""
SENTENCE = "Simulated: these images are drawn. They show that the software works, and say nothing about real cells."
"""The sentence on pages."""


def mark_simulated(folder: str | Path) -> None:
    """Mark everything in a folder as simulated.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     before = is_simulated(folder)
        ...     mark_simulated(folder)
        ...     before, is_simulated(Path(folder) / "plate" / "A01.tif")
        (False, True)
    """
    path = Path(folder) / MARK
    write_text(path, f"{SENTENCE}\n")
    _is_marked.cache_clear()


def is_simulated(place: str | Path) -> bool:
    """Whether the mark lies in a folder or in one above it; a name that is no local path is not simulated."""
    path = Path(place).absolute()
    return any(_is_marked(folder) for folder in (path, *path.parents))


@lru_cache(maxsize=4096)
def _is_marked(folder: Path) -> bool:
    try:
        return (folder / MARK).is_file()
    except OSError:  # a name too long for a path, such as a Hub address
        return False


def stamp_figure(figure: Any) -> None:
    """Write the word at the lower right of a matplotlib figure, below what is drawn."""
    figure.text(0.995, 0.006, SIMULATED, ha="right", va="bottom", fontsize=8, color="#b3450a")


def save_figure(figure: Any, path: Path, *, simulated: bool | None = None, dpi: int = 150) -> Path:
    """Write a matplotlib figure as PNG, with the word on it where the data are simulated.

    Args:
        figure: to write.
        path: written aside and renamed.
        simulated: whether the data are; by default whether the figure's folder is marked.
        dpi: pixels per inch.
    """
    if is_simulated(path) if simulated is None else simulated:
        stamp_figure(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi)
    return path
