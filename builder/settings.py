"""What can be chosen for a build beside the recipe: each class checks its values and gives options to commands."""

from dataclasses import dataclass

from cytoimagenet_hf.core.settings import check_fields, setting
from cytoimagenet_hf.dataset.fields import FIELD
from cytoimagenet_hf.shards.shard import Part, parse_part


@dataclass(frozen=True, kw_only=True)
class Rules:
    """A recipe by name or file with changes, and the seed of everything that is sampled."""

    recipe: str = setting("corrected", "`corrected`, `published`, or a YAML file of recipe fields.")
    overrides: tuple[str, ...] = setting(
        (), "A recipe field, as name=value; repeatable.", option="set", metavar="NAME=VALUE", repeat=True
    )
    seed: int = setting(0, "Seed of everything that is sampled.")

    def __post_init__(self) -> None:
        check_fields(self, name="rules")


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """Where shards are rendered, and what is kept of each field."""

    workers: int | None = setting(None, "Processes; all cores by default.", low=1, high=1024)
    dask: str | None = setting(None, "Address of a Dask scheduler, e.g. tcp://host:8786.")
    retry_rejected: tuple[str, ...] = setting(
        (), "Try rejected fields of these reasons again, comma-separated.", commas=True
    )
    keep_channels: bool = setting(False, "Also write the configuration `channels`: one plane per stain.")
    part: Part | None = setting(
        None,
        "Make the i-th of N parts, beside other commands; a call without it completes the folder.",
        parse=lambda given: parse_part(given) if isinstance(given, str) else given,
        metavar="i/N",
    )

    def __post_init__(self) -> None:
        check_fields(self, name="render")


EVERYTHING = Rendering()


@dataclass(frozen=True, kw_only=True)
class Division:
    """How images go to train and validation."""

    split_scheme: str | None = setting(None, "`field` (leak-free) or `published` (row-wise); by recipe if unset.")
    group: str = setting(
        FIELD, "What stays on one side of the split: field (the physical one), or a column such as plate."
    )

    def __post_init__(self) -> None:
        check_fields(self, name="split")
