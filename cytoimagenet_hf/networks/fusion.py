"""Making, saving and loading fusions of trained networks (paper, "fusion").

The network itself stands in `modeling_cyto_fusion`, which travels with saved fusions. Here is what needs the package:
backbones by name, each with the preprocessing its weights were trained with, and what lies beside saved weights.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from . import modeling_cyto_fusion as modeling
from .checkpoints import load_network
from .modeling_cyto_fusion import CytoFusionConfig
from .processing import MicroscopyImageProcessor
from .records import hub_source, record_from, record_of

_PUSH = ("repo_id", "commit_message", "private", "revision", "create_pr")
_AUTO_MAP = {"AutoConfig": "CytoFusionConfig", "AutoModel": "CytoFusionModel"}


class CytoFusionModel(modeling.CytoFusionModel):
    """Backbones side by side: `pooler_output` is (B, D1 + D2 + …) for `pixel_values` (B, 3, H, W) in 0..255.

    Example:
        >>> import torch
        >>> from cytoimagenet_hf.networks import build_efficientnet
        >>> nets = [build_efficientnet(0, seed=seed, width_coefficient=0.25) for seed in (0, 1)]
        >>> fusion = CytoFusionModel.from_backbones(nets).eval()
        >>> fusion(torch.full((1, 3, 32, 32), 128.0)).pooler_output.shape
        torch.Size([1, 640])
    """

    def __init__(self, config: CytoFusionConfig) -> None:
        for record in config.preprocessing:
            record_from(record, "preprocessing of a fusion")  # checked before weights are made
        super().__init__(config)

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
            backbones=[_configuration(model) for model in loaded],
            preprocessing=[record_from(record) for record in preprocessing],
            sources=[hub_source(model) for model in loaded],
        )
        fusion = cls(config)
        for backbone, trained in zip(fusion.backbones, loaded, strict=True):
            backbone.load_state_dict(trained.state_dict())
        return fusion.eval()

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Write the weights with what a repository needs: code for `trust_remote_code`, image processor and card.

        A processor and a card that lie there already are kept.

        Args:
            save_directory: folder.
            **kwargs: of transformers' `save_pretrained`.
        """
        folder = Path(save_directory)
        code = Path(modeling.__file__)
        self.config.auto_map = {auto: f"{code.stem}.{name}" for auto, name in _AUTO_MAP.items()}
        push = {name: kwargs.pop(name) for name in ("push_to_hub", *_PUSH) if name in kwargs}
        super().save_pretrained(folder, **kwargs)
        shutil.copy(code, folder)
        if not (folder / "preprocessor_config.json").exists():
            MicroscopyImageProcessor.for_model(self).save_pretrained(folder)
        if not (folder / "README.md").exists():
            # Cards know the datasets library and jinja2, which loading a network does not need.
            from cytoimagenet_hf.dataset.cards.facts import write_model_card

            write_model_card(folder)
        if push.pop("push_to_hub", False):
            self.push_to_hub(push.pop("repo_id", folder.name), **push)


def _configuration(model: PreTrainedModel) -> dict[str, Any]:
    """The configuration of a backbone without the folder that it was loaded from."""
    content = model.config.to_dict()
    return {name: value for name, value in content.items() if name not in ("_name_or_path", "name_or_path")}
