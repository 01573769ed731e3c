"""One image as every part of the project knows it: an id, named channels, metadata, and where its planes lie.

An `Image` opens nothing until it is read, and it can be sent to another process: it holds references to planes, not
open files or functions.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import MAX_PIXELS
from cytoimagenet_hf.core.once import Once

from .labels import connected_parts, require_labels
from .remote import concurrently, is_remote
from .stores import STORES, Address

Projection = Literal["max", "mean"]


@dataclass(frozen=True)
class PlaneRef:
    """One 2-D plane and where it lies.

    Attributes:
        path: a file, the folder of a store, or the name of a dataset.
        page: plane of a multi-plane file, counted from 0; None: a file of one plane.
        kind: a key of `stores.STORES`: which reader opens it.
        place: where in a container that is not a plain file; see the reader of its kind.
    """

    path: Path
    page: int | None = None
    kind: str = "file"
    place: Address = ()

    def read(self) -> npt.NDArray[Any]:
        """The plane: (H, W), or (H, W, 3) for a colour picture, in its native dtype."""
        return _read_planes([self], MAX_PIXELS)[0]

    @property
    def stamp(self) -> str:
        """What the pixels depend on: name, size and time of the file, and the place in it."""
        return f"{STORES[self.kind].stamp(self.path, [self.address])}#{self.address}"

    @property
    def address(self) -> Address:
        """Address in the container: `(page,)` in a file, `()` where the file is one plane."""
        return self.place if self.page is None else (self.page,)


@dataclass(frozen=True)
class ObjectRef:
    """One object on a label image of its field, such as the nucleus of a cell."""

    kind: str  # such as `Nuclei`
    plane: PlaneRef  # the label image
    number: int  # of the object there; 0: the cell has no object of this kind
    parts: bool = False  # whether numbers are those of the connected parts of a binary mask

    def labels(self) -> npt.NDArray[Any]:
        """The label image, (H, W) whole numbers."""

        def read() -> npt.NDArray[Any]:
            labels = require_labels(self.plane.read(), self.plane.path)
            return connected_parts(labels) if self.parts else labels

        return _LABELS.get((self.plane, self.parts, self.plane.stamp), read)


@dataclass(frozen=True)
class Box:
    """A square of an image: one cell.

    Attributes:
        top: first row; may lie outside the image.
        left: first column; may lie outside the image.
        size: side in pixels.
        mirror: fill what lies outside by mirroring the image at its border; else such a box is refused.
        frame: (height, width) that the image must have, where a label image says it.
        masked: whether pixels that are not of the cell become 0.
    """

    top: int
    left: int
    size: int
    mirror: bool = True
    frame: tuple[int, int] | None = None
    masked: bool = False

    def cut(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The pixels of the box.

        Raises:
            InputError: the image has another size than its label image, the centre lies outside, or a border is
                crossed that is not to be mirrored.
        """
        height, width = plane.shape[:2]
        if self.frame not in (None, (height, width)):
            raise _Unfit(f"the image is {height} x {width} and its label image {self.frame}")
        half = self.size // 2
        if not (0 <= self.top + half < height and 0 <= self.left + half < width):
            raise _Unfit(f"the centre (row {self.top + half}, column {self.left + half}) lies outside the image")
        if not self.mirror and (
            min(self.top, self.left) < 0 or self.top + self.size > height or self.left + self.size > width
        ):
            raise _Unfit(f"the box of {self.size} pixels crosses the border of the image")
        rows = _mirrored(np.arange(self.top, self.top + self.size), height)
        columns = _mirrored(np.arange(self.left, self.left + self.size), width)
        return np.ascontiguousarray(plane[rows[:, None], columns])

    def inside(self, labels: npt.NDArray[Any], number: int) -> npt.NDArray[np.bool_]:
        """The pixels of the box that are of one object, none of them beyond the border of the image."""
        of_object = self.cut(labels) == number
        for axis, (first, length) in enumerate(zip((self.top, self.left), labels.shape, strict=True)):
            places = np.arange(first, first + self.size)
            there = (places >= 0) & (places < length)
            of_object &= there[:, None] if axis == 0 else there
        return of_object


@dataclass(frozen=True)
class Rejection:
    """An image that was left out, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Image:
    """One image: a field of view, a cell, or a row of a dataset.

    Attributes:
        id: unique within its source; features are joined by it.
        channels: stain names in order, lower case; numbers as text where nothing names them.
        planes: per channel, the planes that are projected into it (one, or a z stack).
        metadata: what is known of it: `plate`, `well` (`A01`), `site`, `z`, `t`, and every further column of its
            source under its own name without `Metadata_`.
        projection: how a z stack becomes one plane.
        problem: why it cannot be used, found without opening it; empty where nothing speaks against it.
        box: the part of the planes that it is; None: all of them.
        max_pixels: planes with more are refused before they are read.
        objects: of a cell: what label images show of it, the object that the row stands for first.
        illumination: per channel the function that its plane is divided by, None for a channel without; empty: no
            channel is corrected.
    """

    id: str
    channels: tuple[str, ...]
    planes: tuple[tuple[PlaneRef, ...], ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    projection: Projection = "max"
    problem: str = ""
    box: Box | None = None
    max_pixels: int = MAX_PIXELS
    objects: tuple[ObjectRef, ...] = ()
    illumination: tuple[PlaneRef | None, ...] = ()

    def read(self) -> list[npt.NDArray[Any]]:
        """The channels in order, each (H, W) or (H, W, 3), in native dtype; a mean of a z stack is float32.

        Raises:
            InputError: a file cannot be read, a channel of this image is missing, or channels differ in size or depth.
        """
        if self.box is None:
            return self._read(lambda: _read_channels(self))
        whole = self.field()
        try:
            planes = [self.box.cut(plane) for plane in whole]
            if not self.box.masked:
                return planes
            inside = self.box.inside(self.objects[0].labels(), self.objects[0].number)
            return [np.where(inside.reshape(*inside.shape, *[1] * (plane.ndim - 2)), plane, 0) for plane in planes]
        except _Unfit as error:
            raise InputError(f"{self.id}: {error}") from error

    def field(self) -> list[npt.NDArray[Any]]:
        """The channels of the whole field that a cell lies in, to be looked at, not written to.

        Cells of a field come one after another: its planes are read once for all of them.

        Raises:
            InputError: as of `read`.
        """
        key = (self.channels, self.planes, self.projection, self.max_pixels, self.illumination, self.field_stamp)
        return self._read(lambda: _FIELDS.get(key, lambda: _read_channels(self)))

    def _read(self, read: Callable[[], list[npt.NDArray[Any]]]) -> list[npt.NDArray[Any]]:
        if reason := self.reason_against():
            raise InputError(f"{self.id}: {reason}")
        try:
            return read()
        except _Unfit as error:
            raise InputError(f"{self.id}: {error}") from error

    def reason_against(self) -> str:
        """Why `read` would refuse it before a file is opened; empty where it would try."""
        if self.problem:
            return self.problem
        missing = [name for name, planes in zip(self.channels, self.planes, strict=True) if not planes]
        return f"no file for channel {', '.join(missing)}" if missing else ""

    @property
    def is_remote(self) -> bool:
        """Whether any of its planes lies on the internet."""
        return any(is_remote(plane.path) for planes in self.planes for plane in planes)

    @property
    def stamp(self) -> str:
        """A hash of what the pixels depend on: a changed, added or removed file gives another."""
        objects = [(ref.kind, ref.number, ref.parts, ref.plane.stamp) for ref in self.objects]
        return self._hashed(self.box, objects)

    @property
    def field_stamp(self) -> str:
        """The same for the whole field: equal for all of its cells."""
        return self._hashed(None, [])

    def _hashed(self, box: Box | None, objects: list[Any]) -> str:
        per_file = [
            (STORES[kind].stamp(path, addresses), addresses)
            for (kind, path), addresses in _by_container(plane for planes in self.planes for plane in planes).items()
        ]
        counts = [len(planes) for planes in self.planes]
        content: tuple[Any, ...] = (self.channels, self.projection, box, counts, per_file)
        corrections = [ref and ref.stamp for ref in self.illumination]
        if objects or corrections:  # without them as ever: what is extracted already stays valid
            content = (*content, objects, corrections)
        return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def row_image(
    dataset: str | Path, split: str, row: int, *, id: str, column: str = "image", planes: int | None = None
) -> Image:
    """One row of a dataset, where listing all of a large one would cost more than reading the few.

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
    refs = tuple((PlaneRef(Path(dataset), kind="dataset", place=address),) for address in places)
    return Image(id, tuple(str(number + 1) for number in range(len(refs))), refs)


class _Unfit(InputError):
    """Planes that were read and do not fit together; the message lacks the image's id."""


def _read_channels(image: Image) -> list[npt.NDArray[Any]]:
    pixels = iter(_read_planes([plane for stack in image.planes for plane in stack], image.max_pixels))
    stacks = [[next(pixels) for _ in stack] for stack in image.planes]
    for name, stack in zip(image.channels, stacks, strict=True):
        _require_equal([(f"plane {place} of {name}", plane) for place, plane in enumerate(stack, 1)])
    _require_equal([(name, stack[0]) for name, stack in zip(image.channels, stacks, strict=True)])
    planes = [_project(stack, image.projection) for stack in stacks]
    if not image.illumination:
        return planes
    return [
        plane if ref is None else _corrected(plane, _FUNCTIONS.get((ref, ref.stamp), ref.read), name, ref.path)
        for plane, ref, name in zip(planes, image.illumination, image.channels, strict=True)
    ]


_FIELDS: Once[list[npt.NDArray[Any]]] = Once(4)
"""The last few fields that cells lie in, kept while their files do not change."""

_FUNCTIONS: Once[npt.NDArray[Any]] = Once(16)
"""The last few illumination functions."""

_LABELS: Once[npt.NDArray[Any]] = Once(16)
"""The last few label images."""


def _corrected(plane: npt.NDArray[Any], function: npt.NDArray[Any], name: str, where: Path) -> npt.NDArray[Any]:
    """A plane divided by its illumination function (H, W), about 1 in the mean, as CellProfiler does, in its dtype.

    Whole numbers are rounded to the nearest, those beyond the dtype become its largest.
    """
    if function.shape != plane.shape:
        raise InputError(f"the illumination function {where} is {_size(function)} and {name} is {_size(plane)}")
    if not (np.isfinite(function).all() and (function > 0).all()):
        raise InputError(f"the illumination function {where} holds values that are not above 0: make it again")
    quotient = plane / function.astype(np.float64)
    if plane.dtype.kind in "ui":
        quotient = np.clip(np.rint(quotient), 0, np.iinfo(plane.dtype).max)
    return quotient.astype(plane.dtype)


def _project(stack: list[npt.NDArray[Any]], projection: Projection) -> npt.NDArray[Any]:
    if len(stack) == 1:
        return stack[0]
    if projection == "max":
        return np.asarray(np.maximum.reduce(stack))
    return np.asarray(np.mean(stack, axis=0, dtype=np.float64).astype(np.float32))


def _mirrored(places: npt.NDArray[np.intp], length: int) -> npt.NDArray[np.intp]:
    """Places on a line, those beyond its ends mirrored there without repeating the border."""
    if length == 1:
        return np.zeros_like(places)
    turned = np.abs(places) % (2 * (length - 1))
    return np.minimum(turned, 2 * (length - 1) - turned)


def _by_container(planes: Iterable[PlaneRef]) -> dict[tuple[str, Path], list[Address]]:
    addresses: dict[tuple[str, Path], list[Address]] = {}
    for plane in planes:
        addresses.setdefault((plane.kind, plane.path), []).append(plane.address)
    return addresses


def _read_planes(planes: list[PlaneRef], max_pixels: int) -> list[npt.NDArray[Any]]:
    """Planes in order; each container is opened once."""
    pixels = {}
    containers = _by_container(planes)

    def read(container: tuple[str, Path]) -> list[npt.NDArray[Any]]:
        kind, path = container
        return STORES[kind].read(path, containers[container], max_pixels)

    read_arrays = concurrently(read, containers, remote=any(is_remote(path) for _, path in containers))
    for (kind, path), arrays in zip(containers, read_arrays, strict=True):
        for address, plane in zip(containers[kind, path], arrays, strict=True):
            pixels[kind, path, address] = plane
    return [pixels[plane.kind, plane.path, plane.address] for plane in planes]


def _require_equal(planes: list[tuple[str, npt.NDArray[Any]]]) -> None:
    (first, expected), *rest = planes
    for other, plane in rest:
        if plane.shape != expected.shape:
            raise _Unfit(f"{first} is {_size(expected)} and {other} is {_size(plane)}")
        if plane.dtype != expected.dtype:
            raise _Unfit(f"{first} is {expected.dtype} and {other} is {plane.dtype}")


def _size(plane: npt.NDArray[Any]) -> str:
    return " x ".join(map(str, plane.shape))
