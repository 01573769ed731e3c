"""The networks of the study: ImageNet-lite0 trained further on other real cells, and the same from a random start."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cytoimagenet_hf.training import TrainConfig, train

BACKBONE = "imagenet-lite0"
_VIEWS = {"crop": 0.6, "gamma": 0.15, "blur": 1.0}  # as docs/journeys/pretrain.md has them; never tuned here
_CONTINUED = {"pretrained": True, "learning_rate": 5e-4}  # a quarter of the recipe's: the weights are not to be lost


@dataclass(frozen=True)
class Training:
    """One way of training.

    Attributes:
        name: in tables.
        says: for people.
        options: beyond the recipe `modern`.
        views: of each image in a step. Two views take half the epochs: every training has the same number of images
            through its network.
    """

    name: str
    says: str
    options: dict[str, Any]
    views: int = 1


TRAININGS = (
    Training("labels", "ImageNet's weights, then source, class and channel of real cells", _CONTINUED),
    Training(
        "labels and views",
        "ImageNet's weights, then the same labels and, at once, which two views are of one crop (SimCLR)",
        {**_CONTINUED, "objective": "labels+views", **_VIEWS},
        views=2,
    ),
    Training(
        "views",
        "ImageNet's weights, then such views alone, without labels",
        {**_CONTINUED, "objective": "views", **_VIEWS},
        views=2,
    ),
    Training("random start", "drawn weights, then the labels", {}),
)


def make_networks(
    corpus: Path, work: Path, *, trainings: Sequence[Training], epochs: int, side: int
) -> dict[str, str]:
    """Training → folder of its network; what is in `work` already is not trained again, what was cut off goes on.

    Args:
        corpus: the training images.
        work: folder of runs.
        trainings: some of `TRAININGS`.
        epochs: of each; half as many of two views.
        side: of the images in pixels.
    """
    networks = {}
    for training in trainings:
        folder = work / training.name.replace(" ", "-")
        passes = max(1, epochs // training.views)
        shared = {"recipe": "modern", "backbone": BACKBONE, "image_size": side}
        shared |= {"epochs": passes, "evaluate_every": passes}
        shared |= {"ema": 0.0}  # an average over 1,000 steps would be of the first weights mostly
        shared |= {"dataset": str(corpus), "output": str(folder), "cache": "ram", "trackers": []}
        if not (folder / "model").is_dir():
            train(TrainConfig.from_dict({**shared, **training.options}), resume=True)
        networks[training.name] = str(folder / "model")
    return networks
