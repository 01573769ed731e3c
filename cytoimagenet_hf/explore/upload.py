"""A visitor's files as one image: whatever `find_images` takes, read and merged like the images of the dataset.

Those were stretched channel by channel and merged to gray. An upload goes through the same, so that it meets the
network as they did.
"""

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import Image, find_images
from cytoimagenet_hf.images.remote import is_address
from cytoimagenet_hf.images.suggest import suggest_pattern
from cytoimagenet_hf.imaging import merge_channels
from cytoimagenet_hf.networks import Encoder

Plane = npt.NDArray[Any]

_SIDE = 2048  # pixels: a network takes seconds for it, and minutes for a slide of 9,000 x 9,000

MAX_PIXELS = 2**27
"""Pixels of one plane of an upload: 11,585². Of a large one the middle is looked up."""

MAX_PLANES = 128
"""Planes that are read for one upload: its channels, and the focus positions of each."""

_PIXELS = 2**30  # of all planes of an upload together

_ADDRESS = {"retries": "1", "timeout": "30s", "max_objects": "100000"}  # someone waits for the answer
_FILES = {"schemes": "none"}  # a table among a visitor's files makes this machine open no address

QUOTA = 2**31
"""Bytes of uploads that are kept."""
_FIELDS = ("{well}", "{row}", "{site}")


@dataclass(frozen=True)
class Upload:
    """One image of a visitor: its channels as (H, W) or (H, W, 3) planes of native dtype, the names of all images in
    the files and of this one, and what was decided about the files.
    """

    names: tuple[str, ...]
    planes: list[Plane]
    images: tuple[str, ...]
    image: str
    note: str = ""

    @property
    def merged(self) -> npt.NDArray[np.uint8]:
        """The gray image (H, W) that the curation would have made of it."""
        return merge_channels(self.planes)


def read_upload(files: Sequence[str | Path], *, image: str | None = None) -> Upload:
    """Read files as the channels of one image.

    Args:
        files: a stack, a microscope's file, or one file per channel, of any bit depth; or several fields of a plate;
            or one address of an image or a plate on the internet.
        image: which of several images in the files; by default the first that can be used.

    Raises:
        InputError: nothing usable, or larger than `MAX_PIXELS` and `MAX_PLANES` allow; the message has the names of
            files without their folders.
    """
    if not files:
        raise InputError("drop at least one image file")
    if len(files) == 1 and is_address(files[0]):
        return _upload(str(files[0]), image)
    with tempfile.TemporaryDirectory() as folder:
        # A folder of their own: a table among the files can name these files and no others of the machine.
        # Its name becomes that of the plate where nothing else names it, so it is the same each time.
        copies = Path(folder) / "upload"
        copies.mkdir()
        places = [_copied(Path(file), copies) for file in files]
        try:
            return _upload(places[0] if len(places) == 1 else copies, image)
        except InputError as error:
            raise InputError(str(error).replace(f"{copies}/", "").replace(str(copies), "the files")) from None


def keep_within(folder: Path, *, quota: int = QUOTA, spared: Sequence[str | Path] = ()) -> None:
    """Remove the oldest uploads, each in its own folder, until all take at most `quota` bytes; not the spared ones."""
    kept = {Path(file).resolve() for file in spared}
    uploads = []
    for path in folder.rglob("*"):
        with suppress(OSError):  # another visitor's goes at the same time
            stat = path.lstat()
            if not path.is_dir():
                uploads.append((stat.st_mtime, stat.st_size, path))
    used = sum(size for _, size, _ in uploads)
    for _, size, path in sorted(uploads):
        if used <= quota:
            return
        if path.resolve() not in kept:
            path.unlink(missing_ok=True)
            used -= size


def _copied(file: Path, folder: Path) -> Path:
    """A copy of a visitor's file; a second one of the same name goes into a folder of its own beside the first."""
    number = 1
    target = folder / file.name
    while target.exists():
        number += 1
        target = folder / str(number) / file.name
    target.parent.mkdir(exist_ok=True)
    return Path(shutil.copyfile(file, target))


def _upload(source: Path | str, wanted: str | None) -> Upload:
    images, note = _found(source, _FILES if isinstance(source, Path) else _ADDRESS)
    if _is_unnamed(images) and isinstance(source, Path):
        files = sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
        pattern = suggest_pattern(files)
        if pattern is not None and "{c}" in pattern and any(field in pattern for field in _FIELDS):
            images = find_images(source, pattern=pattern, max_pixels=MAX_PIXELS)
            note = f"Names of files are read as {pattern}."
    if _is_unnamed(images):
        planes = [plane for image in _within_budget(images) for plane in image.read()]
        if len({plane.shape[:2] for plane in planes}) > 1:
            sizes = ", ".join(
                f"{image.id} {' x '.join(map(str, plane.shape))}" for image, plane in zip(images, planes, strict=True)
            )
            raise InputError(f"the files differ in size ({sizes}): drop the channels of one field of view")
        note = f"{len(planes)} files, taken as channels of one image. Are they several images? Drop the files of one."
        return _middle(Upload(tuple(image.id for image in images), planes, ("one image",), "one image", note))
    usable = [image for image in images if not image.reason_against()] or images[:1]
    first: Image | None = next((image for image in usable if wanted in (None, image.id)), None)
    if first is None:
        raise InputError(f"no usable image {wanted!r} in these files")
    names = first.channels if len(first.channels) > 1 else (first.id,)
    planes = _within_budget([first])[0].read()
    return _middle(Upload(names, planes, tuple(image.id for image in usable), first.id, note))


def _within_budget(images: Sequence[Image]) -> list[Image]:
    """The images with a limit to the pixels of a plane that keeps all planes together within the budget."""
    planes = sum(len(stack) for image in images for stack in image.planes)
    if planes > MAX_PLANES:
        raise InputError(
            f"one image of {planes:,} planes, and at most {MAX_PLANES} are read here: drop its channels at one focus "
            "position, or use `cytoimagenet extract`"
        )
    return [replace(image, max_pixels=min(MAX_PIXELS, _PIXELS // max(1, planes))) for image in images]


def _middle(upload: Upload) -> Upload:
    """The upload, or the middle of one that is too large to be looked up within seconds."""
    height, width = upload.planes[0].shape[:2]
    if max(height, width) <= _SIDE:
        return upload
    top, left = max(0, (height - _SIDE) // 2), max(0, (width - _SIDE) // 2)
    planes = [np.ascontiguousarray(plane[top : top + _SIDE, left : left + _SIDE]) for plane in upload.planes]
    rows, columns = planes[0].shape[:2]
    note = f"{upload.note} {height:,} x {width:,} pixels: the middle {rows:,} x {columns:,} are looked up.".strip()
    return replace(upload, planes=planes, note=note)


def _is_unnamed(images: Sequence[Image]) -> bool:
    """Whether no format matched the files, so that each is an image."""
    return len(images) > 1 and all(len(image.channels) == 1 and not image.metadata.get("well") for image in images)


def _found(source: Path | str, storage: dict[str, str]) -> tuple[list[Image], str]:
    """The images of a source; where files do not say what their planes are, the page says: channels."""
    try:
        images = find_images(source, max_pixels=MAX_PIXELS, storage=storage)
        if not any("axes=" in image.reason_against() for image in images):
            return images, ""
    except InputError as error:
        if "axes=" not in str(error):
            raise
    return find_images(
        source, axes="C", max_pixels=MAX_PIXELS, storage=storage
    ), "The file does not say what its planes are; they are taken as channels."


def as_seen(encoder: Encoder, planes: Sequence[Plane]) -> list[Picture.Image]:
    """Each plane (H, W) as a network of one gray channel sees it by itself: scaled and sized as its facts say."""
    pictures = []
    for plane in planes:
        for unit in encoder.units([plane], stains=())[:1]:
            gray = unit[0]
            low, high = (0.0, 1.0) if gray.min() >= 0 and gray.max() <= 1 else (float(gray.min()), float(gray.max()))
            pictures.append(Picture.fromarray(((gray - low) / (high - low or 1) * 255).astype(np.uint8)))
    return pictures
