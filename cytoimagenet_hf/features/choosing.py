"""`backend="auto"`: the fastest way to run a network on this machine that gives the features of torch.

On a GPU that is torch. On a CPU a runtime is tried where what it is expected to save pays for its export within the
extraction, and taken if it agrees with torch within `runtimes.LIMIT` and is at least a tenth faster. What was measured
is remembered beside the exports, so that a short extraction with the same network starts with the fastest at once.
What was chosen, and why, stands in the table's `about`.
"""

import importlib.util
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.versions import installed_versions
from cytoimagenet_hf.networks import Encoder
from cytoimagenet_hf.networks.base import Unit
from cytoimagenet_hf.networks.kinds.cp_measure import CellMeasures

from .exports import export_key, keep_rates, read_rates
from .runtimes import LIMIT, RUNTIMES, Runner, device_of, difference, has_export, make_runner
from .vectors import ImageToRead, as_planes

Make = Callable[[str], Runner]
"""Makes the runner of one network under the name of a backend."""

TRIED = 3  # images that `auto` reads at most to find one that it can measure with
_FEWEST = 16  # images: fewer are done before anything is measured
# Of EfficientNet-B0 on two cores (`scripts/bench.py short`): what an export takes, and which share of torch's time a
# runtime saves, a second one beside the first, and any of them where images are small.
_SECONDS_TO_EXPORT = {"openvino": 3.0, "onnxruntime": 9.0}
_SECONDS_TO_LOAD = 0.3
_SAVED, _SAVED_BESIDE, _SAVED_OF_SMALL = 0.2, 0.1, 0.05
_SMALL = 96 * 96  # pixels
_GAIN = 1.1
_PROBE_SHARE = 50  # at most one unit in 50 is measured with
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

    The first usable one of the `sources` is measured with; `images` is the number of all images.
    """
    if isinstance(encoder, CellMeasures):
        return runner_of(encoder)

    def first_units() -> list[Unit] | None:
        for source in sources:
            try:
                planes = as_planes(source.read())
                ranges = None
                if encoder.facts.per == "plate":  # only a speed and a difference are measured: any range will do
                    ends = ((float(np.min(plane)), float(np.max(plane))) for plane in planes)
                    ranges = dict(zip(source.stains, ends, strict=False))
                return encoder.units(planes, stains=source.stains, ranges=ranges)
            except InputError:
                continue
        return None

    def make(name: str) -> Runner:
        return runner_of(encoder, name, device=device if name == "torch" else None, dtype=dtype)

    return choose_runner(make, first_units, images=images, device=device, dtype=dtype, network=encoder.network)


def choose_runner(
    make: Make,
    first_units: Callable[[], Sequence[Unit] | None],
    *,
    images: int | None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    network: nn.Module | None = None,
) -> Runner:
    """The runner that `auto` stands for, of those that `make` makes by name; its `choice` says why.

    `first_units` gives the units of one image, or None where none of the first can be read. Measurements are
    remembered for the `network`, if it is given.
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
    if units is None or images is None:
        log.info("torch runs the network: %s", reason)
        return replace(by_torch, choice={"reason": reason})
    few = min(max(1, images * len(units) // _PROBE_SHARE), max(2, _PROBE_PIXELS // _pixels(units[0])))
    same = [unit for unit in units if unit.shape == units[0].shape]
    probe = torch.from_numpy(np.stack((same * few)[:few]))
    key = None if network is None else export_key(network, _conditions(probe, installed))
    return _Trial(make, by_torch, probe, images * len(units), installed, key).choose()


def _pixels(unit: Any) -> int:
    return int(unit.shape[-2] * unit.shape[-1])


def _conditions(probe: torch.Tensor, installed: Sequence[str]) -> dict[str, object]:
    """What rates hold for, beside the network: the shape of a unit, the processor, versions."""
    processor = [platform.machine(), torch.backends.cpu.get_cpu_capability(), os.cpu_count()]
    versions = installed_versions(("torch", *installed))
    threads = torch.get_num_threads()
    return {"shape": list(probe.shape[1:]), "processor": processor, "threads": threads, "versions": versions}


@dataclass
class _Trial:
    """Measures what pays, or takes what is remembered."""

    make: Make
    by_torch: Runner
    probe: torch.Tensor
    total: int  # units of the extraction
    installed: Sequence[str]
    key: str | None
    agreement: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def choose(self) -> Runner:
        remembered = {} if self.key is None else read_rates(self.key)
        runners = {"torch": self.by_torch}
        try:
            expected = None if remembered else self.by_torch(self.probe)
            rates = dict(remembered) or {"torch": _rate(self.by_torch, self.probe, runs=1)}
        except (RuntimeError, ValueError) as error:  # the extraction itself will say what is wrong with this image
            return replace(self.by_torch, choice={"reason": f"the first image cannot be used: {one_line(error)}"})
        for name in self.installed:
            if name in rates:  # remembered
                continue
            try:
                if not self._pays(name, rates):
                    self.left_out[name] = "the extraction is short beside its export"
                    continue
                runner = self.make(name)
                expected = self.by_torch(self.probe) if expected is None else expected
                apart = difference(runner(self.probe), expected)
                if apart > LIMIT:
                    self.left_out[name] = f"its features differ from torch's by {apart:.1g} of the largest"
                    continue
                self.agreement[name] = float(f"{apart:.1e}")
                if len(rates) == 1:
                    rates["torch"] = _rate(self.by_torch, self.probe)
                runners[name], rates[name] = runner, _rate(runner, self.probe)
            except Exception as error:  # errors of the runtimes share no class but this
                self.left_out[name] = one_line(error)
                log.warning("backend %s is left out: %s", name, self.left_out[name])
        if self.key is not None and len(rates) > len(remembered) and len(rates) > 1:
            keep_rates(self.key, rates)
        chosen = self._fastest(rates, runners)
        choice: dict[str, Any] = {
            "reason": "the fastest that agrees with torch" if len(rates) > 1 else "no other was tried",
            "units_per_second": {name: float(f"{rate:.3g}") for name, rate in rates.items()} if len(rates) > 1 else {},
            "agreement": self.agreement,
            "left_out": self.left_out,
        }
        log.info("%s runs the network: %s", chosen.name, choice)
        return replace(chosen, choice=choice)

    def _pays(self, name: str, rates: Mapping[str, float]) -> bool:
        """Whether what a runtime is expected to save is more than what trying it takes."""
        share = _SAVED if len(rates) == 1 else _SAVED_BESIDE
        share = share if _pixels(self.probe) >= _SMALL else _SAVED_OF_SMALL
        return self.total / max(rates.values()) * share >= _SECONDS_TO_EXPORT[name]

    def _fastest(self, rates: Mapping[str, float], runners: Mapping[str, Runner]) -> Runner:
        """The runner that is done first; one that is remembered must still load and agree."""

        def seconds(name: str) -> float:
            return self.total / rates[name] + (0.0 if name in runners else _SECONDS_TO_LOAD)

        for name in sorted(rates, key=seconds):
            if name == "torch" or rates[name] < _GAIN * rates["torch"]:
                break
            try:
                if name in runners:
                    return runners[name]
                runner = self.make(name)
                saved = self.total / rates["torch"] - self.total / rates[name]
                if has_export(runner, self.probe) or saved >= _SECONDS_TO_EXPORT[name]:
                    runner(self.probe[:1])  # compares itself with torch
                    return runner
            except Exception as error:  # as above
                self.left_out[name] = one_line(error)
        return self.by_torch


def _rate(runner: Runner, probe: torch.Tensor, *, runs: int = 2) -> float:
    """Units per second: the best of some runs after the first."""
    seconds = []
    for _ in range(runs):
        started, busy = time.perf_counter(), time.process_time()
        runner(probe)
        # On a machine with other work the clock counts that, too, and an export would take as much longer.
        seconds.append(min(time.perf_counter() - started, time.process_time() - busy))
    return len(probe) / max(min(seconds), 1e-9)
