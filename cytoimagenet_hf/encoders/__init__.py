"""Any network as channels in, one vector out: facts of what it eats, one adapter per kind, a registry."""

from .base import Encoder
from .facts import EncoderFacts, WeightSource

__all__ = ["Encoder", "EncoderFacts", "WeightSource"]
