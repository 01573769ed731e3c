"""`pipeline("microscopy-feature-extraction", model=...)`: features of raw images without losing their depth.

The stock `image-feature-extraction` pipeline converts to 8-bit RGB before any processor, which saturates 94 % of the
pixels of a 16-bit image, silently (docs/paper.md). This one hands files and arrays to the image processor unchanged.
"""

from collections.abc import Mapping, Sequence, Sized
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import BatchFeature, Pipeline
from transformers.pipelines.pt_utils import PipelineDataset, PipelineIterator

from .channels import split_batch
from .pooling import image_features
from .processing import MicroscopyImageProcessor

TASK = "microscopy-feature-extraction"


class MicroscopyFeatureExtractionPipeline(Pipeline):
    """Pooled features of microscopy images.

    An image is what `MicroscopyImageProcessor` takes: channels, an array, a picture, a path or an address. `method`,
    `do_resize` and the processor's other options can be given to the pipeline or to a call; `return_tensors=True`
    gives (1, D) tensors instead of lists. With any `batch_size`, images may differ in size and number of channels;
    those of one shape run together.

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
        if isinstance(inputs, Sequence) or getattr(inputs, "ndim", 0) == 4:
            images = split_batch(inputs)
            if len(images) == 1 and images[0] is inputs:
                return super().__call__(images, *args, **kwargs)[0]
            inputs = images
        return super().__call__(inputs, *args, **kwargs)

    def get_iterator(self, inputs: Any, num_workers: int, batch_size: int, *parameters: Any) -> PipelineIterator:
        """As in the base class, but for batches, which are lists here: images of two sizes cannot be one tensor."""
        if batch_size == 1:
            return super().get_iterator(inputs, num_workers, batch_size, *parameters)
        preprocessing, forwarding, postprocessing = parameters
        if isinstance(inputs, Sized):
            images: Any = PipelineDataset(inputs, self.preprocess, preprocessing)
        else:
            images, num_workers = PipelineIterator(inputs, self.preprocess, preprocessing), min(num_workers, 1)
        loader = DataLoader(images, num_workers=num_workers, batch_size=batch_size, collate_fn=_listed)
        features = PipelineIterator(loader, self.forward, forwarding, loader_batch_size=batch_size)
        return PipelineIterator(features, self.postprocess, postprocessing)

    def _sanitize_parameters(
        self, return_tensors: bool | None = None, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return options, {}, {} if return_tensors is None else {"return_tensors": return_tensors}

    def preprocess(self, input_: Any, **options: Any) -> BatchFeature:
        """One image to `pixel_values`, (1, 3, H, W) or (1, C, 3, H, W)."""
        return self.image_processor([input_], return_tensors="pt", **options).to(self.dtype)

    def _forward(self, model_inputs: Mapping[str, Any], **options: Any) -> dict[str, list[torch.Tensor]]:
        values = model_inputs["pixel_values"]
        images = values if isinstance(values, list) else [values]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(images):
            by_shape.setdefault(tuple(image.shape), []).append(number)
        features: dict[int, torch.Tensor] = {}
        for numbers in by_shape.values():
            rows = image_features(self.model, torch.cat([images[number] for number in numbers]))
            features |= dict(zip(numbers, rows, strict=True))  # (C * D,) each
        return {"features": [features[number] for number in range(len(images))]}

    def postprocess(self, model_outputs: Mapping[str, Any], return_tensors: bool = False) -> Any:
        """A list of floats, or the (1, D) tensor."""
        given = model_outputs["features"]  # a list of one vector, or (1, D) where a batch was divided
        features = (given if isinstance(given, torch.Tensor) else given[0][None]).float().cpu()
        return features if return_tensors else features[0].tolist()


def _listed(items: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, list[torch.Tensor]]:
    return {"pixel_values": [item["pixel_values"] for item in items]}
