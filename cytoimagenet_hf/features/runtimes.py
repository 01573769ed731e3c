"""The network as a function from pixels to features: torch itself, or the same weights in an exported runtime.

ONNX Runtime and OpenVINO are optional and only make CPUs faster; their features agree with torch within 1e-5. A
runtime is exported once, for any batch and image size (`torch.compile`, by contrast, collapses under varying shapes).
"""

import copy
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.models.pooling import pooled


@dataclass(frozen=True)
class Runner:
    """`pixel_values` float32 (N, 3, H, W) on `device` to features float32 (N, D) on the CPU."""

    name: str
    run: Callable[[torch.Tensor], torch.Tensor]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32

    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Run one batch."""
        return self.run(pixel_values)


def make_runner(
    model: PreTrainedModel,
    backend: str = "torch",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Runner:
    """Make the runner of a network; a classification head is left out.

    Args:
        model: any transformers backbone.
        backend: one of `BACKENDS`.
        device: for torch; by default the GPU if there is one.
        dtype: for torch: precision of the arithmetic; by default bfloat16 on a GPU, float32 on a CPU.

    Raises:
        InputError: an unknown backend, or its package is missing.
    """
    if backend not in BACKENDS:
        raise InputError(f"unknown backend {backend!r}: choose one of {', '.join(BACKENDS)}")
    return BACKENDS[backend](model.base_model, device, dtype)


def _torch(model: PreTrainedModel, device: str | torch.device | None, dtype: torch.dtype | None) -> Runner:
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    precision = dtype or (torch.bfloat16 if place.type == "cuda" else torch.float32)
    model.to(place)

    def run(pixel_values: torch.Tensor) -> torch.Tensor:
        mixed = torch.autocast(place.type, precision) if precision != torch.float32 else nullcontext()
        modes = {module: module.training for module in model.modules()}
        model.eval()
        try:
            with torch.inference_mode(), mixed:
                # channels-last: 1.3 times as fast on a CPU (batch 64 at 64 x 64)
                on_device = pixel_values.to(place, memory_format=torch.channels_last, non_blocking=True)
                return pooled(model(pixel_values=on_device)).float().cpu()
        finally:
            for module, mode in modes.items():
                module.training = mode

    return Runner("torch", run, place, precision)


def _onnxruntime(model: PreTrainedModel, device: Any, dtype: Any) -> Runner:
    _require_cpu("onnxruntime", device, dtype)
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - what torch exports through
    except ImportError as error:
        raise InputError(f"backend onnxruntime: pip install onnxscript onnxruntime ({error})") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        torch.onnx.export(
            _Pooled(model).eval(),
            (torch.zeros(2, 3, 64, 96),),
            file,
            input_names=["pixel_values"],
            output_names=["features"],
            dynamic_shapes=(dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC),),  # batch, height, width
            dynamo=True,
            verbose=False,
        )
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(pixels: torch.Tensor) -> torch.Tensor:
        try:
            return torch.from_numpy(session.run(None, {"pixel_values": pixels.contiguous().numpy()})[0])
        except Exception as error:  # its errors share no class but this
            raise RuntimeError(str(error)) from error

    return Runner("onnxruntime", run)


def _openvino(model: PreTrainedModel, device: Any, dtype: Any) -> Runner:
    _require_cpu("openvino", device, dtype)
    try:
        import openvino
    except ImportError as error:
        raise InputError(f"backend openvino: pip install openvino ({error})") from error
    graph = openvino.convert_model(
        _Pooled(model).eval(), example_input=torch.zeros(2, 3, 64, 96), input=[-1, 3, -1, -1]
    )
    # float32: newer CPUs would otherwise compute in bfloat16
    compiled = openvino.compile_model(
        graph, "CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
    )
    return Runner("openvino", lambda pixels: torch.from_numpy(compiled(pixels.contiguous().numpy())[0].copy()))


BACKENDS: dict[str, Callable[[PreTrainedModel, Any, Any], Runner]] = {
    "torch": _torch,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}
"""Backends by the name of their package."""


class _Pooled(nn.Module):
    """Pixels in, one tensor out: the form that exporters take."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).cpu().eval()
        for module in list(self.model.modules()):
            # Stock EfficientNet averages through a window of 1280 pixels, larger than any map: runtimes refuse that.
            if isinstance(getattr(module, "pooler", None), nn.AvgPool2d):
                module.pooler = nn.AdaptiveAvgPool2d(1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return pooled(self.model(pixel_values=pixel_values))


def _require_cpu(backend: str, device: Any, dtype: Any) -> None:
    if device is not None and torch.device(device).type != "cpu":
        raise InputError(f"backend {backend} runs on the CPU: leave device out, or use backend='torch' on {device}")
    if dtype not in (None, torch.float32):
        raise InputError(f"backend {backend} computes in float32: leave dtype out, or use backend='torch'")
