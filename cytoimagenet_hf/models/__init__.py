"""Models: EfficientNets that train, the Keras port, the microscopy image processor, fusion and the pipeline.

Names are loaded on first use, so importing one does not pay for the others.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .efficientnet import build_efficientnet, initialise, prepare_for_training, reestimate_batch_norm

_HOME = {
    "build_efficientnet": "efficientnet",
    "initialise": "efficientnet",
    "prepare_for_training": "efficientnet",
    "reestimate_batch_norm": "efficientnet",
}

__all__ = [
    "build_efficientnet",
    "initialise",
    "prepare_for_training",
    "reestimate_batch_norm",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
