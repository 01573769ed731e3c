"""The network as a function from units to vectors: torch itself, or the same weights in an exported runtime.

ONNX Runtime and OpenVINO are optional and only make CPUs faster; their features agree with torch within 1e-5. A
runtime is exported once, with the first batch, for any batch and image size (`torch.compile`, by contrast, collapses
under varying shapes).
"""

import copy
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from cytoimagenet_hf.errors import InputError

Function = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Runner:
    """Units float32 (N, c, h, w) to vectors float32 (N, D) on the CPU; it moves them to `device` itself."""

    name: str
    run: Function
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32

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
) -> Runner:
    """Make the runner of an encoder's network.

    Args:
        network: (N, c, h, w) → (N, D).
        backend: one of `BACKENDS`.
        device: for torch; by default the GPU if there is one.
        dtype: for torch: precision of the arithmetic; by default bfloat16 on a GPU, float32 on a CPU.
        fixed_size: whether the network takes one height and width only: what is exported then needs no other.

    Raises:
        InputError: an unknown backend or device, or a package that is missing.
    """
    if backend not in BACKENDS:
        raise InputError(f"unknown backend {backend!r}: choose one of {', '.join(BACKENDS)}")
    if backend == "torch":
        return _torch(network, device, dtype)
    if device is not None and _device(device).type != "cpu":
        raise InputError(f"backend {backend} runs on the CPU: leave device out, or use backend='torch' on {device}")
    if dtype not in (None, torch.float32):
        raise InputError(f"backend {backend} computes in float32: leave dtype out, or use backend='torch'")
    return Runner(backend, _exported_once(network, EXPORTERS[backend](), fixed_size))


def _device(name: str | torch.device) -> torch.device:
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name!r} is unknown: pass cpu, cuda or cuda:1") from error


def _torch(network: nn.Module, device: str | torch.device | None, dtype: torch.dtype | None) -> Runner:
    place = _device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    precision = dtype or (torch.bfloat16 if place.type == "cuda" else torch.float32)
    try:
        network.to(place)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {str(place)!r} cannot be used: {error}") from error

    def run(units: torch.Tensor) -> torch.Tensor:
        mixed = torch.autocast(place.type, precision) if precision != torch.float32 else nullcontext()
        modes = {module: module.training for module in network.modules()}
        network.eval()
        try:
            with torch.inference_mode(), mixed:
                # channels-last: 1.3 times as fast on a CPU (batch 64 at 64 x 64)
                on_device = units.to(place, memory_format=torch.channels_last, non_blocking=True)
                return torch.as_tensor(network(on_device)).float().cpu()
        finally:
            for module, mode in modes.items():
                module.training = mode

    return Runner("torch", run, place, precision)


Exporter = Callable[[nn.Module, torch.Tensor, bool], Function]


def _exported_once(network: nn.Module, export: Exporter, fixed_size: bool) -> Function:
    """A function that exports the network when its first batch has shown the shape of a unit."""
    exported: list[Function] = []

    def run(units: torch.Tensor) -> torch.Tensor:
        if not exported:
            exported.append(export(_exportable(network), units[:1].expand(2, -1, -1, -1).contiguous(), fixed_size))
        return exported[0](units.contiguous())

    return run


def _onnxruntime() -> Exporter:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - what torch exports through
    except ImportError as error:
        raise InputError(f"backend onnxruntime: pip install onnxscript onnxruntime ({error})") from error

    def export(network: nn.Module, example: torch.Tensor, fixed_size: bool) -> Function:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        free = (0,) if fixed_size else (0, 2, 3)  # batch, height, width
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            torch.onnx.export(
                network,
                (example,),
                file,
                input_names=["units"],
                output_names=["vectors"],
                dynamic_shapes=(dict.fromkeys(free, torch.export.Dim.DYNAMIC),),
                dynamo=True,
                verbose=False,
            )
            session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

        def run(units: torch.Tensor) -> torch.Tensor:
            try:
                return torch.from_numpy(session.run(None, {"units": units.numpy()})[0])
            except Exception as error:  # its errors share no class but this
                raise RuntimeError(str(error)) from error

        return run

    return export


def _openvino() -> Exporter:
    try:
        import openvino
    except ImportError as error:
        raise InputError(f"backend openvino: pip install openvino ({error})") from error

    def export(network: nn.Module, example: torch.Tensor, fixed_size: bool) -> Function:
        _, channels, height, width = example.shape
        sizes = [height, width] if fixed_size else [-1, -1]
        graph = openvino.convert_model(network, example_input=example, input=[-1, channels, *sizes])
        # float32: newer CPUs would otherwise compute in bfloat16
        compiled = openvino.compile_model(
            graph, "CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
        )
        return lambda units: torch.from_numpy(compiled(units.numpy())[0].copy())

    return export


EXPORTERS: dict[str, Callable[[], Exporter]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}
"""What runs an exported network, by the name of its package."""

BACKENDS = ("torch", *EXPORTERS)


def _exportable(network: nn.Module) -> nn.Module:
    """A copy on the CPU in evaluation mode, in the form that exporters take."""
    copied = copy.deepcopy(network).cpu().eval()
    for module in list(copied.modules()):
        # Stock EfficientNet averages through a window of 1280 pixels, larger than any map: runtimes refuse that.
        if isinstance(getattr(module, "pooler", None), nn.AvgPool2d):
            module.pooler = nn.AdaptiveAvgPool2d(1)
    return copied
