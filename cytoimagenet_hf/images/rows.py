"""Single rows of a dataset as images, where listing all of a large dataset would cost more than reading the few."""

from pathlib import Path

from .base import Image, PlaneRef


def row_image(dataset: str | Path, *, split: str, row: int, id: str, column: str = "image") -> Image:
    """One row of a dataset, read when its turn comes.

    Args:
        dataset: a built folder, or a name on the Hub.
        split: of the row.
        row: place in the split, from 0.
        id: of the image.
        column: of pictures.
    """
    plane = PlaneRef(Path(dataset), kind="dataset", place=(split, column, row))
    return Image(id, ("1",), ((plane,),))
