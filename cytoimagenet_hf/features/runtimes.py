"""The network as a function from units to vectors: torch itself, or the same weights in an exported runtime.

ONNX Runtime and OpenVINO are optional and only make CPUs faster. What is exported or rewritten is compared with the
network as it was loaded, on the first batch, before a vector of it is used.
"""

import copy
import functools
import logging
import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.versions import installed_versions

from .exports import export_key, find_export, keep_export
from .folding import fold

Function = Callable[[torch.Tensor], torch.Tensor]
LIMIT = 1e-4
"""Largest difference from the network as it was loaded, relative to the largest feature, in float32."""
LOW_PRECISION_LIMIT = 0.05
"""The same for a runtime that was asked to compute in bfloat16, which has 8 bits of mantissa."""

# Pixels per run. Torch gives every map its own memory, and maps of more than 7 planes of 224 x 224 leave the caches.
_TORCH_PIXELS = 3 << 17
_LANE_PIXELS = 1 << 18  # of each lane
_RUNTIME_PIXELS = 1 << 19
_GPU_PIXELS = 1 << 25
_EXAMPLE_SIDE = 224  # a network for any size is exported at this one: at 1080 it took a minute and 4 GB

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runner:
    """Units float32 (N, c, h, w) to vectors float32 (N, D) on the CPU; it moves them to `device` itself."""

    name: str  # one of `BACKENDS`
    run: Function
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))  # where it computes
    dtype: torch.dtype = torch.float32  # of the arithmetic
    pixels: int = _TORCH_PIXELS  # per plane of units, in one run: more take more memory and no less time
    choice: Mapping[str, Any] | None = None  # why `auto` took this one, as JSON values; None: it was asked for by name

    def __call__(self, units: torch.Tensor) -> torch.Tensor:
        """Run one batch."""
        return self.run(units)


def make_runner(
    network: nn.Module,
    backend: str = "torch",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    fixed_size: bool = False,
    multiple: int = 1,
) -> Runner:
    """Make the runner of an encoder's network; its first batch refuses features that differ from the network's own.

    Args:
        network: (N, c, h, w) → (N, D).
        backend: one of `BACKENDS`.
        device: for torch; by default the GPU if there is one.
        dtype: precision of the arithmetic; by default bfloat16 on a GPU, float32 on a CPU.
        fixed_size: whether the network takes one height and width only: what is exported then needs no other.
        multiple: of which heights and widths are, where the network takes any.
    """
    if backend not in BACKENDS:
        raise InputError(f"unknown backend {backend!r}: choose one of auto, {', '.join(BACKENDS)}")
    if backend == "compile" and device_of(device).type == "cpu":
        # EfficientNet-B0 at 32 x 32: 4 images/s compiled, 390 without (torch 2.13).
        raise InputError("backend compile is for GPUs: on a CPU use auto, torch or openvino")
    if backend in ("torch", "compile"):
        return _torch(network, device, dtype, compiled=backend == "compile")
    if device is not None and device_of(device).type != "cpu":
        raise InputError(f"backend {backend} runs on the CPU: leave device out, or use backend='torch' on {device}")
    precision = dtype or torch.float32
    runtime = RUNTIMES[backend](precision)
    return Runner(
        backend,
        _Exported(network, runtime, fixed_size, multiple),
        dtype=precision,
        pixels=_RUNTIME_PIXELS,
    )


def device_of(name: str | torch.device | None) -> torch.device:
    """The device of a name; None: a GPU if there is one."""
    try:
        return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise InputError(f"device {name!r} is unknown: pass cpu, cuda or cuda:1") from error


def difference(vectors: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest absolute difference, relative to the largest value expected; infinite for other shapes or NaN.

    Example:
        >>> difference(torch.tensor([1.0, 4.5]), torch.tensor([1.0, 4.0]))
        0.125
    """
    if vectors.shape != expected.shape:
        return float("inf")
    vectors, expected = vectors.double(), expected.double()
    largest = float(expected.abs().max())
    relative = float((vectors - expected).abs().max()) / (largest or 1.0)
    return relative if relative == relative else float("inf")


def _torch(
    network: nn.Module, device: str | torch.device | None, dtype: torch.dtype | None, *, compiled: bool
) -> Runner:
    place = device_of(device)
    precision = dtype or (torch.bfloat16 if place.type == "cuda" else torch.float32)
    try:
        network.to(place)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {str(place)!r} cannot be used: {error}") from error
    trusted: list[nn.Module] = []
    lanes = _Lanes(torch.get_num_threads() if place.type == "cpu" else 1)

    def forward(units: torch.Tensor) -> torch.Tensor:
        mixed = torch.autocast(place.type, precision) if precision != torch.float32 else nullcontext()
        with torch.inference_mode(), mixed:
            return torch.as_tensor(trusted[0](units)).float().cpu()

    def run(units: torch.Tensor) -> torch.Tensor:
        modes = {module: module.training for module in network.modules()}
        network.eval()
        try:
            with torch.inference_mode():
                # channels-last: 1.3 times as fast on a CPU (batch 64 at 64 x 64)
                on_device = units.to(place, memory_format=torch.channels_last, non_blocking=True)
                if not trusted:
                    trusted.append(_folded(network, on_device[:2]))
                    if compiled:
                        trusted[0] = _compiled(trusted[0], place)
            return lanes.run(forward, on_device)
        finally:
            for module, mode in modes.items():
                module.training = mode

    return Runner(
        "compile" if compiled else "torch",
        run,
        place,
        precision,
        pixels=max(_TORCH_PIXELS, lanes.count * _LANE_PIXELS) if place.type == "cpu" else _GPU_PIXELS,
    )


class _Lanes:
    """A batch in parts, one for each thread, which computes it alone.

    Threads that share an operation wait for each other after each of hundreds of small ones: on two idle cores lanes
    are 1.2 times as fast, and three and more times where other work takes a core now and then.

    Args:
        count: of threads; 1 computes where it is called.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None

    def run(self, forward: Function, units: torch.Tensor) -> torch.Tensor:
        """`forward` of units (N, c, h, w); fewer units than lanes are computed by all threads together."""
        if self.count == 1 or len(units) < self.count:
            return forward(units)
        self._pool = self._pool or self._start()
        return torch.cat(list(self._pool.map(forward, units.tensor_split(self.count))))

    def _start(self) -> ThreadPoolExecutor:
        together = threading.Barrier(self.count)  # so that each thread takes one of the calls below

        def alone(_: int) -> None:
            torch.get_num_threads()  # torch sets a thread's number when it is first asked for, over one that was set
            torch.set_num_threads(1)
            together.wait()

        pool = ThreadPoolExecutor(self.count, "lane")
        list(pool.map(alone, range(self.count)))
        torch.set_num_threads(self.count)  # what other new threads start with; those of the pool keep their 1
        return pool


def _folded(network: nn.Module, units: torch.Tensor) -> nn.Module:
    """The network for inference: folded where that gives the same vectors."""
    expected = network(units)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        try:
            folded = fold(network, units[:1])
            apart = difference(folded(units), expected) if folded is not network else 0.0
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:  # what a network's own code may raise
            log.info("the network runs as it was loaded: it cannot be folded (%s)", one_line(error))
            return network
    if apart > LIMIT:
        log.info("the network runs as it was loaded: folded, its features differ by %.1g of the largest", apart)
        return network
    return folded


def _compiled(network: nn.Module, place: torch.device) -> nn.Module:
    """Compiled for every batch size that is a power of two; smaller batches are filled up."""
    # CUDA graphs on a GPU: the launches of a small network's kernels take longer than the kernels.
    compiled = torch.compile(network, mode="reduce-overhead" if place.type == "cuda" else "default", dynamic=False)

    class Filled(nn.Module):
        def forward(self, units: torch.Tensor) -> torch.Tensor:
            missing = (1 << (len(units) - 1).bit_length()) - len(units)
            filled = torch.cat([units, units[:1].expand(missing, -1, -1, -1)]) if missing else units
            return torch.as_tensor(compiled(filled.contiguous(memory_format=torch.channels_last)))[: len(units)]

    return Filled()


@dataclass(frozen=True)
class Runtime:
    """How a runtime writes a network into a folder and loads it from there."""

    name: str
    write: Callable[[nn.Module, torch.Tensor, bool, Path], None]
    load: Callable[[Path], Function]
    packages: tuple[str, ...]
    precision: torch.dtype = torch.float32


class _Exported:
    """Exports the network when its first batch has shown the shape of a unit, and checks the export."""

    def __init__(self, network: nn.Module, runtime: Runtime, fixed_size: bool, multiple: int) -> None:
        self._network, self._runtime = network, runtime
        self._fixed_size, self._multiple = fixed_size, multiple
        self._function: Function | None = None

    def __call__(self, units: torch.Tensor) -> torch.Tensor:
        if self._function is None:
            self._function = self._trusted(units[:2])
        return self._function(units.contiguous())

    def key(self, units: torch.Tensor) -> tuple[str, dict[str, object]]:
        """Key of the export for such units, and what else than the network it depends on."""
        shape = tuple(units.shape[1:]) if self._fixed_size else (units.shape[1],)
        options: dict[str, object] = {
            "runtime": self._runtime.name,
            "shape": shape,
            "versions": installed_versions(("torch", "transformers", *self._runtime.packages)),
        }
        return export_key(self._network, options), options

    def _trusted(self, units: torch.Tensor) -> Function:
        network = _exportable(self._network)
        with torch.inference_mode():
            expected = network(units.cpu().contiguous())
        key, made_from = self.key(units)
        kept = find_export(key)
        if kept is not None:
            try:
                function = self._runtime.load(kept)
                self._require_equal(function(units.contiguous()), expected)
                return function
            except Exception as error:  # errors of the runtimes share no class but this
                log.warning("%s is made again: %s", kept, one_line(error))
        example = units[:1].expand(2, -1, -1, -1)
        if not self._fixed_size:
            side = max(1, _EXAMPLE_SIDE // self._multiple) * self._multiple
            example = example[:, :, :side, :side]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that sizes become constants: the comparison below would show it
            write = functools.partial(self._runtime.write, network, example.contiguous(), self._fixed_size)
            function = self._runtime.load(keep_export(key, write, made_from))
        self._require_equal(function(units.contiguous()), expected)
        return function

    def _require_equal(self, vectors: torch.Tensor, expected: torch.Tensor) -> None:
        apart = difference(vectors, expected)
        if apart > (LIMIT if self._runtime.precision == torch.float32 else LOW_PRECISION_LIMIT):
            raise InputError(
                f"backend {self._runtime.name}: its features differ from torch's by {apart:.2g} of the largest: "
                "use backend='torch'"
            )


def has_export(runner: Runner, units: torch.Tensor) -> bool:
    """Whether a runtime's export for such units is kept already."""
    return isinstance(runner.run, _Exported) and find_export(runner.run.key(units)[0]) is not None


def _onnxruntime(precision: torch.dtype) -> Runtime:
    if precision != torch.float32:
        raise InputError("backend onnxruntime computes in float32: leave dtype out, or use torch or openvino")
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - what torch exports through
    except ImportError as error:
        raise InputError(f"backend onnxruntime: pip install onnxscript onnxruntime ({error})") from error

    def write(network: nn.Module, example: torch.Tensor, fixed_size: bool, folder: Path) -> None:
        free = (0,) if fixed_size else (0, 2, 3)  # batch, height, width
        torch.onnx.export(
            network,
            (example,),
            folder / "model.onnx",
            input_names=["units"],
            output_names=["vectors"],
            dynamic_shapes=(dict.fromkeys(free, torch.export.Dim.DYNAMIC),),
            dynamo=True,
            verbose=False,
        )

    def load(folder: Path) -> Function:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])

        def run(units: torch.Tensor) -> torch.Tensor:
            try:
                return torch.from_numpy(session.run(None, {"units": units.numpy()})[0])
            except Exception as error:  # its errors share no class but this
                raise RuntimeError(str(error)) from error

        return run

    return Runtime("onnxruntime", write, load, ("onnxruntime", "onnxscript"))


def _openvino(precision: torch.dtype) -> Runtime:
    # Without the hint newer CPUs compute in bfloat16.
    hints = {torch.float32: "f32", torch.bfloat16: "bf16"}
    if precision not in hints:
        raise InputError("backend openvino computes in float32 or bfloat16: leave dtype out, or use torch")
    try:
        import openvino
    except ImportError as error:
        raise InputError(f"backend openvino: pip install openvino ({error})") from error

    def write(network: nn.Module, example: torch.Tensor, fixed_size: bool, folder: Path) -> None:
        _, channels, height, width = example.shape
        sizes = [height, width] if fixed_size else [-1, -1]
        graph = openvino.convert_model(network, example_input=example, input=[-1, channels, *sizes])
        openvino.save_model(graph, folder / "model.xml", compress_to_fp16=False)

    def load(folder: Path) -> Function:
        compiled = openvino.compile_model(
            folder / "model.xml",
            "CPU",
            {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": hints[precision]},
        )
        return lambda units: torch.from_numpy(compiled(units.numpy())[0].copy())

    return Runtime("openvino", write, load, ("openvino",), precision)


RUNTIMES: dict[str, Callable[[torch.dtype], Runtime]] = {"openvino": _openvino, "onnxruntime": _onnxruntime}
"""What runs an exported network, by the name of its package; the one whose export is quicker stands first."""

BACKENDS = ("torch", "compile", *RUNTIMES)
"""What a runner can be named; `auto` stands for one of them: see `choosing`."""


def _exportable(network: nn.Module) -> nn.Module:
    """A copy on the CPU in evaluation mode, in the form that exporters take."""
    copied = copy.deepcopy(network).cpu().eval()
    for module in list(copied.modules()):
        # Stock EfficientNet averages through a window of 1280 pixels, larger than any map: runtimes refuse that.
        if isinstance(getattr(module, "pooler", None), nn.AvgPool2d):
            module.pooler = nn.AdaptiveAvgPool2d(1)
    return copied
