"""From images to vectors: read and prepared ahead by threads while the network runs, in batches of units.

Units of one size run as one batch, whatever image they belong to, and what waits is bounded, so a million images of
mixed sizes need no more memory than a few batches. An image that cannot be used is rejected alone.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cytoimagenet_hf.core.ahead import read_ahead
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.networks import Encoder
from cytoimagenet_hf.networks.base import Ranges, Unit, Vector
from cytoimagenet_hf.networks.channels import as_channels
from cytoimagenet_hf.networks.kinds.cp_measure import CellMeasures

from .ranges import PlateRanges, plate_of
from .runtimes import Runner

Reject = Callable[[str, InputError], None]

log = logging.getLogger(__name__)

_LARGE = 1 << 22
"""Units of more pixels than 2,048² are reported with the memory they need."""

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
_AHEAD = 16  # images that are fetched before the network asks for them: a request takes half a second
_ROOM = 1 << 27  # bytes that they may take


@dataclass(frozen=True)
class ImageToRead:
    """One image on its way: how it is read, and what is known of it."""

    id: str
    read: Callable[[], Any]  # what `as_planes` takes: an Image keeps the colours of a plane together
    stains: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    plate: str = ""
    image: Image | None = None

    @classmethod
    def of(cls, image: Image) -> "ImageToRead":
        """Of an `images.Image`."""
        return cls(image.id, lambda: image, image.channels, image.metadata, plate_of(image), image)


@dataclass
class Extracted:
    """What an extraction found: every id is in `vectors` or in `rejected`."""

    order: list[str] = field(default_factory=list)
    vectors: dict[str, Vector] = field(default_factory=dict)
    metadata: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rejected: dict[str, InputError] = field(default_factory=dict)
    flat: dict[str, tuple[str, ...]] = field(default_factory=dict)  # channels without any difference between pixels
    stains: tuple[str, ...] | None = None
    widths: tuple[int, ...] = ()  # features of each model
    kinds: tuple[str, ...] = ()  # of the objects that each image shows


def extract_rows(
    models: Sequence[tuple[Encoder, Runner]],
    sources: Iterable[ImageToRead],
    *,
    batch_size: int,
    workers: int,
    ranges: Mapping[str, PlateRanges] | None = None,
    on_error: Reject | None = None,
    stains: tuple[str, ...] | None = None,
    advance: Callable[[int], Any] = lambda images: None,
) -> Extracted:
    """The vectors of images, with what is known of them and what was rejected.

    An image is read once for all models, when its turn comes; its vector holds theirs one after the other, and what
    one of them rejects is rejected: `on_error` is called, or without it the error is raised. Every image has the
    `stains` given, else those of the first usable one. `advance` is called with how many images more are done.
    """
    rows = Extracted(stains=stains)
    waiting: dict[str, list[Vector | None]] = {}  # image on its way → vectors of the models
    besides: dict[str, list[Vector]] = {}

    def reject(name: str, error: InputError) -> None:
        if on_error is None:
            raise InputError(f"image {name!r}: {error}") from error
        if name in rows.rejected:
            return
        for batches in runs:
            batches.drop(name)
        besides.pop(name, None)
        waiting.pop(name, None)
        rows.rejected[name] = error
        on_error(name, error)
        advance(1)

    runs = [Batches(run, encoder.join, batch_size=batch_size, reject=reject) for encoder, run in models]
    pixels = any(not isinstance(encoder, CellMeasures) for encoder, _ in models)

    def prepare(
        source: ImageToRead | InputError,
    ) -> tuple[tuple[str, ...], list[list[Unit]], list[Vector], tuple[str, ...]]:
        if isinstance(source, InputError):
            raise source
        planes = as_planes(source.read()) if pixels else []
        names = source.stains or tuple(str(number) for number in range(len(planes)))
        flat = tuple(name for name, plane in zip(names, planes, strict=False) if np.min(plane) == np.max(plane))
        ranges_here = _ranges_of(source, ranges)
        units = [_units(encoder, source, planes, ranges_here) for encoder, _ in models]
        return names, units, [encoder.beside(planes) for encoder, _ in models], flat

    largest = _ROOM // 4  # bytes of an image, until the first is there

    def fetch(source: ImageToRead) -> ImageToRead:
        """An image on the internet with its planes in memory; others are read when they are prepared."""
        nonlocal largest
        if not pixels or source.image is None or not source.image.is_remote:
            return source
        planes = as_planes(source.read())
        largest = max(1, sum(plane.nbytes for plane in planes))
        return replace(source, read=lambda: planes)

    def recorded() -> Iterator[tuple[str, ImageToRead]]:
        for source in sources:
            rows.order.append(source.id)
            rows.metadata[source.id] = source.metadata
            if not rows.kinds and source.image is not None and not source.image.problem:
                rows.kinds = tuple(ref.kind for ref in source.image.objects)
            yield source.id, source

    def take(model: int, vectors: Iterable[tuple[str, Vector]]) -> None:
        for name, vector in vectors:
            if name not in waiting:
                continue
            waiting[name][model] = vector
            if all(part is not None for part in waiting[name]):
                pairs = zip(waiting.pop(name), besides.pop(name), strict=True)
                parts = [np.concatenate([vector, beside]) for vector, beside in pairs if vector is not None]
                rows.vectors[name] = np.concatenate(parts)
                rows.widths = tuple(map(len, parts))
                advance(1)

    threads = _AHEAD if workers else 0
    fetched = read_ahead(recorded(), fetch, threads, depth=lambda: max(2, min(_AHEAD, _ROOM // largest)))
    for name, prepared in read_ahead(fetched, prepare, workers):
        if isinstance(prepared, InputError):
            reject(name, prepared)
            continue
        channels, units, beside, flat = prepared
        if rows.stains is None:
            rows.stains = channels
        if channels != rows.stains:
            reason = (
                f"its channels are {', '.join(channels)} and those of the others {', '.join(rows.stains)}: every "
                "image needs the same channels in the same order"
            )
            reject(name, InputError(reason))
            continue
        if flat:
            rows.flat[name] = flat
        waiting[name], besides[name] = [None] * len(models), beside
        for model, batches in enumerate(runs):
            if name in waiting:
                take(model, batches.add(name, units[model]))
    for model, batches in enumerate(runs):
        take(model, batches.rest())
    return rows


def _units(
    encoder: Encoder, source: ImageToRead, planes: Sequence[npt.NDArray[Any]], ranges: Ranges | None
) -> list[Unit]:
    if isinstance(encoder, CellMeasures) and source.image is not None:
        return encoder.units_of(source.image)
    return encoder.units(planes, stains=source.stains, ranges=ranges)


def as_planes(image: Any) -> list[npt.NDArray[Any]]:
    """The channels of whatever a caller calls an image."""
    if isinstance(image, Image):
        return image.read()
    return list(as_channels(image))


def _ranges_of(source: ImageToRead, ranges: Mapping[str, PlateRanges] | None) -> dict[str, tuple[float, float]] | None:
    if ranges is None:
        return None
    if source.plate not in ranges:
        raise InputError(f"plate {source.plate!r} has no pixel ranges: none of the fields looked at can be read")
    return ranges[source.plate].ranges


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
        self._vectors: dict[str, list[Vector | None]] = {}  # image on its way → vectors of its units, as they come
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

    def _warn_if_large(self, name: str, size: tuple[int, ...]) -> None:
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
        self._warn_if_large(batch[0][0], size)
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


def is_shape_error(error: BaseException) -> bool:
    """Whether an error of the network is about the shape of its input, which is a property of the image."""
    return not isinstance(error, torch.OutOfMemoryError) and bool(_SHAPE.search(str(error)))
