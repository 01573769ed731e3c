"""Models: EfficientNets that train, the Keras port, the microscopy image processor, fusion and the pipeline.

Importing this package registers the fusion model, the image processor and the pipeline with transformers.
"""

from .efficientnet import build_efficientnet, initialise, prepare_for_training, reestimate_batch_norm
from .fusion import CytoFusionConfig, CytoFusionModel
from .keras import convert_keras
from .pipeline import MicroscopyFeatureExtractionPipeline
from .pooling import pooled
from .processing import METHODS, MicroscopyImageProcessor
from .register import register

__all__ = [
    "METHODS",
    "CytoFusionConfig",
    "CytoFusionModel",
    "MicroscopyFeatureExtractionPipeline",
    "MicroscopyImageProcessor",
    "build_efficientnet",
    "convert_keras",
    "initialise",
    "pooled",
    "prepare_for_training",
    "reestimate_batch_norm",
]

register()
