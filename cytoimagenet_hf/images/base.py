"""One image as every part of the project knows it: an id, named channels, metadata, and where its planes lie.

An `Image` opens nothing until it is read, and it can be sent to another process: it holds references to planes, not
open files or functions.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.errors import InputError

from .stores import STORES, Place

Projection = Literal["max", "mean"]


@dataclass(frozen=True)
class PlaneRef:
    """One 2-D plane and where it lies.

    Attributes:
        path: a file, the folder of a store, or the name of a dataset.
        page: plane of a multi-plane file, counted from 0; None: a file of one plane.
        kind: a key of `stores.STORES`: which reader opens it.
        place: where in a container that is no plain file; see the reader of its kind.
    """

    path: Path
    page: int | None = None
    kind: str = "file"
    place: Place = ()

    def read(self) -> npt.NDArray[Any]:
        """The plane: (H, W), or (H, W, 3) for a colour picture, in its native dtype."""
        return _read_planes([self])[0]

    @property
    def stamp(self) -> str:
        """What the pixels depend on: name, size and time of the file, and the place in it."""
        return f"{STORES[self.kind].stamp(self.path, [self.address])}#{self.address}"

    @property
    def address(self) -> Place:
        """Place in the container: `(page,)` in a file, `()` where the file is one plane."""
        return self.place if self.page is None else (self.page,)


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
    """

    id: str
    channels: tuple[str, ...]
    planes: tuple[tuple[PlaneRef, ...], ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    projection: Projection = "max"
    problem: str = ""

    def read(self) -> list[npt.NDArray[Any]]:
        """The channels in order, each (H, W) or (H, W, 3), in native dtype; a mean of a z stack is float32.

        Raises:
            InputError: a file cannot be read, a channel of this image is missing, or channels differ in size or depth.
        """
        if reason := self.reason_against():
            raise InputError(f"{self.id}: {reason}")
        flat = [plane for planes in self.planes for plane in planes]
        pixels = iter(_read_planes(flat))
        stacks = [[next(pixels) for _ in planes] for planes in self.planes]
        for name, stack in zip(self.channels, stacks, strict=True):
            _require_equal(self.id, [(f"plane {place} of {name}", plane) for place, plane in enumerate(stack, 1)])
        _require_equal(self.id, [(name, stack[0]) for name, stack in zip(self.channels, stacks, strict=True)])
        return [self._project(stack) for stack in stacks]

    def reason_against(self) -> str:
        """Why `read` would refuse it before a file is opened; empty where it would try."""
        if self.problem:
            return self.problem
        missing = [name for name, planes in zip(self.channels, self.planes, strict=True) if not planes]
        return f"no file for channel {', '.join(missing)}" if missing else ""

    @property
    def stamp(self) -> str:
        """A hash of what the pixels depend on: a changed, added or removed file gives another."""
        per_file = [
            (STORES[kind].stamp(path, addresses), addresses)
            for (kind, path), addresses in _by_container(plane for planes in self.planes for plane in planes).items()
        ]
        counts = [len(planes) for planes in self.planes]
        return hashlib.sha256(repr((self.channels, self.projection, counts, per_file)).encode()).hexdigest()[:16]

    def _project(self, stack: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        if len(stack) == 1:
            return stack[0]
        if self.projection == "max":
            return np.asarray(np.maximum.reduce(stack))
        return np.asarray(np.mean(stack, axis=0, dtype=np.float64).astype(np.float32))


def _by_container(planes: Iterable[PlaneRef]) -> dict[tuple[str, Path], list[Place]]:
    found: dict[tuple[str, Path], list[Place]] = {}
    for plane in planes:
        found.setdefault((plane.kind, plane.path), []).append(plane.address)
    return found


def _read_planes(planes: list[PlaneRef]) -> list[npt.NDArray[Any]]:
    """Planes in order; each container is opened once."""
    pixels = {}
    for (kind, path), addresses in _by_container(planes).items():
        for address, plane in zip(addresses, STORES[kind].read(path, addresses), strict=True):
            pixels[kind, path, address] = plane
    return [pixels[plane.kind, plane.path, plane.address] for plane in planes]


def _require_equal(name: str, planes: list[tuple[str, npt.NDArray[Any]]]) -> None:
    (first, expected), *rest = planes
    for other, plane in rest:
        if plane.shape != expected.shape:
            raise InputError(f"{name}: {first} is {_size(expected)} and {other} is {_size(plane)}")
        if plane.dtype != expected.dtype:
            raise InputError(f"{name}: {first} is {expected.dtype} and {other} is {plane.dtype}")


def _size(plane: npt.NDArray[Any]) -> str:
    return " x ".join(map(str, plane.shape))
