"""The earlier name of `cytoimagenet_hf.networks`, for programs written before it moved."""

from .networks import *  # noqa: F403
from .networks import __all__  # noqa: F401
