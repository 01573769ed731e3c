"""Features of microscopy images: channels in, one vector per image out, by the paper's four methods (FACTS §4).

Images are taken one by one from any iterable, at native size. Planes of one size run as one batch, whatever image they
belong to, and what waits is bounded, so a million images of mixed sizes need no more memory than a few batches.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.models import MicroscopyImageProcessor
from cytoimagenet_hf.models.backbones import Backbone, fingerprint, load_backbone
from cytoimagenet_hf.models.processing import Plane

from .runtimes import Runner, make_runner
from .tables import (
    make_table,
)

Vector = npt.NDArray[np.float32]
Refuse = Callable[[str, InputError], None]
# Pixels per run: 20 images of 224 x 224 on a CPU, where 64 take gigabytes and twice the time per image.
_CPU_BATCH_PIXELS = 1 << 20
_GPU_BATCH_PIXELS = 1 << 25
_WAITING_PIXELS = 1 << 25  # 128 MB of planes that wait for others of their size


def extract_features(
    model: PreTrainedModel | Backbone | str,
    images: Iterable[Any],
    *,
    ids: Iterable[str],
    method: str = "concat-norm",
    batch_size: int = 64,
    channels: Sequence[str] | None = None,
    processor: MicroscopyImageProcessor | None = None,
    backend: str | Runner = "torch",
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    workers: int = 0,
    on_error: Refuse | None = None,
) -> pa.Table:
    """Pooled penultimate features of images, keyed by id.

    Args:
        model: a network (a classification head is left out), a loaded `Backbone`, or a name `load_backbone` takes.
        images: any iterable. An image is a list of (H, W) channels of any dtype, a (C, H, W) or (H, W, C) array, a
            PIL image, a path or a list of paths; or a function that returns one of these.
        ids: one different id per image.
        method: `"concat-norm"`, `"concat-raw"`, `"merge-norm"` or `"merge-raw"`.
        batch_size: planes per run of the network; less for large images.
        channels: stains in channel order, kept in the metadata and in `feature_names`.
        processor: by default the one saved with the model.
        backend: `"torch"`, or `"onnxruntime"` or `"openvino"` where installed: faster on CPUs, equal within 1e-5; or a
            runner of this model that `make_runner` made, to export once for several calls.
        device: of torch; by default a GPU if there is one.
        dtype: of torch; by default bfloat16 on a GPU, float32 on a CPU.
        workers: threads that read and normalise images ahead.
        on_error: called with the id and the error of an image that cannot be used, which is then left out; by default
            the error is raised.

    Returns:
        Table with `id` (string) and `features` (fixed-size list of float32): D per image, or C x D under `concat-*`.

    Raises:
        InputError: ids missing or repeated, an image that cannot be used (the message has its id), images with
            different numbers of channels, no images or no usable one.

    Example:
        >>> from cytoimagenet_hf.models import build_efficientnet
        >>> net = build_efficientnet(0, seed=0, width_coefficient=0.25)
        >>> dna = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
        >>> table = extract_features(net, [[dna, dna]], ids=["a01-1"], channels=["dna", "actin"])
        >>> table["features"].type.list_size  # 2 channels x 320
        640
    """
    backbone = _as_backbone(model)
    source = processor or backbone.processor
    run = backend if isinstance(backend, Runner) else make_runner(backbone.model, backend, device=device, dtype=dtype)
    order: list[str] = []
    named = _recorded(_paired(images, ids), order)
    prepared = _prepared(named, lambda image: source.planes(image, method=method), workers, on_error)
    vectors: dict[str, Vector] = {}
    with tqdm(total=len(ids) if isinstance(ids, Sized) else None, unit="image", disable=None) as progress:
        for name, vector in _by_size(prepared, run, source, batch_size, on_error):
            first = next(iter(vectors), name)
            if vectors and vector.size != vectors[first].size:
                raise InputError(
                    f"image {name!r} gives {vector.size} features and {first!r} gives {vectors[first].size}: "
                    f"under {method} every image needs the same channels"
                )
            vectors[name] = vector
            progress.update()
    if not order:
        raise InputError("no images to extract features from")
    kept = [name for name in order if name in vectors]
    if not kept:
        raise InputError(f"none of the {len(order)} images can be used")
    made_by = describe(backbone, source, run, method=method, channels=channels)
    return make_table(kept, np.stack([vectors[name] for name in kept]), made_by)


def describe(
    backbone: Backbone,
    processor: MicroscopyImageProcessor,
    run: Runner,
    *,
    method: str,
    channels: Sequence[str] | None = None,
) -> dict[str, Any]:
    """What made a feature table, as its metadata says it."""
    settings = processor.record() | {"method": method}
    return {
        "model": backbone.name,
        "model_fingerprint": fingerprint(backbone.model),
        "processor": settings,
        "processor_fingerprint": hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16],
        "method": method,
        "channels": list(channels or []),
        "backend": run.name,
        "dtype": str(run.dtype).removeprefix("torch."),
    }


def _as_backbone(model: PreTrainedModel | Backbone | str) -> Backbone:
    if isinstance(model, Backbone):
        return model
    if isinstance(model, PreTrainedModel):
        name = str(model.name_or_path or type(model).__name__)
        return Backbone(name, model, MicroscopyImageProcessor.for_model(model))
    return load_backbone(model)


def _paired(images: Iterable[Any], ids: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Ids with their images; refuses ids that repeat and lists of different length."""
    seen: set[str] = set()
    end = object()
    for name, image in zip_longest(ids, images, fillvalue=end):
        if name is end or image is end:
            raise InputError(
                f"{len(seen)} pairs, then {'images' if name is end else 'ids'} are left over: one id per image"
            )
        if name is None or str(name) == "":
            raise InputError(f"image {len(seen)} has no id")
        if str(name) in seen:
            raise InputError(f"id {name!r} occurs twice: ids must be unique")
        seen.add(str(name))
        yield str(name), image


def _recorded(pairs: Iterable[tuple[str, Any]], order: list[str]) -> Iterator[tuple[str, Any]]:
    for name, image in pairs:
        order.append(name)
        yield name, image


def _prepared(
    pairs: Iterable[tuple[str, Any]],
    planes_of: Callable[[Any], list[Plane]],
    workers: int,
    on_error: Refuse | None,
) -> Iterator[tuple[str, list[Plane]]]:
    """Planes of each image, read and normalised ahead by threads; what fails is reported under its id."""

    def prepare(pair: tuple[str, Any]) -> tuple[str, list[Plane] | InputError]:
        name, image = pair
        try:
            return name, planes_of(image() if callable(image) else image)
        except InputError as error:
            return name, error

    for name, planes in _ahead(prepare, pairs, workers) if workers else map(prepare, pairs):
        if isinstance(planes, InputError):
            _refuse(name, planes, on_error)
        else:
            yield name, planes


def _refuse(name: str, error: InputError, on_error: Refuse | None) -> None:
    if on_error is None:
        raise InputError(f"image {name!r}: {error}") from error
    on_error(name, error)


def _ahead(work: Callable[[Any], Any], items: Iterable[Any], workers: int) -> Iterator[Any]:
    """`map` in threads that are never more than four items per thread ahead of the reader."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Any] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _by_size(
    prepared: Iterable[tuple[str, list[Plane]]],
    run: Runner,
    processor: MicroscopyImageProcessor,
    batch_size: int,
    on_error: Refuse | None,
) -> Iterator[tuple[str, Vector]]:
    """Run planes of equal size together; yield an image when its last plane is done."""
    waiting: dict[tuple[int, ...], list[tuple[str, int, Plane]]] = {}
    parts: dict[str, dict[int, Vector]] = {}
    wanted: dict[str, int] = {}
    most = _CPU_BATCH_PIXELS if run.device.type == "cpu" else _GPU_BATCH_PIXELS

    def flush(size: tuple[int, ...]) -> Iterator[tuple[str, Vector]]:
        batch, waiting[size] = waiting[size][: limit(size)], waiting[size][limit(size) :]
        if not waiting[size]:
            del waiting[size]
        planes = torch.from_numpy(np.stack([plane for _, _, plane in batch])).to(run.device)  # (N, H, W)
        try:
            features = run(processor.to_pixel_values(planes)).numpy()  # (N, D)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:  # smaller than the network's windows, for example
            unfit = InputError(
                f"the network cannot take {size[0]} x {size[1]} pixels: resize it, or leave it out ({error})"
            )
            for name in dict.fromkeys(name for name, _, _ in batch):
                if wanted.pop(name, None) is not None:
                    _refuse(name, unfit, on_error)
            return
        for (name, place, _), vector in zip(batch, features, strict=True):
            if name not in wanted:  # refused with another of its planes
                continue
            parts[name][place] = vector
            if len(parts[name]) == wanted[name]:
                own = parts.pop(name)
                yield name, np.concatenate([own[place] for place in range(wanted.pop(name))])

    def limit(size: tuple[int, ...]) -> int:
        return max(1, min(batch_size, most // (size[0] * size[1])))

    def pixels(size: tuple[int, ...]) -> int:
        return len(waiting[size]) * size[0] * size[1]

    for name, planes in prepared:
        size = planes[0].shape
        wanted[name], parts[name] = len(planes), {}
        waiting.setdefault(size, []).extend((name, place, plane) for place, plane in enumerate(planes))
        while len(waiting.get(size, ())) >= limit(size):
            yield from flush(size)
        while sum(map(pixels, waiting)) > _WAITING_PIXELS:
            yield from flush(max(waiting, key=pixels))
    while waiting:
        yield from flush(next(iter(waiting)))
