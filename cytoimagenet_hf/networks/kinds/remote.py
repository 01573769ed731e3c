"""Networks whose class lives in their own repository: OpenPhenom and MorphEm. Their code runs with consent alone.

Consent is `trust_remote_code=True` and, for a repository on the Hub, the commit whose code was looked at. For a folder
on this machine the caller has the code at hand.
"""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig
from transformers.dynamic_module_utils import get_class_from_dynamic_module
from transformers.utils import cached_file

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks.base import Encoder, Request
from cytoimagenet_hf.networks.build import make_encoder
from cytoimagenet_hf.networks.checkpoints import explained, fill, load_network, quietly
from cytoimagenet_hf.networks.facts import EncoderFacts, WeightSource

OPENPHENOM = EncoderFacts(
    name="openphenom",
    title="OpenPhenom, CA-MAE ViT-S/16",
    channels="joint",
    most_channels=11,
    scale="as-uint8",
    dim=384,
    source=WeightSource(
        "recursionpharma/OpenPhenom",
        licence="Recursion non-commercial end user licence",
        packages=("timm", "torchvision"),
        remote_code=True,
    ),
    size=(256, 256),
    fit="resize",
    multiple=16,
    take="predict()",
    verified=False,
    note="run here on a stand-in for its code alone; for 12-bit data pass full_scale or normalize='image'",
)
MORPHEM = EncoderFacts(
    name="morphem",
    title="MorphEm, DINO ViT-S/16",
    channels="each",
    scale="zscore",
    dim=384,
    source=WeightSource("CaicedoLab/MorphEm", licence="mit", remote_code=True),
    size=(224, 224),
    fit="resize",
    multiple=16,
    take='forward_features()["x_norm_clstoken"]',
    verified=False,
    note="run here on a stand-in for its code alone; its random noise on saturated pixels is left out",
)
KINDS = (OPENPHENOM, MORPHEM)


def require_commit(name: str, *, revision: str | None) -> None:
    """Refuse to run code of a repository that may be another tomorrow; asked before anything is fetched.

    The name is a Hub name, a folder, or `KEY:PLACE` with one of them; what lies on the Hub needs a commit.
    """
    local = any(Path(place).is_dir() for place in (name, name.partition(":")[2]) if place)
    if not local and not re.fullmatch(r"[0-9a-f]{40}", revision or ""):
        raise InputError(
            f"{name}: its own code runs only from a revision of 40 hex digits, not {revision or 'its newest state'}: "
            "look at the code of one commit on its page and pass that commit as revision"
        )


def require_consent(name: str, facts: EncoderFacts, *, trust_remote_code: bool) -> None:
    """Refuse to run the code of a repository that was not agreed to."""
    if facts.source.remote_code and not trust_remote_code:
        raise InputError(
            f"{name} runs the Python code of {facts.source.repo}: look at it, then pass trust_remote_code=True and "
            "its commit (40 hex digits) as revision"
        )


def load(request: Request) -> Encoder:
    """Load one of them, after `require_consent`, from a folder with the code or from the Hub."""
    if request.facts.name == MORPHEM.name:
        model = load_network(request.source, revision=request.options.revision, trust_remote_code=True)
        return make_encoder(request.name, request.facts, _ClassToken(model), request.options)
    network = _Predict(_open_phenom(request.source, request.options.revision))
    return make_encoder(request.name, request.facts, network, request.options)


def _open_phenom(source: str, revision: str | None) -> nn.Module:
    """Its class with its weights, without its own `from_pretrained`, which unpickles and ignores the revision."""
    with explained(source), quietly():
        config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=True)
        network_class = get_class_from_dynamic_module(config.auto_map["AutoModel"], source, revision=revision)
        model = network_class(config).eval()
        file = Path(str(cached_file(source, "model.safetensors", revision=revision)))
        with file.open("rb") as handle:
            if handle.read(2) == b"PK":  # torch's own format under the name of the other one
                handle.seek(0)
                state = torch.load(handle, map_location="cpu", weights_only=True)
                state = state.get("state_dict", state)
            else:
                state = load_file(file)
    fill(model, state, name=source)
    return model


class _ClassToken(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.forward_features(pixels)["x_norm_clstoken"]


class _Predict(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.predict(pixels)
