"""Features of microscopy images: any network, any images, one vector per image.

Images are taken one by one from any iterable, read and prepared by threads while the network runs. What decides a
number is the encoder; how images are batched and where they come from is not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from itertools import chain, islice, zip_longest
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.networks import Encoder, MicroscopyImageProcessor, load_encoder
from cytoimagenet_hf.networks.backbones import Backbone
from cytoimagenet_hf.networks.kinds.own import network_encoder
from cytoimagenet_hf.tables.features import FeatureTable

from .about import describe, names_of, simulated_fact
from .choosing import TRIED, auto_runner, runner_of
from .ranges import PlateRanges, measure_plates
from .runtimes import Runner
from .vectors import ImageToRead, Reject, extract_rows

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
            `networks.load_encoder` takes.
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
        >>> from cytoimagenet_hf.networks import build_efficientnet
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
        rows = extract_rows(
            [(encoder, run)],
            sources,
            batch_size=batch_size,
            workers=workers,
            ranges=ranges,
            on_error=on_error,
            advance=bar.update,
        )
    if not rows.order:
        raise InputError("no images to extract features from")
    if not rows.vectors:
        name, error = next(iter(rows.rejected.items()))
        raise InputError(f"none of the {len(rows.order)} images can be used; {name!r}: {error}")
    kept = [name for name in rows.order if name in rows.vectors]
    values = np.stack([rows.vectors[name] for name in kept])
    stains = rows.stains or ()
    about = describe(encoder, run, stains=stains, ranges=ranges)
    about |= simulated_fact(images if isinstance(images, Sequence) else ())
    if run.choice is not None:
        about["backend_choice"] = dict(run.choice)
    metadata = pd.DataFrame([dict(rows.metadata[name]) for name in kept], index=range(len(kept)))
    names = names_of(encoder, stains, values.shape[1], rows.kinds)
    return FeatureTable(np.array(kept, dtype=object), values, metadata, names, about)


def as_encoder(
    model: Model, *, method: str | None = None, processor: MicroscopyImageProcessor | None = None
) -> Encoder:
    """Convert to an Encoder: an encoder itself, a name, or a network with its processor.

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
        raise InputError("the inputs of an encoder are fixed: pass method and processor where it is loaded")
    return model


def _of_network(name: str, model: PreTrainedModel, processor: MicroscopyImageProcessor, method: str | None) -> Encoder:
    modes = {module: module.training for module in model.modules()}
    try:
        return network_encoder(name, model, processor.facts(method=method))
    finally:
        for module, mode in modes.items():  # the caller's network is left as it was
            module.training = mode


def _named(images: Iterable[Any], ids: Iterable[str] | None, stains: tuple[str, ...]) -> Iterator[ImageToRead]:
    """Sources with their ids; refuses ids that are missing or repeat, and lists of different length."""
    end: Any = object()
    seen: set[str] = set()
    for number, (image, given) in enumerate(zip_longest(images, ids or (), fillvalue=end)):
        if ids is None and not isinstance(image, Image):
            raise InputError(f"an image of type {type(image).__name__} has no id: pass ids=")
        name = image.id if ids is None else given
        if name is end or image is end:
            raise InputError(
                f"{number} pairs, then {'images' if name is end else 'ids'} are left over: one id per image"
            )
        if name is None or str(name) == "":
            raise InputError(f"image {number} has no id")
        if str(name) in seen:
            raise InputError(f"id {name!r} occurs twice: ids must be unique")
        seen.add(str(name))
        if isinstance(image, Image):
            yield replace(ImageToRead.of(image), id=str(name))
        else:
            yield ImageToRead(str(name), _reader(image), stains)


def _reader(image: Any) -> Callable[[], Any]:
    return image if callable(image) else lambda: image


def _measured(encoder: Encoder, images: Iterable[Any], workers: int) -> dict[str, PlateRanges]:
    if not isinstance(images, Sequence) or not all(isinstance(image, Image) for image in images):
        raise InputError("normalisation over a plate looks at its images first: pass a list of images.Image")
    return measure_plates(images, low=encoder.facts.low, high=encoder.facts.high, workers=workers)
