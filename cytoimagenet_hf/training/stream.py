"""Batches from shards as they arrive: data on the Hub, or more of it than the disk holds.

Each process reads its own shards (`split_dataset_by_node`), each worker its own of these. Images travel encoded and
are decoded here, so that skipping to the middle of an epoch costs reading but no decoding.
"""

import hashlib
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import datasets as hf
import numpy as np
import pyarrow as pa
import torch
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.load import load_cytoimagenet, require_stored, stored_files
from cytoimagenet_hf.dataset.schema import CATEGORIES

from .config import TrainConfig
from .data import Batch, count_steps, decode_all, prefetch
from .tables import category_codes, check_columns, every_label, outside_map, resolve_subset

_BUFFER = 4096  # rows among which a shuffled stream picks the next one: some 250 MB of encoded images
_COLUMNS = ("image", "label", "category", "image_id")
_PASSES = 1 << 20  # epochs are numbered apart from repeated passes within one


class StreamSource:
    """The streaming counterpart of `data.RowSource`.

    An epoch is as many steps as the split has rows for; a process whose shards hold fewer rows than others' starts its
    next pass early. The order is a function of (seed, epoch), the number of processes and of workers.

    Raises:
        InputError: a missing split or column, a split of unknown size, or shards that processes cannot share evenly.
    """

    def __init__(self, config: TrainConfig, *, rank: int, processes: int) -> None:
        self.config, self.rank, self.processes = config, rank, processes
        loaded = load_cytoimagenet(
            config.dataset, subset=resolve_subset(config), split_scheme=config.split_scheme, streaming=True
        )
        self.labelled = config.objective != "views"
        require_stored(("image", *(("label",) if self.labelled else ()), "image_id"), config.dataset)
        self.splits = {name: self._checked(loaded, name) for name in ("train", "validation")}
        self.classes = tuple(getattr(self.splits["train"].features.get("label"), "names", ()))
        rows = {name: _rows(split, f"{config.dataset}, split {name}") for name, split in self.splits.items()}
        stated = [f"{name} {what}" for name, what in (*rows.items(), *stored_files(config.dataset))]
        content = "\x1f".join([*self.classes, *stated])
        self.fingerprint = hashlib.sha256(content.encode()).hexdigest()
        self.steps = count_steps(
            rows["train"], batch_size=config.batch_size, accumulate=config.passes, processes=processes
        )

    def training(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The forward passes of an epoch from optimiser step `start` on."""
        micro = self.config.batch_size // (self.config.passes * self.processes)
        shuffled = self.splits["train"].shuffle(seed=self.config.seed % 2**32, buffer_size=_BUFFER)
        passes = islice(self._raw(shuffled, micro, epoch), start * self.config.passes, self.steps * self.config.passes)
        return prefetch(self._decode, passes)

    def validation(self, size: int) -> Iterator[Batch]:
        """Every row of the validation split that falls to this process, each once."""
        stream = split_dataset_by_node(self.splits["validation"], rank=self.rank, world_size=self.processes)
        return prefetch(self._decode, DataLoader(stream, batch_size=size, collate_fn=list))

    def _raw(self, stream: Any, micro: int, epoch: int) -> Iterator[list[dict[str, Any]]]:
        """Undecoded rows, pass after pass."""
        own = split_dataset_by_node(stream, rank=self.rank, world_size=self.processes)
        for number in count():
            own.set_epoch(epoch * _PASSES + number)
            batches = DataLoader(
                own, batch_size=micro, drop_last=True, collate_fn=list, num_workers=self._workers(own)
            )
            seen = False
            for rows in batches:
                seen = True
                yield rows
            if not seen:
                raise InputError(
                    f"process {self.rank} has fewer than {micro} rows per worker in its shards: lower batch_size or "
                    "workers, or do not stream"
                )

    def _workers(self, own: Any) -> int:
        """The most workers, up to those asked for, that share the shards of this process evenly."""
        shards = max(1, own.num_shards)
        return max((n for n in range(1, self.config.workers + 1) if shards % n == 0), default=0)

    def _decode(self, rows: list[dict[str, Any]]) -> Batch:
        ids = [row["image_id"] for row in rows]
        if None in ids:
            raise InputError(f"{self.config.dataset} has a row without an image_id: rows are known by it")
        given = [row.get("label") if self.classes else None for row in rows]
        labels = np.asarray([-1 if label is None else label for label in given], dtype=np.int64)
        if len(bad := np.flatnonzero((labels < (0 if self.labelled else -1)) | (labels >= len(self.classes)))):
            raise InputError(outside_map(self.config.dataset, ids[bad[0]], labels[bad[0]], len(self.classes)))
        pixels, slots = decode_all(
            (row["image"]["bytes"] for row in rows),
            ids,
            self.config.image_size,
            skip=self.config.on_unreadable == "skip",
            where=self.config.dataset,
        )
        codes = category_codes(row.get("category") for row in rows)
        targets = None
        if self.config.targets == "all":
            targets = torch.from_numpy(every_label(pa.Table.from_pylist(rows), labels, self.classes)[slots])
        kept = tuple(ids[slot] for slot in slots)
        return Batch(
            pixels,
            torch.from_numpy(labels[slots]),
            torch.from_numpy(codes[slots]),
            torch.from_numpy(slots),
            kept,
            targets,
        )

    def _checked(self, loaded: Any, name: str) -> Any:
        if name not in loaded:
            raise InputError(f"{self.config.dataset} has no split {name!r}; it has {sorted(loaded)}")
        split = loaded[name]
        check_columns(split.features, f"{self.config.dataset}, split {name}", labelled=self.labelled)
        if name == "train" and split.num_shards % self.processes:
            raise InputError(
                f"{split.num_shards} training shards cannot be shared evenly by {self.processes} processes, so that "
                "each would read all of them: use a number of processes that divides the shards, or publish more"
            )
        wanted = (*_COLUMNS, *(CATEGORIES if self.config.targets == "all" else ()))
        kept = [column for column in wanted if column in split.features]
        return split.select_columns(kept).cast_column("image", hf.Image(decode=False))


def _rows(split: Any, where: str) -> int:
    """The number of rows that the dataset's card states."""
    stated = split.info.splits
    if not stated or split.split not in stated or not stated[split.split].num_examples:
        raise InputError(f"{where}: its card does not state the number of rows, which streaming needs; do not stream")
    return int(stated[split.split].num_examples)
