"""Several backbones as one model: each with its own normalisation, pooled outputs side by side (paper, "fusion").

Input is one raw image in 0..255; what each backbone was trained with is part of the configuration. The file depends on
torch, transformers and its three neighbours alone, because it travels with saved models for `trust_remote_code`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from .checkpoints import load_network
from .pooling import pooled
from .records import record_from, record_of


class CytoFusionConfig(PreTrainedConfig):
    """Configurations and preprocessing of the backbones, in output order.

    Args:
        backbones: one configuration each, as a dictionary with `model_type`.
        preprocessing: one record each: `rescale_factor`, `image_mean` and `image_std` (three numbers).
    """

    model_type = "cyto-fusion"

    def __init__(
        self,
        backbones: Sequence[Mapping[str, Any]] = (),
        preprocessing: Sequence[Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        self.backbones = [dict(backbone) for backbone in backbones]
        self.preprocessing = [dict(record) for record in preprocessing]
        super().__init__(**kwargs)


class CytoFusionModel(PreTrainedModel):
    """Backbones side by side: `pooler_output` is (B, D1 + D2 + …) for `pixel_values` (B, 3, H, W) in 0..255.

    Example:
        >>> from cytoimagenet_hf.networks import build_efficientnet
        >>> nets = [build_efficientnet(0, seed=seed, width_coefficient=0.25) for seed in (0, 1)]
        >>> fusion = CytoFusionModel.from_backbones(nets).eval()
        >>> fusion(torch.full((1, 3, 32, 32), 128.0)).pooler_output.shape
        torch.Size([1, 640])
    """

    config_class = CytoFusionConfig
    config: CytoFusionConfig
    base_model_prefix = "fusion"
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, config: CytoFusionConfig) -> None:
        super().__init__(config)
        if not config.backbones or len(config.backbones) != len(config.preprocessing):
            raise ValueError(
                f"{len(config.backbones)} backbones with {len(config.preprocessing)} preprocessing records: "
                "a fusion has at least one backbone, each with its record"
            )
        for record in config.preprocessing:
            record_from(record, "preprocessing of a fusion")  # checked before weights are made
        self.backbones = nn.ModuleList(
            AutoModel.from_config(AutoConfig.for_model(**backbone)) for backbone in config.backbones
        )
        self.post_init()

    @classmethod
    def from_backbones(
        cls,
        backbones: Sequence[PreTrainedModel | str | Path],
        *,
        preprocessing: Sequence[Mapping[str, Any]] | None = None,
    ) -> "CytoFusionModel":
        """Fuse trained models.

        Args:
            backbones: models, or folders or Hub names that `AutoModel` loads; a classification head is left out.
            preprocessing: `rescale_factor`, `image_mean`, `image_std` of each; by default what the folder's own image
                processor says, and 1/255, 0 and 1 for an EfficientNet built in memory.

        Raises:
            ValueError: nothing to fuse, or a model without a known preprocessing.
        """
        loaded = [load_network(b) if isinstance(b, str | Path) else b.base_model for b in backbones]
        if preprocessing is None:
            preprocessing = [
                record_of(model, given if isinstance(given, str | Path) else None)
                for model, given in zip(loaded, backbones, strict=True)
            ]
        config = CytoFusionConfig(
            backbones=[model.config.to_dict() for model in loaded],
            preprocessing=[record_from(record) for record in preprocessing],
        )
        fusion = cls(config)
        for own, given in zip(fusion.backbones, loaded, strict=True):
            own.load_state_dict(given.state_dict())
        return fusion.eval()

    def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """Run every backbone on its own normalisation of one image.

        Args:
            pixel_values: float (B, 3, H, W) in 0..255.
            **kwargs: ignored, as backbones differ in what they take.
        """
        features = [
            pooled(backbone(pixel_values=_normalised(pixel_values, record)))
            for backbone, record in zip(self.backbones, self.config.preprocessing, strict=True)
        ]
        return BaseModelOutputWithPooling(pooler_output=torch.cat(features, dim=1))  # (B, D1 + D2 + …)


def _normalised(pixel_values: torch.Tensor, record: Mapping[str, Any]) -> torch.Tensor:
    mean = pixel_values.new_tensor(record["image_mean"])[:, None, None]  # (3, 1, 1)
    std = pixel_values.new_tensor(record["image_std"])[:, None, None]
    return (pixel_values * record["rescale_factor"] - mean) / std
