"""The one place that tells transformers about this package's classes; `cytoimagenet_hf.models` calls it when imported.

Registration has to happen before `AutoModel`, `AutoImageProcessor` and `pipeline` are asked for these names, and asking
users to call it would break `AutoModel.from_pretrained(fusion)` right after the import. It adds names only: what stock
configurations load stays the same.
"""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, EfficientNetConfig
from transformers.pipelines import PIPELINE_REGISTRY

from .fusion import CytoFusionConfig, CytoFusionModel
from .pipeline import TASK, MicroscopyFeatureExtractionPipeline
from .processing import MicroscopyImageProcessor


def register() -> None:
    """Register the fusion model, the image processor and the pipeline; calling it again changes nothing."""
    if TASK in PIPELINE_REGISTRY.get_supported_tasks():
        return
    AutoConfig.register(CytoFusionConfig.model_type, CytoFusionConfig, exist_ok=True)
    AutoModel.register(CytoFusionConfig, CytoFusionModel, exist_ok=True)
    CytoFusionConfig.register_for_auto_class()  # saved fusions carry their code for trust_remote_code
    CytoFusionModel.register_for_auto_class("AutoModel")
    for config in (EfficientNetConfig, CytoFusionConfig):
        # A backend of its own: AutoImageProcessor.from_pretrained(name, backend="microscopy"); the default stays stock.
        AutoImageProcessor.register(
            config, image_processor_classes={"microscopy": MicroscopyImageProcessor}, exist_ok=True
        )
    PIPELINE_REGISTRY.register_pipeline(
        TASK, pipeline_class=MicroscopyFeatureExtractionPipeline, pt_model=AutoModel, type="image"
    )
