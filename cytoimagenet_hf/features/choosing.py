"""`backend="auto"`: the fastest way to run a network on this machine that gives the features of torch.

On a GPU that is torch. On a CPU the first units of the extraction are run by torch and by every runtime that is
installed; a runtime is taken if it agrees with torch within `runtimes.LIMIT` and is at least a tenth faster. What
was measured stands in the table's `about`. An export takes seconds, so that a short extraction stays with torch.
"""

import importlib.util
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.networks import Encoder
from cytoimagenet_hf.networks.base import Unit
from cytoimagenet_hf.networks.kinds.cp_measure import CellMeasures

from .runtimes import LIMIT, RUNTIMES, Runner, device_of, difference, has_export, make_runner
from .vectors import ImageToRead, as_planes

Make = Callable[[str], Runner]
"""Makes the runner of one network under the name of a backend."""

TRIED = 3  # images that `auto` reads at most to find one that it can measure with
_FEWEST = 16  # images: fewer are done before anything is measured
_SECONDS_TO_EXPORT = {"openvino": 4.0, "onnxruntime": 12.0}  # EfficientNet-B0, two cores
_SECONDS_TO_LOAD = 0.5
_WORTH = 10  # times what trying a runtime costs: how long the extraction takes by torch, at least
_GAIN = 1.1
_PROBE_PIXELS = 1 << 18

log = logging.getLogger(__name__)


def runner_of(
    encoder: Encoder,
    backend: str | Runner = "torch",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Runner:
    """The runner of an encoder; see `runtimes.make_runner`."""
    if isinstance(backend, Runner):
        return backend
    if isinstance(encoder, CellMeasures):  # nothing is computed there: numbers pass as they are
        return make_runner(encoder.network, "torch", device="cpu", dtype=torch.float32)
    facts = encoder.facts
    return make_runner(
        encoder.network,
        backend,
        device=device,
        dtype=dtype,
        fixed_size=facts.size is not None,
        multiple=facts.multiple,
    )


def auto_runner(
    encoder: Encoder,
    sources: Sequence[ImageToRead],
    *,
    images: int | None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Runner:
    """The runner that `auto` stands for: see `choose_runner`.

    Args:
        encoder: the network and what it takes.
        sources: the first images of the extraction; the first that can be used is measured with.
        images: how many there are in all.
        device: asked for.
        dtype: asked for.
    """

    if isinstance(encoder, CellMeasures):
        return runner_of(encoder)

    def first_units() -> list[Unit] | None:
        for source in sources:
            try:
                planes = as_planes(source.read())
                own = None
                if encoder.facts.per == "plate":  # only a speed and a difference are measured: any range will do
                    ends = ((float(np.min(plane)), float(np.max(plane))) for plane in planes)
                    own = dict(zip(source.stains, ends, strict=False))
                return encoder.units(planes, stains=source.stains, ranges=own)
            except InputError:
                continue
        return None

    def make(name: str) -> Runner:
        return runner_of(encoder, name, device=device if name == "torch" else None, dtype=dtype)

    return choose_runner(make, first_units, images=images, device=device, dtype=dtype)


def choose_runner(
    make: Make,
    first_units: Callable[[], Sequence[Unit] | None],
    *,
    images: int | None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Runner:
    """The runner that `auto` stands for; its `choice` says why.

    Args:
        make: makes a runner by name.
        first_units: the units of one image of the extraction; None where none of the first can be read.
        images: how many will come, where that is known.
        device: asked for; None: a GPU if there is one.
        dtype: asked for.
    """
    by_torch = make("torch")
    place = device_of(device)
    installed = [name for name in RUNTIMES if importlib.util.find_spec(name) is not None]
    reason = None
    if place.type != "cpu":
        reason = f"the runtimes compute on the CPU, and this is {place.type}"
    elif dtype not in (None, torch.float32):
        reason = f"{dtype} was asked for"
    elif not installed:
        reason = f"neither {' nor '.join(RUNTIMES)} is installed: pip install cytoimagenet-hf[runtimes]"
    elif images is None or images < _FEWEST:
        reason = "few images, or an unknown number"
    units = None if reason else first_units()
    if not reason and units is None:
        reason = "none of the first images can be used"
    if units is None:
        log.info("torch runs the network: %s", reason)
        return replace(by_torch, choice={"reason": reason})
    return _measured(make, by_torch, units, (images or 0) * len(units), installed)


def _measured(make: Make, by_torch: Runner, units: Sequence[Unit], total: int, installed: Sequence[str]) -> Runner:
    same = [unit for unit in units if unit.shape == units[0].shape]
    few = max(2, _PROBE_PIXELS // (units[0].shape[-2] * units[0].shape[-1]))
    probe = torch.from_numpy(np.stack((same * 2)[:few]))
    try:
        expected = by_torch(probe)
    except (RuntimeError, ValueError) as error:  # the extraction itself will say what is wrong with this image
        return replace(by_torch, choice={"reason": f"the first image cannot be used: {one_line(error)}"})
    runners = {"torch": by_torch}
    rates = {"torch": _rate(by_torch, probe)}
    agreement: dict[str, float] = {}
    left_out: dict[str, str] = {}
    work = total / rates["torch"]
    for name in installed:
        try:
            runner = make(name)
            seconds = _SECONDS_TO_LOAD if has_export(runner, probe) else _SECONDS_TO_EXPORT[name]
            if work < _WORTH * seconds:
                left_out[name] = "the extraction is short beside its export"
                continue
            apart = difference(runner(probe), expected)
            if apart > LIMIT:
                left_out[name] = f"its features differ from torch's by {apart:.1g} of the largest"
                continue
            agreement[name] = float(f"{apart:.1e}")
            runners[name], rates[name] = runner, _rate(runner, probe)
        except Exception as error:  # errors of the runtimes share no class but this
            left_out[name] = one_line(error)
            log.warning("backend %s is left out: %s", name, left_out[name])
    fastest = max(rates, key=lambda name: rates[name])
    chosen = fastest if rates[fastest] >= _GAIN * rates["torch"] else "torch"
    choice: dict[str, Any] = {
        "reason": "the fastest that agrees with torch" if len(rates) > 1 else "no other was tried",
        "units_per_second": {name: float(f"{rate:.3g}") for name, rate in rates.items()} if len(rates) > 1 else {},
        "agreement": agreement,
        "left_out": left_out,
    }
    log.info("%s runs the network: %s", chosen, choice)
    return replace(runners[chosen], choice=choice)


def _rate(runner: Runner, probe: torch.Tensor) -> float:
    """Units per second: the better of two runs after the first."""
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        runner(probe)
        seconds.append(time.perf_counter() - started)
    return len(probe) / max(min(seconds), 1e-9)
