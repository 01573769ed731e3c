"""Rows of all processes on each of them, whatever number of rows each holds."""

import torch
from accelerate import Accelerator


def gather_rows(own: torch.Tensor, accelerator: Accelerator) -> torch.Tensor:
    """The rows of all processes, in the order of the processes; a collective call.

    Args:
        own: (n, …) rows of this process; n may differ between processes, the rest may not.
        accelerator: gathers.

    Returns:
        (N, …), of which only the own rows carry a gradient.
    """
    if accelerator.num_processes == 1:
        return own
    counts = accelerator.gather(torch.tensor([len(own)], device=own.device)).tolist()
    # Collectives need equal shapes: rows are padded, and the padding is taken off again, so that no row counts twice.
    padded = own.new_zeros((max(counts), *own.shape[1:]))
    padded[: len(own)] = own.detach()
    every = accelerator.gather(padded).split(max(counts)) if max(counts) else [own] * len(counts)
    parts = [part[:count] for part, count in zip(every, counts, strict=True)]
    parts[accelerator.process_index] = own
    return torch.cat(parts)
