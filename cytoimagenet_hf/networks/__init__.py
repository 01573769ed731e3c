"""Any network as channels in, one vector out: facts of what it takes, its inputs, a registry; and our own models.

Importing this package registers the fusion model, the image processor and the pipeline with transformers, before
`AutoModel`, `AutoImageProcessor` and `pipeline` are asked for them. What stock configurations load stays the same.
"""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, EfficientNetImageProcessorPil
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.utils import is_torchvision_available

from cytoimagenet_hf.options.networks import METHODS, NORMALIZE

from .base import Encoder
from .build import make_encoder, stage_columns
from .efficientnet import build_efficientnet, prepare_for_training, reestimate_batch_norm
from .facts import EncoderFacts, WeightSource
from .fusion import CytoFusionModel
from .keras import convert_keras
from .lite import imagenet_lite
from .modeling_cyto_fusion import CytoFusionConfig
from .pipeline import TASK, MicroscopyFeatureExtractionPipeline
from .pooling import image_features
from .processing import MicroscopyImageProcessor
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
    "kind_of",
    "load_encoder",
    "make_encoder",
    "prepare_for_training",
    "reestimate_batch_norm",
    "stage_columns",
]


def register() -> None:
    """Register the fusion model, the image processor and the pipeline; calling it again changes nothing."""
    if TASK in PIPELINE_REGISTRY.get_supported_tasks():
        return
    AutoConfig.register(CytoFusionConfig.model_type, CytoFusionConfig, exist_ok=True)
    AutoModel.register(CytoFusionConfig, CytoFusionModel, exist_ok=True)
    # The type that saved processors name, with one more backend: AutoImageProcessor.from_pretrained(name) stays stock,
    # AutoImageProcessor.from_pretrained(name, backend="microscopy") is ours.
    classes: dict[str, type] = {"pil": EfficientNetImageProcessorPil, "microscopy": MicroscopyImageProcessor}
    if is_torchvision_available():  # without it, the mere import warns
        from transformers import EfficientNetImageProcessor

        classes["torchvision"] = EfficientNetImageProcessor
    AutoImageProcessor.register(CytoFusionConfig, image_processor_classes=classes, exist_ok=True)
    PIPELINE_REGISTRY.register_pipeline(
        TASK, pipeline_class=MicroscopyFeatureExtractionPipeline, pt_model=AutoModel, type="image"
    )


register()
