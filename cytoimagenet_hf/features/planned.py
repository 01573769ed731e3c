"""What an extraction will take, said before it begins: images, bytes to read and to write, and minutes."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.filesize import decimal

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.terminal import counted
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.networks import Encoder

_SAMPLE = 1000  # files whose sizes are looked up
_MANY = 200  # images from which minutes are measured on one of them first
_BYTES = {"float32": 4, "float16": 2}


def plan_line(encoder: Encoder, images: Sequence[Image], *, storage: str = "float32") -> str:
    """One line: how many images, how much is read and written, and about how long it takes.

    Minutes are measured on one image, read once and encoded twice (the first time is slower than all others), where
    there are many images; a run that continues an earlier one takes less.

    Args:
        encoder: the network.
        images: of one source.
        storage: of the features.
    """
    parts = [
        f"{counted(len(images), 'image')} of {counted(len(images[0].channels), 'channel')}" if images else "no image"
    ]
    files = {plane.path for image in images for channel in image.planes for plane in channel}
    if bytes_read := _bytes_of(sorted(file for file in files if isinstance(file, Path))):
        parts.append(f"{decimal(round(bytes_read))} to read")
    width, seconds = _measured(encoder, images) if len(images) >= _MANY else (0, 0.0)
    if width:
        parts.append(f"{decimal(len(images) * width * _BYTES.get(storage, 4))} of features to write")
        parts.append(f"about {_duration(seconds * len(images))} on this machine")
    return ", ".join(parts)


def _bytes_of(files: Sequence[Path]) -> float:
    """Bytes of the files, by a sample of many; 0 of stores and addresses, whose size is known when they are read."""
    some = files[:: -(-len(files) // _SAMPLE) or 1]
    if not some or not all(path.is_file() for path in some):
        return 0.0
    return sum(path.stat().st_size for path in some) / len(some) * len(files)


def _measured(encoder: Encoder, images: Sequence[Image]) -> tuple[int, float]:
    """Width of the features and seconds of one image from the middle; 0 where it cannot be used."""
    if torch.cuda.is_available():  # the extraction moves the network there, and this would measure the processor
        return 0, 0.0
    image = images[len(images) // 2]
    try:
        started = time.perf_counter()
        planes = np.stack(image.read())[None]
        read = time.perf_counter()
        encoder.encode(planes, stains=image.channels)
        warm = time.perf_counter()
        width = encoder.encode(planes, stains=image.channels).shape[1]
        return width, read - started + time.perf_counter() - warm
    except (InputError, ValueError, RuntimeError):  # the extraction itself says why
        return 0, 0.0


def _duration(seconds: float) -> str:
    """A duration as people say it.

    Example:
        >>> _duration(40), _duration(600), _duration(20_000)
        ('1 minute', '10 minutes', '5.6 hours')
    """
    return counted(max(1, round(seconds / 60)), "minute") if seconds < 7200 else f"{seconds / 3600:.1f} hours"
