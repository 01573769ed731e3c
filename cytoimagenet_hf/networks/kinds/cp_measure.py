"""CellProfiler's measurements of cells, by the package cp_measure, as a source of named features beside networks.

A field is measured once, whole, with the label images of its objects: granularity looks beyond a cell's own pixels.
Columns are named as CellProfiler's: `Nuclei_AreaShape_Area`, `Cells_Intensity_MeanIntensity_DNA`,
`Cells_Texture_Contrast_ER_3_00_256`.
"""

import hashlib
import importlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.once import Once
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.images.base import ObjectRef
from cytoimagenet_hf.networks.base import Array, Encoder, Ranges, Request, Unit
from cytoimagenet_hf.networks.facts import EncoderFacts, WeightSource

KINDS = (
    EncoderFacts(
        name="cp_measure",
        title="CellProfiler's measurements, by cp_measure",
        channels="joint",
        scale="dtype",
        dim=0,
        source=WeightSource("https://github.com/afermg/cp_measure", licence="MIT", packages=("cp-measure",)),
        take="named measurements",
        note="of cells with label images (extract --cells), not of whole fields; cp_measure:shape,intensity takes "
        "some groups only",
    ),
)

# Group → flags of the package's configuration.
_GROUPS = {
    "shape": ("sizeshape", "zernike", "feret"),
    "intensity": ("intensity",),
    "texture": ("texture",),
    "granularity": ("granularity",),
    "radial": ("radial_distribution", "radial_zernikes"),
    "correlation": ("correlation_pearson", "correlation_manders_fold", "correlation_rwc"),
    # Undefined for most nuclei: no threshold below which the channels do not correlate.
    "costes": ("correlation_costes",),
}
GROUPS = tuple(_GROUPS)
"""Groups of measurements; all but `costes` are taken unless some are named."""

_FLAGS = tuple(flag for flags in _GROUPS.values() for flag in flags)
# Where a cell lies is not a feature: it stands in the metadata; three moments are undefined by definition.
_NOT_FEATURES = re.compile(r"Location_.*|Center_[XYZ]|BoundingBoxM.*|NormalizedMoment_(0_0|0_1|1_0)")
_TEXTURE = re.compile(r"([A-Za-z0-9]+)_(\d+_\d+_\d+)")
_RADIAL = re.compile(r"(RadialDistribution_[A-Za-z]+)_(.+)")
_TWO_WAYS = re.compile(r"Correlation_([A-Za-z]+)(?:_([12]))?")
_STAINS = {"mito": "Mito"}
_KEPT = 8  # label images whose measurements are kept


@dataclass(frozen=True)
class CellMeasures(Encoder):
    """Measurements as an encoder: they are made where a network's inputs are, and its network passes them on."""

    groups: tuple[str, ...] = GROUPS

    def units(self, planes: Sequence[Array], *, stains: Sequence[str], ranges: Ranges | None = None) -> list[Unit]:
        """Refuse pixels without label images."""
        raise InputError(
            "cp_measure measures cells on their fields: give label images (extract --cells masks/), not images alone"
        )

    def units_of(self, image: Image) -> list[Unit]:
        """The measurements of a cell, (1, 1, D): those of its objects, one kind after the other."""
        if reason := image.reason_against():  # its field may be measured already, and is then not read again
            raise InputError(reason)
        if not image.objects:
            return self.units([], stains=())
        vectors = []
        for ref in image.objects:
            objects = (ref.kind, ref.plane, ref.parts, ref.plane.stamp)
            key = (image.field_stamp, *objects, self.groups, self.facts.full_scale)
            measured = _FIELDS.get(key, partial(self._field, image, ref))
            vector = measured.get(ref.number)
            if vector is None:
                raise InputError(f"{ref.plane.path.name} has no object {ref.number}")
            vectors.append(vector)
        values = np.concatenate(vectors)
        undefined = ~np.isfinite(values)
        if undefined.any():
            names = np.array(self.names(image.channels, [ref.kind for ref in image.objects]))[undefined]
            raise InputError(
                f"{len(names)} of {len(values)} measurements are not defined for it, such as {names[0]}: it is too "
                "small, or a channel does not vary in it"
            )
        return [values.astype(np.float32)[None, None]]

    def names(self, stains: Sequence[str], kinds: Sequence[str]) -> tuple[str, ...]:
        """Names of the features of images of these stains, each with objects of these kinds, in order."""
        raw, kept = _layout(len(stains), self.groups)
        return tuple(str(_column(kind, raw[place], stains)) for kind in kinds for place in kept)

    def _field(self, image: Image, ref: ObjectRef) -> dict[int, npt.NDArray[np.float64]]:
        """Object → measurements, of all objects of a label image."""
        planes, labels = image.field(), ref.labels()
        if labels.shape != planes[0].shape:
            sizes = [" x ".join(map(str, array.shape)) for array in (planes[0], labels)]
            raise InputError(f"the image is {sizes[0]} and its label image {sizes[1]}")
        pixels = np.stack([_scaled(plane, self.facts.full_scale) for plane in planes])
        raw, kept = _layout(len(planes), self.groups)
        data, columns, rows = _featurize(pixels, labels, self.groups)
        if tuple(columns) != raw:
            raise InputError(f"cp_measure {_version()} names its columns otherwise from field to field: report it")
        return {int(row[2]): values for row, values in zip(rows, data[:, kept], strict=True)}


def load(request: Request) -> CellMeasures:
    """The measurements: of the groups that the request's place names with commas, `all`, or all but `costes`.

    Its one option is `full_scale`, the pixel value that is 1, by default the largest of the dtype.
    """
    full_scale = request.options.full_scale
    given = sorted(request.options.given().keys() - {"full_scale", "trust_remote_code"})
    if given:
        raise InputError(f"cp_measure takes no {', '.join(given)}: these are options of networks")
    wanted = [part.strip() for part in (request.place or "").split(",") if part.strip()]
    unknown = [group for group in wanted if group not in (*GROUPS, "all")]
    if unknown:
        raise InputError(f"cp_measure has no group {', '.join(unknown)}: there are {', '.join(GROUPS)}, and all")
    default = [group for group in GROUPS if group != "costes"]
    groups = GROUPS if "all" in wanted else tuple(group for group in GROUPS if group in (wanted or default))
    facts = replace(request.facts, full_scale=full_scale)
    text = f"cp_measure {_version()} {groups} {full_scale}"
    return CellMeasures(request.name, facts, nn.Flatten(), hashlib.sha256(text.encode()).hexdigest()[:16], (), groups)


def _version() -> str:
    try:
        return version("cp-measure")
    except PackageNotFoundError:
        raise InputError('cp_measure is not installed: pip install "cytoimagenet-hf[classical]"') from None


def _featurize(pixels: Array, labels: Array, groups: Sequence[str]) -> tuple[Array, list[str], list[Any]]:
    """All measurements of (C, H, W) pixels within (H, W) labels, as the package gives them."""
    _version()
    package = importlib.import_module("cp_measure.featurizer")
    flags = {flag for group in groups for flag in _GROUPS[group]}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of what is undefined, which is found in the numbers
        config = package.make_featurizer_config(
            [str(channel) for channel in range(len(pixels))],
            objects=["object"],
            legacy=True,  # quantiles as CellProfiler takes them
            correlation_costes_params={"scale_max": 65535},
            **{flag: flag in flags for flag in _FLAGS},
        )
        data, columns, rows = package.featurize(pixels[None], labels[None, None].astype(np.int64), config)
    return data, columns, rows


@lru_cache(maxsize=32)
def _layout(channels: int, groups: tuple[str, ...]) -> tuple[tuple[str, ...], list[int]]:
    """Columns of the package for this number of channels, and the places of those that are features here."""
    rows, columns = np.mgrid[:24, :24]
    labels = ((rows - 12) ** 2 + (columns - 12) ** 2 < 80).astype(np.int64)
    pixels = np.stack([(rows + columns * (channel + 1)) % 7 / 7 for channel in range(channels)])
    raw = tuple(_featurize(pixels, labels, groups)[1])
    stains = [str(channel) for channel in range(channels)]
    return raw, [place for place, name in enumerate(raw) if _column("", name, stains) is not None]


def _column(kind: str, raw: str, stains: Sequence[str]) -> str | None:
    """CellProfiler's name of a column of the package; None where it is not a feature here."""
    measure, *places = raw.split("__")
    if _NOT_FEATURES.fullmatch(measure):
        return None
    channels = [channel_name(stains[int(place)]) for place in places]
    if len(channels) == 2:
        match = _TWO_WAYS.fullmatch(measure)
        if match is None or int(places[0]) > int(places[1]):  # the other order repeats the first
            return None
        name = "Correlation" if match[1] == "Pearson" else match[1]
        first, second = channels if match[2] != "2" else channels[::-1]
        return f"{kind}_Correlation_{name}_{first}_{second}"
    if not channels:
        return f"{kind}_AreaShape_{measure}"
    if match := _RADIAL.fullmatch(measure):
        return f"{kind}_{match[1]}_{channels[0]}_{match[2]}"
    if measure.startswith(("Intensity_", "Granularity_")):
        return f"{kind}_{measure}_{channels[0]}"
    match = _TEXTURE.fullmatch(measure)
    return None if match is None else f"{kind}_Texture_{match[1]}_{channels[0]}_{match[2]}"


def channel_name(stain: str) -> str:
    """A stain as CellProfiler's tables spell it: without `_`, which divides their names.

    Example:
        >>> [channel_name(stain) for stain in ("dna", "mito", "actin", "er_2", "w1")]
        ['DNA', 'Mito', 'Actin', 'ER2', 'W1']
    """
    plain = "".join(re.findall(r"[A-Za-z0-9]+", stain))
    letters = re.sub(r"[0-9]", "", plain)
    return _STAINS.get(stain.lower()) or (
        plain.upper() if len(letters) <= 3 or letters.upper() == "DAPI" else plain[:1].upper() + plain[1:]
    )


def _scaled(plane: Array, full_scale: float | None) -> npt.NDArray[np.float64]:
    """Pixels as CellProfiler takes them, 0 to 1; colours and larger numbers are refused."""
    if plane.ndim != 2:
        raise InputError("a colour picture has no channels to measure: give one plane per channel")
    white = full_scale or (float(np.iinfo(plane.dtype).max) if plane.dtype.kind in "ui" else 1.0)
    values = plane / np.float64(white)
    if values.size and not 0 <= float(values.min()) <= float(values.max()) <= 1:
        raise InputError(
            f"pixels from {plane.min():g} to {plane.max():g} of {plane.dtype}: give the value that is white "
            "(--full-scale)"
        )
    return np.asarray(values)


_FIELDS: Once[dict[int, npt.NDArray[np.float64]]] = Once(_KEPT)
