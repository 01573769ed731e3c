"""Which planes of a multi-plane file make an image: files are opened for their size only, pixels stay unread."""

import struct
from pathlib import Path

import tifffile


def deltavision_pages(path: Path, channels: int) -> tuple[int, ...]:
    """Planes of a DeltaVision file: each channel at the first time point, in the middle of the z-stack.

    Without a DeltaVision header (a converted file) the first `channels` planes.

    Args:
        path: the file.
        channels: how many channels the table names.
    """
    with open(path, "rb") as handle:
        head = handle.read(1024)
    order = next((mark for mark in "<>" if head[96:98] == struct.pack(f"{mark}h", -16224)), None)
    if order is None or len(head) < 1024:
        return tuple(range(channels))
    (sections,) = struct.unpack_from(f"{order}i", head, 8)
    times, sequence = struct.unpack_from(f"{order}hh", head, 180)
    (waves,) = struct.unpack_from(f"{order}h", head, 196)
    waves, times = max(waves, 1), max(times, 1)
    depth = max(sections // (waves * times), 1)
    middle = depth // 2
    # The header numbers the order of planes: 0 z then time then channel, 1 channel first, 2 z then channel.
    steps = {0: (depth * times, 1), 1: (1, waves), 2: (depth, 1)}
    wave_step, z_step = steps.get(sequence, steps[2])
    return tuple(wave * wave_step + middle * z_step for wave in range(min(waves, channels)))


def tiff_planes(path: Path) -> int:
    """How many planes a TIFF or FLEX file holds; 1 for another kind of file.

    Example:
        >>> import numpy, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "stack.tif"
        >>> tifffile.imwrite(file, numpy.zeros((6, 8, 8), numpy.uint8))
        >>> tiff_planes(file)
        6
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = len(tiff.pages)
            # ImageJ writes one directory for a whole stack.
            return pages if pages > 1 else int(tiff.series[0].size // tiff.pages[0].size)
    except (tifffile.TiffFileError, OSError, IndexError, ZeroDivisionError):
        return 1
