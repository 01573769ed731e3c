"""What a network takes and what is taken from it, as a frozen record that is stored with every result."""

import math
from dataclasses import dataclass, field
from typing import Literal

from cytoimagenet_hf.core.errors import InputError

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
Fit = Literal["native", "resize", "shortest", "crop", "tiles"]


@dataclass(frozen=True)
class WeightSource:
    """Where weights come from."""

    repo: str  # Hub name, address, or folder
    revision: str | None = None  # 40-hex commit; None for local weights
    files: dict[str, str] = field(default_factory=dict)  # file name → sha256, of what is loaded
    licence: str | None = None  # of the weights
    gated: bool = False  # whether an account must be granted access
    packages: tuple[str, ...] = ()  # pip names needed beside this project's
    remote_code: bool = False  # whether the repository's own Python code runs


@dataclass(frozen=True)
class EncoderFacts:
    """How channels become the input of a network, and its output a vector; another value is another row of results.

    Attributes:
        name: key in the registry.
        title: for people.
        channels: `each`: one channel at a time, vectors joined; `merged`: the mean of the scaled channels as one;
            `joint`: channels in fixed roles together.
        stains: roles in order for `joint`, each with the names it accepts, the role's own name first; a last role
            `*` takes every channel that has no other role, one input each; empty: any channels, no roles.
        most_channels: the most channels a `joint` network without roles takes; None: no limit.
        scale: how pixels become numbers: `dtype` (full range of the dtype to [0, 1]), `percentile` (clipped between
            `low` and `high`, to [0, 1]), `gain` (logarithm of the pixel by the mean of its plane), `minmax`, `zscore`,
            `as-uint8` (0 … 255), `none`.
        low: lower percentile.
        high: upper percentile.
        clip: whether `percentile` clips.
        from_zero: whether the lower end of `percentile` is the pixel value 0 instead.
        full_scale: pixel value that `dtype` and `as-uint8` take for white; None: the largest of an integer dtype, 1
            for floats. 4095 for 12-bit data in 16-bit files.
        per: what `scale` looks at: `plane`, `image` (all channels together) or `plate`.
        factor: multiplies after `scale` and `fit`.
        mean: subtracted after `factor`, one or one per input channel.
        sd: divides after `mean`.
        repeat: times one plane is repeated as input channels.
        size: height and width in pixels for `fit`; None: native.
        fit: `native`, `resize`, `shortest` (resized so that the shorter side is the first of `size`), `crop` (centre)
            or `tiles` (side by side, the mean of their vectors is taken).
        interpolation: of `resize`; all but `nearest` average when they shrink, as Pillow does.
        multiple: height and width are cut to multiples of this at the right and below (patches); 1: any.
        smallest: least height and width.
        zoom: times by which inputs are enlarged before the network sees them, bilinear; 2: twice the height and width.
        views: orientations over which a vector is averaged: 1, or 8 (four right-angle turns, each mirrored too). A
            cell has no upper side; eight views cost eight times as much.
        pixels: whether statistics of the pixels are added to the vector; see `networks.pixels`.
        take: what of the output is the vector.
        join: `concat` or `mean` over units.
        dim: length of one unit's vector.
        source: where weights come from.
        verified: False: written from published facts, never run on the real weights' code; see `note`.
        note: what one must know, in a sentence.
    """

    name: str
    title: str
    channels: Literal["each", "merged", "joint"]
    scale: Literal["dtype", "percentile", "gain", "minmax", "zscore", "as-uint8", "none"]
    dim: int
    source: WeightSource
    stains: tuple[tuple[str, ...], ...] = ()
    most_channels: int | None = None
    low: float = 0.1
    high: float = 99.9
    clip: bool = True
    from_zero: bool = False
    full_scale: float | None = None
    per: Literal["plane", "image", "plate"] = "plane"
    factor: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    sd: tuple[float, ...] = (1.0,)
    repeat: int = 1
    size: tuple[int, int] | None = None
    fit: Fit = "native"
    interpolation: Interpolation = "bilinear"
    multiple: int = 1
    smallest: int = 1
    zoom: float = 1.0
    views: Literal[1, 8] = 1
    pixels: bool = False
    take: str = "pooler"
    join: Literal["concat", "mean"] = "concat"
    verified: bool = True
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not give features."""
        numbers = (self.factor, *self.mean, *self.sd, *(() if self.full_scale is None else (self.full_scale,)))
        if not all(math.isfinite(value) for value in numbers):
            raise InputError(f"{self.name}: factor, mean, sd and full_scale must be finite: {numbers}")
        if self.factor == 0 or min(self.sd) <= 0:
            raise InputError(f"{self.name}: factor {self.factor} and sd {self.sd} must not be 0, nor sd negative")
        if not (math.isfinite(self.zoom) and 1 / 16 <= self.zoom <= 16):
            raise InputError(f"{self.name}: inputs are scaled by 1/16 to 16 times their size, not {self.zoom:g}")
        if self.full_scale is not None and self.full_scale <= 0:
            raise InputError(f"{self.name}: full_scale is {self.full_scale:g}: pass the pixel value that is white")
        if not 0 <= self.low < self.high <= 100:
            raise InputError(f"{self.name}: need 0 <= low < high <= 100, not low={self.low} and high={self.high}")
        if self.size is not None and min(self.size) < 1:
            raise InputError(f"{self.name}: a size of {self.size} pixels: height and width are at least 1")
        if self.fit != "native" and self.size is None:
            raise InputError(f"{self.name}: fit={self.fit!r} needs a size")

    @property
    def input_channels(self) -> int | None:
        """Channels of one unit, as `Encoder.network` takes it; None where the image decides."""
        if self.channels != "joint":
            return 1
        return len(self.stains) or None
