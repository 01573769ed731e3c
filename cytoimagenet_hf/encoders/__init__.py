"""Any network as channels in, one vector out: facts of what it eats, one adapter per kind, a registry."""

from .base import Encoder
from .build import NORMALIZE, FactsEncoder, make_encoder, require_finite
from .facts import EncoderFacts, WeightSource
from .registry import ENCODERS, load_encoder

__all__ = [
    "ENCODERS",
    "NORMALIZE",
    "Encoder",
    "EncoderFacts",
    "FactsEncoder",
    "WeightSource",
    "load_encoder",
    "make_encoder",
    "require_finite",
]
