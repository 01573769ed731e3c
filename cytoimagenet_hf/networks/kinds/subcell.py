"""SubCell (Human Protein Atlas): a ViT-B/16 with gated attention pooling over all tokens, by transformers' ViT.

Four variants by their stains: r microtubules, y ER, b DNA, g the protein. On Cell Painting the protein's place is
taken by each stain that has no other role, one pass each, vectors side by side.
"""

import re
from pathlib import Path

import torch
from torch import nn
from transformers import ViTConfig, ViTModel

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks.checkpoints import fill, read_tensors
from cytoimagenet_hf.networks.facts import EncoderFacts, WeightSource
from cytoimagenet_hf.networks.roles import ANY, DNA, ER, MICROTUBULES, Role

_STAINS: dict[str, tuple[Role, ...]] = {
    "rybg": (MICROTUBULES, ER, DNA, ANY),
    "rbg": (MICROTUBULES, DNA, ANY),
    "ybg": (ER, DNA, ANY),
    "bg": (DNA, ANY),
}

KINDS = tuple(
    EncoderFacts(
        name=f"subcell-{variant}",
        title=f"SubCell {variant}, ViT-B/16",
        channels="joint",
        stains=stains,
        scale="minmax",
        per="image",
        dim=1536,
        source=WeightSource("https://github.com/CellProfiling/SubCellPortable", licence="MIT (code)"),
        size=(448, 448),
        fit="resize",
        multiple=16,
        take="gated attention",
        note="the same outputs as its published layers on random weights; published weights were never loaded here",
    )
    for variant, stains in _STAINS.items()
)


def build(file: Path, name: str) -> nn.Module:
    """A variant from its `encoder.pth`, under the names of transformers 4; weights of another network are refused."""
    state = {_renamed(key): value for key, value in read_tensors(file).items()}
    try:
        width, channels, patch, _ = state["encoder.embeddings.patch_embeddings.projection.weight"].shape
        positions = state["encoder.embeddings.position_embeddings"].shape[1] - 1
        hidden = state["encoder.layers.0.mlp.fc1.weight"].shape[0]
        inner, heads = state["pool_model.attention_v.0.weight"].shape[0], len(state["pool_model.attention.bias"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{name}: no weights of SubCell (encoder.…, pool_model.…): {error} is not there") from None
    depth = len({match[1] for key in state if (match := re.match(r"encoder\.layers\.(\d+)\.", key))})
    config = ViTConfig(
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=width // 64,
        intermediate_size=hidden,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-12,
        image_size=round(positions**0.5) * patch,
        patch_size=patch,
        num_channels=channels,
    )
    network = SubCell(config, inner, heads).eval()
    fill(network, state, name=name, ignore=("classifier",))
    return network


class GatedAttentionPool(nn.Module):
    """Weighted sums of tokens, one per head; a token's weight comes from a gated layer."""

    def __init__(self, dim: int, inner: int, heads: int) -> None:
        super().__init__()
        self.attention_v = nn.Sequential(nn.Linear(dim, inner), nn.Tanh())
        self.attention_u = nn.Sequential(nn.Linear(dim, inner), nn.GELU())
        self.attention = nn.Linear(inner, heads)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, D) to (N, heads * D)."""
        scores = self.attention(self.attention_v(tokens) * self.attention_u(tokens))  # (N, T, heads)
        weights = scores.softmax(dim=1).transpose(1, 2)  # (N, heads, T)
        return (weights @ tokens).flatten(1)


class SubCell(nn.Module):
    """The ViT and its pool."""

    def __init__(self, config: ViTConfig, inner: int, heads: int) -> None:
        super().__init__()
        self.encoder = ViTModel(config, add_pooling_layer=False)
        self.pool_model = GatedAttentionPool(config.hidden_size, inner, heads)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(N, c, h, w) to (N, heads * D)."""
        tokens = self.encoder(pixel_values=pixel_values, interpolate_pos_encoding=True).last_hidden_state
        return self.pool_model(tokens)


_NAMES = {
    "encoder.encoder.layer.": "encoder.layers.",
    ".attention.attention.query.": ".attention.q_proj.",
    ".attention.attention.key.": ".attention.k_proj.",
    ".attention.attention.value.": ".attention.v_proj.",
    ".attention.output.dense.": ".attention.o_proj.",
    ".intermediate.dense.": ".mlp.fc1.",
    ".output.dense.": ".mlp.fc2.",
    # The pool was trained behind a dropout, so its layers stand one place further in the file.
    "attention_v.1.": "attention_v.0.",
    "attention_u.1.": "attention_u.0.",
}


def _renamed(key: str) -> str:
    for old, new in _NAMES.items():
        key = key.replace(old, new)
    return key
