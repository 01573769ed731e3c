"""Dataset and model cards and Croissant metadata, rendered from result files: nobody types a number."""

from .render import CardSource, DatasetFacts, ModelFacts, SplitFiles, dataset_card, model_card

__all__ = ["CardSource", "DatasetFacts", "ModelFacts", "SplitFiles", "dataset_card", "model_card"]
