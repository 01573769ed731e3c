"""Images of a source, whatever wrote it: its kind is found by looking, or by `format`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.settings import build, shows_fields
from cytoimagenet_hf.options.source import SourceOptions

from .base import Image
from .collect import Found, assemble
from .formats import FORMATS
from .illumination import find_illumination
from .remote import place_at
from .source import Source, open_source


@shows_fields(SourceOptions)
def find_images(source: str | Path, options: SourceOptions | None = None, **fields: Any) -> list[Image]:
    """The images of a source, ordered by id.

    Args:
        source: a folder, a quoted glob, a file or store, a table, a built dataset, or
            `hf:NAME[:CONFIGURATION][:SPLIT][@REVISION]`; also on the internet: `s3://…`, `gs://…`, `az://…`,
            `https://…`, `hf://datasets/OWNER/NAME/…`.
        options: how it is to be understood.
        **fields: of `options.source.SourceOptions`, such as `pattern`, `channels` and `stains`, in place of or on top
            of `options`.

    Returns:
        Images, also those that cannot be used: `read` says why. `look` gives the rest of what was found.

    Raises:
        InputError: nothing there, an unknown kind or option, channels that cannot be named as asked, ids that repeat,
            or a file outside the root.

    Example:
        >>> import tempfile, numpy as np, tifffile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for wave in (1, 2):
        ...         tifffile.imwrite(f"{folder}/p7_B02_s1_w{wave}.tif", np.full((4, 4), wave, np.uint16))
        ...     (image,) = find_images(
        ...         folder, pattern="{plate}_{well}_s{site}_w{c}.tif", stains="w1=dna,w2=er"
        ...     )
        ...     print(image.id, image.channels, [int(plane.max()) for plane in image.read()])
        p7/B02/1 ('dna', 'er') [1, 2]
    """
    return look(source, options, **fields).images


@shows_fields(SourceOptions)
def look(source: str | Path, options: SourceOptions | None = None, **fields: Any) -> Found:
    """What a source holds: images, and what was ignored or cannot be used, and why; options as for `find_images`.

    Raises:
        InputError: as `find_images`.

    Example:
        >>> import tempfile, numpy as np, tifffile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("p1_B02_s1_w1.tif", "p1_B02_s1_w2.tif", "p1_B03_s1_w1.tif"):
        ...         tifffile.imwrite(f"{folder}/{name}", np.zeros((4, 4), np.uint16))
        ...     found = look(folder, pattern="{plate}_{well}_s{site}_w{c}.tif")
        >>> [image.id for image in found.images], [(image.id, image.reason) for image in found.rejected]
        (['p1/B02/1', 'p1/B03/1'], [('p1/B03/1', 'no file for channel 2')])
    """
    options = build(SourceOptions, fields, name="images", base=options)
    if options.root is not None:
        options = replace(options, root=place_at(options.root, options.storage))
    opened = open_source(source, options.storage)
    kind = _kind(opened, options)
    findings = FORMATS[kind].find(opened, options)
    if not findings.planes:
        raise InputError(f"no images in {opened.text}, read as {kind} ({FORMATS[kind].about})")
    # in a table of one's own, channels name columns, which are the channels already
    found = assemble(opened, kind, findings, replace(options, channels=()) if kind == "table" else options)
    return found if options.illumination is None else find_illumination(found, options.illumination)


def _kind(source: Source, options: SourceOptions) -> str:
    wanted = options.format
    if options.pattern is not None and wanted not in (None, "pattern"):
        raise InputError(f"a pattern of names goes with --format pattern, not {wanted}: leave one of them out")
    if wanted is not None:
        plain = wanted.lower().replace("-", "").replace("_", "")  # ome-zarr, Load_Data
        if plain not in FORMATS:
            raise InputError(f"format {wanted!r}: choose one of {', '.join(FORMATS)}")
        return plain
    if options.pattern is not None:
        return "pattern"
    for name, kind in FORMATS.items():
        if kind.matches(source, options):
            return name
    raise InputError(
        f"no images in {source.text}: it holds {len(source.files)} files, none of a known kind "
        f"({', '.join(FORMATS)}), such as {', '.join(source.files[:3]) or 'none'}"
    )
