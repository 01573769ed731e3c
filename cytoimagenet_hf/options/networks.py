"""How a network is loaded and what is taken of it: the options of `load_encoder`, `extract` and the benchmarks."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import check_fields, setting

_NETWORK = "The network and its features"
NORMALIZE = ("image", "plate", "gain", "none")
"""What decides which pixel values become 0 and 1: the percentiles of each image's channel, those of a plate, its
mean (of the pixel by which the logarithm is taken), or the range of the dtype."""
METHODS = ("concat-norm", "concat-raw", "merge-norm", "merge-raw")
"""{concatenate, merge} x {percentile-normalise each channel, not}; the paper's best is the first."""


def _side(given: Any) -> Any:
    """Height and width: one number, or two.

    Raises:
        InputError: anything else.
    """
    sides = given if isinstance(given, (list, tuple)) else [given]
    if given is not None and not (len(sides) <= 2 and all(type(side) is int and 1 <= side <= 8192 for side in sides)):
        raise InputError(f"size={given!r}: give pixels from 1 to 8192, or height and width")
    return tuple(given) if isinstance(given, list) else given


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """Choices for a network; None leaves each to the record beside the weights, else to how it was trained.

    See the `help` of each field; those without are for Python alone.

    Attributes:
        size: side of the input in pixels, or height and width.
        take: of ViTs: one of `networks.kinds.dino.TAKES`.
        roles: stains in the order in which a network of several channels takes them, as a list or with commas.
        redrawn: seed of weights drawn anew in place of the trained ones; see `networks.redraw`.
        low, high, clip, per, fit, interpolation, join: values of `networks.EncoderFacts`.
    """

    normalize: str | None = setting(
        None,
        "Which pixel values become 0 and 1: percentiles of each image, of its plate, or none (the range of the "
        "dtype); gain: the logarithm of the pixel by the mean of its channel. By default as the model's record says.",
        choices=NORMALIZE,
        group=_NETWORK,
    )
    method: str | None = setting(
        None,
        "How our own networks take channels: concat-norm, concat-raw, merge-norm or merge-raw.",
        choices=METHODS,
        group=_NETWORK,
    )
    pooling: str | None = setting(
        None,
        "What is taken of the network: last (what it pools itself), blocks (every stage), early (the first "
        "stage), or one stage as stage:N, such as stage:3; stage:0 is the stem. By default as the weights say, else "
        "last.",
        metavar="last|blocks|early|stage:N",
        group=_NETWORK,
    )
    pixels: bool | None = setting(
        None,
        "Intensities of the channels and correlations between them beside the network's features, or not.",
        group=_NETWORK,
    )
    views: Literal[1, 8] | None = setting(
        None, "Average over 8 orientations, at eight times the price; 1: as it lies.", group=_NETWORK
    )
    scaling: str | None = setting(
        None, "ImageNet inputs as Keras scaled them: keras-2.8 or keras-2.9.", group=_NETWORK
    )
    size: int | tuple[int, int] | None = setting(
        None,
        "Resize to this side, bilinear; by default the native size.",
        low=1,
        high=8192,
        parse=_side,
        type=int,
        group=_NETWORK,
    )
    scale: float | None = setting(
        None,
        "Enlarge what the network sees this many times, bilinear: 2 doubles height and width.",
        group=_NETWORK,
    )
    full_scale: float | None = setting(
        None, "White where nothing is normalised: 4095 for 12-bit data in 16-bit files.", group=_NETWORK
    )
    revision: str | None = setting(None, "Commit of a Hub repository, 40 hex digits.", group=_NETWORK)
    trust_remote_code: bool = setting(False, "Run the repository's own code; needs --revision.", group=_NETWORK)
    take: str | None = setting(None, command=False)
    roles: tuple[str, ...] = setting((), commas=True, command=False)
    redrawn: int | None = setting(None, command=False)
    low: float | None = setting(None, command=False)
    high: float | None = setting(None, command=False)
    clip: bool | None = setting(None, command=False)
    per: str | None = setting(None, command=False)
    fit: str | None = setting(None, command=False)
    interpolation: str | None = setting(None, command=False)
    join: str | None = setting(None, command=False)

    def __post_init__(self) -> None:
        check_fields(self, name="network")

    def given(self) -> dict[str, Any]:
        """What was chosen: the fields that are not left to the network.

        Example:
            >>> EncoderOptions(size=224, pixels=False).given()
            {'pixels': False, 'size': 224}
        """
        values = {
            field.name: (getattr(self, field.name), field.default) for field in dataclasses.fields(EncoderOptions)
        }
        return {name: value for name, (value, default) in values.items() if value != default}


DEFAULTS = EncoderOptions()


@dataclass(frozen=True, kw_only=True)
class Networks(EncoderOptions):
    """Networks by name, which are loaded alike.

    Attributes:
        model: what `load_encoder` takes, each.
    """

    model: tuple[str, ...] = setting(
        (),
        "A name of `cytoimagenet models`, checkpoint folder, Hub name, Keras .h5, random:SEED. Several (--model A "
        "--model cp_measure) are one table, each image read once.",
        repeat=True,
    )
