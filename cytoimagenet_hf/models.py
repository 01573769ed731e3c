"""The earlier name of `cytoimagenet_hf.networks`, for code and notebooks that import it."""

from cytoimagenet_hf.networks import *  # noqa: F403
