"""From a dataset to batches of uint8 images: rows by position (decoded on the fly or cached), or a stream.

Images stay grayscale uint8 of one size until they are on the device. Whoever iterates gets `Batch`es of this process;
which rows they hold is decided in `order.py`, so every way of reading gives the same training.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datasets as hf
import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from ..data import load_cytoimagenet
from ..errors import InputError
from ..schema import CATEGORIES
from .cache import DecodedCache, decode, prefetch
from .config import TrainConfig
from .order import deal, epoch_order


class Batch(NamedTuple):
    """Images of one forward pass on one process; shorter than asked for where unreadable rows were skipped."""

    pixels: torch.Tensor  # uint8 (B, S, S)
    labels: torch.Tensor  # int64 (B,)
    categories: torch.Tensor  # int64 (B,): position in schema.CATEGORIES, -1 for another
    slots: torch.Tensor  # int64 (B,): which of the asked-for images each is
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """One split: columns in memory, images as encoded bytes on disk."""

    images: Any  # datasets.Dataset with the one column `image`, not decoded
    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    categories: NDArray[np.int64]
    classes: tuple[str, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.ids)

    def encoded(self, rows: Sequence[int]) -> list[bytes | None]:
        """The stored bytes of some images."""
        return [value["bytes"] for value in self.images[list(rows)]["image"]]


def load_tables(config: TrainConfig) -> dict[str, Table]:
    """The `train` and `validation` split of a configuration.

    Raises:
        InputError: a missing split or column, or a label outside the class map.
    """
    loaded = load_cytoimagenet(config.dataset, subset=resolve_subset(config), split_scheme=config.split_scheme)
    missing = [name for name in ("train", "validation") if name not in loaded]
    if missing:
        raise InputError(f"{config.dataset} has no split {missing}; it has {sorted(loaded)}")
    return {name: make_table(loaded[name], f"{config.dataset}, split {name}") for name in ("train", "validation")}


def make_table(dataset: Any, where: str) -> Table:
    """Check one split and take its columns; `where` names it in errors.

    Raises:
        InputError: a missing column, no row, a row without an id, or a label outside the class map.
    """
    check_columns(dataset.features, where)
    if len(dataset) == 0:
        raise InputError(f"{where} has no rows")
    columns = dataset.select_columns([name for name in dataset.column_names if name != "image"])
    table = columns.with_format("arrow")[:]
    ids = np.asarray(table["image_id"].to_pylist(), dtype=np.str_)
    labels = pc.fill_null(table["label"], -1).to_numpy().astype(np.int64)
    classes = tuple(dataset.features["label"].names)
    if len(bad := np.flatnonzero((labels < 0) | (labels >= len(classes)))):
        raise InputError(outside_map(where, ids[bad[0]], labels[bad[0]], len(classes), others=len(bad) - 1))
    names = table["category"].to_pylist() if "category" in table.column_names else [None] * len(ids)
    images = dataset.select_columns(["image"]).cast_column("image", hf.Image(decode=False))
    digest = hashlib.sha256("\x1f".join(classes).encode())
    for content in (ids.tolist(), labels.tolist(), _pixel_hashes(table, images)):
        digest.update("\x1f".join(map(str, content)).encode())
    return Table(images, ids, labels, category_codes(names), classes, digest.hexdigest())


class RowSource:
    """Batches by row number, from encoded images or from a cache.

    Args:
        tables: the two splits.
        config: sizes, order, workers and what to do with unreadable rows.
        caches: decoded images by split; None decodes each time.
        rank: this process.
        world: number of processes.
    """

    def __init__(
        self,
        tables: dict[str, Table],
        config: TrainConfig,
        *,
        caches: dict[str, DecodedCache] | None,
        rank: int,
        world: int,
    ) -> None:
        self.tables, self.config, self.caches = tables, config, caches
        self.rank, self.world = rank, world
        train = tables["train"]
        self.classes = train.classes
        self.fingerprint = hashlib.sha256((train.fingerprint + tables["validation"].fingerprint).encode()).hexdigest()
        self.steps = len(self._dealt(0))

    def training(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The forward passes of an epoch from optimiser step `start` on, `accumulate` of them per step."""
        dealt = self._dealt(epoch)[start:]
        return self._read("train", list(dealt.reshape(-1, dealt.shape[-1])))

    def validation(self, size: int) -> Iterator[Batch]:
        """Every row of the validation split that falls to this process, each once, none dropped (T1)."""
        rows = np.arange(self.rank, len(self.tables["validation"]), self.world)
        return self._read("validation", [rows[at : at + size] for at in range(0, len(rows), size)])

    def _dealt(self, epoch: int) -> NDArray[np.int64]:
        train, config = self.tables["train"], self.config
        groups = {"uniform": None, "class": train.labels, "category": train.categories}[config.sampling]
        order = epoch_order(groups, len(train), seed=config.seed, epoch=epoch)
        return deal(
            order, batch_size=config.batch_size, accumulate=config.accumulate, world=self.world, rank=self.rank
        )

    def _read(self, split: str, batches: list[NDArray[np.int64]]) -> Iterator[Batch]:
        table = self.tables[split]
        if self.caches is not None:
            cache = self.caches[split]
            return prefetch(lambda rows: _collate(table, rows, *cache.take(rows)), batches)
        skip = self.config.on_unreadable == "skip"
        loader = DataLoader(
            _Decoded(table, self.config.image_size, skip),
            batch_sampler=batches,
            collate_fn=_whole,
            num_workers=self.config.workers,
            pin_memory=torch.cuda.is_available(),
        )
        return _unwrapped(loader)


def _unwrapped(loader: Iterable[Batch | InputError]) -> Iterator[Batch]:
    for batch in loader:
        if isinstance(batch, InputError):
            raise batch
        yield batch


class _Decoded(Dataset[Any]):
    """Decodes a whole batch at once: `dataset[[1, 2, 3]]` is a `Batch`.

    An error is returned, not raised: a worker process would bury its message under a traceback of its own.
    """

    def __init__(self, table: Table, size: int, skip: bool) -> None:
        self.table, self.size, self.skip = table, size, skip

    def __getitems__(self, rows: Sequence[int]) -> Batch | InputError:
        encoded = self.table.encoded(rows)
        try:
            pixels, slots = decode_all(encoded, self.table.ids[rows], self.size, skip=self.skip)
        except InputError as error:
            return error
        return _collate(self.table, np.asarray(rows), pixels, slots)


def _whole(batch: Any) -> Any:
    return batch


def _collate(table: Table, rows: NDArray[np.int64], pixels: torch.Tensor, slots: NDArray[np.int64]) -> Batch:
    kept = np.asarray(rows)[slots]
    return Batch(
        pixels,
        torch.from_numpy(table.labels[kept]),
        torch.from_numpy(table.categories[kept]),
        torch.from_numpy(slots),
        tuple(table.ids[kept].tolist()),
    )


def decode_all(
    encoded: Iterable[bytes | None], ids: Iterable[str], size: int, *, skip: bool
) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Decode images: uint8 (B, S, S), and which of them could be read.

    Raises:
        InputError: an image cannot be decoded and `skip` is off; the message names its id.
    """
    pixels, slots = [], []
    for slot, (content, item) in enumerate(zip(encoded, ids, strict=True)):
        try:
            pixels.append(decode(content, size))
            slots.append(slot)
        except InputError as error:
            if not skip:
                raise InputError(f"image {item!r} {error}; --on-unreadable skip leaves such rows out") from error
    stacked = np.stack(pixels) if pixels else np.zeros((0, size, size), np.uint8)
    return torch.from_numpy(stacked), np.asarray(slots, dtype=np.int64)


def check_columns(features: Any, where: str) -> None:
    """Raise InputError unless the columns that training reads are there."""
    if missing := [name for name in ("image", "label", "image_id") if name not in (features or ())]:
        raise InputError(f"{where} has no column {missing}: build it with `python -m builder build`")
    if not isinstance(features["label"], hf.ClassLabel):
        raise InputError(f"{where}: `label` is {features['label']}, not a ClassLabel, so the class names are unknown")


def outside_map(where: str, item: str, label: int, classes: int, *, others: int = 0) -> str:
    """The message about a label that is no class code."""
    more = f" and {others} rows more" if others else ""
    shown = "null" if label == -1 else label
    return (
        f"{where}: image {item!r}{more} has label {shown}, outside the map of {classes} classes (0 to {classes - 1})"
    )


def category_codes(names: Iterable[str | None]) -> NDArray[np.int64]:
    """Positions in `schema.CATEGORIES`; -1 for null and for anything else."""
    code = {name: position for position, name in enumerate(CATEGORIES)}
    return np.asarray([code.get(name or "", -1) for name in names], dtype=np.int64)


def resolve_subset(config: TrainConfig) -> str | list[str]:
    """What `load_cytoimagenet` takes as its subset: a name, or labels, those of a category looked up in the data.

    Raises:
        InputError: an unknown category, or one that no row has.
    """
    if len(config.subset) > 1:
        return list(config.subset)
    only = config.subset[0] if config.subset else "full"
    kind, colon, category = only.partition(":")
    if not colon or kind != "category":
        return only if only == "full" or only.startswith("toy_") else [only]
    if category not in CATEGORIES:
        raise InputError(f"no category {category!r}: choose {', '.join(CATEGORIES)}")
    if config.streaming:
        raise InputError("a subset by category needs the whole table: it cannot be streamed; list the labels instead")
    train = load_cytoimagenet(config.dataset, split="train").select_columns(["label", "category"])
    table = train.with_format("arrow")[:]
    codes = pc.unique(table.filter(pc.equal(table["category"], category))["label"]).to_pylist()
    if not codes:
        raise InputError(f"no row of {config.dataset} has category {category!r}")
    return sorted(train.features["label"].int2str(code) for code in codes)


def is_local(path: str) -> bool:
    """Whether a dataset is a folder rather than a Hub repository."""
    return Path(path).is_dir()


def _pixel_hashes(table: Any, images: Any) -> Iterable[str]:
    """Per row, the recorded hash of the pixels; of the stored bytes where none is recorded."""
    recorded = table["sha256"].to_pylist() if "sha256" in table.column_names else [None] * len(table)
    if None not in recorded:
        return recorded
    return (
        digest or hashlib.sha256(value["image"]["bytes"] or b"").hexdigest()
        for digest, value in zip(recorded, images, strict=True)
    )
