"""Which plane of a file is which: the axes of TIFF stacks and of every other kind of file with several planes.

The axes that a file states decide (OME, ImageJ, LSM, the shape that tifffile notes): channels, focus positions and
time points are kept apart. Where a file does not say what its planes are, the caller is asked and nothing is guessed.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from cytoimagenet_hf.core.numbers import whole_number

from . import raw
from .errors import AmbiguousAxesError, ImageReadError
from .names import OmeDocument, imagej_channel_names
from .npy import npy_header
from .read import decoding, look_at, picture_header, read_image
from .tiff import MAX_PAGES, bounded_ome, count_pages, own_samples, require_pages

# What tifffile calls an axis that nothing names: of pages, of a stated shape, of samples.
_UNNAMED = frozenset("IQS")


@dataclass(frozen=True)
class StackLayout:
    """The planes of one picture of a file.

    Attributes:
        path: the file.
        axes: letters, slowest first, of the axes longer than one, then `YX`: `TZCYX`. C channels, Z focus
            positions, T time points, S colours; others as their format calls them.
        sizes: length of each of `axes`.
        channel_names: as the file gives them, one per channel; empty where it does not.
        shape: of a plane: (H, W), or (H, W, 3) for a colour picture.
        dtype: of the pixels.
        series: which picture of the file this is, from 0.
        series_count: pictures in the file: fields of an OME file, pages of other sizes. `axes` are those of one.
        pages: flat numbers of its planes as `read_image` counts them, in the order of `axes`; None is the whole file.
    """

    path: Path
    axes: str
    sizes: Mapping[str, int]
    channel_names: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    series: int
    series_count: int
    pages: tuple[int | None, ...]

    def page(self, **index: int) -> int | None:
        """The flat number of a plane, as `read_image(path, page=…)` takes it.

        Args:
            **index: place along axes, from 0, by their letters in either case; 0 where not given.

        Raises:
            ImageReadError: the file has no such axis, or it is shorter.

        Example:
            >>> import tempfile
            >>> path = Path(tempfile.mkdtemp()) / "cells.ome.tif"
            >>> tifffile.imwrite(path, np.zeros((2, 3, 8, 8), np.uint8), metadata={"axes": "CZYX"})
            >>> describe_stack(path).page(c=1, z=2)
            5
        """
        place = 0
        wanted = {letter.upper(): number for letter, number in index.items()}
        for letter in self.axes.replace("Y", "").replace("X", ""):
            place = place * self.sizes[letter] + self._checked(letter, wanted.pop(letter, 0), self.sizes[letter])
        for letter, number in wanted.items():
            self._checked(letter, number, 1)
        return self.pages[place]

    def _checked(self, letter: str, number: int, length: int) -> int:
        if not 0 <= number < length:
            raise ImageReadError(
                f"{self.path} has no {letter} {number}: its axes are {_spelled(self.axes, self.sizes)}"
            )
        return number


def describe_stack(path: str | Path, *, axes: str | None = None, series: int = 0) -> StackLayout:
    """The axes of an image file and where its planes lie; pixels stay unread.

    Args:
        path: the file.
        axes: what the planes are where the file does not say, slowest first: `"C"`, `"Z"`, `"TC"`, with or without
            `YX`; `"S"` for the three colours of one picture. Overrides what the file says; pages of equal size that
            were written one by one become one stack.
        series: which picture of the file, from 0.

    Returns:
        The layout. A file of one plane has the axes `YX`.

    Raises:
        AmbiguousAxesError: several planes, and nothing says whether they are channels, focus positions or time points.
        ImageReadError: the file cannot be read, has more than 65,536 pages, or `axes` or `series` do not fit.
    """
    return _described(Path(path), axes, series)[0]


def describe_series(path: str | Path, *, axes: str | None = None) -> list[StackLayout]:
    """The layouts of all pictures of a file, which is opened once; see `describe_stack`."""
    return _described(Path(path), axes, None)


def _described(path: Path, axes: str | None, series: int | None) -> list[StackLayout]:
    """One picture of a file, or all of them where `series` is None."""
    given = None if axes is None else _normal(axes, path)
    kind = look_at(path)[0]
    with decoding(path):
        if kind == "tiff":
            return _describe_tiff(path, given, series)
        if series:
            raise ImageReadError(f"{path} has no series {series}: it holds one picture")
        if kind in raw.PARSERS:
            header = raw.read_header(path, kind)
            if kind == "deltavision":
                raw.require_planes(path, header)
            outer = list(zip(header.axes, header.sizes, strict=True))
            shape: tuple[int, ...] = (header.height, header.width)
            described = _Planes(outer, shape, np.dtype(header.dtype), _numbered(path, header.planes))
        elif kind == "npy":
            described = _describe_npy(path)
        else:
            frames, shape, dtype = picture_header(path)
            described = _Planes([("Q", frames)], shape, dtype, _numbered(path, frames))
    return [_layout(path, described, given, 0, 1)]


def _numbered(path: Path, planes: int) -> tuple[int, ...]:
    """The flat numbers of the planes of a file, if they are not too many to list."""
    if planes > MAX_PAGES:
        raise ImageReadError(f"{path} has {planes:,} planes, more than {MAX_PAGES:,}: split it, one file per field")
    return tuple(range(planes))


def _spelled(axes: str, sizes: Mapping[str, int]) -> str:
    """Axes with their lengths: `ZYX (3 x 40 x 50)`."""
    return f"{axes} ({' x '.join(str(sizes[letter]) for letter in axes)})"


@dataclass(frozen=True)
class _Planes:
    """What a file says about its planes, before the caller has a say."""

    outer: list[tuple[str, int]]  # axes other than Y and X, slowest first
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    pages: tuple[int | None, ...]
    names: tuple[str, ...] = ()
    picture: tuple[int, ...] | None = None  # the shape where samples can be the colours of one picture


def _normal(axes: str, path: Path) -> str:
    letters = axes.upper().removesuffix("S") if axes.upper().endswith("YXS") else axes.upper()
    letters = letters.removesuffix("YX")
    if (letters and not letters.isalpha()) or len(set(letters)) != len(letters) or set(letters) & {"X", "Y"}:
        raise ImageReadError(f"axes={axes!r} for {path}: letters such as C, Z, T, each once, slowest first")
    return letters


def _layout(path: Path, planes: _Planes, given: str | None, series: int, count: int) -> StackLayout:
    outer = [(letter, size) for letter, size in planes.outer if size > 1]
    shape, pages = planes.shape, planes.pages
    if given == "S" and planes.picture is not None and len(outer) == 1:
        outer, shape, pages = [], planes.picture, (None,)
    elif given is not None and outer:
        if len(given) != len(outer):
            lengths = " x ".join(str(size) for _, size in outer)
            raise ImageReadError(
                f"axes={given!r} for {path}: its planes are {lengths}, which takes {len(outer)} letters"
            )
        outer = [(letter, size) for letter, (_, size) in zip(given, outer, strict=True)]
    letters = "".join(letter for letter, _ in outer)
    sizes = {**dict(outer), "Y": shape[0], "X": shape[1]}
    if unnamed := sorted(_UNNAMED & set(letters)):
        raise AmbiguousAxesError(_question(path, outer, unnamed, shape, planes))
    if len(sizes) != len(outer) + 2:
        raise ImageReadError(f"{path} has the axes {letters}YX: name each once, with axes=")
    if math.prod(size for _, size in outer) != len(pages):
        raise ImageReadError(
            f"{path} states the axes {_spelled(letters + 'YX', sizes)} and holds {len(pages)} planes: damaged, or "
            "incomplete"
        )
    channels = sizes.get("C", 1)
    names = planes.names if len(planes.names) == channels and given is None else ()
    return StackLayout(path, f"{letters}YX", sizes, names, shape, planes.dtype, series, count, pages)


def _question(
    path: Path, outer: list[tuple[str, int]], unnamed: list[str], shape: tuple[int, ...], described: _Planes
) -> str:
    planes = " x ".join(str(size) for letter, size in outer if letter in unnamed)
    named = ", ".join(f"{letter} {size}" for letter, size in outer if letter not in unnamed)
    if len(outer) == 1:
        example = "'C' if they are channels, 'Z' for focus positions, 'T' for time points"
        example += ", 'S' for the colours of one picture" if described.picture is not None else ""
    else:
        example = f"{len(outer)} letters, slowest first, such as {'TZC'[-len(outer) :]!r}"
    return (
        f"{path} holds {planes} planes of {shape[0]} x {shape[1]}{f' beside {named}' if named else ''} and does not "
        f"say what they are: pass axes={example}"
    )


def _describe_npy(path: Path) -> _Planes:
    header = npy_header(path)
    shape = header.shape
    if len(shape) == 3 and shape[2] not in (3, 4):
        return _Planes([("Q", shape[0])], shape[1:], header.dtype, _numbered(path, shape[0]))
    image = read_image(path)
    return _Planes([], image.shape, image.dtype, (None,))


def _describe_tiff(path: Path, given: str | None, number: int | None, **options: bool) -> list[StackLayout]:
    pages = count_pages(path, MAX_PAGES + 1)
    if pages > MAX_PAGES:
        raise ImageReadError(f"{path} has more than {MAX_PAGES:,} pages: split it into stacks, one per field")
    with open(path, "rb") as handle, tifffile.TiffFile(handle, **options) as tiff:
        require_pages(tiff, path)
        ome = OmeDocument() if options else bounded_ome(tiff, path)
        if not options and any(os.path.lexists(path.parent / name) for name in ome.files - {path.name}):
            # An OME image spread over several files, which are not opened here: what this one holds is judged by its
            # own pages.
            return _describe_tiff(path, given, number, is_ome=False)
        series = tiff.series
        lacking = any(page is None for part in series for page in part.pages)
        if not options and (
            lacking or any(page is not None and page.parent is not tiff for part in series for page in part.pages)
        ):
            if lacking and len(ome.files) < 2:
                raise ImageReadError(_incomplete(path, series))
            return _describe_tiff(path, given, number, is_ome=False)
        if ome.stored > len(series) and len(ome.files) < 2:
            raise ImageReadError(
                f"{path} is incomplete: its metadata state {ome.stored} images, and {len(series)} are there"
            )
        held = sum(
            len(part.pages) if len(part.pages) > 1 else part.size // max(part.keyframe.size, 1) for part in series
        )
        if not options and not tiff.is_ome and (stated := _imagej_images(tiff, path)) > held:
            raise ImageReadError(f"{path} is incomplete: its metadata state {stated:,} planes, and it holds {held:,}")
        alike = len({(part.shape, part.dtype) for part in series}) == 1
        if given is not None and len(series) > 1 and not number and alike and len(series[0].pages) == 1:
            parts = [_planes_of(tiff, path, part, ()) for part in series]
            if all(len(part.pages) == 1 for part in parts):
                flat = tuple(page for part in parts for page in part.pages)
                joined = _Planes([("Q", len(flat))], parts[0].shape, parts[0].dtype, flat)
                return [_layout(path, joined, given, 0, 1)]
        if number is not None and not 0 <= number < len(series):
            raise ImageReadError(f"{path} has no series {number}: it has {len(series)}, counted from 0")
        layouts = []
        for place in range(len(series)) if number is None else [number]:
            names = ome.channel_names[place] if place < len(ome.channel_names) else ()
            planes = _planes_of(tiff, path, series[place], names)
            layouts.append(_layout(path, planes, given, place, len(series)))
        return layouts


def _imagej_images(tiff: tifffile.TiffFile, path: Path) -> int:
    """Planes that ImageJ says it wrote; 0 where another program wrote the file."""
    stated = (tiff.imagej_metadata or {}).get("images", 0) if tiff.is_imagej else 0
    return whole_number(str(stated), f"{path}: the number of images of ImageJ")


def _incomplete(path: Path, series: Sequence[tifffile.TiffPageSeries]) -> str:
    pages = [page for part in series for page in part.pages]
    return (
        f"{path} is incomplete: its metadata state {len(pages):,} planes, of which "
        f"{sum(page is None for page in pages):,} are missing; write it again"
    )


def _planes_of(
    tiff: tifffile.TiffFile, path: Path, series: tifffile.TiffPageSeries, ome_names: tuple[str, ...]
) -> _Planes:
    first = series.keyframe
    samples = own_samples(first)
    letters, lengths = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
    outer = [(a, size) for a, size in zip(letters, lengths, strict=True) if a not in "YX"]
    shape: tuple[int, ...] = (int(first.imagelength), int(first.imagewidth))
    inner = letters[letters.index("X") + 1 :]
    if samples == 1 and first.samplesperpixel > 1:  # a colour picture: its last axis is not an axis of planes
        if inner and inner != "S":
            raise ImageReadError(f"{path} keeps its axis {inner} in colours: write planes of {inner} instead")
        outer = [(a, size) for a, size in outer if a != "S"]
        shape = (*shape, 3) if first.photometric != 1 and first.samplesperpixel > 2 else shape
    elif inner and samples > 1:  # samples vary fastest, wherever the metadata name them
        outer = [pair for pair in outer if pair[0] not in inner] + [pair for pair in outer if pair[0] in inner]
    if len(series.pages) == 1 and samples == 1:  # ImageJ writes one directory for a whole stack
        planes = series.size // first.size
        pages = tuple(range(planes)) if planes > 1 else (int(first.index),)
        if first.imagedepth > 1:
            raise ImageReadError(f"{path} holds a volume in one page: write its planes as pages")
    else:
        pages = tuple(page.index * samples + sample for page in series.pages for sample in range(samples))
    if len(set(pages)) < len(pages):
        raise ImageReadError(f"{path} is damaged: its metadata name one page for several planes")
    is_picture = samples == 3 and len(series.pages) == 1 and len(tiff.pages) == 1 and first.photometric == 2
    return _Planes(
        [(a, int(size)) for a, size in outer],
        shape,
        first.dtype.newbyteorder("="),
        pages,
        ome_names or _labels(tiff, series, dict(outer)),
        (*shape, 3) if is_picture else None,
    )


def _labels(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, sizes: Mapping[str, int]) -> tuple[str, ...]:
    if series.kind == "imagej" and tiff.imagej_metadata:
        return imagej_channel_names(tiff.imagej_metadata.get("Labels"), sizes)
    return ()
