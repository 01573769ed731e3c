"""Dataset and model cards and Croissant metadata, rendered from result files: nobody types a number."""

from .check import check_card
from .render import CardSource, SplitFiles, dataset_card, model_card

__all__ = ["CardSource", "SplitFiles", "check_card", "dataset_card", "model_card"]
