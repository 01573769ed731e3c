"""Which pixel values become 0 and 1 when a plate is normalised as a whole: percentiles per channel, in one cheap pass.

Each image's own percentiles throw absolute intensity away. The percentiles of a plate keep bright wells bright, and
still take out what differs between plates. They come from a seeded sample of fields whose histograms are added, so the
same images give the same numbers in any order and with any number of threads.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.ahead import read_ahead
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.imaging import to_gray
from cytoimagenet_hf.imaging.percentile import histogram

FIELDS = 64
"""Fields of a plate that are looked at."""

_PIXELS = 1 << 16  # of a channel whose values cannot be counted (floats, wide integers)


@dataclass(frozen=True)
class PlateRanges:
    """The ranges of one plate."""

    ranges: dict[str, tuple[float, float]]  # stain → (low, high), in pixel values
    fields: int  # how many were looked at
    stamp: str  # hash of these fields and of the percentiles asked for

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "PlateRanges":
        """From the values of `asdict`."""
        ranges = {stain: (float(low), float(high)) for stain, (low, high) in record["ranges"].items()}
        return cls(ranges, int(record["fields"]), str(record["stamp"]))


def plate_of(image: Image) -> str:
    """The plate of an image; all images without one count as one plate, named ``""``."""
    plate = image.metadata.get("plate")
    return "" if plate is None else str(plate)


def measure_plates(
    images: Sequence[Image],
    *,
    low: float,
    high: float,
    seed: int = 0,
    fields: int = FIELDS,
    workers: int = 0,
    earlier: Mapping[str, PlateRanges] | None = None,
) -> dict[str, PlateRanges]:
    """Plate → its ranges; plates without a readable field in the sample are left out.

    `earlier` are ranges of an earlier run, reused where the same fields would be looked at and none has changed.
    """
    plates: dict[str, list[Image]] = {}
    for image in images:
        plates.setdefault(plate_of(image), []).append(image)
    ranges_of = {}
    for plate, on_plate in sorted(plates.items()):
        on_plate.sort(key=lambda image: image.id)
        chosen = sorted(derive_rng(seed, "plate-ranges", plate).permutation(len(on_plate))[:fields])
        sample = [on_plate[place] for place in chosen]
        stamp = _stamp(sample, low, high)
        before = (earlier or {}).get(plate)
        if before is not None and before.stamp == stamp:
            ranges_of[plate] = before
            continue
        counts_of, read = count_values(sample, workers=workers)
        if not read:
            continue  # each of its images will say why
        ranges = {stain: counted.between(low, high) for stain, counted in sorted(counts_of.items())}
        ranges_of[plate] = PlateRanges(ranges, read, stamp)
    return ranges_of


class ValueCounts:
    """How often each pixel value occurs; adding is exact, so the order of images does not matter."""

    def __init__(self) -> None:
        self._dense = np.zeros(1 << 16, np.int64)  # values of 8- and 16-bit images
        self._others: list[npt.NDArray[np.float64]] = []

    def add(self, plane: npt.NDArray[Any]) -> None:
        """Count the pixels of a plane; of floats and wide integers, an even sample of 65,536."""
        counted = histogram(plane) if plane.dtype.kind in "bu" and plane.dtype.itemsize <= 2 else None
        if counted is not None:
            counts, first = counted
            self._dense[first : first + len(counts)] += counts
        elif plane.dtype.kind in "bu" and plane.dtype.itemsize <= 2:
            self._dense += np.bincount(plane.ravel(), minlength=1 << 16)
        else:
            flat = plane.ravel()[:: max(1, plane.size // _PIXELS)].astype(np.float64)
            if not np.isfinite(flat).all():
                raise InputError("NaN or infinite pixels")
            self._others.append(flat)

    def between(self, low: float, high: float) -> tuple[float, float]:
        """Two percentiles, the upper one larger than the lower even where every pixel is equal."""
        values = np.flatnonzero(self._dense).astype(np.float64)
        counts = self._dense[self._dense > 0]
        if self._others:
            more, more_counts = np.unique(np.concatenate(self._others), return_counts=True)
            values, counts = np.concatenate([values, more]), np.concatenate([counts, more_counts])
            order = np.argsort(values, kind="stable")
            values, counts = values[order], counts[order]
        bottom, top = (_percentile(values, np.cumsum(counts), q) for q in (low, high))
        return bottom, top if top > bottom else bottom + 1


def count_values(images: Iterable[Image], *, workers: int = 0) -> tuple[dict[str, ValueCounts], int]:
    """Pixel counts per stain, and how many images could be read; those that cannot are left out."""
    counts_of: dict[str, ValueCounts] = {}
    read = 0
    for _, planes in read_ahead(((image.id, image) for image in images), _gray_planes, workers):
        if isinstance(planes, InputError):
            continue
        read += 1
        for stain, plane in planes.items():
            counts_of.setdefault(stain, ValueCounts()).add(plane)
    return counts_of, read


def _gray_planes(image: Image) -> dict[str, npt.NDArray[Any]]:
    planes = {stain: to_gray(plane) for stain, plane in zip(image.channels, image.read(), strict=True)}
    if any(plane.dtype.kind == "f" and not np.isfinite(plane).all() for plane in planes.values()):
        raise InputError("NaN or infinite pixels")
    return planes


def _percentile(values: npt.NDArray[np.float64], ends: npt.NDArray[np.int64], q: float) -> float:
    """With linear interpolation between order statistics, as `np.percentile` of all pixels would give it."""
    position = (int(ends[-1]) - 1) * q / 100
    below, above = int(np.floor(position)), int(np.ceil(position))
    left, right = values[np.searchsorted(ends, [below, above], side="right")]
    return float(left + (right - left) * (position - below))


def _stamp(sample: Sequence[Image], low: float, high: float) -> str:
    text = repr([(image.id, image.stamp) for image in sample] + [low, high])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
