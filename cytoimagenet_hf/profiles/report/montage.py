"""Small pictures of wells: channels in colours that everyone tells apart, brightness comparable over all wells."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.imaging.opencv import require_opencv

_COLOURS = {
    1: ((1, 1, 1),),
    2: ((0, 1, 0), (1, 0, 1)),  # green and magenta: not red and green
    3: ((0, 1, 1), (1, 0, 1), (1, 1, 0)),
}
_NAMES = {1: ("gray",), 2: ("green", "magenta"), 3: ("cyan", "magenta", "yellow")}
_BUDGET = 12_000_000  # bytes of all pictures before base64
_FIELDS = 4
_SIDES = (1080, 720, 512, 360, 256, 200, 140, 100, 64)
_QUALITY = 82

Planes = npt.NDArray[np.float32]  # (C, h, w)


@dataclass(frozen=True)
class Montage:
    """Pictures of wells."""

    pictures: Mapping[str, str]  # id of the well → `data:image/jpeg;base64,…`
    intensity: Mapping[str, Mapping[str, float]]  # channel → id of the well → mean of the native pixels
    colours: Mapping[str, str]  # channel → what it is shown as
    failures: tuple[str, ...]  # fields that could not be read, and why
    shown: int  # pixels of a field's longer side in the pictures,
    native: int  # and in the image
    full: Mapping[str, tuple[str, ...]]  # id of the well → paths of its fields at full size, relative to the page


def make_montage(
    images: Sequence[Image],
    wells: Mapping[tuple[str, ...], str],
    *,
    moments: Sequence[str] = (),
    full: Path | None = None,
) -> Montage:
    """Read up to four fields of each well and shrink them.

    Args:
        images: fields of view with `plate` and `well`.
        wells: (plate, well, moments) → id of its profile; a plate of `""` takes any.
        moments: facts that tell several profiles of a well apart, such as the time point.
        full: folder that the fields are also written to, each at its full size.
    """
    fields: dict[str, list[Image]] = {}
    for image in images:
        plate, well = str(image.metadata.get("plate", "")), str(image.metadata.get("well", ""))
        at = (well, *(str(image.metadata.get(name, "")) for name in moments))
        ident = wells.get((plate, *at)) or wells.get(("", *at))
        if ident is not None:
            fields.setdefault(ident, []).append(image)
    if not fields:
        raise InputError(
            "no image belongs to a well of the profiles: give the images that the features were made of "
            "(--images, and --pattern as in extract)"
        )
    chosen = {ident: of_well[:_FIELDS] for ident, of_well in fields.items()}
    count = sum(map(len, chosen.values()))
    side = next((one for one in _SIDES if count * one * one * 0.35 < _BUDGET), _SIDES[-1])
    channels = next(iter(chosen.values()))[0].channels
    small: dict[str, list[Planes]] = {}
    sums: dict[str, dict[str, float]] = {channel: {} for channel in channels}
    failures: list[str] = []
    native = 0
    for ident, of_well in tqdm(chosen.items(), desc="pictures", unit="well", disable=None):
        means = []
        for _, planes in _read(of_well, channels, failures):
            native = max(native, *planes[0].shape)
            means.append([float(plane.mean()) for plane in planes])
            small.setdefault(ident, []).append(np.stack([_shrunk(plane, side) for plane in planes]))
        for place, channel in enumerate(channels if means else ()):
            sums[channel][ident] = float(np.mean([mean[place] for mean in means]))
    if not small:
        raise InputError(f"none of the {count} images can be read; the first: {failures[0] if failures else '?'}")
    shown = channels[:3]
    ranges = [levels([stack[place] for stacks in small.values() for stack in stacks]) for place in range(len(shown))]
    pictures = {
        ident: encoded(_tiled([coloured(stack, ranges) for stack in of_well])) for ident, of_well in small.items()
    }
    colours = dict(zip(shown, _NAMES[len(shown)], strict=True)) | dict.fromkeys(channels[3:], "not shown")
    written = {} if full is None else _write_fields(chosen, channels, ranges, full)
    return Montage(pictures, sums, colours, tuple(failures), min(side, native), native, written)


def _read(
    images: Sequence[Image], channels: Sequence[str], failures: list[str]
) -> Iterator[tuple[int, list[npt.NDArray[np.float32]]]]:
    """Number and gray planes of the fields with these channels, one in memory at a time; what fails is listed."""
    for number, image in enumerate(images):
        try:
            planes = [as_gray(plane) for plane in image.read()]
        except InputError as error:
            failures.append(str(error))
            continue
        if image.channels == channels:
            yield number, planes


def _write_fields(
    chosen: Mapping[str, Sequence[Image]],
    channels: Sequence[str],
    ranges: Sequence[tuple[float, float]],
    folder: Path,
) -> dict[str, tuple[str, ...]]:
    """Every field as a JPEG, read again so that one is in memory at a time; what fails was listed before."""
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, tuple[str, ...]] = {}
    for place, (ident, images) in enumerate(tqdm(chosen.items(), desc="full size", unit="well", disable=None)):
        names = []
        for number, planes in _read(images, channels, []):
            name = f"{place:05d}-{number}.jpg"  # ids may hold what no file name may
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes(_jpeg(coloured(np.stack(planes[: len(ranges)]), ranges)))
            names.append(f"{folder.name}/{name}")
        written[ident] = tuple(names)
    return written


def as_gray(plane: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """A plane of any dtype as one of float32, (H, W); the mean of colours."""
    x = plane.astype(np.float32)
    return x.mean(axis=2) if x.ndim == 3 else x


def _shrunk(plane: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    height, width = plane.shape
    factor = min(1.0, side / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    cv2 = require_opencv("the montage of a report")
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def levels(planes: Sequence[npt.NDArray[np.float32]]) -> tuple[float, float]:
    """1st and 99.5th percentile over a sample of all wells."""
    sample = np.concatenate([plane[::4, ::4].ravel() for plane in planes])
    low, high = np.percentile(sample, [1.0, 99.5])
    return float(low), float(max(high, low + 1e-6))


def coloured(stack: Planes, ranges: Sequence[tuple[float, float]]) -> npt.NDArray[np.uint8]:
    """(H, W, 3): up to three channels, each stretched between its two levels and in its colour."""
    rgb = np.zeros((*stack.shape[1:], 3), np.float32)
    for plane, (low, high), colour in zip(stack, ranges, _COLOURS[len(ranges)], strict=False):
        part = np.clip((plane - low) / (high - low), 0, 1)
        rgb += part[..., None] * np.array(colour, np.float32)
    return (np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _tiled(pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """One picture of up to four, two to a row, with a dark line between."""
    height, width = max(one.shape[0] for one in pictures), max(one.shape[1] for one in pictures)
    columns = 1 if len(pictures) == 1 else 2
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * height + (rows - 1) * 2, columns * width + (columns - 1) * 2, 3), 30, np.uint8)
    for place, one in enumerate(pictures):
        y, x = (place // columns) * (height + 2), (place % columns) * (width + 2)
        sheet[y : y + one.shape[0], x : x + one.shape[1]] = one
    return sheet


def encoded(picture: npt.NDArray[np.uint8]) -> str:
    """A picture as `data:image/jpeg;base64,…`."""
    return "data:image/jpeg;base64," + base64.b64encode(_jpeg(picture)).decode()


def _jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    cv2 = require_opencv("the montage of a report")
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(data.tobytes())
