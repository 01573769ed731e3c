"""The training loop: from a configuration to a stock checkpoint, on one process or many.

Everything drawn in step i of epoch e (order, augmentation, dropout) is a function of (seed, e, i), so a run that was
stopped takes the same steps as one that was not: weights, optimizer and draws are restored exactly, and on one machine
with the same processes, threads and versions the results agree to float32 rounding.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from tqdm.auto import tqdm

from cytoimagenet_hf.seeding import derive_rng

from . import checkpoint, report
from .config import TrainConfig
from .data import Batch
from .evaluation import estimate_batch_norm, evaluate
from .meter import EpochMeter
from .optim import learning_rate, set_learning_rate, update_average
from .setup import Run, prepare
from .signals import StopRequest

_SHOWN = 24  # images of predictions.png
_SEARCHED = 4096  # validation images among which as many classes are looked for


def train(config: TrainConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train, evaluate and save.

    Args:
        config: what to train, on what, and where to.
        resume: go on from the newest checkpoint of `config.output`; start where there is none.

    Returns:
        The final metrics (`metrics.json`); `{"stopped": "SIGTERM", …}` after a signal, with a checkpoint written.

    Raises:
        InputError: unusable data or options, a folder that holds another run, or a loss that is no longer finite.

    Example:
        >>> train(TrainConfig(dataset="cytoimagenet", output="runs/b0", cache="disk"))  # doctest: +SKIP
    """
    run = prepare(config, resume=resume)
    if run.accelerator.is_main_process:
        report.write_config(Path(config.output), config)
    if config.trackers:
        run.accelerator.init_trackers("tracked", config=_scalars(config))
    with StopRequest() as stop:
        while run.state["epoch"] < config.epochs:
            meter = EpochMeter(run.accelerator, run.state["meter"])
            if stopped := train_epoch(run, meter, stop):
                _finish_trackers(run)
                return {"stopped": stopped, "epoch": run.state["epoch"], "step": run.state["step"]}
            _close_epoch(run, meter)
    metrics = _finish(run)
    _finish_trackers(run)
    return metrics


def train_epoch(run: Run, meter: EpochMeter, stop: StopRequest) -> str | None:
    """Train to the end of the epoch, or to a signal, whose name is returned after a checkpoint."""
    config, accelerator, state = run.config, run.accelerator, run.state
    epoch, steps = state["epoch"], run.source.steps
    # Looking at a number stalls a GPU's queue; on CPU it costs nothing.
    look_every = 1 if accelerator.device.type == "cpu" else 10
    inputs = meter.timed(run.training_inputs(epoch, state["step"]))
    run.model.train()
    progress = tqdm(
        total=steps,
        initial=state["step"],
        unit="step",
        desc=f"epoch {epoch + 1}/{config.epochs}",
        disable=None if accelerator.is_local_main_process else True,
        leave=False,
    )
    with progress:
        while state["step"] < steps:
            set_learning_rate(run.optimizer, learning_rate(config, state["global_step"], config.epochs * steps))
            for part in range(config.accumulate):
                batch, images = next(inputs)
                labels = batch.labels.to(accelerator.device, non_blocking=True)
                last = part == config.accumulate - 1
                _seed_dropout(run, part)  # after the batch: starting a loader draws a number, too
                with contextlib.nullcontext() if last else accelerator.no_sync(run.model):
                    logits = run.model(pixel_values=images).logits.float()
                    loss = functional.cross_entropy(
                        logits, labels, reduction="sum", label_smoothing=config.label_smoothing
                    )
                    # Every image weighs the same, whatever the number of processes and passes; skipped rows weigh 0.
                    accelerator.backward(loss / (run.micro_batch * config.accumulate))
                meter.add(loss, logits, labels, batch.ids, run.micro_batch)
            if config.clip_norm:
                accelerator.clip_grad_norm_(run.model.parameters(), config.clip_norm)
            run.optimizer.step()
            run.optimizer.zero_grad()
            if run.average is not None:
                update_average(run.average, run.network, decay=config.ema, step=state["global_step"])
            state["step"] += 1
            state["global_step"] += 1
            progress.update()

            due = config.checkpoint_every and state["global_step"] % config.checkpoint_every == 0
            if due or state["step"] % look_every == 0 or state["step"] == steps:
                meter.check(run.network.parameters())
                progress.set_postfix(meter.postfix(), refresh=False)
                stopped = stop.agreed(accelerator)
                if stopped or due:
                    _save(run, meter)
                if stopped:
                    accelerator.print(f"{stopped}: stopped after step {state['global_step']}; --resume goes on")
                    return stopped
    return None


def _close_epoch(run: Run, meter: EpochMeter) -> None:
    """Evaluate, write history and checkpoint, and move to the next epoch."""
    config, state = run.config, run.state
    record = {
        "epoch": state["epoch"],
        "step": state["global_step"],
        "learning_rate": run.optimizer.param_groups[0]["lr"],
        **meter.summary(),
    }
    last = state["epoch"] + 1 == config.epochs
    if last or (state["epoch"] + 1) % config.evaluate_every == 0:
        scores = _evaluate(run)
        record |= {name: scores[name] for name in ("loss", "accuracy", "top_7_accuracy")}
        if state["best"] is None or scores["accuracy"] > state["best"]["accuracy"]:
            state["best"] = {
                "step": state["global_step"],
                "epoch": state["epoch"],
                "accuracy": scores["accuracy"],
                "metrics": scores,
            }
        state["metrics"] = scores
    state["history"] = [*state["history"], record]
    state |= {"epoch": state["epoch"] + 1, "step": 0, "meter": None}
    _save(run, None)
    run.accelerator.print(_line(record, config.epochs))
    run.accelerator.log({k: v for k, v in record.items() if isinstance(v, float)}, step=state["global_step"])
    if run.accelerator.is_main_process:
        report.write_history(Path(config.output), state["history"])


def _evaluate(run: Run) -> dict[str, Any]:
    images = (images for _, images in run.training_inputs(run.state["epoch"]))
    estimate_batch_norm(run.evaluated, images, run.config, accelerator=run.accelerator)
    return evaluate(
        run.evaluated,
        run.source.validation(max(64, run.micro_batch)),
        run.preprocessing,
        accelerator=run.accelerator,
        classes=run.source.classes,
    )


def _finish(run: Run) -> dict[str, Any]:
    """Export the last or the best weights as a stock checkpoint, with everything there is to read about them."""
    state = run.state
    metrics = state["metrics"]
    if run.config.export == "best" and state["best"]["step"] != state["global_step"]:
        best = Path(run.config.output) / "checkpoints" / f"step-{state['best']['step']:08d}"
        checkpoint.load_weights(best, run.evaluated, "model" if run.average is None else "average")
        metrics = state["best"]["metrics"]
    if run.accelerator.is_main_process:
        report.write_final(run.config, run.evaluated, run.preprocessing, metrics, state)
        _show_predictions(run)
    run.accelerator.wait_for_everyone()
    return metrics


@torch.inference_mode()
def _show_predictions(run: Run) -> None:
    """`predictions.png`: validation images of as many classes as fit, with truth and prediction."""
    found = _varied(run.source.validation(64), _SHOWN)
    if found is None:
        return
    pixels, labels = found
    run.evaluated.eval()
    with run.accelerator.autocast():
        logits = run.evaluated(pixel_values=run.preprocessing(pixels.to(run.accelerator.device))).logits
    predicted = logits.argmax(dim=1).cpu().numpy()
    path = Path(run.config.output) / "predictions.png"
    report.plot_predictions(pixels.cpu().numpy(), labels.numpy(), predicted, run.source.classes, path)


def _varied(batches: Iterator[Batch], count: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The first image of each class, then the second, …, from the start of the validation set; None without any."""
    seen: Counter[int] = Counter()
    ranked: list[tuple[int, int, torch.Tensor, torch.Tensor]] = []
    for batch in batches:
        for pixels, label in zip(batch.pixels, batch.labels, strict=True):
            ranked.append((seen[int(label)], len(ranked), pixels, label))
            seen[int(label)] += 1
        if len(seen) >= count or len(ranked) >= _SEARCHED:
            break
    if not ranked:
        return None
    ranked.sort(key=lambda entry: entry[:2])
    return torch.stack([entry[2] for entry in ranked[:count]]), torch.stack([entry[3] for entry in ranked[:count]])


def _finish_trackers(run: Run) -> None:
    """Close the trackers; `end_training` would also end the process group, which belongs to the caller."""
    for tracker in run.accelerator.trackers:
        tracker.finish()


def _save(run: Run, meter: EpochMeter | None) -> None:
    """A checkpoint of this moment; a collective call."""
    scaler = run.accelerator.scaler
    state = {
        **run.state,
        "meter": meter.record() if meter else None,
        "scaler": scaler.state_dict() if scaler is not None else None,
    }
    if run.accelerator.is_main_process:
        folder = Path(run.config.output) / "checkpoints"
        checkpoint.save(folder, state, model=run.network, optimizer=run.optimizer.optimizer, average=run.average)
        checkpoint.prune(folder, keep=run.config.keep, best=(state["best"] or {}).get("step"))
    run.accelerator.wait_for_everyone()


def _seed_dropout(run: Run, part: int) -> None:
    """Seed torch for this forward pass and process: what layers draw needs no generator state in the checkpoint."""
    place = f"{run.state['global_step']}/{part}/{run.accelerator.process_index}"
    torch.manual_seed(int(derive_rng(run.config.seed, "dropout", place).integers(2**63)))


def _line(record: dict[str, Any], epochs: int) -> str:
    parts = [f"epoch {record['epoch'] + 1}/{epochs}: train loss {record['train_loss']:.3f}"]
    if "accuracy" in record:
        parts.append(
            f"validation loss {record['loss']:.3f}, top-1 {record['accuracy']:.1%}, "
            f"top-7 {record['top_7_accuracy']:.1%}"
        )
    parts.append(f"{record['images_per_second']:.0f} images/s, data wait {record['data_wait']:.0%}")
    if record["skipped"]:
        parts.append(f"{record['skipped']} unreadable rows skipped")
    return "; ".join(parts)


def _scalars(config: TrainConfig) -> dict[str, Any]:
    """The configuration as trackers take it: one scalar per name."""
    return {
        name: value if isinstance(value, int | float | str) else str(value) for name, value in config.to_dict().items()
    }
