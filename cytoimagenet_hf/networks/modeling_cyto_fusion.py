"""Several backbones as one model: each with its own normalisation, pooled outputs side by side (paper, "fusion").

Input is one raw image in 0..255; what each backbone was trained with is part of the configuration. A copy of this file
travels with every saved fusion, for `trust_remote_code=True` where the package is not installed: torch and
transformers are all it needs. `cytoimagenet_hf.networks.CytoFusionModel` makes and saves fusions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling


class CytoFusionConfig(PreTrainedConfig):
    """Configurations and preprocessing of the backbones, in output order.

    Args:
        backbones: one configuration each, as a dictionary with `model_type`.
        preprocessing: one record each: `rescale_factor`, `image_mean` and `image_std` (three numbers).
        sources: repository and revision of each on the Hub, None where it was not loaded from there.
    """

    model_type = "cyto-fusion"

    def __init__(
        self,
        backbones: Sequence[Mapping[str, Any]] = (),
        preprocessing: Sequence[Mapping[str, Any]] = (),
        sources: Sequence[Mapping[str, Any] | None] = (),
        **kwargs: Any,
    ) -> None:
        self.backbones = [dict(backbone) for backbone in backbones]
        self.preprocessing = [dict(record) for record in preprocessing]
        self.sources = [None if source is None else dict(source) for source in sources]
        super().__init__(**kwargs)


class CytoFusionModel(PreTrainedModel):
    """Backbones side by side: `pooler_output` is (B, D1 + D2 + …) for `pixel_values` (B, 3, H, W) in 0..255.

    Raises:
        ValueError: no backbones, or another number of preprocessing records than backbones.
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
        self.backbones = nn.ModuleList(
            AutoModel.from_config(AutoConfig.for_model(**backbone)) for backbone in config.backbones
        )
        self.post_init()

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


def pooled(output: Any) -> torch.Tensor:
    """The pooled output of a backbone, or the mean of its last hidden state over space or tokens.

    Args:
        output: what a transformers backbone returns: `pooler_output` of (B, D) or (B, D, 1, 1), or only
            `last_hidden_state` of (B, D, H, W) or (B, T, D).

    Returns:
        (B, D).

    Example:
        >>> from transformers.modeling_outputs import BaseModelOutput
        >>> pooled(BaseModelOutput(last_hidden_state=torch.ones(2, 5, 8))).shape
        torch.Size([2, 8])
    """
    given = getattr(output, "pooler_output", None)
    if given is not None:
        return given.flatten(1)
    hidden = output.last_hidden_state
    return hidden.mean((2, 3)) if hidden.ndim == 4 else hidden.mean(1)
