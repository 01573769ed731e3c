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

from cytoimagenet_hf.core.errors import InputError

from .cache import DecodedCache, decode, prefetch
from .config import TrainConfig
from .order import batches_for_rank, draw_partners, epoch_order
from .rows import RowTable, Stored


class Batch(NamedTuple):
    """Images of one forward pass on one process; shorter than asked for where unreadable rows were skipped."""

    pixels: torch.Tensor  # uint8 (B, S, S)
    labels: torch.Tensor  # int64 (B,)
    categories: torch.Tensor  # int64 (B,): position in schema.CATEGORIES, -1 for another
    slots: torch.Tensor  # int64 (B,): which of the asked-for images each is
    ids: tuple[str, ...]
    targets: torch.Tensor | None = None  # int64 (B, K): all classes of each image, -1 beyond them; None: its label
    partners: torch.Tensor | None = None  # uint8 (B, S, S): another crop of the field of each; None: the image itself


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
        if config.sampling == "category" and (train.categories < 0).all():
            raise InputError(f"{train.where}: no row has a category to sample by: --sampling uniform or class")
        if config.sampling == "class" and (without := int((train.labels < 0).sum())):
            raise InputError(f"{train.where}: {without} rows have no label to sample by: --sampling uniform")
        self.paired = config.pairs == "field" and config.objective != "labels"
        if self.paired and (train.fields is None or len(np.unique(train.fields)) == len(train)):
            raise InputError(f"{train.where}: no two images are of one field (column idx): --pairs image")
        self.steps = len(self._dealt(0))

    def training(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The forward passes of an epoch from optimiser step `start` on, `accumulate` of them per step."""
        own = self._dealt(epoch)[start:]
        fields = self.tables["train"].fields if self.paired else None
        partners = None if fields is None else draw_partners(fields, seed=self.config.seed, epoch=epoch)
        return self._read("train", list(own.reshape(-1, own.shape[-1])), partners)

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

    def _read(
        self, split: str, batches: list[NDArray[np.int64]], partners: NDArray[np.int64] | None = None
    ) -> Iterator[Batch]:
        table = self.tables[split]
        if self.caches is not None:
            cache = self.caches[split]

            def taken(rows: NDArray[np.int64]) -> Batch:
                batch = _collate(table, rows, *cache.take(rows))
                return _pinned(batch if partners is None else _paired(batch, *cache.take(partners[rows])))

            return prefetch(taken, batches)
        skip = self.config.on_unreadable == "skip"
        loader = DataLoader(
            _Decoded(table, self.config.image_size, skip, partners),
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
    partners = None if batch.partners is None else batch.partners.pin_memory()
    return batch._replace(pixels=batch.pixels.pin_memory(), labels=batch.labels.pin_memory(), partners=partners)


def _unwrapped(loader: Iterable[Batch | InputError]) -> Iterator[Batch]:
    for batch in loader:
        if isinstance(batch, InputError):
            raise batch
        yield batch


class _Decoded(Dataset[Any]):
    """Decodes a whole batch at once: `dataset[[1, 2, 3]]` is a `Batch`.

    An error is returned, not raised: a worker process would bury its message under a traceback of its own.
    """

    def __init__(self, table: RowTable, size: int, skip: bool, partners: NDArray[np.int64] | None = None) -> None:
        self.table, self.size, self.skip, self.partners = table, size, skip, partners

    def __getitems__(self, rows: Sequence[int]) -> Batch | InputError:
        asked = np.asarray(rows)
        try:
            batch = _collate(self.table, asked, *self._decoded(asked))
            return batch if self.partners is None else _paired(batch, *self._decoded(self.partners[asked]))
        except InputError as error:
            return error

    def _decoded(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, NDArray[np.int64]]:
        table = self.table
        encoded = table.encoded(rows.tolist())
        return decode_all(encoded, table.ids[rows].tolist(), self.size, skip=self.skip, where=table.where)


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
        None if table.targets is None else torch.from_numpy(table.targets[kept]),
    )


def _paired(batch: Batch, pixels: torch.Tensor, slots: NDArray[np.int64]) -> Batch:
    """A batch with the partners of its images, read as `pixels` at `slots`; without one an image is its own."""
    place = np.full(int(max([*batch.slots.tolist(), *slots.tolist()], default=-1)) + 1, -1)
    place[slots] = np.arange(len(slots))
    found = torch.from_numpy(place[batch.slots.numpy()]).to(batch.pixels.device)
    partners = batch.pixels.clone()
    partners[found >= 0] = pixels[found[found >= 0]]
    return batch._replace(partners=partners)


def decode_all(
    encoded: Iterable[Stored], ids: Iterable[str], size: int, *, skip: bool, where: str
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
