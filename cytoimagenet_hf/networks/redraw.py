"""The same architecture with weights drawn anew: what training gave is what a network has over its redrawn twins."""

import copy

import torch
from torch import nn
from transformers import EfficientNetModel, PreTrainedModel

from cytoimagenet_hf.core.errors import InputError, one_line

from .efficientnet import initialise
from .fusion import CytoFusionModel
from .lite import open_gates


def redraw(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """A network of the same architecture whose weights are drawn from a seed; nothing of the given weights is left.

    EfficientNets are drawn as Keras draws them (the stock class would be dead, see `efficientnet`), gates that are
    pinned open stay open; other classes of transformers are drawn by their own rule; a fusion redraws its backbones.
    The given network, without its head, stays as it is; the new one is in evaluation mode.
    """
    if isinstance(model, CytoFusionModel):
        fusion = copy.deepcopy(model)
        fusion.backbones = nn.ModuleList(redraw(backbone, seed) for backbone in model.backbones)
        return fusion.eval()
    if isinstance(model, EfficientNetModel):
        drawn = copy.deepcopy(model)
        initialise(drawn, seed)
        if not any(block.squeeze_excite.expand.weight.any() for block in model.encoder.blocks):
            open_gates(drawn)
        return drawn.eval()
    try:
        with torch.random.fork_rng(devices=[]):  # the stock constructors draw from the global generator
            torch.manual_seed(seed)
            made = type(model)(copy.deepcopy(model.config))
    except Exception as error:  # a class of someone else's code raises what it likes
        raise InputError(
            f"{type(model).__name__} cannot be redrawn: its configuration alone does not make it ({one_line(error)})"
        ) from error
    return made.eval()
