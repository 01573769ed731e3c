"""From a dataset to batches of uint8 images: rows by position (decoded on the fly or cached), or a stream.

Images stay grayscale uint8 of one size until they are on the device. Whoever iterates gets `Batch`es of this process;
which rows they hold is decided in `order.py`, so every way of reading gives the same training.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from cytoimagenet_hf.errors import InputError

from .cache import DecodedCache, decode, prefetch
from .config import TrainConfig
from .order import batches_for_rank, epoch_order
from .tables import RowTable, StoredPlane


class Batch(NamedTuple):
    """Images of one forward pass on one process; shorter than asked for where unreadable rows were skipped."""

    pixels: torch.Tensor  # uint8 (B, S, S)
    labels: torch.Tensor  # int64 (B,)
    categories: torch.Tensor  # int64 (B,): position in schema.CATEGORIES, -1 for another
    slots: torch.Tensor  # int64 (B,): which of the asked-for images each is
    ids: tuple[str, ...]


class RowSource:
    """Batches by row number, from encoded images or from a cache.

    Args:
        tables: the two splits.
        config: sizes, order, workers and what to do with unreadable rows.
        caches: decoded images by split; None decodes each time.
        rank: this process.
        processes: number of processes.
    """

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
        self.steps = len(self._dealt(0))

    def training(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The forward passes of an epoch from optimiser step `start` on, `accumulate` of them per step."""
        own = self._dealt(epoch)[start:]
        return self._read("train", list(own.reshape(-1, own.shape[-1])))

    def validation(self, size: int) -> Iterator[Batch]:
        """Every row of the validation split that falls to this process, each once, none dropped (T1)."""
        rows = np.arange(self.rank, len(self.tables["validation"]), self.processes)
        return self._read("validation", [rows[at : at + size] for at in range(0, len(rows), size)])

    def _dealt(self, epoch: int) -> NDArray[np.int64]:
        train, config = self.tables["train"], self.config
        groups = {"uniform": None, "class": train.labels, "category": train.categories}[config.sampling]
        order = epoch_order(groups, len(train), seed=config.seed, epoch=epoch)
        return batches_for_rank(
            order, batch_size=config.batch_size, accumulate=config.accumulate, processes=self.processes, rank=self.rank
        )

    def _read(self, split: str, batches: list[NDArray[np.int64]]) -> Iterator[Batch]:
        table = self.tables[split]
        if self.caches is not None:
            cache = self.caches[split]
            return prefetch(lambda rows: _pinned(_collate(table, rows, *cache.take(rows))), batches)
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
        encoded = self.table.encoded(rows)
        try:
            pixels, slots = decode_all(
                encoded, self.table.ids[rows].tolist(), self.size, skip=self.skip, where=self.table.where
            )
        except InputError as error:
            return error
        return _collate(self.table, np.asarray(rows), pixels, slots)


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
    encoded: Iterable[bytes | StoredPlane | None], ids: Iterable[str], size: int, *, skip: bool, where: str
) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Decode images: uint8 (B, S, S), and which of them could be read.

    Raises:
        InputError: an image cannot be decoded and `skip` is off; the message names its id and `where` it is.
    """
    pixels, slots = [], []
    for slot, (content, item) in enumerate(zip(encoded, ids, strict=True)):
        try:
            pixels.append(decode(content, size))
            slots.append(slot)
        except InputError as error:
            if not skip:
                raise InputError(
                    f"{where}: image {item!r} {error}; --on-unreadable skip leaves such rows out"
                ) from error
    stacked = np.stack(pixels) if pixels else np.zeros((0, size, size), np.uint8)
    return torch.from_numpy(stacked), np.asarray(slots, dtype=np.int64)
