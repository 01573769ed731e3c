"""Any network as channels in, one vector out: facts of what it takes, its inputs, a registry; and our own models.

Importing this package registers the fusion model, the image processor and the pipeline with transformers.
"""

from cytoimagenet_hf.options.networks import METHODS, NORMALIZE

from .base import Encoder, require_finite
from .build import make_encoder, stage_columns
from .efficientnet import build_efficientnet, initialise, prepare_for_training, reestimate_batch_norm
from .facts import EncoderFacts, WeightSource
from .fusion import CytoFusionModel
from .keras import convert_keras
from .lite import imagenet_lite
from .modeling_cyto_fusion import CytoFusionConfig, pooled
from .pipeline import MicroscopyFeatureExtractionPipeline
from .pooling import image_features
from .processing import MicroscopyImageProcessor
from .register import register
from .registry import ENCODERS, OWN_KINDS, kind_of, load_encoder

__all__ = [
    "ENCODERS",
    "METHODS",
    "NORMALIZE",
    "OWN_KINDS",
    "CytoFusionConfig",
    "CytoFusionModel",
    "Encoder",
    "EncoderFacts",
    "MicroscopyFeatureExtractionPipeline",
    "MicroscopyImageProcessor",
    "WeightSource",
    "build_efficientnet",
    "convert_keras",
    "image_features",
    "imagenet_lite",
    "initialise",
    "kind_of",
    "load_encoder",
    "make_encoder",
    "pooled",
    "prepare_for_training",
    "reestimate_batch_norm",
    "require_finite",
    "stage_columns",
]

register()
