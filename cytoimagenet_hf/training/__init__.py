"""Training: one configuration, one loop, from a laptop's CPU to several GPUs.

`TrainConfig` is light; `train` imports torch and transformers when it is called for.
"""

from typing import TYPE_CHECKING, Any

from .config import RECIPES, TrainConfig

if TYPE_CHECKING:
    from .loop import train

__all__ = ["RECIPES", "TrainConfig", "train"]


def __getattr__(name: str) -> Any:
    if name != "train":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .loop import train

    return train
