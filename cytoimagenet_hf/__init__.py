"""Load, look at, extract from, pretrain on and benchmark with CytoImageNet.

The names below are the public ones. Each is loaded when it is asked for, so that importing the package costs nothing
and reading a table needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import imaging, profiles
    from .benchmarks import nsc_accuracy
    from .benchmarks.compare import compare
    from .dataset.leaks import leak_report
    from .dataset.load import load_cytoimagenet
    from .features import extract_features
    from .images import find_images
    from .imaging import read_image
    from .networks import (
        ENCODERS,
        CytoFusionModel,
        MicroscopyImageProcessor,
        build_efficientnet,
        convert_keras,
        image_features,
        imagenet_lite,
        load_encoder,
    )
    from .profiles.plate_map import read_plate_map
    from .scoring import stats
    from .scoring.knn import kneighbors
    from .tables import FeatureTable, read_features

_HOME = {
    "ENCODERS": "networks",
    "CytoFusionModel": "networks",
    "FeatureTable": "tables",
    "MicroscopyImageProcessor": "networks",
    "build_efficientnet": "networks",
    "compare": "benchmarks.compare",
    "convert_keras": "networks",
    "extract_features": "features",
    "find_images": "images",
    "image_features": "networks",
    "imagenet_lite": "networks",
    "kneighbors": "scoring.knn",
    "leak_report": "dataset.leaks",
    "load_cytoimagenet": "dataset.load",
    "load_encoder": "networks",
    "nsc_accuracy": "benchmarks",
    "read_features": "tables",
    "read_image": "imaging",
    "read_plate_map": "profiles.plate_map",
}
"""Public name → the module that holds it."""

_MODULES = {"imaging": "imaging", "profiles": "profiles", "stats": "scoring.stats"}
"""Public name → the module it is."""

__all__ = [
    "ENCODERS",
    "CytoFusionModel",
    "FeatureTable",
    "MicroscopyImageProcessor",
    "build_efficientnet",
    "compare",
    "convert_keras",
    "extract_features",
    "find_images",
    "image_features",
    "imagenet_lite",
    "imaging",
    "kneighbors",
    "leak_report",
    "load_cytoimagenet",
    "load_encoder",
    "nsc_accuracy",
    "profiles",
    "read_features",
    "read_image",
    "read_plate_map",
    "stats",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from .core.versions import project_version

        return project_version()
    if name in _MODULES:
        return importlib.import_module(f".{_MODULES[name]}", __name__)
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
