"""From images to vectors: read and prepared ahead by threads while the network runs, in batches of units."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.networks import Encoder
from cytoimagenet_hf.networks.channels import as_channels

from .ahead import read_ahead
from .batches import Batches, Reject, Unit, Vector
from .ranges import PlateRanges, plate_of
from .runtimes import Runner


@dataclass(frozen=True)
class ImageToRead:
    """One image on its way: how it is read, and what is known of it."""

    id: str
    read: Callable[[], Any]  # what `as_planes` takes: an Image keeps the colours of a plane together
    stains: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    plate: str = ""

    @classmethod
    def of(cls, image: Image) -> "ImageToRead":
        """Of an `images.Image`."""
        return cls(image.id, lambda: image, image.channels, image.metadata, plate_of(image))


@dataclass
class Extracted:
    """What an extraction found: every id is in `vectors` or in `rejected`."""

    order: list[str] = field(default_factory=list)
    vectors: dict[str, Vector] = field(default_factory=dict)
    metadata: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rejected: dict[str, InputError] = field(default_factory=dict)
    stains: tuple[str, ...] | None = None


def extract_rows(
    encoder: Encoder,
    sources: Iterable[ImageToRead],
    *,
    run: Runner,
    batch_size: int,
    workers: int,
    ranges: Mapping[str, PlateRanges] | None = None,
    on_error: Reject | None = None,
    stains: tuple[str, ...] | None = None,
    advance: Callable[[int], Any] = lambda images: None,
) -> Extracted:
    """The vectors of images, with what is known of them and what was rejected.

    Args:
        encoder: the network and what it eats.
        sources: images, read when their turn comes.
        run: its runner.
        batch_size: most units per run.
        workers: threads that read ahead.
        ranges: of every plate, for normalisation over plates.
        on_error: called with what is rejected; None: the first rejection is raised.
        stains: those of every image; by default those of the first usable one.
        advance: called with how many images more are done, for a progress bar.
    """
    rows = Extracted(stains=stains)
    besides: dict[str, Vector] = {}  # of the images on their way

    def reject(name: str, error: InputError) -> None:
        if on_error is None:
            raise InputError(f"image {name!r}: {error}") from error
        besides.pop(name, None)
        rows.rejected[name] = error
        on_error(name, error)
        advance(1)

    def prepare(source: ImageToRead) -> tuple[tuple[str, ...], list[Unit], Vector]:
        planes = as_planes(source.read())
        names = source.stains or tuple(str(number) for number in range(len(planes)))
        own = _ranges_of(source, ranges)
        return names, encoder.units(planes, stains=source.stains, ranges=own), encoder.beside(planes)

    def recorded() -> Iterator[tuple[str, ImageToRead]]:
        for source in sources:
            rows.order.append(source.id)
            rows.metadata[source.id] = source.metadata
            yield source.id, source

    def units() -> Iterator[tuple[str, list[Unit] | InputError]]:
        for name, prepared in read_ahead(recorded(), prepare, workers):
            if isinstance(prepared, InputError):
                yield name, prepared
                continue
            own, made, beside = prepared
            if rows.stains is None:
                rows.stains = own
            if own != rows.stains:
                yield (
                    name,
                    InputError(
                        f"its channels are {', '.join(own)} and those of the others {', '.join(rows.stains)}: "
                        "every image needs the same channels in the same order"
                    ),
                )
                continue
            besides[name] = beside
            yield name, made

    batches = Batches(run, encoder.join, batch_size=batch_size, reject=reject)
    for name, vector in batches.vectors(units()):
        rows.vectors[name] = np.concatenate([vector, besides.pop(name)])
        advance(1)
    return rows


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
