"""From images to vectors: read and prepared ahead by threads while the network runs, in batches of units."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.ahead import read_ahead
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.networks import Encoder
from cytoimagenet_hf.networks.base import Ranges
from cytoimagenet_hf.networks.channels import as_channels
from cytoimagenet_hf.networks.kinds.cp_measure import CellMeasures

from .batches import Batches, Reject, Unit, Vector
from .ranges import PlateRanges, plate_of
from .runtimes import Runner

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
