"""The one place that tells transformers about this package's classes; importing `cytoimagenet_hf.networks` calls it.

Registration has to happen before `AutoModel`, `AutoImageProcessor` and `pipeline` are asked for these names; leaving
it to users would break `AutoModel.from_pretrained(fusion)` right after the import. It adds names only: what stock
configurations load stays the same.
"""

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    EfficientNetImageProcessorPil,
)
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.utils import is_torchvision_available

from .fusion import CytoFusionModel
from .modeling_cyto_fusion import CytoFusionConfig
from .pipeline import TASK, MicroscopyFeatureExtractionPipeline
from .processing import MicroscopyImageProcessor


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
