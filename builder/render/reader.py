"""The planes of a field of view, read as the recipe says; a file that cannot be read is a reason to leave it out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.recipe import Recipe
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.images.containers import read_nth_plane
from cytoimagenet_hf.images.source import CONTAINERS, suffix_of
from cytoimagenet_hf.imaging import ImageTooLargeError, read_image, to_gray

Row = Mapping[str, Any]
"""One row of the plan."""


class FieldRejected(Exception):
    """A field that gives no image: a reason to count, a detail to read."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class PlaneReader:
    """Reads planes of files below `raw`, each file of neighbouring fields once (regions of one slide, say)."""

    def __init__(self, raw: Path, recipe: Recipe):
        self._raw = raw
        self._recipe = recipe
        self._planes: dict[tuple[str, int | None], npt.NDArray[Any]] = {}

    def read(self, field: Row) -> list[npt.NDArray[Any] | None]:
        """The gray planes of a field in stain order; None where the file is absent.

        Other trouble with a file, its page or its region raises `FieldRejected`.
        """
        files: list[str] = field["channel_files"]
        pages: list[int | None] = field["channel_pages"] or [None] * len(files)
        wanted = list(zip(files, pages, strict=True))
        # Only what the last field shares with this one is kept: memory is bounded by one field.
        self._planes = {key: plane for key, plane in self._planes.items() if key in wanted}
        for file, page in wanted:
            if (file, page) not in self._planes and _is_there(path := self._path(file), file):
                self._planes[file, page] = self._read(path, page)
        return [_cut(self._planes.get(key), field["region"], key[0]) for key in wanted]

    def _path(self, file: str) -> Path:
        # A source's folder may itself be a link, to a larger disk say; no file may leave that folder.
        source, _, rest = file.partition("/")
        try:
            if source in ("", ".", ".."):
                raise InputError(f"{file!r} names no folder of a source")
            return inside(self._raw / source, rest)
        except InputError as error:
            raise FieldRejected("outside_root", str(error)) from None

    def _read(self, path: Path, page: int | None) -> npt.NDArray[Any]:
        partial, most = not self._recipe.full_decode, self._recipe.max_pixels
        try:
            if suffix_of(path.name) in CONTAINERS:
                image = read_nth_plane(path, page, max_pixels=most)
            else:
                image = read_image(path, page=page, partial=partial, max_pixels=most)
        except InputError as error:
            # The root is where this build ran, not a fact about the field.
            words = str(error).replace(f"{self._raw.resolve()}/", "")
            raise FieldRejected(reason_of(error), words) from None
        if self._recipe.read_depth == "8-bit":
            image = _to_8_bit(image)
        if image.ndim == 3 and self._recipe.rgb == "unit-bytes":
            return (to_gray(image) / max(np.iinfo(np.uint8).max, image.max())).astype(np.uint8)
        return to_gray(image)


def _is_there(path: Path, file: str) -> bool:
    try:
        return path.exists()
    except OSError as error:  # a folder that may not be entered
        raise FieldRejected("unreadable", f"cannot open {file}: {error.strerror or error}") from None


def reason_of(error: InputError) -> str:
    """The reason that a file which cannot be read is counted under."""
    if isinstance(error, ImageTooLargeError):
        return "too_large"
    return "out_of_memory" if isinstance(error.__cause__, MemoryError) else "unreadable"


def _to_8_bit(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """What a reader of 8-bit colour makes of deeper files (I1)."""
    if image.dtype == np.uint16:
        return (image >> 8).astype(np.uint8)
    return np.clip(image, 0, 255).astype(np.uint8)


def _cut(plane: npt.NDArray[Any] | None, region: list[int] | None, file: str) -> npt.NDArray[Any] | None:
    if plane is None or region is None:
        return plane
    x_min, x_max, y_min, y_max = region
    if not (0 <= x_min < x_max <= plane.shape[1] and 0 <= y_min < y_max <= plane.shape[0]):
        raise FieldRejected("bad_region", f"{file} is {plane.shape[1]} x {plane.shape[0]}, the box is {region}")
    return plane[y_min:y_max, x_min:x_max]
