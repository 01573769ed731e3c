"""Units of many images through the network: read ahead by threads, batched by size, put together per image.

Units of one size run as one batch, whatever image they belong to, and what waits is bounded, so a million images of
mixed sizes need no more memory than a few batches. An image that cannot be used is rejected alone.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

from cytoimagenet_hf.core.errors import InputError

from .runtimes import Runner

Vector = npt.NDArray[np.float32]
Unit = npt.NDArray[np.float32]
Reject = Callable[[str, InputError], None]

log = logging.getLogger(__name__)

_LARGE = 1 << 22
"""Pixels of one unit from which its need of memory is said: 2,048²."""

_BYTES_PER_PIXEL = 400
"""What the layers of an EfficientNet-B0 take at once in float32, measured at 1,000² and 3,000²."""

_WAITING_VALUES = 1 << 25  # 128 MB of units that wait for others of their size

# What torch, ONNX Runtime and OpenVINO say of an input that is too small or of the wrong shape; anything else (memory,
# a driver, a fault of the program) says nothing about the image.
_SHAPE = re.compile(
    "|".join(
        (
            *("kernel size can't be greater", "calculated (?:padded )?(?:input|output) size"),
            *("output size is too small",),
            *("size of tensor .* must match", "shapes? (?:cannot|can not|can't) be multiplied", "size mismatch"),
            *("sizes? (?:do|does) not match", "expected input.* to have \\d+ channels", "invalid (?:input )?shape"),
            *("input image size", "smaller than (?:the )?kernel", "spatial dim", "padding size should be less"),
            *("dimension.*(?:mismatch|incompatible)", "non-?positive", "expected more than 1", "must be divisible"),
            *("shape .* is invalid for input", "not a multiple", "doesn't match model"),
        )
    ),
    re.IGNORECASE,
)


def is_shape_error(error: BaseException) -> bool:
    """Whether an error of the network tells that it cannot take this shape, which is a property of the image.

    Example:
        >>> is_shape_error(RuntimeError("Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3)"))
        True
        >>> is_shape_error(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        False
    """
    return not isinstance(error, torch.OutOfMemoryError) and bool(_SHAPE.search(str(error)))


class Batches:
    """Runs units of equal size together.

    Args:
        run: the network.
        join: one vector per image from those of its units.
        batch_size: most units per run; fewer for large ones.
        reject: called with the id and the error of an image that cannot be used.
    """

    def __init__(
        self, run: Runner, join: Callable[[Sequence[Vector]], Vector], *, batch_size: int, reject: Reject
    ) -> None:
        self._run, self._join, self._batch_size, self._reject = run, join, batch_size, reject
        self._waiting: dict[tuple[int, ...], list[tuple[str, int, Unit]]] = {}
        self._vectors: dict[
            str, list[Vector | None]
        ] = {}  # of each image on its way: those of its units, as they come
        self._largest = _LARGE

    def add(self, name: str, units: Sequence[Unit]) -> Iterator[tuple[str, Vector]]:
        """Take the units of one image; the vectors of those that are done by it."""
        self._vectors[name] = [None] * len(units)
        for place, unit in enumerate(units):
            self._waiting.setdefault(unit.shape, []).append((name, place, unit))
        for size in {unit.shape for unit in units}:
            while len(self._waiting.get(size, ())) >= self._limit(size):
                yield from self._flush(size)
        while sum(map(self._values, self._waiting)) > _WAITING_VALUES:
            yield from self._flush(max(self._waiting, key=self._values))

    def rest(self) -> Iterator[tuple[str, Vector]]:
        """The vectors of all that still wait."""
        while self._waiting:
            yield from self._flush(next(iter(self._waiting)))

    def drop(self, name: str) -> None:
        """Forget an image that was rejected elsewhere."""
        self._vectors.pop(name, None)

    def _limit(self, size: tuple[int, ...]) -> int:
        return max(1, min(self._batch_size, self._run.pixels // (size[-2] * size[-1])))

    def _values(self, size: tuple[int, ...]) -> int:
        return len(self._waiting[size]) * int(np.prod(size))

    def _say_large(self, name: str, size: tuple[int, ...]) -> None:
        """Once for each larger size: what it takes, and what takes less."""
        if (pixels := size[-2] * size[-1]) > self._largest:
            self._largest = pixels
            log.warning(
                "image %s goes through the network as %d x %d pixels, which takes about %.1f GB with an "
                "EfficientNet-B0; --size 1024 shrinks images first, and --cells takes them cell by cell",
                *(name, size[-2], size[-1], pixels * _BYTES_PER_PIXEL / 1e9),
            )

    def _flush(self, size: tuple[int, ...]) -> Iterator[tuple[str, Vector]]:
        limit = self._limit(size)
        batch, self._waiting[size] = self._waiting[size][:limit], self._waiting[size][limit:]
        if not self._waiting[size]:
            del self._waiting[size]
        batch = [entry for entry in batch if entry[0] in self._vectors]  # not those rejected with another unit
        if not batch:
            return
        self._say_large(batch[0][0], size)
        try:
            vectors = self._run(torch.from_numpy(np.stack([unit for _, _, unit in batch]))).numpy()  # (N, D)
        except (RuntimeError, ValueError, MemoryError):
            # Memory, or one odd image: each alone tells which.
            yield from self._one_by_one(batch)
            return
        for (name, place, _), vector in zip(batch, vectors, strict=True):
            yield from self._done(name, place, vector)

    def _one_by_one(self, batch: Sequence[tuple[str, int, Unit]]) -> Iterator[tuple[str, Vector]]:
        for name, place, unit in batch:
            if name not in self._vectors:
                continue
            try:
                vector = self._run(torch.from_numpy(unit[None])).numpy()[0]
            except (RuntimeError, ValueError, MemoryError) as error:
                height, width = unit.shape[-2:]
                if not is_shape_error(error):
                    error.add_note(f"while the network ran on image {name!r}, {height} x {width} pixels, alone")
                    raise
                self._drop(
                    name, f"the network cannot take {height} x {width} pixels: resize it, or leave it out", error
                )
                continue
            yield from self._done(name, place, vector)

    def _done(self, name: str, place: int, vector: Vector) -> Iterator[tuple[str, Vector]]:
        if name not in self._vectors:
            return
        self._vectors[name][place] = vector
        vectors = [done for done in self._vectors[name] if done is not None]
        if len(vectors) < len(self._vectors[name]):
            return
        joined = self._join(vectors)
        if not np.isfinite(joined).all():
            self._drop(name, "the network gives NaN or infinite features for it", None)
            return
        del self._vectors[name]
        yield name, joined

    def _drop(self, name: str, reason: str, error: BaseException | None) -> None:
        del self._vectors[name]
        rejection = InputError(reason if error is None else f"{reason} ({str(error).splitlines()[0]})")
        rejection.__cause__ = error
        self._reject(name, rejection)
