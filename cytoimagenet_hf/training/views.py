"""Learning without labels: two views of an image must be near each other and unlike all other images.

The network's pooled features go through a small projector; the loss compares the projections of the two views over the
whole batch, gathered from all processes. It is NT-Xent, that of SimCLR (Chen et al. 2020); VICReg did no better
(docs/study.md). The projector serves the training alone and is not exported.
"""

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.networks.modeling_cyto_fusion import pooled

from .config import TrainConfig

_TEMPERATURE = 0.2  # between the 0.1 of long trainings with large batches and the 0.5 of small ones, SimCLR table 5
_PROJECTED = 256
"""Width of the projections."""


class Learner(nn.Module):
    """What is trained: the network and, where views are compared, the projector, in one forward pass.

    One module, so that gradients of both are averaged over processes together. The network has a head where labels are
    learnt (`labelled`); there is a projector where views are compared.
    """

    def __init__(self, network: PreTrainedModel, projector: nn.Module | None, *, labelled: bool) -> None:
        super().__init__()
        self.network, self.projector, self.labelled = network, projector, labelled

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """(B, 3, S, S) to logits (B, classes) and projections (B, 256), each float32, None where not learnt."""
        if self.projector is None:
            return self.network(pixel_values=pixel_values).logits.float(), None
        if not self.labelled:
            return None, self.projector(features(self.network, pixel_values)).float()
        seen: list[torch.Tensor] = []  # the backbone runs once: what it hands to the head is picked up on its way
        hook = self.network.base_model.register_forward_hook(lambda *call: seen.append(pooled(call[2])))
        try:
            logits = self.network(pixel_values=pixel_values).logits
        finally:
            hook.remove()
        return logits.float(), self.projector(seen[0]).float()


def features(network: PreTrainedModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """Pooled features (B, D) of a network without its head."""
    return pooled(network.base_model(pixel_values=pixel_values))


def build_learner(network: PreTrainedModel, config: TrainConfig) -> Learner:
    """The network with the projector that its objective needs, drawn from the run's seed."""
    labelled = config.objective != "views"
    if config.objective == "labels":
        return Learner(network, None, labelled=labelled)
    mode = network.training
    with torch.no_grad():
        width = features(
            network.eval(), torch.zeros(1, 3, config.image_size, config.image_size, device=network.device)
        ).shape[1]
    network.train(mode)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(derive_rng(config.seed, "projector").integers(2**63)))
        # Norms over the features of one image: no statistics to share between processes or to keep.
        projector = nn.Sequential(
            nn.Linear(width, 2 * _PROJECTED),
            nn.LayerNorm(2 * _PROJECTED),
            nn.GELU(),
            nn.Linear(2 * _PROJECTED, _PROJECTED),
        )
    return Learner(network, projector, labelled=labelled)


def view_loss(projections: torch.Tensor, *, accelerator: Accelerator) -> torch.Tensor:
    """The loss of one forward pass over all processes: a scalar, equal on every process.

    Its gradient reaches the projections of this process only, so that the sum over processes is the gradient of the
    whole batch. `projections` are (2 B, D): the first views, then the second ones of the same images.
    """
    first, second = (gather_rows(part, accelerator) for part in projections.chunk(2))
    if len(first) < 2:
        return projections.sum() * 0.0  # nothing to tell one image from
    return simclr(first, second)


def gather_rows(rows: torch.Tensor, accelerator: Accelerator) -> torch.Tensor:
    """The rows (n, …) of all processes in their order, (N, …); n may differ between them. A collective call.

    Only the rows of this process carry a gradient.
    """
    if accelerator.num_processes == 1:
        return rows
    counts = accelerator.gather(torch.tensor([len(rows)], device=rows.device)).tolist()
    # Collectives need equal shapes: rows are padded, and the padding is taken off again, so that no row counts twice.
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    every = accelerator.gather(padded).split(max(counts)) if max(counts) else [rows] * len(counts)
    parts = [part[:count] for part, count in zip(every, counts, strict=True)]
    parts[accelerator.process_index] = rows
    return torch.cat(parts)


def simclr(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """NT-Xent of two views (B, D): each must find its partner among all others by cosine; mean over 2 B queries."""
    count = len(first)
    unit = functional.normalize(torch.cat([first, second]), dim=1)  # (2 B, D)
    similar = unit @ unit.T / _TEMPERATURE
    similar = similar.masked_fill(torch.eye(2 * count, dtype=torch.bool, device=unit.device), -torch.inf)
    partner = torch.arange(2 * count, device=unit.device).roll(count)
    return functional.cross_entropy(similar, partner)
