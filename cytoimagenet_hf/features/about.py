"""What a feature table says of itself: what made it, and the names of its columns."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.simulated import is_simulated
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.networks import Encoder
from cytoimagenet_hf.networks.kinds.cp_measure import CellMeasures
from cytoimagenet_hf.networks.pixels import pixel_names
from cytoimagenet_hf.tables.columns import feature_names

from .ranges import PlateRanges
from .runtimes import Runner


def describe(
    encoder: Encoder,
    run: Runner,
    *,
    stains: Sequence[str],
    ranges: Mapping[str, PlateRanges] | None = None,
) -> dict[str, Any]:
    """What made a feature table, as its `about` says it: plain JSON values."""
    facts = json.loads(json.dumps(asdict(encoder.facts), default=str))
    about = {
        "model": encoder.name,
        "model_fingerprint": encoder.fingerprint,
        "facts": facts,
        "normalize": _scope(encoder),
        "stains": list(stains),
        "backend": run.name,
        "dtype": str(run.dtype).removeprefix("torch."),
    }
    if encoder.training_sources is not None:
        about["training_sources"] = sorted(encoder.training_sources)
    if ranges:
        about["ranges"] = {
            plate: {stain: list(ends) for stain, ends in measured.ranges.items()} for plate, measured in ranges.items()
        }
    return about


def simulated_fact(images: Iterable[Any]) -> dict[str, bool]:
    """`{"simulated": True}` where an image was drawn, not taken; else nothing. Of arrays nothing is known."""
    files = {plane.path for image in images if isinstance(image, Image) for plane in image.planes[0]}
    local = [file for file in files if isinstance(file, Path)]  # what lies on the internet was not drawn here
    return {"simulated": True} if any(map(is_simulated, local)) else {}


def _scope(encoder: Encoder) -> str:
    """What the pixel values that become 0 and 1 are taken from: `image`, `plate`, `gain` or `none` (the dtype)."""
    if encoder.facts.scale == "gain":
        return "gain"
    if encoder.facts.scale not in ("percentile", "minmax", "zscore"):
        return "none"
    return "plate" if encoder.facts.per == "plate" else "image"


def names_of_all(
    encoders: Sequence[Encoder], stains: Sequence[str], widths: Sequence[int], kinds: Sequence[str]
) -> tuple[str, ...]:
    """Names of the features of several encoders side by side; one that is there already gets the encoder's number."""
    names: dict[str, None] = {}
    for number, (encoder, width) in enumerate(zip(encoders, widths, strict=True), 1):
        model_names = names_of(encoder, stains, width, kinds)
        names |= dict.fromkeys(f"{name}_{number}" if name in names else name for name in model_names)
    return tuple(names)


def names_of(encoder: Encoder, stains: Sequence[str], width: int, kinds: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the features: a block per stain where each channel has its own, else one block `all`; pixels last."""
    if isinstance(encoder, CellMeasures):
        return encoder.names(stains, kinds)
    dim = encoder.facts.dim
    owners, counts = pixel_names(stains) if encoder.facts.pixels else ([], [])
    beside = [
        name
        for owner, count in zip(owners, counts, strict=True)
        for name in feature_names([owner], count, model="pixels")
    ]
    width -= len(beside)
    count = width // dim if dim and width % dim == 0 else 1
    if count == len(stains):
        blocks: Sequence[str] = stains
    elif count == 1:
        blocks = ("all",)
    else:
        blocks = [str(place) for place in range(count)]
    return (*feature_names(blocks, width, model=encoder.name), *beside)
