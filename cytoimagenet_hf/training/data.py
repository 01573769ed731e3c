"""From a dataset to batches of uint8 images: rows by position, decoded on the fly or cached.

Images stay grayscale uint8 of one size until they are on the device. The order is drawn for the whole run and then cut
into `batch_size` images per step: a pure function of (seed, epoch), so step i of epoch e holds the same images on one
process or on eight, and a restart continues at step i without replaying anything.
"""

import hashlib
import io
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import datasets as hf
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from cytoimagenet_hf.core.ahead import map_ahead
from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import atomic_path, write_json
from cytoimagenet_hf.core.jsontext import read_json_file
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.dataset.planes import stretch_plane
from cytoimagenet_hf.images.stores.dataset import DAMAGED, cell_planes
from cytoimagenet_hf.imaging import to_gray_bytes
from cytoimagenet_hf.imaging.png import decode_gray_png

from .config import TrainConfig

Positions = NDArray[np.int64]

RANGES = ("plane_low", "plane_high", "plane_scale", "plane_offset")  # in the order of `StoredPlane`

_FORMAT = "uint8 grayscale, PIL bilinear, 1"
_CHUNK = 256  # images read from Parquet at a time


@dataclass(frozen=True)
class StoredPlane:
    """One plane of a row of the configuration `channels`: encoded, and what `planes.stretch_plane` takes."""

    content: bytes
    low: float
    high: float
    scale: float
    offset: float


class Readable(Protocol):
    """An image that is read from a file of its own."""

    def gray(self) -> NDArray[np.uint8]:
        """The pixels (H, W)."""


Stored = bytes | StoredPlane | Readable | None
"""An image as it is stored: encoded, one plane of a row, a file of one's own, or nothing."""


@dataclass(frozen=True)
class StoredCell:
    """A row of several pictures, still encoded, or of an array, and the type of its column."""

    cell: Any
    feature: Any

    def gray(self) -> NDArray[np.uint8]:
        """The pixels (H, W): of several channels the mean, each stretched."""
        pictures = isinstance(self.cell, list) and not hasattr(self.feature, "shape")
        cell = (
            [Image.open(io.BytesIO(stored_bytes(picture) or b"")) for picture in self.cell] if pictures else self.cell
        )
        if not (planes := cell_planes(cell, self.feature)):
            raise InputError("the row holds no image")
        return to_gray_bytes(planes)


def stored_image(cell: Any, feature: Any) -> Stored:
    """The image of a cell of a column that is not decoded (see `tables.undecoded`)."""
    return stored_bytes(cell) if cell is None or isinstance(cell, dict) else StoredCell(cell, feature)


def stored_bytes(picture: Mapping[str, Any] | None) -> bytes | None:
    """An encoded picture, from its cell or from the file that the cell names; None where there is none."""
    if picture is None or picture["bytes"] is not None or not picture["path"]:
        return None if picture is None else picture["bytes"]
    try:
        return Path(picture["path"]).read_bytes()
    except OSError as error:
        raise InputError(f"{picture['path']} cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True)
class RowTable:
    """One split: columns in memory, images as encoded bytes on disk.

    Of the configuration `channels` each plane is an image of its own, with the label of its row.
    """

    images: Any  # datasets.Dataset with the column `image`, or `planes` and their ranges, not decoded; or one's own
    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    categories: NDArray[np.int64]
    classes: tuple[str, ...]
    fingerprint: str
    where: str  # dataset and split, for messages
    places: NDArray[np.int64] | None = None  # (images, 2): row and plane of each image; None: a row is an image

    def __len__(self) -> int:
        return len(self.ids)

    def encoded(self, rows: Sequence[int]) -> "Sequence[Stored]":
        """Some images as they are stored."""
        if self.places is None:
            feature = self.images.features["image"]
            return [stored_image(cell, feature) for cell in self.images[list(rows)]["image"]]
        places = self.places[list(rows)]
        read = self.images[places[:, 0].tolist()]
        ranges = zip(*(read[name] for name in RANGES), strict=True)
        return [
            StoredPlane(planes[plane]["bytes"], *(values[plane] for values in of_row))
            for planes, of_row, plane in zip(read["planes"], ranges, places[:, 1].tolist(), strict=True)
        ]


def by_plane(table: RowTable, counts: Sequence[int]) -> RowTable:
    """The table with each plane as an image with the label of its row; `counts` are the planes of each row."""
    rows = np.repeat(np.arange(len(table)), counts)
    planes = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - np.asarray(counts), counts)
    ids = np.asarray([f"{table.ids[row]}/{plane}" for row, plane in zip(rows, planes, strict=True)], dtype=np.str_)
    places = np.stack([rows, planes], axis=1).astype(np.int64)
    return replace(table, ids=ids, labels=table.labels[rows], categories=table.categories[rows], places=places)


def require_two_classes(names: Sequence[str], where: str) -> None:
    """Refuse fewer than two different labels: there is nothing to tell apart."""
    if len(names) < 2:
        raise InputError(f"{where} has one class, {names[0]!r}: a classifier needs two; --objective views needs none")


class Batch(NamedTuple):
    """Images of one forward pass on one process; shorter than asked for where unreadable rows were skipped."""

    pixels: torch.Tensor  # uint8 (B, S, S)
    labels: torch.Tensor  # int64 (B,)
    categories: torch.Tensor  # int64 (B,): position in schema.CATEGORIES, -1 for another
    slots: torch.Tensor  # int64 (B,): which of the asked-for images each is
    ids: tuple[str, ...]


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
    """Open the decoded cache of a split, writing it first where it is not there yet.

    The file is plain bytes, (rows, size, size), memory-mapped: processes of one machine share its pages, and several
    runs on the same data may share the folder. The record beside it is written last and names the fingerprint of the
    data, so a half-written or foreign file is never used. With `skip` unreadable rows are left out.
    """
    path = folder / f"{name}-{size}-{rows.fingerprint[:16]}.u8"
    record: dict[str, Any] = {"fingerprint": rows.fingerprint, "shape": [len(rows), size, size], "format": _FORMAT}
    if not _matches(path, record):
        unreadable = _write(path, rows, name, size, workers, skip)
        write_json(path.with_suffix(".json"), {**record, "unreadable": unreadable})
    unreadable = read_json_file(path.with_suffix(".json"))["unreadable"]
    if unreadable and not skip:
        raise _unreadable(rows.where, unreadable[0], "cannot be decoded")
    mapped = torch.from_file(str(path), shared=False, size=len(rows) * size * size, dtype=torch.uint8)
    return DecodedCache(mapped.view(len(rows), size, size), ~np.isin(rows.ids, unreadable))


def _matches(path: Path, record: dict[str, Any]) -> bool:
    beside = path.with_suffix(".json")
    if not (path.is_file() and beside.is_file()):
        return False
    try:
        stored = dict(read_json_file(beside))
    except (ValueError, TypeError):  # damaged: the cache is made again
        return False
    complete = path.stat().st_size == np.prod(stored.get("shape", [0]))
    return complete and "unreadable" in stored and all(stored.get(key) == value for key, value in record.items())


def _write(path: Path, rows: RowTable, name: str, size: int, workers: int, skip: bool) -> list[str]:
    """Decode every row in threads (decoders release the interpreter); returns the ids that could not be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    needed, free = len(rows) * size * size, shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"the cache of {name} takes {needed / 1e9:.1f} GB and {path.parent} has {free / 1e9:.1f} left"
        )

    def decoded(content: Stored) -> NDArray[np.uint8] | InputError:
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
            for row, pixels in zip(chunk, pool.map(decoded, rows.encoded(chunk)), strict=True):
                if isinstance(pixels, InputError):
                    item = str(rows.ids[row])
                    if not skip:
                        raise _unreadable(rows.where, item, pixels)
                    unreadable.append(item)
                    pixels = np.zeros((size, size), np.uint8)
                handle.write(np.ascontiguousarray(pixels).tobytes())
            progress.update(len(chunk))
    return unreadable


class RowSource:
    """Batches of this process by row number, from encoded images or from the caches of both splits."""

    def __init__(
        self,
        tables: dict[str, RowTable],
        config: TrainConfig,
        *,
        caches: dict[str, DecodedCache] | None,
        rank: int,
        processes: int,
    ) -> None:
        self.tables, self.config, self.caches = tables, config, caches
        self.rank, self.processes = rank, processes
        train = tables["train"]
        self.classes = train.classes
        self.fingerprint = hashlib.sha256((train.fingerprint + tables["validation"].fingerprint).encode()).hexdigest()
        if config.sampling == "category" and (train.categories < 0).all():
            raise InputError(f"{train.where}: no row has a category to sample by: --sampling uniform or class")
        if config.sampling == "class" and (without := int((train.labels < 0).sum())):
            raise InputError(f"{train.where}: {without} rows have no label to sample by: --sampling uniform")
        self.steps = len(self._dealt(0))

    def training(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The forward passes of an epoch from optimiser step `start` on, `accumulate` of them per step."""
        rows = self._dealt(epoch)[start:]
        return self._read("train", list(rows.reshape(-1, rows.shape[-1])))

    def validation(self, size: int) -> Iterator[Batch]:
        """Every row of the validation split that falls to this process, each once, none dropped (T1)."""
        rows = np.arange(self.rank, len(self.tables["validation"]), self.processes)
        return self._read("validation", [rows[at : at + size] for at in range(0, len(rows), size)])

    def _dealt(self, epoch: int) -> NDArray[np.int64]:
        train, config = self.tables["train"], self.config
        groups = {"uniform": None, "class": train.labels, "category": train.categories}[config.sampling]
        order = epoch_order(groups, len(train), seed=config.seed, epoch=epoch)
        return batches_for_rank(
            order, batch_size=config.batch_size, accumulate=config.passes, processes=self.processes, rank=self.rank
        )

    def _read(self, split: str, batches: list[NDArray[np.int64]]) -> Iterator[Batch]:
        table = self.tables[split]
        if self.caches is not None:
            cache = self.caches[split]

            def taken(rows: NDArray[np.int64]) -> Batch:
                return _pinned(_collate(table, rows, *cache.take(rows)))

            return map_ahead(taken, batches)
        skip = self.config.on_unreadable == "skip"
        loader = DataLoader(
            _Decoded(table, self.config.image_size, skip),
            batch_sampler=[rows.tolist() for rows in batches],
            collate_fn=_whole,
            num_workers=self.config.workers,
            pin_memory=torch.cuda.is_available(),
        )
        return _unwrapped(loader)


def _pinned(batch: Batch) -> Batch:
    """The batch in memory that a GPU copies from while it computes; as it is on other machines, or on the GPU."""
    if not torch.cuda.is_available() or batch.pixels.is_cuda:
        return batch
    return batch._replace(pixels=batch.pixels.pin_memory(), labels=batch.labels.pin_memory())


def _unwrapped(loader: Iterable[Batch | InputError]) -> Iterator[Batch]:
    for batch in loader:
        if isinstance(batch, InputError):
            raise batch
        yield batch


class _Decoded(Dataset[Any]):
    """Decodes a whole batch at once: `dataset[[1, 2, 3]]` is a `Batch`.

    An error is returned, not raised: a worker process would bury its message under a traceback of its own.
    """

    def __init__(self, table: RowTable, size: int, skip: bool) -> None:
        self.table, self.size, self.skip = table, size, skip

    def __getitems__(self, rows: Sequence[int]) -> Batch | InputError:
        asked, table = np.asarray(rows), self.table
        ids = table.ids[asked].tolist()
        try:
            decoded = decode_all(table.encoded(rows), ids, self.size, skip=self.skip, where=table.where)
        except InputError as error:
            return error
        return _collate(table, asked, *decoded)


def _whole(batch: Any) -> Any:
    return batch


def _collate(table: RowTable, rows: NDArray[np.int64], pixels: torch.Tensor, slots: NDArray[np.int64]) -> Batch:
    kept = np.asarray(rows)[slots]
    return Batch(
        pixels,
        torch.from_numpy(table.labels[kept]),
        torch.from_numpy(table.categories[kept]),
        torch.from_numpy(slots),
        tuple(table.ids[kept].tolist()),
    )


def decode_all(
    encoded: Iterable[Stored], ids: Iterable[str], size: int, *, skip: bool, where: str
) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Decode images: uint8 (B, S, S), and which of them could be read; others stop unless `skip` is on."""
    pixels, slots = [], []
    for slot, (content, item) in enumerate(zip(encoded, ids, strict=True)):
        try:
            pixels.append(decode(content, size))
            slots.append(slot)
        except InputError as error:
            if not skip:
                raise _unreadable(where, item, error) from error
    stacked = np.stack(pixels) if pixels else np.zeros((0, size, size), np.uint8)
    return torch.from_numpy(stacked), np.asarray(slots, dtype=np.int64)


def _unreadable(where: str, item: str, reason: object) -> InputError:
    return InputError(f"{where}: image {item!r} {reason}; --on-unreadable skip leaves such rows out")


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
        except (InputError, *DAMAGED) as error:
            raise InputError(f"cannot be read ({one_line(error)})") from error
    content = (stored.content if isinstance(stored, StoredPlane) else stored) or b""
    if not content:
        raise InputError("cannot be decoded (the row holds no image)")
    try:
        gray = decode_gray_png(content)  # what the builder writes; in two thirds of Pillow's time
        if isinstance(stored, StoredPlane):
            plane = np.asarray(Image.open(io.BytesIO(content))) if gray is None else gray
            ranges = {"low": stored.low, "high": stored.high, "scale": stored.scale, "offset": stored.offset}
            gray = stretch_plane(plane, **ranges)
        if gray is not None and gray.dtype == np.uint8:
            return Image.fromarray(gray)
        return Image.fromarray(to_gray_bytes(cell_planes(Image.open(io.BytesIO(content)), hf.Image())))
    # libdeflate's error is a RuntimeError
    except (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot be decoded ({len(content)} bytes: {error})") from error


def epoch_order(groups: Positions | None, count: int, *, seed: int, epoch: int) -> Positions:
    """Row numbers in the order of one epoch, int64 (count,): a permutation.

    With the group code of each row (its class, say) rows are drawn with replacement, all groups equally often.
    """
    rng = derive_rng(seed, "order", str(epoch))
    if groups is None:
        return rng.permutation(count)
    _, code, size = np.unique(groups, return_inverse=True, return_counts=True)
    weight = 1.0 / size[code]
    return rng.choice(count, size=count, p=weight / weight.sum())


def batches_for_rank(
    order: Positions, *, batch_size: int, accumulate: int, processes: int, rank: int
) -> NDArray[np.int64]:
    """Cut an epoch's order into the batches of one process: int64 (steps, accumulate, images).

    Fewer than `batch_size` rows remain at the end of an epoch; the next epoch's order is another, so none is left out
    for good.
    """
    steps = count_steps(len(order), batch_size=batch_size, accumulate=accumulate, processes=processes)
    return order[: steps * batch_size].reshape(steps, accumulate, processes, -1)[:, :, rank]


def count_steps(rows: int, *, batch_size: int, accumulate: int, processes: int) -> int:
    """Optimiser steps of an epoch; a batch that cannot be divided evenly, or is never full, is refused."""
    if batch_size % (accumulate * processes):
        raise InputError(
            f"batch_size {batch_size} is not divisible by {processes} processes x {accumulate} accumulation steps: "
            f"choose a multiple of {accumulate * processes}"
        )
    steps = rows // batch_size
    if steps == 0:
        raise InputError(f"{rows} training rows do not fill one step of batch_size {batch_size}: lower it")
    return steps
