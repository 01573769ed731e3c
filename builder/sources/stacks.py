"""Which planes of a multi-plane file make an image: files are opened for their size only, pixels stay unread."""

from pathlib import Path

import tifffile

from cytoimagenet_hf.imaging.raw import HEAD, parse_deltavision


def deltavision_pages(path: Path, channels: int) -> tuple[int, ...]:
    """Planes of a DeltaVision file: each channel at the first time point, in the middle of the z-stack.

    Without a DeltaVision header (a converted file) the first `channels` planes.
    """
    with open(path, "rb") as handle:
        header = parse_deltavision(handle.read(HEAD), path.stat().st_size)
    if header is None or "C" not in header.axes:
        return tuple(range(channels))
    steps, planes = {}, 1
    for axis, size in zip(reversed(header.axes), reversed(header.sizes), strict=True):
        steps[axis], planes = planes, planes * size
    sizes = dict(zip(header.axes, header.sizes, strict=True))
    middle = sizes["Z"] // 2 * steps["Z"]
    return tuple(channel * steps["C"] + middle for channel in range(min(sizes["C"], channels)))


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
