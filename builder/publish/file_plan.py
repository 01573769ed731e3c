"""Which image of the dataset goes to which Parquet file and row group.

Files are cut so that each lies on one side of the stored split *and* of the published one: both splits are then
lists of files, and no image is stored twice for them. Row groups hold 250 images, some 16 MB: a stream's first row and
a single row come quickly, and a second push after a small change sends little more than the change
(`scripts/bench.py push`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ROW_GROUP_ROWS = 250
_ROW_GROUP_BYTES = 32 << 20  # of large whole images fewer: memory stays bounded
_FILE_BYTES = 500_000_000

Cell = tuple[str, str]
"""(stored split, published split)."""


@dataclass(frozen=True)
class DataFile:
    """One file to write: its name below `data/`, its cell, and the images in each of its row groups."""

    name: str
    cell: Cell
    groups: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Images in the file."""
        return sum(self.groups)


def plan_files(splits: Sequence[str], published: Sequence[str], png_bytes: Sequence[int]) -> list[DataFile]:
    """Cut the images of each cell, in their order, into row groups and files.

    Args:
        splits: the stored split of each image, `train` or `validation`.
        published: the published split of each image.
        png_bytes: the size of each image.

    Example:
        >>> [(file.name, file.groups) for file in plan_files(["train"] * 300, ["train"] * 300, [9] * 300)]
        [('train-00000-of-00001.parquet', (250, 50))]
    """
    sizes: dict[Cell, list[int]] = {}
    for cell, size in zip(zip(splits, published, strict=True), png_bytes, strict=True):
        sizes.setdefault(cell, []).append(size)
    files = []
    for split in ("train", "validation"):
        parts = [(cell, groups) for cell in sorted(sizes) if cell[0] == split for groups in _cut_files(sizes[cell])]
        files += [
            DataFile(f"{split}-{number:05d}-of-{len(parts):05d}.parquet", cell, groups)
            for number, (cell, groups) in enumerate(parts)
        ]
    return files


def _cut_files(sizes: list[int]) -> Iterator[tuple[int, ...]]:
    groups: list[int] = []
    file_bytes = rows = group_bytes = 0
    for number, size in enumerate(sizes):
        rows += 1
        group_bytes += size
        last = number == len(sizes) - 1
        if not (last or rows == ROW_GROUP_ROWS or group_bytes >= _ROW_GROUP_BYTES):
            continue
        groups.append(rows)
        file_bytes += group_bytes
        rows = group_bytes = 0
        if last or file_bytes >= _FILE_BYTES:
            yield tuple(groups)
            groups, file_bytes = [], 0
