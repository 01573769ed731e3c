"""The networks of the study: one recipe and one set of images, of which each training changes one thing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from cytoimagenet_hf.training import TrainConfig, train

from .real import GAIN_RANGE

LABELS, GAIN, UNTRAINED = "labels", "labels, gain pixels", "untrained"
_VIEWS = {"crop": 0.6, "gamma": 0.15, "blur": 1.0}  # as docs/journeys/pretrain.md has them; never tuned here


@dataclass(frozen=True)
class Training:
    """One way of training.

    Attributes:
        name: in tables.
        says: for people.
        options: beyond the recipe `modern`; None: not trained.
        views: of each image in a step. Two views take half the epochs: every training has the same number of images
            through its network.
        scaling: of the pixels of the training images, one of `real.SCALINGS`.
    """

    name: str
    says: str
    options: dict[str, Any] | None = field(default_factory=dict)
    views: int = 1
    scaling: str = "image"


TRAININGS = (
    Training(LABELS, "source and channel of stretched crops; what the default and all unmarked rows are of"),
    Training(GAIN, "the same labels, on crops scaled as the default features look at pixels", scaling="gain"),
    Training(
        "labels and views",
        "the same labels and, at once, which two augmented views are of one crop (SimCLR)",
        {"objective": "labels+views", **_VIEWS},
        views=2,
    ),
    Training("views, SimCLR", "such views alone, without labels", {"objective": "views", **_VIEWS}, views=2),
    Training(UNTRAINED, "weights as they were drawn", None),
)


def make_networks(
    training: Training,
    corpora: Mapping[str, Path],
    work: Path,
    *,
    seeds: int,
    epochs: int,
    image_size: int,
    model_config: Mapping[str, Any],
) -> list[Path]:
    """The folders of a training's networks, one per seed; what stands in `work` is not trained again.

    Args:
        training: one of `TRAININGS`.
        corpora: the training images by scaling.
        work: folder of runs.
        seeds: how many, from 0.
        epochs: of each; half as many of two views.
        image_size: side in pixels.
        model_config: of the EfficientNet.
    """
    name = training.name.lower().replace(",", "").replace(" ", "-")
    folders = [work / f"{name}-{seed}" for seed in range(seeds)]
    own_epochs = max(1, epochs // training.views)
    shared = {"recipe": "modern", "epochs": own_epochs, "image_size": image_size, "model_config": dict(model_config)}
    shared |= {"dataset": str(corpora[training.scaling]), "cache": "ram", "evaluate_every": own_epochs, "trackers": []}
    for seed, folder in enumerate(folders):
        if training.options is None:
            if not (folder / "config.json").is_file():
                MicroscopyImageProcessor().save_pretrained(folder)
                build_efficientnet(0, seed=100 + seed, **model_config).save_pretrained(folder)
            continue
        if not (folder / "model").is_dir():
            own = {"output": str(folder), "seed": seed, **training.options}
            train(TrainConfig.from_dict({**shared, **own}), resume=True)
        if training.scaling == "gain":  # the network takes the bytes of its crops: so does it in extraction
            low, high = GAIN_RANGE
            MicroscopyImageProcessor.for_model(
                folder / "model", image_mean=[low] * 3, image_std=[high - low] * 3
            ).save_pretrained(folder / "model")
    return [folder if training.options is None else folder / "model" for folder in folders]
