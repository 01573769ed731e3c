"""The training configuration: one frozen dataclass that is the YAML, the command line and the checkpoint's record.

A recipe is a set of defaults: `recipe < YAML file < command line`. Nothing here depends on how many processes run:
`batch_size` is the whole optimiser step, so the same configuration means the same training on one core or eight GPUs.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import build, check_fields, from_text, plain, setting

RECIPES: dict[str, dict[str, Any]] = {
    # Paper §3: EfficientNet-B0 from scratch, 224², batch 64, Adam 1e-3, cross-entropy, rotation with reflected
    # borders, 24 epochs. These are the dataclass's own defaults.
    "published": {},
    "modern": {
        # Decoupled decay: with Adam's L2 form the decay of a weight depends on its gradients' history.
        "optimizer": "adamw",
        "weight_decay": 0.05,
        # A peak of 2e-3 at batch 64 is past what Adam bears from a cold start; warm-up makes it safe, and the cosine
        # to zero replaces the averaging that a constant rate leaves undone at the end.
        "learning_rate": 2e-3,
        "schedule": "cosine",
        "warmup": 0.05,
        "clip_norm": 1.0,
        # Weak labels are partly wrong (a phenotype's row may show none of it): smoothing keeps the net from
        # memorising them, and the running average of the weights evens out what single batches taught.
        "label_smoothing": 0.1,
        "ema": 0.999,
        # Cells have no handedness and magnification varies by source: both are free variation.
        "flip": True,
        "scale_jitter": 0.2,
        # 637 of the 894 classes are compounds: drawing classes equally often is what top-1 over classes asks for.
        "sampling": "class",
        "precision": "auto",
    },
}
"""Defaults by recipe name; each value that differs from the published training carries its reason."""


def _option(default: Any, text: str, **more: Any) -> Any:
    """A field of the configuration. `free`: it may change when a run is resumed, for it cannot change the weights."""
    if isinstance(default, bool):
        return setting(default, text, **more)
    if isinstance(default, (int, float)):
        more["metavar"] = f"<{type(default).__name__}>"
    return setting(default, text, type=str, **more)  # a command line hands over texts, which `check_fields` judges


def _pairs(given: Any) -> dict[str, Any]:
    """Fields by name, from a mapping or from texts such as `width_coefficient=0.5`, values spelled as in YAML."""
    if isinstance(given, Mapping):
        return {str(key): value for key, value in given.items()}
    if bad := [text for text in given if "=" not in str(text)]:
        raise InputError(f"model_config takes KEY=VALUE, not {bad[0]!r}")
    pairs = (text.partition("=") for text in given)
    return {key: from_text(TrainConfig, "model_config", value, name="training") for key, _, value in pairs}


# Options under a heading of the help.
_rows = partial(_option, group="Rows and splits")
_network = partial(_option, group="Network")
_reading = partial(_option, group="Reading images")
_objective = partial(_option, group="Objective")
_augmentation = partial(_option, group="Augmentation, on the device")
_optimisation = partial(_option, group="Optimisation")
_machine = partial(_option, group="Machine")
_run = partial(_option, group="Run")

_MODERN = ", ".join(f"{name} {value}" for name, value in RECIPES["modern"].items())


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides a run; see the `help` of each field, or `scripts/train.py --help`.

    Raises:
        InputError: a value outside its range or choices (checked on construction).

    Example:
        >>> TrainConfig(dataset="cytoimagenet", output="runs/b0").learning_rate
        0.001
    """

    dataset: str = _option(
        "",
        "built dataset, any dataset with images and labels (a folder, OWNER/NAME on the Hub, or "
        "hf:NAME:CONFIGURATION:SPLIT@REVISION), folder with a sub-folder per class, or table of files and labels",
        free=True,
    )
    output: str = _option("", "folder of the run", free=True)
    recipe: str = _option(
        "published", f"defaults to start from: published, or modern ({_MODERN})", choices=tuple(RECIPES)
    )
    subset: tuple[str, ...] = _option(
        ("full",),
        "full, toy_20, toy_50, category:NAME (such as category:compound), or a list of labels",
        repeat=True,
        metavar="NAME",
    )
    split_scheme: str | None = _rows(None, "None: the split as stored; published: the original row-wise split")
    configuration: str = _rows(
        "default",
        "default: gray images; channels: each plane of each image on its own, with the image's label; or a "
        "configuration of the dataset, by name",
    )
    revision: str | None = _rows(None, "of a dataset on the Hub: tag, branch or commit")
    split: str = _rows("train", "the split that is trained on")
    validation_split: str | None = _rows(
        None, "the split to validate with; by default the stored one, else a share of the split that is trained on"
    )
    pattern: str | None = _rows(
        None, "of a folder of one's own: how files are named, as for extract, such as {cell}_{c}.tif"
    )
    image_column: str | None = _rows(None, "of a dataset: images; by default image, or the one that holds images")
    label_column: str | None = _rows(
        None, "of a dataset or table: classes; by default label, or the one of type ClassLabel"
    )
    id_column: str | None = _rows(
        None, "of a dataset: ids; by default id, image_id or idx, and without one rows are numbered"
    )
    group_column: str | None = _rows(
        None,
        "where no validation is stored: the column of what stays on one side; by default the coarsest of plate, well "
        "and site of which every class has two",
    )
    validation_share: float = _rows(
        0.2, "the share of the images that is drawn for validation, where none is stored", above=0, below=1
    )
    streaming: bool = _rows(False, "read shards as they are needed instead of by position (data on the Hub)")
    backbone: str = _network(
        "efficientnet", "efficientnet, imagenet-lite0 (lite1, lite2), or any AutoModel name or folder"
    )
    pretrained: bool = _network(False, "start from the weights of `backbone` (fine-tuning)")
    model_config: dict[str, Any] = _network(  # noqa: RUF009
        {}, "fields of the model's configuration", parse=_pairs, repeat=True, metavar="KEY=VALUE"
    )
    image_size: int = _network(224, "side of the square images in pixels", low=16, high=4096)
    cache: str = _reading(
        "none", "decoded uint8 images: none, disk, ram, device", choices=("none", "disk", "ram", "device"), free=True
    )
    cache_dir: str | None = _reading(None, "folder of the cache (OUTPUT/cache)", free=True)
    workers: int = _reading(
        2, "decoding processes per rank without a cache; decoding threads with one", free=True, low=0, high=1024
    )
    on_unreadable: str = _reading("stop", "a row that cannot be decoded: stop or skip", choices=("stop", "skip"))
    sampling: str = _reading(
        "uniform",
        "uniform: every row once an epoch; class, category: rows drawn so that these are equally frequent",
        choices=("uniform", "class", "category"),
    )
    objective: str = _objective(
        "labels",
        "labels: classify; views: no labels, two augmented views of an image belong together; labels+views: both",
        choices=("labels", "labels+views", "views"),
    )
    rotation: float = _augmentation(
        360.0, "rotation drawn from 0 to this many degrees, borders reflected", low=0, high=360
    )
    flip: bool = _augmentation(False, "mirror half of the images")
    scale_jitter: float = _augmentation(0.0, "zoom drawn log-uniformly from 1/(1+s) to 1+s", low=0, high=4)
    crop: float = _augmentation(
        1.0, "smallest side of a random crop as a share of the image's; 1: the whole image", low=0.05, high=1
    )
    gain: float = _augmentation(
        0.0, "intensities times a factor drawn log-uniformly from 1/(1+s) to 1+s", low=0, high=10
    )
    offset: float = _augmentation(
        0.0, "largest share of full scale that is added to or taken from intensities", low=0, high=1
    )
    gamma: float = _augmentation(
        0.0, "intensities to the power of a number drawn log-uniformly from 1/(1+s) to 1+s", low=0, high=10
    )
    blur: float = _augmentation(
        0.0, "largest standard deviation of a Gaussian blur (defocus), in pixels", low=0, high=16
    )
    noise: float = _augmentation(
        0.0, "largest standard deviation of added noise, as a share of full scale", low=0, high=1
    )
    epochs: int = _optimisation(
        24, "passes over the training rows; more of them with --resume extend a run", low=1, high=100_000
    )
    batch_size: int = _optimisation(
        64, "images per optimiser step, over all processes and accumulation steps", low=1, high=1 << 20
    )
    accumulate: int | None = _optimisation(
        None, "forward passes per optimiser step; by default as accelerate is launched, else 1", low=1, high=4096
    )
    optimizer: str = _optimisation("adam", "adam or adamw", choices=("adam", "adamw"))
    learning_rate: float = _optimisation(1e-3, "peak learning rate, for this batch size", low=0, high=100)
    weight_decay: float = _optimisation(0.0, "decoupled decay of weights (not of biases and norms)", low=0, high=10)
    schedule: str = _optimisation("constant", "constant or cosine to zero", choices=("constant", "cosine"))
    warmup: float = _optimisation(
        0.0, "share of all steps over which the learning rate rises from zero", low=0, high=1
    )
    label_smoothing: float = _optimisation(0.0, "share of the target spread over all classes", low=0, high=0.99)
    ema: float = _optimisation(
        0.0, "decay of the weights' running average that is evaluated and saved; 0: none", low=0, high=0.999999
    )
    clip_norm: float = _optimisation(0.0, "largest gradient norm; 0: no clipping", low=0, high=1000000000.0)
    precision: str | None = _machine(
        None,
        "no, bf16, fp16, or auto: bf16 where the accelerator has it; by default as accelerate is launched, else no",
        choices=("no", "auto", "bf16", "fp16"),
    )
    compile: bool = _machine(False, "torch.compile the network")
    sync_batch_norm: bool = _machine(False, "batch-norm statistics over all processes (GPUs)")
    seed: int = _machine(
        0, "seed of the initialisation, the order, the augmentation and dropout", low=0, high=2**63 - 1
    )
    bn_batches: int = _run(
        20, "batches that re-estimate batch-norm statistics before each evaluation; 0: never", low=0, high=100_000
    )
    evaluate_every: int = _run(1, "epochs between evaluations (the last is always evaluated)", low=1, high=100_000)
    export: str = _run("last", "weights of OUTPUT/model: last or best", choices=("last", "best"))
    checkpoint_every: int = _run(
        0, "steps between checkpoints; 0: at the end of each epoch", free=True, low=0, high=1 << 40
    )
    push_to_hub: str | None = _run(None, "push the model to OWNER/NAME on the Hub at the end", free=True)
    push_every: int = _run(
        0, "epochs between pushes of the model so far; 0: at the end alone", free=True, low=0, high=100_000
    )
    keep: int = _run(2, "newest checkpoints kept, beside the best", free=True, low=1, high=1000)
    trackers: tuple[str, ...] = _run(
        ("tensorboard",), "accelerate trackers: tensorboard, trackio, wandb, …", free=True, repeat=True, metavar="NAME"
    )

    def __post_init__(self) -> None:
        check_fields(self, name="training")
        if self.pretrained and self.backbone == "efficientnet":
            raise InputError("pretrained needs backbone to name the weights, for example google/efficientnet-b0")
        if self.push_every and self.push_to_hub is None:
            raise InputError("push_every needs push_to_hub to name the repository, OWNER/NAME")
        if self.objective != "labels" and self.batch_size // self.passes < 2:
            raise InputError("views are compared within a forward pass: batch_size / accumulate must be 2 or more")
        moved = self.rotation > 0 or self.flip or self.scale_jitter > 0 or self.crop < 1
        changed = self.gain > 0 or self.offset > 0 or self.gamma > 0 or self.blur > 0 or self.noise > 0
        if self.objective != "labels" and not (moved or changed):
            raise InputError("two views of an image without any augmentation are equal: set rotation, crop or another")
        if self.streaming and self.configuration == "channels":
            raise InputError("streaming reads gray images, one a row: single channels take the configuration whole")
        if self.streaming and (self.cache != "none" or self.sampling != "uniform"):
            raise InputError("streaming reads rows in the order of the shards: it takes neither a cache nor sampling")

    @property
    def passes(self) -> int:
        """Forward passes per optimiser step."""
        return self.accumulate or 1

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """A configuration from plain values (YAML, JSON), on top of the recipe they name.

        Raises:
            InputError: an unknown key, or a value of the wrong type or range.
        """
        recipe = values.get("recipe", "published")
        defaults = RECIPES.get(recipe, {}) if isinstance(recipe, str) else {}
        return build(cls, {**defaults, **values}, name="training")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for YAML and JSON; `from_dict` reads them back."""
        return plain(self)

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """Lines `name: recorded → now` for every field that decides the weights and differs from a record.

        More epochs are no difference: they come after those that were recorded.
        """
        now = self.to_dict()
        lines = []
        for spec in dataclasses.fields(self):
            before, after = recorded.get(spec.name), now[spec.name]
            longer = spec.name == "epochs" and isinstance(before, int) and after > before
            if not spec.metadata.get("free") and not longer and before != after:
                lines.append(f"{spec.name}: {before!r} → {after!r}")
        return lines
