"""Features of microscopy images: any network, any images, one vector per image.

Images are taken one by one from any iterable, read and prepared by threads while the network runs. What decides a
number is the encoder; how images are batched and where they come from is not.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice, zip_longest
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from cytoimagenet_hf.encoders import Encoder, load_encoder, make_encoder
from cytoimagenet_hf.encoders.network import Pooled
from cytoimagenet_hf.encoders.own import extraction_of, facts_of
from cytoimagenet_hf.encoders.pixels import pixel_names
from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.models import MicroscopyImageProcessor
from cytoimagenet_hf.models.backbones import Backbone, without_head
from cytoimagenet_hf.models.channels import as_channels

from .ahead import read_ahead
from .batches import Batches, Reject, Unit, Vector
from .choosing import choose_runner
from .columns import feature_names
from .ranges import PlateRanges, measure_plates, plate_of
from .runtimes import Runner, make_runner
from .table import FeatureTable

TRIED = 3  # images that `auto` reads at most to find one that it can measure with
Model: TypeAlias = Encoder | PreTrainedModel | Backbone | str


def extract_features(
    model: Model,
    images: Iterable[Any],
    *,
    ids: Iterable[str] | None = None,
    channels: Sequence[str] | None = None,
    method: str | None = None,
    batch_size: int = 64,
    processor: MicroscopyImageProcessor | None = None,
    backend: str | Runner = "auto",
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    workers: int = 0,
    ranges: Mapping[str, PlateRanges] | None = None,
    on_error: Reject | None = None,
) -> FeatureTable:
    """Features of images, keyed by id.

    Args:
        model: an `Encoder`, a network (a classification head is left out), a loaded `Backbone`, or a name that
            `encoders.load_encoder` takes.
        images: any iterable. An image is an `images.Image`; a list of (H, W) channels of any dtype, a (C, H, W) or
            (H, W, C) array, a PIL image, a path or a list of paths; or a function that returns one of these.
        ids: one different id per image; may be left out for `images.Image`, which has its own.
        channels: stains in channel order, where the images do not name them.
        method: of our own networks: `"concat-norm"`, `"concat-raw"`, `"merge-norm"` or `"merge-raw"`.
        batch_size: units per run of the network; fewer for large ones.
        processor: of a network; by default the one saved with it.
        backend: `"auto"`: on a CPU the fastest that is installed and agrees with torch within 1e-4 of the largest
            feature, on a GPU torch; or one of `runtimes.BACKENDS`; or a runner of this model that `make_runner` made.
        device: of torch; by default a GPU if there is one.
        dtype: of torch; by default bfloat16 on a GPU, float32 on a CPU.
        workers: threads that read and prepare images ahead.
        ranges: pixel ranges per plate for an encoder that normalises over a plate; by default they are measured, which
            needs a sequence of `images.Image`.
        on_error: called with the id and the error of an image that cannot be used, which is then left out; by default
            the error is raised.

    Returns:
        A row per usable image, in the order given, with the metadata of `images.Image`; D features, or C x D where
        each channel is a block of its own.

    Raises:
        InputError: ids missing or repeated, an image that cannot be used (the message has its id), images with
            different channels, no images or no usable one.

    Example:
        >>> from cytoimagenet_hf.models import build_efficientnet
        >>> net = build_efficientnet(0, seed=0, width_coefficient=0.25)
        >>> dna = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
        >>> table = extract_features(net, [[dna, dna]], ids=["a01-1"], channels=["dna", "actin"])
        >>> table.values.shape, table.names[0]  # 2 channels x 320
        ((1, 640), 'Image_dna_efficientnetmodel_0000')
    """
    encoder = as_encoder(model, method=method, processor=processor)
    if ranges is None and encoder.facts.per == "plate":
        ranges = _measured(encoder, images, workers)
    sources = _named(images, ids, tuple(channels or ()))
    count = len(images) if isinstance(images, Sized) else None
    if backend == "auto":
        first = list(islice(sources, TRIED))
        run = auto_runner(encoder, first, images=count, device=device, dtype=dtype)
        sources = chain(first, sources)
    else:
        run = runner_of(encoder, backend, device=device, dtype=dtype)
    with tqdm(total=count, unit="image", disable=None) as bar:
        found = extract_rows(
            encoder,
            sources,
            run=run,
            batch_size=batch_size,
            workers=workers,
            ranges=ranges,
            on_error=on_error,
            advance=bar.update,
        )
    if not found.order:
        raise InputError("no images to extract features from")
    if not found.vectors:
        name, error = next(iter(found.rejected.items()))
        raise InputError(f"none of the {len(found.order)} images can be used; {name!r}: {error}")
    kept = [name for name in found.order if name in found.vectors]
    values = np.stack([found.vectors[name] for name in kept])
    stains = found.stains or ()
    about = describe(encoder, run, stains=stains, ranges=ranges)
    if run.choice is not None:
        about["backend_choice"] = dict(run.choice)
    metadata = pd.DataFrame([dict(found.metadata[name]) for name in kept], index=range(len(kept)))
    names = names_of(encoder, stains, values.shape[1])
    return FeatureTable(np.array(kept, dtype=object), values, metadata, names, about)


def as_encoder(
    model: Model, *, method: str | None = None, processor: MicroscopyImageProcessor | None = None
) -> Encoder:
    """The encoder that something stands for: itself, a name, or a network with its processor.

    Raises:
        InputError: `method` or `processor` for what is an encoder already.
    """
    if isinstance(model, str):
        return load_encoder(model, method=method)
    if isinstance(model, Backbone):
        return _of_network(model.name, model.model, processor or model.processor, method)
    if isinstance(model, PreTrainedModel):
        name = str(model.name_or_path or type(model).__name__.removesuffix("ForImageClassification"))
        return _of_network(name, model, processor or MicroscopyImageProcessor.for_model(model), method)
    if method is not None or processor is not None:
        raise InputError("an encoder knows what it eats: pass method and processor where it is loaded")
    return model


def _of_network(name: str, model: PreTrainedModel, processor: MicroscopyImageProcessor, method: str | None) -> Encoder:
    modes = {module: module.training for module in model.modules()}
    try:
        declared = getattr(model.config, "training_sources", None)
        facts = facts_of(processor, method=method)
        how = extraction_of(model.config, facts)
        pooling = how.pop("pooling")
        taken = facts if pooling == "last" else replace(facts, take=pooling)
        return make_encoder(name, taken, Pooled(without_head(model), pooling), training_sources=declared, **how)
    finally:
        for module, mode in modes.items():  # the caller's network is left as it was
            module.training = mode


def runner_of(
    encoder: Encoder,
    backend: str | Runner = "torch",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Runner:
    """The runner of an encoder; see `runtimes.make_runner`."""
    if isinstance(backend, Runner):
        return backend
    facts = encoder.facts
    return make_runner(
        encoder.network,
        backend,
        device=device,
        dtype=dtype,
        fixed_size=facts.size is not None,
        multiple=facts.multiple,
    )


def auto_runner(
    encoder: Encoder,
    sources: "Sequence[ImageToRead]",
    *,
    images: int | None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Runner:
    """The runner that `auto` stands for: see `choosing.choose_runner`.

    Args:
        encoder: the network and what it eats.
        sources: the first images of the extraction; the first that can be used is measured with.
        images: how many there are in all.
        device: asked for.
        dtype: asked for.
    """

    def first_units() -> list[Unit] | None:
        for source in sources:
            try:
                planes = as_planes(source.read())
                own = None
                if encoder.facts.per == "plate":  # only a speed and a difference are measured: any range will do
                    ends = ((float(np.min(plane)), float(np.max(plane))) for plane in planes)
                    own = dict(zip(source.stains, ends, strict=False))
                return encoder.units(planes, stains=source.stains, ranges=own)
            except InputError:
                continue
        return None

    def make(name: str) -> Runner:
        return runner_of(encoder, name, device=device if name == "torch" else None, dtype=dtype)

    return choose_runner(make, first_units, images=images, device=device, dtype=dtype)


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
    if ranges:
        about["ranges"] = {
            plate: {stain: list(ends) for stain, ends in own.ranges.items()} for plate, own in ranges.items()
        }
    return about


def _scope(encoder: Encoder) -> str:
    """What the pixel values that become 0 and 1 are taken from: `image`, `plate`, `gain` or `none` (the dtype)."""
    if encoder.facts.scale == "gain":
        return "gain"
    if encoder.facts.scale not in ("percentile", "minmax", "zscore"):
        return "none"
    return "plate" if encoder.facts.per == "plate" else "image"


def names_of(encoder: Encoder, stains: Sequence[str], width: int) -> tuple[str, ...]:
    """Names of the features: a block per stain where each channel has its own, else one block `all`; pixels last."""
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


@dataclass(frozen=True)
class ImageToRead:
    """One image on its way: how it is read, and what is known of it."""

    id: str
    read: Callable[[], Any]
    stains: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    plate: str = ""

    @classmethod
    def of(cls, image: Image) -> "ImageToRead":
        """Of an `images.Image`."""
        return cls(image.id, image.read, image.channels, image.metadata, plate_of(image))


@dataclass
class Extracted:
    """What an extraction found: every id is in `vectors` or in `rejected`."""

    order: list[str] = field(default_factory=list)
    vectors: dict[str, Vector] = field(default_factory=dict)
    metadata: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rejected: dict[str, InputError] = field(default_factory=dict)
    stains: tuple[str, ...] | None = None


def extract_rows(
    encoder: Encoder,
    sources: Iterable[ImageToRead],
    *,
    run: Runner,
    batch_size: int,
    workers: int,
    ranges: Mapping[str, PlateRanges] | None = None,
    on_error: Reject | None = None,
    stains: tuple[str, ...] | None = None,
    advance: Callable[[int], Any] = lambda images: None,
) -> Extracted:
    """The vectors of images, with what is known of them and what was rejected.

    Args:
        encoder: the network and what it eats.
        sources: images, read when their turn comes.
        run: its runner.
        batch_size: most units per run.
        workers: threads that read ahead.
        ranges: of every plate, for normalisation over plates.
        on_error: called with what is rejected; None: the first rejection is raised.
        stains: those of every image; by default those of the first usable one.
        advance: called with how many images more are done, for a progress bar.
    """
    rows = Extracted(stains=stains)

    def reject(name: str, error: InputError) -> None:
        if on_error is None:
            raise InputError(f"image {name!r}: {error}") from error
        rows.rejected[name] = error
        on_error(name, error)
        advance(1)

    besides: dict[str, Vector] = {}  # of the images on their way

    def prepare(source: ImageToRead) -> tuple[tuple[str, ...], list[Unit], Vector]:
        planes = as_planes(source.read())
        names = source.stains or tuple(str(number) for number in range(len(planes)))
        own = _ranges_of(source, ranges)
        return names, encoder.units(planes, stains=source.stains, ranges=own), encoder.beside(planes)

    def recorded() -> Iterator[tuple[str, ImageToRead]]:
        for source in sources:
            rows.order.append(source.id)
            rows.metadata[source.id] = source.metadata
            yield source.id, source

    def units() -> Iterator[tuple[str, list[Unit] | InputError]]:
        for name, prepared in read_ahead(recorded(), prepare, workers):
            if isinstance(prepared, InputError):
                yield name, prepared
                continue
            own, made, beside = prepared
            if rows.stains is None:
                rows.stains = own
            if own != rows.stains:
                yield (
                    name,
                    InputError(
                        f"its channels are {', '.join(own)} and those of the others {', '.join(rows.stains)}: "
                        "every image needs the same channels in the same order"
                    ),
                )
                continue
            besides[name] = beside
            yield name, made

    batches = Batches(run, encoder.join, batch_size=batch_size, reject=reject)
    for name, vector in batches.vectors(units()):
        rows.vectors[name] = np.concatenate([vector, besides.pop(name)])
        advance(1)
    return rows


def as_planes(image: Any) -> list[npt.NDArray[Any]]:
    """The channels of whatever a caller calls an image."""
    if isinstance(image, Image):
        return image.read()
    return list(as_channels(image))


def _ranges_of(source: ImageToRead, ranges: Mapping[str, PlateRanges] | None) -> dict[str, tuple[float, float]] | None:
    if ranges is None:
        return None
    if source.plate not in ranges:
        raise InputError(f"plate {source.plate!r} has no pixel ranges: none of the fields looked at can be read")
    return ranges[source.plate].ranges


def _named(images: Iterable[Any], ids: Iterable[str] | None, stains: tuple[str, ...]) -> Iterator[ImageToRead]:
    """Sources with their ids; refuses ids that repeat and lists of different length."""
    seen: set[str] = set()
    for name, image in _own_ids(images) if ids is None else _paired(images, ids):
        if name is None or str(name) == "":
            raise InputError(f"image {len(seen)} has no id")
        if str(name) in seen:
            raise InputError(f"id {name!r} occurs twice: ids must be unique")
        seen.add(str(name))
        if isinstance(image, Image):
            yield ImageToRead(str(name), image.read, image.channels, image.metadata, plate_of(image))
        else:
            yield ImageToRead(str(name), _reader(image), stains)


def _reader(image: Any) -> Callable[[], Any]:
    return image if callable(image) else lambda: image


def _own_ids(images: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for image in images:
        if not isinstance(image, Image):
            raise InputError(f"an image of type {type(image).__name__} has no id: pass ids=")
        yield image.id, image


def _paired(images: Iterable[Any], ids: Iterable[str]) -> Iterator[tuple[Any, Any]]:
    end = object()
    for number, (name, image) in enumerate(zip_longest(ids, images, fillvalue=end)):
        if name is end or image is end:
            raise InputError(
                f"{number} pairs, then {'images' if name is end else 'ids'} are left over: one id per image"
            )
        yield name, image


def _measured(encoder: Encoder, images: Iterable[Any], workers: int) -> dict[str, PlateRanges]:
    if not isinstance(images, Sequence) or not all(isinstance(image, Image) for image in images):
        raise InputError("normalisation over a plate looks at its images first: pass a list of images.Image")
    return measure_plates(images, low=encoder.facts.low, high=encoder.facts.high, workers=workers)
