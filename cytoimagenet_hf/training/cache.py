"""The decoded cache: every image of a split decoded, resized and stored once as uint8, after which no PNG is touched.

The file is plain bytes, (rows, size, size), memory-mapped: processes of one machine share its pages. The record beside
it is written last and names the fingerprint of the data, so a half-written or foreign file is never used.
"""

import io
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm.auto import tqdm

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import atomic_path, write_json
from cytoimagenet_hf.core.jsontext import read_json_file
from cytoimagenet_hf.dataset.planes import stretch_plane
from cytoimagenet_hf.imaging.png import decode_gray_png

from .rows import RowTable, Stored, StoredPlane

_FORMAT = "uint8 grayscale, PIL bilinear, 1"
_CHUNK = 256  # images read from Parquet at a time

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class DecodedCache:
    """Decoded images of one split and which of them could be read."""

    images: torch.Tensor  # uint8 (rows, size, size): mapped from the file, or on the device
    readable: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """The readable ones of `rows`, uint8 (B, size, size), and their positions in `rows`."""
        slots = np.flatnonzero(self.readable[rows])
        index = torch.from_numpy(np.asarray(rows)[slots])
        return self.images.index_select(0, index.to(self.images.device, non_blocking=True)), slots

    def to(self, device: torch.device) -> "DecodedCache":
        """The same images in the device's memory."""
        return DecodedCache(self.images.to(device), self.readable)

    def warm(self) -> "DecodedCache":
        """Read the file through once, so that its pages are in memory, shared by all processes, before training."""
        for start in range(0, len(self.images), 4096):
            self.images[start : start + 4096].amax()
        return self


def open_cache(rows: RowTable, *, name: str, size: int, folder: Path, workers: int, skip: bool) -> DecodedCache:
    """Open the cache of a split, writing it first where it is not there yet.

    Args:
        rows: the split.
        name: of the split, for the file name and the progress bar.
        size: side of the images.
        folder: where caches live; several runs on the same data may share it.
        workers: decoding threads.
        skip: leave unreadable rows out instead of stopping.

    Raises:
        InputError: too little disk, or an unreadable row and `skip` is off.
    """
    path = folder / f"{name}-{size}-{rows.fingerprint[:16]}.u8"
    record: dict[str, Any] = {"fingerprint": rows.fingerprint, "shape": [len(rows), size, size], "format": _FORMAT}
    if not _matches(path, record):
        unreadable = _write(path, rows, name, size, workers, skip)
        write_json(path.with_suffix(".json"), {**record, "unreadable": unreadable})
    unreadable = read_json_file(path.with_suffix(".json"))["unreadable"]
    if unreadable and not skip:
        raise InputError(
            f"{rows.where}: image {unreadable[0]!r} cannot be decoded; --on-unreadable skip leaves such rows out"
        )
    mapped = torch.from_file(str(path), shared=False, size=len(rows) * size * size, dtype=torch.uint8)
    return DecodedCache(mapped.view(len(rows), size, size), ~np.isin(rows.ids, unreadable))


def decode(stored: Stored, size: int) -> NDArray[np.uint8]:
    """One encoded image as uint8 (size, size), grayscale, bilinear as the saved image processor resizes.

    Raises:
        InputError: the bytes are missing, truncated or no image.
    """
    image = _picture(stored)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _picture(stored: Stored) -> Image.Image:
    """An image at its own size, mode L."""
    if stored is not None and not isinstance(stored, bytes | StoredPlane):
        try:
            return Image.fromarray(stored.gray())
        except InputError as error:
            raise InputError(f"cannot be read ({one_line(error)})") from error
    content = (stored.content if isinstance(stored, StoredPlane) else stored) or b""
    try:
        gray = decode_gray_png(content)  # what the builder writes; in two thirds of Pillow's time
        if isinstance(stored, StoredPlane):
            plane = np.asarray(Image.open(io.BytesIO(content))) if gray is None else gray
            ranges = {"low": stored.low, "high": stored.high, "scale": stored.scale, "offset": stored.offset}
            gray = stretch_plane(plane, **ranges)
        if gray is not None and gray.dtype == np.uint8:
            return Image.fromarray(gray)
        return Image.open(io.BytesIO(content)).convert("L")
    # libdeflate's error is a RuntimeError
    except (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot be decoded ({len(content)} bytes: {error})") from error


def prefetch(function: Callable[[Item], Result], items: Iterable[Item], depth: int = 3) -> Iterator[Result]:
    """Map lazily, `depth` results ahead in a thread: loading overlaps with the device's work."""
    with ThreadPoolExecutor(1) as pool:
        ahead: deque[Future[Result]] = deque()
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > depth:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _matches(path: Path, record: dict[str, Any]) -> bool:
    beside = path.with_suffix(".json")
    if not (path.is_file() and beside.is_file()):
        return False
    try:
        found = dict(read_json_file(beside))
    except (ValueError, TypeError):  # damaged: the cache is made again
        return False
    complete = path.stat().st_size == np.prod(found.get("shape", [0]))
    return complete and "unreadable" in found and all(found.get(key) == value for key, value in record.items())


def _write(path: Path, rows: RowTable, name: str, size: int, workers: int, skip: bool) -> list[str]:
    """Decode every row in threads (decoders release the interpreter); returns the ids that could not be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    needed, free = len(rows) * size * size, shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"the cache of {name} takes {needed / 1e9:.1f} GB and {path.parent} has {free / 1e9:.1f} left"
        )

    def one(content: Stored) -> NDArray[np.uint8] | InputError:
        try:
            return decode(content, size)
        except InputError as error:
            return error

    unreadable: list[str] = []
    with (
        atomic_path(path) as temporary,
        open(temporary, "wb") as handle,
        ThreadPoolExecutor(max(1, workers)) as pool,
        tqdm(total=len(rows), unit="image", desc=f"decode {name}", disable=None) as progress,
    ):
        for start in range(0, len(rows), _CHUNK):
            chunk = list(range(start, min(start + _CHUNK, len(rows))))
            for row, pixels in zip(chunk, pool.map(one, rows.encoded(chunk)), strict=True):
                if isinstance(pixels, InputError):
                    item = str(rows.ids[row])
                    if not skip:
                        raise InputError(
                            f"{rows.where}: image {item!r} {pixels}; --on-unreadable skip leaves such rows out"
                        )
                    unreadable.append(item)
                    pixels = np.zeros((size, size), np.uint8)
                handle.write(np.ascontiguousarray(pixels).tobytes())
            progress.update(len(chunk))
    return unreadable
