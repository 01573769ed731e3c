"""Single rows of a dataset as images, where listing all of a large dataset would cost more than reading the few."""

from pathlib import Path

from .base import Image, PlaneRef


def row_image(
    dataset: str | Path, split: str, row: int, *, id: str, column: str = "image", planes: int | None = None
) -> Image:
    """One row of a dataset, read when its turn comes.

    Args:
        dataset: a built folder, or a name on the Hub.
        split: of the row.
        row: place in the split, from 0.
        id: of the image.
        column: of pictures.
        planes: how many a row of several holds; None: it holds one picture.
    """
    place = (split, column, row)
    places = [place] if planes is None else [(*place, plane) for plane in range(planes)]
    refs = tuple((PlaneRef(Path(dataset), kind="dataset", place=one),) for one in places)
    return Image(id, tuple(str(number + 1) for number in range(len(refs))), refs)
