"""One split as rows: labels, ids and categories in memory, images as they are stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cytoimagenet_hf.core.errors import InputError

RANGES = ("plane_low", "plane_high", "plane_scale", "plane_offset")  # in the order of `StoredPlane`


@dataclass(frozen=True)
class StoredPlane:
    """One plane of a row of the configuration `channels`: encoded, and what `planes.stretch_plane` takes."""

    content: bytes
    low: float
    high: float
    scale: float
    offset: float


class Readable(Protocol):
    """An image that is read from a file of its own."""

    def gray(self) -> NDArray[np.uint8]:
        """The pixels (H, W)."""


Stored = bytes | StoredPlane | Readable | None
"""An image as it is stored: encoded, one plane of a row, a file of one's own, or nothing."""


@dataclass(frozen=True)
class RowTable:
    """One split: columns in memory, images as encoded bytes on disk.

    Of the configuration `channels` each plane is an image of its own, with the label of its row.
    """

    images: Any  # datasets.Dataset with the column `image`, or `planes` and their ranges, not decoded; or one's own
    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    categories: NDArray[np.int64]
    classes: tuple[str, ...]
    fingerprint: str
    where: str  # dataset and split, for messages
    places: NDArray[np.int64] | None = None  # (images, 2): row and plane of each image; None: a row is an image
    targets: NDArray[np.int64] | None = None  # (images, K): every class of each, -1 beyond them; None: its label alone
    fields: NDArray[np.int64] | None = None  # (images,): codes of the field of view each is of; None: not known

    def __len__(self) -> int:
        return len(self.ids)

    def encoded(self, rows: Sequence[int]) -> "Sequence[Stored]":
        """Some images as they are stored."""
        if self.places is None:
            return [value["bytes"] for value in self.images[list(rows)]["image"]]
        places = self.places[list(rows)]
        read = self.images[places[:, 0].tolist()]
        ranges = zip(*(read[name] for name in RANGES), strict=True)
        return [
            StoredPlane(planes[plane]["bytes"], *(values[plane] for values in of_row))
            for planes, of_row, plane in zip(read["planes"], ranges, places[:, 1].tolist(), strict=True)
        ]


def require_two_classes(names: Sequence[str], where: str) -> None:
    """Refuse labels that there is nothing to tell apart in.

    Args:
        names: the different labels that there are.
        where: dataset and split, for the message.

    Raises:
        InputError: there are fewer than two.
    """
    if len(names) < 2:
        raise InputError(f"{where} has one class, {names[0]!r}: a classifier needs two; --objective views needs none")
