"""The training loop, from a configuration to a stock checkpoint: set up, fit, evaluate, export.

A row on its way to a step passes `tables.make_row_table`, `data.RowSource.training`, `setup.Run.training_inputs`,
`network.Preprocessing` and `train_epoch`.

Everything drawn in step i of epoch e (order, augmentation, dropout) is a function of (seed, e, i), so a run that was
stopped takes the same steps as one that was not: weights, optimizer and draws are restored exactly, and on one machine
with the same processes, threads and versions the results agree to float32 rounding.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch.nn import functional
from tqdm.auto import tqdm

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.files import held_folder, require_still_there, sweep_temporary
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.dataset.hub import create_repository, push
from cytoimagenet_hf.options.push import Upload

from . import checkpoint, report
from .config import TrainConfig
from .evaluation import estimate_batch_norm, evaluate, evaluate_views
from .setup import Run, learning_rate, prepare, update_average
from .views import view_loss

Item = TypeVar("Item")

_LABELS = ("loss", "accuracy", "top_7_accuracy")
_ON_DEVICE = ("loss", "view_loss", "accuracy", "top_7_accuracy")
_TRAINED = {"labels": _LABELS, "labels+views": ("view_loss", *_LABELS), "views": ("view_loss",)}
"""What history says of the training images, by objective."""
_SHOWN = 24  # images of predictions.png
LOCK = "_lock"
"""The file in an output folder that is locked while a training writes there."""

_VALIDATED = ("loss", "accuracy", "top_7_accuracy", "view_loss", "knn_accuracy")
"""What history says of each evaluation, as far as the objective has it."""


def train(config: TrainConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train, evaluate and save.

    Args:
        config: what to train, on what, and where to.
        resume: go on from the newest checkpoint of `config.output`; start where there is none.

    Returns:
        The final metrics (`metrics.json`), with `push_refused` where the Hub refused the model;
        `{"stopped": "SIGTERM", …}` after a signal, with a checkpoint written.

    Raises:
        InputError: unusable data or options, a folder that holds another run or in which one is under way, or a loss
            that is no longer finite.

    Example:
        >>> train(TrainConfig(dataset="cytoimagenet", output="runs/b0", cache="disk"))  # doctest: +SKIP
    """
    with _alone(Path(config.output)):
        run = prepare(config, resume=resume)
        config = run.config
        if run.accelerator.is_main_process:
            if config.push_to_hub is not None:
                create_repository(config.push_to_hub, kind="model")
            report.write_config(Path(config.output), config)
        _start_trackers(run)
        with StopRequest() as stop:
            while run.state.epoch < config.epochs:
                meter = EpochMeter(run.accelerator, run.state.meter)
                if stopped := train_epoch(run, meter, stop):
                    _finish_trackers(run)
                    return {"stopped": stopped, "epoch": run.state.epoch, "step": run.state.step}
                _close_epoch(run, meter)
        metrics = _finish(run)
        _finish_trackers(run)
        return metrics


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Hold the output folder against other trainings; of several processes of one training the first holds it."""
    if int(os.environ.get("RANK", "0")):  # before accelerate has started its processes
        yield
        return
    refusal = f"another training writes into {output}: wait for it, or choose another --output"
    with held_folder(output, lock=LOCK, begun=(), refusal=refusal):
        sweep_temporary(output)
        sweep_temporary(output / "checkpoints")
        yield


def train_epoch(run: Run, meter: "EpochMeter", stop: "StopRequest") -> str | None:
    """Train to the end of the epoch, or to a signal, whose name is returned after a checkpoint."""
    config, accelerator, state = run.config, run.accelerator, run.state
    steps, leg_ends = run.source.steps, run.leg_ends
    # Looking at a number stalls a GPU's queue; on CPU it costs nothing.
    look_every = 1 if accelerator.device.type == "cpu" else 10
    inputs = meter.timed(run.training_inputs(state.epoch, state.step))
    run.model.train()
    progress = tqdm(
        total=steps,
        initial=state.step,
        unit="step",
        desc=f"epoch {state.epoch + 1}/{config.epochs}",
        disable=None if accelerator.is_local_main_process else True,
        leave=False,
    )
    with progress:
        while state.step < steps:
            for group in run.optimizer.param_groups:
                group["lr"] = learning_rate(config, state.global_step, leg_ends)
            for part in range(config.passes):
                batch, images = next(inputs)
                labels = batch.labels.to(accelerator.device, non_blocking=True)
                last = part == config.passes - 1
                _seed_dropout(run, part)  # after the batch: starting a loader draws a number, too
                with contextlib.nullcontext() if last else accelerator.no_sync(run.model):
                    losses = _losses(run, images, labels)
                    accelerator.backward(losses.total)
                meter.add(losses, labels, batch.ids, run.micro_batch)
            if config.clip_norm:
                accelerator.clip_grad_norm_(run.model.parameters(), config.clip_norm)
            run.optimizer.step()
            run.optimizer.zero_grad()
            if run.average is not None:
                update_average(run.average, run.network, decay=config.ema, step=state.global_step)
            state.step += 1
            state.global_step += 1
            progress.update()

            due = config.checkpoint_every and state.global_step % config.checkpoint_every == 0
            if due or state.step % look_every == 0 or state.step == steps:
                meter.check(run.learner.parameters())
                progress.set_postfix(meter.postfix(), refresh=False)
                stopped = stop.agreed(accelerator)
                if stopped or due:
                    _save(run, meter)
                if stopped:
                    accelerator.print(f"{stopped}: stopped after step {state.global_step}; --resume goes on")
                    return stopped
    return None


def _losses(run: Run, images: torch.Tensor, labels: torch.Tensor) -> "StepLosses":
    """The losses of one forward pass over images (V B, 3, S, S) of V views, with labels (B,).

    The gradients of `total`, averaged over processes and added up, are the step's.
    """
    config, accelerator = run.config, run.accelerator
    logits, projections = run.model(pixel_values=images)
    total = images.new_zeros(())
    of_labels = of_views = None
    if logits is not None:
        views = len(images) // max(1, len(labels))
        of_labels = functional.cross_entropy(
            logits, labels.repeat(views), reduction="sum", label_smoothing=config.label_smoothing
        )
        of_labels = of_labels / views
        # Every image weighs the same, whatever the number of processes and passes; skipped rows weigh 0.
        total = total + of_labels / (run.micro_batch * config.passes)
    if projections is not None:
        of_views = view_loss(projections, accelerator=accelerator)
        # Each process has the gradient of its own rows alone; averaging over processes divides by their number.
        total = total + of_views * accelerator.num_processes / config.passes
    return StepLosses(total, of_labels, of_views, None if logits is None else logits[: len(labels)])


def _close_epoch(run: Run, meter: "EpochMeter") -> None:
    """Evaluate, write history and checkpoint, and move to the next epoch."""
    config, state = run.config, run.state
    record = {
        "epoch": state.epoch,
        "step": state.global_step,
        "learning_rate": run.optimizer.param_groups[0]["lr"],
        **meter.summary(config.objective),
    }
    last = state.epoch + 1 == config.epochs
    pushed = config.push_every > 0 and (state.epoch + 1) % config.push_every == 0 and not last
    if last or pushed or (state.epoch + 1) % config.evaluate_every == 0:
        scores = _evaluate(run)
        record |= {name: scores[name] for name in _VALIDATED if scores.get(name) is not None}
        score = _score(scores)
        if state.best_score is None or score > state.best_score:
            state.best_step, state.best_score, state.best_metrics = state.global_step, score, scores
        state.metrics = scores
    state.history = (*state.history, record)
    state.epoch, state.step, state.meter = state.epoch + 1, 0, None
    _save(run, None)
    run.accelerator.print(report.epoch_line(record, config.epochs))
    run.accelerator.log({k: v for k, v in record.items() if isinstance(v, float)}, step=state.global_step)
    if run.accelerator.is_main_process:
        report.write_history(Path(config.output), state.history)
        if pushed:
            report.write_final(config, run.evaluated, run.preprocessing, state.metrics or {}, state)
            _push(run)


def _score(metrics: dict[str, Any]) -> float:
    """What makes one evaluation better than another: accuracy, of neighbours without a head, or without labels the
    loss."""
    accuracy = metrics.get("accuracy", metrics.get("knn_accuracy"))
    return float(-metrics["view_loss"] if accuracy is None else accuracy)


def _evaluate(run: Run) -> dict[str, Any]:
    config, accelerator, projector = run.config, run.accelerator, run.learner.projector
    images = (images for _, images in run.training_inputs(run.state.epoch))
    estimate_batch_norm(run.evaluated, images, config, accelerator=accelerator)
    if not run.learner.labelled and projector is not None:
        return evaluate_views(
            run.evaluated,
            projector,
            run.source,
            run.preprocessing,
            run.augmentation,
            config=config,
            accelerator=accelerator,
        )
    return evaluate(
        run.evaluated,
        run.source.validation(max(64, run.micro_batch)),
        run.preprocessing,
        accelerator=accelerator,
        classes=run.source.classes,
    )


def _finish(run: Run) -> dict[str, Any]:
    """Export the last or the best weights as a stock checkpoint, with everything there is to read about them."""
    state = run.state
    metrics = state.metrics or {}
    if run.config.export == "best" and state.best_step != state.global_step:
        best = Path(run.config.output) / "checkpoints" / f"step-{state.best_step:08d}"
        checkpoint.load_weights(best, run.evaluated, "model" if run.average is None else "average")
        metrics = state.best_metrics or {}
    if run.accelerator.is_main_process:
        report.write_final(run.config, run.evaluated, run.preprocessing, metrics, state)
        if run.learner.labelled:
            _show_predictions(run)
        if refusal := _push(run):
            metrics = {**metrics, "push_refused": refusal}
    run.accelerator.wait_for_everyone()
    return metrics


def _push(run: Run) -> str | None:
    """Push OUTPUT/model if asked to; a refusal of the Hub is printed and returned, and the training stands."""
    config = run.config
    if config.push_to_hub is None:
        return None
    model = Path(config.output) / "model"
    try:
        upload = Upload(message=f"Epoch {run.state.epoch} of {config.epochs}")
        push(model, config.push_to_hub, kind="model", upload=upload)
    except (InputError, OSError) as error:
        refusal = f"{model} is not pushed: {one_line(error)}"
        run.accelerator.print(f"{refusal}; cytoimagenet push model {model} {config.push_to_hub} does it")
        return refusal
    return None


@torch.inference_mode()
def _show_predictions(run: Run) -> None:
    """`predictions.png`: validation images of as many classes as fit, with truth and prediction."""
    sample = report.varied(run.source.validation(64), _SHOWN)
    if sample is None:
        return
    pixels, labels = sample
    run.evaluated.eval()
    with run.accelerator.autocast():
        logits = run.evaluated(pixel_values=run.preprocessing(pixels.to(run.accelerator.device))).logits
    predicted = logits.argmax(dim=1).cpu().numpy()
    path = Path(run.config.output) / "predictions.png"
    report.plot_predictions(pixels.cpu().numpy(), labels.numpy(), predicted, run.source.classes, path)


def _start_trackers(run: Run) -> None:
    """Open the trackers: one project, in which the run has the name of its folder."""
    config = run.config
    name = Path(config.output).resolve().name
    named = {tracker: {"name": name} for tracker in ("trackio", "wandb")}
    scalars = {
        field: value if isinstance(value, int | float | str) else str(value)
        for field, value in config.to_dict().items()
    }
    if config.trackers:
        with contextlib.redirect_stdout(sys.stderr):  # what they say is not a result
            run.accelerator.init_trackers("cytoimagenet", config=scalars, init_kwargs=named)


def _finish_trackers(run: Run) -> None:
    """Close the trackers; `end_training` would also end the process group, which belongs to the caller."""
    with contextlib.redirect_stdout(sys.stderr):
        for tracker in run.accelerator.trackers:
            tracker.finish()


def _save(run: Run, meter: "EpochMeter | None") -> None:
    """A checkpoint of this moment; a collective call."""
    scaler, state = run.accelerator.scaler, run.state
    state.meter = meter.record() if meter else None
    state.scaler = scaler.state_dict() if scaler is not None else None
    if run.accelerator.is_main_process:
        require_still_there(Path(run.config.output), LOCK)
        folder = Path(run.config.output) / "checkpoints"
        optimizer, projector = run.optimizer.optimizer, run.learner.projector
        checkpoint.save(
            folder, state, model=run.network, optimizer=optimizer, projector=projector, average=run.average
        )
        checkpoint.prune(folder, keep=run.config.keep, best=state.best_step)
    run.accelerator.wait_for_everyone()


def _seed_dropout(run: Run, part: int) -> None:
    """Seed torch for this forward pass and process: what layers draw needs no generator state in the checkpoint."""
    place = f"{run.state.global_step}/{part}/{run.accelerator.process_index}"
    torch.manual_seed(int(derive_rng(run.config.seed, "dropout", place).integers(2**63)))


@dataclass(frozen=True)
class StepLosses:
    """The losses of one forward pass on one process."""

    total: torch.Tensor  # (): what was minimised
    labels: torch.Tensor | None  # (): cross-entropy summed over the images; None without labels
    views: torch.Tensor | None  # (): mean loss of the views; None without views
    logits: torch.Tensor | None  # (B, classes) of the first views; None without labels


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
        place = torch.device("cpu") if accelerator.device.type == "mps" else accelerator.device  # mps has no float64
        self.sums = torch.tensor(sums, dtype=torch.float64, device=place)
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
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now
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


def _diverged(event: str, ids: Sequence[str]) -> str:
    images = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
    return (
        f"{event} the batch of images {images}. Look at these images; if they are sound, lower learning_rate, set "
        "clip_norm, or use precision bf16 or no. The newest checkpoint is from before this."
    )


class StopRequest:
    """Within the block, the first signal is noted; a second one acts as it would have without us."""

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        # Threads other than the main one may not set handlers; there the caller's own handling stays.
        try:
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:
            self._before = {}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def agreed(self, accelerator: Accelerator) -> str | None:
        """The signal's name once any process has received one: all of them stop after the same step."""
        if accelerator.num_processes == 1:
            return self.received
        flag = torch.tensor(float(self.received is not None), device=accelerator.device)
        if accelerator.reduce(flag, reduction="sum").item() == 0:
            return None
        return self.received or signal.SIGTERM.name

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
