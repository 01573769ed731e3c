"""What happened in the epoch under way: sums on the device, read rarely, and the clock of the data."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from accelerate import Accelerator

from cytoimagenet_hf.errors import InputError

Item = TypeVar("Item")


class EpochMeter:
    """Sums of one epoch. Losses of the newest steps wait, with their ids, until `check` looks at them at once.

    Reading a number from a GPU stops the queue of kernels, so that happens every few steps, not in each.
    """

    def __init__(self, accelerator: Accelerator, restored: Mapping[str, Any] | None = None) -> None:
        self.accelerator = accelerator
        restored = restored or {}
        # Sums over all processes, recorded by a checkpoint, go on in the first process.
        sums: list[float] = restored.get("sums", [0.0] * 5) if accelerator.is_main_process else [0.0] * 5
        # Loss, top-1 and top-7 hits are known to the device; how many rows were seen and skipped is known here.
        self.sums = torch.tensor(sums[:3], dtype=torch.float64, device=_double_device(accelerator))
        self.seen, self.skipped = sums[3:]
        self.seconds = float(restored.get("seconds", 0.0))
        self.waited = float(restored.get("waited", 0.0))
        self._pending: list[tuple[torch.Tensor, Sequence[str]]] = []
        self._since = time.perf_counter()

    def add(
        self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, ids: Sequence[str], asked: int
    ) -> None:
        """Count one forward pass: summed loss (), logits (B, classes), labels (B,); `asked` rows were wanted."""
        top = logits.detach().topk(min(7, logits.shape[1])).indices  # (B, 7)
        hits = top == labels[:, None]
        row = torch.stack([loss.detach().float(), hits[:, 0].sum(), hits.sum()])
        self.sums += row.to(self.sums.device).double()
        self.seen += len(ids)
        self.skipped += asked - len(ids)
        self._pending.append((loss.detach(), ids))

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
        sums = self.accelerator.reduce(torch.cat([self.sums, counts]), reduction="sum")
        return {"sums": sums.tolist(), "seconds": self.seconds, "waited": self.waited}

    def summary(self) -> dict[str, Any]:
        """The epoch as history names it; a collective call."""
        record = self.record()
        loss, top1, top7, seen, skipped = record["sums"]
        return {
            "train_loss": loss / max(seen, 1),
            "train_accuracy": top1 / max(seen, 1),
            "train_top_7_accuracy": top7 / max(seen, 1),
            "images": int(seen),
            "skipped": int(skipped),
            "seconds": record["seconds"],
            "images_per_second": seen / max(record["seconds"], 1e-9),
            "data_wait": record["waited"] / max(record["seconds"], 1e-9),
        }

    def postfix(self) -> dict[str, str]:
        """For the progress line: this process's loss, speed and data-wait share."""
        seen = max(self.seen, 1.0)
        passed = self.seconds + time.perf_counter() - self._since
        return {
            "loss": f"{float(self.sums[0]) / seen:.3f}",
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
