"""Images of a source, whatever wrote it: its kind is found by looking, or by `format`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.imaging.limits import MAX_PIXELS

from .base import Image, Rejection
from .channels import Channel
from .collect import assemble
from .formats import FORMATS
from .objects import Storage, parse_storage
from .options import Options, parse_channels, parse_projection, parse_stains
from .remote import place_at
from .source import Ignored, Source, open_source


@dataclass(frozen=True)
class Found:
    """What a source holds.

    Attributes:
        source: as the caller wrote it.
        format: key of `FORMATS`.
        images: all images, those that cannot be used among them, by id.
        stains: each channel of the source and the stain it became.
        ignored: files that gave no image, and why.
        notes: what else to know before anything is computed.
        storage: how its addresses are reached, also for what is joined later: masks, illumination functions.
    """

    source: str
    format: str
    images: list[Image]
    stains: Mapping[Channel, str]
    ignored: tuple[Ignored, ...]
    notes: tuple[str, ...]
    storage: Storage = field(default_factory=Storage)

    @property
    def rejected(self) -> list[Rejection]:
        """The images that cannot be used, as far as it is known without opening them."""
        reasons = ((image.id, image.reason_against()) for image in self.images)
        return [Rejection(name, reason) for name, reason in reasons if reason]


def find_images(
    source: str | Path,
    *,
    format: str | None = None,
    channels: str | Sequence[str] | None = None,
    stains: str | Sequence[str] | Mapping[str, str] | None = None,
    pattern: str | None = None,
    root: str | Path | None = None,
    axes: str | None = None,
    projection: str | int = "max",
    id_column: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    max_pixels: int = MAX_PIXELS,
    encoding: str | None = None,
    sheet: str | None = None,
    acquisition: str | int | None = None,
    derived: str | None = None,
    storage: Mapping[str, str] | Sequence[str] | Storage | None = None,
    keep: str | Path | None = None,
) -> list[Image]:
    """The images of a source, ordered by id.

    Args:
        source: a folder, a quoted glob, a file or store, a table, a built dataset, or
            `hf:NAME[:CONFIGURATION][:SPLIT][@REVISION]`; also on the internet: `s3://…`, `gs://…`, `az://…`,
            `https://…`, `hf://datasets/OWNER/NAME/…`.
        format: a key of `FORMATS`; by default found by looking.
        channels: channels to take, in this order, by the source's names or by stain. In a table of one's own, the
            columns that name the files; by default `path`, several files of one image joined by `|`.
        stains: `"w1=dna,w2=er"` or a mapping names channels; `"dna,er"` alone only where channels have no names.
        pattern: names of files with fields, `"{plate}_{well}_s{site}_w{c}.tif"`; `*` is any text, `{_}` ignored text.
        root: folder that the files of a table lie below; absolute paths are allowed inside it. By default the folder
            of the table.
        axes: axes of stacks that do not say them, such as `"CYX"`.
        projection: z stacks become their `"max"` or `"mean"`, or one plane of them, `"z=3"`, counted from 1.
        id_column: column of ids in a table or dataset; by default the first of `id`, `image_id` and `idx` there is,
            and in a dataset without one the split and the row's number.
        image_column: column of images in a dataset; by default `image`, or the one that holds images; `"planes"`: the
            planes of its configuration `channels`, each the channel that its stain names.
        label_column: column of classes in a dataset; by default `label`, or the one of type ClassLabel.
        max_pixels: planes with more are refused, from their header, when they are read.
        encoding: of a table in text that is not UTF-8, such as `cp1252`.
        sheet: of a table that is a workbook, by name or number; by default the first.
        acquisition: the only one to take of an OME-Zarr plate, as its metadata call it; by default all.
        derived: where wells of an OME-Zarr plate hold processed copies beside their images (`0_illum_corr` beside
            `0`): `"none"` takes the images, `"illum_corr"` these copies. There is no default.
        storage: how addresses are reached: `{"endpoint": "http://127.0.0.1:9000"}` or `["region=us-east-1"]`; by
            default unsigned, unless the usual variables of the environment hold credentials.
        keep: folder in which objects stay once they were read; by default nothing is written to disk.

    Returns:
        Images, also those that cannot be used: `read` says why. `look` gives the rest of what was found.

    Raises:
        InputError: nothing there, an unknown kind, channels that cannot be named as asked, ids that repeat, or a file
            outside the root.

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
    return look(
        source,
        format=format,
        channels=channels,
        stains=stains,
        pattern=pattern,
        root=root,
        axes=axes,
        projection=projection,
        id_column=id_column,
        image_column=image_column,
        label_column=label_column,
        max_pixels=max_pixels,
        encoding=encoding,
        sheet=sheet,
        acquisition=acquisition,
        derived=derived,
        storage=storage,
        keep=keep,
    ).images


def look(
    source: str | Path,
    *,
    format: str | None = None,
    channels: str | Sequence[str] | None = None,
    stains: str | Sequence[str] | Mapping[str, str] | None = None,
    pattern: str | None = None,
    root: str | Path | None = None,
    axes: str | None = None,
    projection: str | int = "max",
    id_column: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    max_pixels: int = MAX_PIXELS,
    encoding: str | None = None,
    sheet: str | None = None,
    acquisition: str | int | None = None,
    derived: str | None = None,
    storage: Mapping[str, str] | Sequence[str] | Storage | None = None,
    keep: str | Path | None = None,
) -> Found:
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
    stored = parse_storage(storage, keep)
    options = Options(
        parse_channels(channels),
        parse_stains(stains),
        pattern,
        None if root is None else place_at(root, stored),
        axes.upper() if axes else None,
        parse_projection(projection),
        id_column,
        image_column,
        label_column,
        max_pixels,
        encoding,
        sheet,
        None if acquisition is None else str(acquisition),
        derived,
        stored,
    )
    opened = open_source(source, stored)
    kind = _kind(opened, options, format)
    findings = FORMATS[kind].find(opened, options)
    if not findings.planes:
        raise InputError(f"no images in {opened.text}, read as {kind} ({FORMATS[kind].about})")
    # in a table of one's own, channels name columns, which are the channels already
    assembled = assemble(findings, replace(options, channels=()) if kind == "table" else options)
    return Found(
        opened.text,
        kind,
        assembled.images,
        assembled.stains,
        (*opened.ignored, *findings.ignored),
        assembled.notes,
        stored,
    )


def _kind(source: Source, options: Options, wanted: str | None) -> str:
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
