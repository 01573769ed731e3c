"""`pipeline("microscopy-feature-extraction", model=...)`: features of raw images without losing their depth.

The stock `image-feature-extraction` pipeline converts to 8-bit RGB before any processor, which saturates 94 % of the
pixels of a 16-bit image, silently (docs/paper.md). This one hands files and arrays to the image processor unchanged.
"""

from typing import Any

import torch
from transformers import BatchFeature, Pipeline

from .pooling import pooled
from .processing import MicroscopyImageProcessor

TASK = "microscopy-feature-extraction"


class MicroscopyFeatureExtractionPipeline(Pipeline):
    """Pooled features of microscopy images.

    An image is what `MicroscopyImageProcessor` takes: channels, an array, a picture or a path. `method`, `do_resize`
    and the processor's other options can be given to the pipeline or to a call; `return_tensors=True` gives (1, D)
    tensors instead of lists.

    Example:
        >>> import numpy as np
        >>> from cytoimagenet_hf.networks import build_efficientnet
        >>> net = build_efficientnet(0, seed=0, width_coefficient=0.25).eval()
        >>> extract = MicroscopyFeatureExtractionPipeline(model=net)
        >>> dna = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
        >>> len(extract([dna, dna]))  # two channels of 320 features
        640
    """

    _load_processor = False
    _load_image_processor = False  # the stock one would be found; ours reads the same file
    _load_feature_extractor = False
    _load_tokenizer = False
    _load_video_processor = False  # looking for one would ask about the remote code of the image processor

    def __init__(self, model: Any, *args: Any, image_processor: Any = None, **kwargs: Any) -> None:
        if not isinstance(image_processor, MicroscopyImageProcessor):
            image_processor = MicroscopyImageProcessor.for_model(model)
        super().__init__(model, *args, image_processor=image_processor, **kwargs)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Features of one image, or a list of them for a list of images (a list of 2-D arrays is one image)."""
        if isinstance(inputs, list | tuple) and inputs and all(getattr(entry, "ndim", 0) == 2 for entry in inputs):
            return super().__call__([inputs], *args, **kwargs)[0]
        return super().__call__(inputs, *args, **kwargs)

    def _sanitize_parameters(
        self, return_tensors: bool | None = None, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return options, {}, {} if return_tensors is None else {"return_tensors": return_tensors}

    def preprocess(self, input_: Any, **options: Any) -> BatchFeature:
        """One image to `pixel_values` (planes, 3, H, W)."""
        return self.image_processor([input_], return_tensors="pt", **options).to(self.dtype)

    def _forward(self, model_inputs: BatchFeature, **options: Any) -> torch.Tensor:
        features = pooled(self.model.base_model(**model_inputs))  # (planes, D)
        return self.image_processor.join_channels(features, features.shape[0])  # (1, planes * D)

    def postprocess(self, model_outputs: torch.Tensor, return_tensors: bool = False) -> Any:
        """A list of floats, or the (1, D) tensor."""
        features = model_outputs.float().cpu()
        return features if return_tensors else features[0].tolist()
