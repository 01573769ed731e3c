"""Any network as channels in, one vector out: facts of what it eats, one adapter per kind, a registry."""

from .base import Encoder
from .build import NORMALIZE, FactsEncoder, make_encoder, require_finite
from .facts import EncoderFacts, WeightSource
from .registry import ENCODERS, OWN_KINDS, kind_of, load_encoder

__all__ = [
    "ENCODERS",
    "NORMALIZE",
    "OWN_KINDS",
    "Encoder",
    "EncoderFacts",
    "FactsEncoder",
    "WeightSource",
    "kind_of",
    "load_encoder",
    "make_encoder",
    "require_finite",
]
