"""What happened in the epoch under way: sums on the device, read rarely, and the clock of the data."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from accelerate import Accelerator

from cytoimagenet_hf.core.errors import InputError

Item = TypeVar("Item")

_LABELS = ("loss", "accuracy", "top_7_accuracy")
_ON_DEVICE = ("loss", "view_loss", "accuracy", "top_7_accuracy")
_TRAINED = {"labels": _LABELS, "labels+views": ("view_loss", *_LABELS), "views": ("view_loss",)}
"""What history says of the training images, by objective."""


@dataclass(frozen=True)
class StepLosses:
    """The losses of one forward pass on one process.

    Attributes:
        total: what was minimised, ().
        labels: cross-entropy summed over the images, (); None without labels.
        views: mean loss of the views, (); None without views.
        logits: (B, classes) of the first views; None without labels.
    """

    total: torch.Tensor
    labels: torch.Tensor | None
    views: torch.Tensor | None
    logits: torch.Tensor | None


class EpochMeter:
    """Sums of one epoch. Losses of the newest steps wait, with their ids, until `check` looks at them at once.

    Reading a number from a GPU stops the queue of kernels, so that happens every few steps, not in each.
    """

    def __init__(self, accelerator: Accelerator, restored: Mapping[str, Any] | None = None) -> None:
        self.accelerator = accelerator
        restored = restored or {}
        # Sums over all processes, recorded by a checkpoint, go on in the first process.
        before: dict[str, float] = restored.get("sums", {}) if accelerator.is_main_process else {}
        # Losses and hits are known to the device; how many rows were seen and skipped is known here.
        sums = [before.get(name, 0.0) for name in _ON_DEVICE]
        self.sums = torch.tensor(sums, dtype=torch.float64, device=_double_device(accelerator))
        self.seen, self.skipped = before.get("seen", 0.0), before.get("skipped", 0.0)
        self.seconds = float(restored.get("seconds", 0.0))
        self.waited = float(restored.get("waited", 0.0))
        self._pending: list[tuple[torch.Tensor, Sequence[str]]] = []
        self._since = time.perf_counter()

    def add(self, losses: StepLosses, labels: torch.Tensor, ids: Sequence[str], asked: int) -> None:
        """Count one forward pass of labels (B,); `asked` rows were wanted."""
        total = losses.total.detach()
        zero = torch.zeros((), device=total.device)
        row = [zero if part is None else part.detach().float() for part in (losses.labels, losses.views)]
        row[1] = row[1] * len(ids)
        if losses.logits is None:
            row += [zero, zero]
        else:
            top = losses.logits.detach().topk(min(7, losses.logits.shape[1])).indices  # (B, 7)
            hits = top == labels[:, None]
            row += [hits[:, 0].sum(), hits.sum()]
        self.sums += torch.stack(row).to(self.sums.device).double()
        self.seen += len(ids)
        self.skipped += asked - len(ids)
        self._pending.append((total, ids))

    def timed(self, items: Iterator[Item]) -> Iterator[Item]:
        """The same items; the time spent waiting for them is counted as data wait."""
        while True:
            before = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            self.waited += time.perf_counter() - before
            yield item

    def check(self, parameters: Iterable[torch.Tensor] = ()) -> None:
        """Raise InputError, naming the images, if a loss since the last check, or a weight now, is not finite."""
        finite = torch.isfinite(torch.stack([loss for loss, _ in self._pending])).tolist() if self._pending else []
        for good, (loss, ids) in zip(finite, self._pending, strict=True):
            if not good:
                raise InputError(_diverged(f"the loss became {loss.item()} on", ids))
        norms = torch._foreach_norm([parameter.detach() for parameter in parameters])
        if norms and self._pending and not torch.isfinite(torch.stack(list(norms))).all():
            raise InputError(_diverged("the weights are no longer finite after", self._pending[-1][1]))
        self._pending.clear()

    def record(self) -> dict[str, Any]:
        """Sums over all processes, as JSON values; a collective call."""
        self._lap()
        counts = self.sums.new_tensor([self.seen, self.skipped])
        sums = self.accelerator.reduce(torch.cat([self.sums, counts]), reduction="sum").tolist()
        named = dict(zip((*_ON_DEVICE, "seen", "skipped"), sums, strict=True))
        return {"sums": named, "seconds": self.seconds, "waited": self.waited}

    def summary(self, objective: str) -> dict[str, Any]:
        """The epoch as history names it; a collective call."""
        record = self.record()
        sums = record["sums"]
        images = max(sums["seen"], 1)
        return {
            **{f"train_{name}": sums[name] / images for name in _TRAINED[objective]},
            "images": int(sums["seen"]),
            "skipped": int(sums["skipped"]),
            "seconds": record["seconds"],
            "images_per_second": sums["seen"] / max(record["seconds"], 1e-9),
            "data_wait": record["waited"] / max(record["seconds"], 1e-9),
        }

    def postfix(self) -> dict[str, str]:
        """For the progress line: this process's loss, speed and data-wait share."""
        seen = max(self.seen, 1.0)
        passed = self.seconds + time.perf_counter() - self._since
        return {
            "loss": f"{float(self.sums[:2].sum()) / seen:.3f}",
            "images/s": f"{seen * self.accelerator.num_processes / passed:.0f}",
            "data wait": f"{self.waited / passed:.0%}",
        }

    def _lap(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now


def _diverged(what: str, ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
    return (
        f"{what} the batch of images {shown}. Look at these images; if they are sound, lower learning_rate, set "
        "clip_norm, or use precision bf16 or no. The newest checkpoint is from before this."
    )


def _double_device(accelerator: Accelerator) -> torch.device:
    """Where double precision exists: not on Apple's GPUs."""
    return torch.device("cpu") if accelerator.device.type == "mps" else accelerator.device
