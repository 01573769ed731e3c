"""What a network eats and what is taken from it, as a frozen record that is stored with every result."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class WeightSource:
    """Where weights come from.

    Attributes:
        repo: Hub name, address, or folder.
        revision: 40-hex commit; None for local weights.
        files: file name → sha256, of what is loaded.
        licence: of the weights.
        gated: whether an account must be granted access.
        packages: pip names needed beside this project's.
        remote_code: whether the repository's own Python code runs.
    """

    repo: str
    revision: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    licence: str | None = None
    gated: bool = False
    packages: tuple[str, ...] = ()
    remote_code: bool = False


@dataclass(frozen=True)
class EncoderFacts:
    """How channels become the input of a network, and its output a vector; another value is another row of results.

    Attributes:
        name: key in the registry.
        title: for people.
        channels: `each`: one channel at a time, vectors joined; `joint`: channels in fixed roles together.
        stains: roles in order for `joint`, each with the names it accepts; empty: any channels, no roles.
        most_channels: the most channels a `joint` network without roles takes; None: no limit.
        scale: how pixels become numbers: `dtype` (full range of the dtype to [0, 1]), `percentile` (clipped between
            `low` and `high`, to [0, 1]), `minmax`, `zscore`, `as-uint8` (0 … 255), `none`.
        low: lower percentile.
        high: upper percentile.
        clip: whether `percentile` clips.
        per: what `scale` looks at: `plane`, `image` (all channels together) or `plate`.
        factor: multiplies after `scale`.
        mean: subtracted after `factor`, one or one per input channel.
        sd: divides after `mean`.
        repeat: times one plane is repeated as input channels.
        size: side in pixels for `fit`; None: native.
        fit: `native`, `resize`, `crop` (centre) or `tiles` (mean over them).
        multiple: height and width must be multiples of this (patches); 1: any.
        smallest: least height and width.
        take: what of the output is the vector.
        join: `concat` or `mean` over units.
        dim: length of one unit's vector.
        source: where weights come from.
        verified: False: written from published facts, never run on the real weights' code; see `note`.
        note: what one must know, in a sentence.
    """

    name: str
    title: str
    channels: Literal["each", "joint"]
    scale: Literal["dtype", "percentile", "minmax", "zscore", "as-uint8", "none"]
    dim: int
    source: WeightSource
    stains: tuple[tuple[str, ...], ...] = ()
    most_channels: int | None = None
    low: float = 0.1
    high: float = 99.9
    clip: bool = True
    per: Literal["plane", "image", "plate"] = "plane"
    factor: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    sd: tuple[float, ...] = (1.0,)
    repeat: int = 1
    size: int | None = None
    fit: Literal["native", "resize", "crop", "tiles"] = "native"
    multiple: int = 1
    smallest: int = 1
    take: str = "pooler"
    join: Literal["concat", "mean"] = "concat"
    verified: bool = True
    note: str = ""
