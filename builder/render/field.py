"""One field of view to its images: read the channels, merge, judge, crop, encode (paper §2.2, §2.3).

Comes in: one row of the plan. Goes out: rows of a shard and what was left out. A field depends on nothing but its
row, its files, the recipe and the seed.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from builder.recipe import Recipe
from builder.stage import Rejection
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.imaging import (
    Merger,
    byte_counts,
    encode_png,
    merge_channels,
    percentiles,
    proves_quality,
    quality_issue,
    to_bytes,
)

from .crops import Crop, plan_crops
from .difference_hash import difference_hash
from .merged import Box, MergedField, Pixels
from .planes import FieldPlanes
from .reader import FieldRejected, PlaneReader, Row

REASONS = frozenset(
    {
        *("outside_root", "missing_file", "missing_channel", "unreadable", "too_large", "out_of_memory"),
        *("bad_region", "unmergeable"),
        *("uniform", "binary", "dim"),
        *("crop_dark", "crop_bright", "crop_dim", "crop_uniform", "crop_binary", "crop_empty"),
    }
)
"""Why a field, or one crop of it, is left out."""


def render_field(
    field: Row, *, planes: PlaneReader, recipe: Recipe, seed: int, keep_channels: bool = False
) -> tuple[list[dict[str, Any]], list[Rejection]]:
    """Rows of a shard (`shard.SHARD_SCHEMA`) that one row of the plan gives, and what was rejected on the way.

    A rejection without `image_id` says that the field gives no image; one with it is a crop that was left out.
    `keep_channels` gives each row its planes, too, as `kept_channels`.
    """
    try:
        return _rendered(field, planes, recipe, seed, keep_channels)
    except MemoryError:
        rejected = FieldRejected("out_of_memory", ", ".join(field["channel_files"]))
    except FieldRejected as error:
        rejected = error
    return [], [Rejection(field["idx"], "render", rejected.reason, rejected.detail, dir_name=field["dir_name"])]


def _rendered(
    field: Row, planes: PlaneReader, recipe: Recipe, seed: int, keep_channels: bool
) -> tuple[list[dict[str, Any]], list[Rejection]]:
    idx = field["idx"]
    channels = planes.read(field)
    absent = _absent(channels, field["channels"] or [], recipe)
    image = _merged([plane for plane in channels if plane is not None], recipe)
    looked_at = _crops(field, image, recipe, seed)
    box = None
    # The whole is merged only where its crops leave something open.
    if not proves_quality(looked_at.counts, image.size):
        issue = quality_issue(image.whole)
        if issue == "dim" and recipe.black_margins == "trim":
            box = _signal_box(image.whole)
            image = image.within(box)
            issue = quality_issue(image.whole)
            looked_at = _crops(field, image, recipe, seed)
        if issue and not (issue == "uniform" and recipe.reject_uniform == "nan-cast"):
            raise FieldRejected(issue)
    stains = [stain for number, stain in enumerate(field["channels"] or []) if number not in absent]
    missing = [stain for number, stain in enumerate(field["channels"] or []) if number in absent]
    if recipe.missing_channels == "drop":
        stains, missing = field["channels"] or [], []
    shared = {name: field[name] for name in _COPIED} | {
        "channels": "|".join(stains) or None,
        "channels_missing": "|".join(missing) or None,
    }
    kept = None
    if keep_channels:
        named = _stain_names(field["channels"] or [], len(channels))
        there = [(plane, name) for plane, name in zip(channels, named, strict=True) if plane is not None]
        kept = FieldPlanes([plane for plane, _ in there], [name for _, name in there], recipe)
    if not looked_at.kept:
        row = shared | _image_columns(image.whole, idx) | _place(box)
        if kept is not None:
            row["kept_channels"] = kept.row(image.whole, box, gray_range=None)
        return [row], looked_at.rejections
    rows = []
    for crop, pixels in looked_at.kept:
        place = _place((crop.x_min, crop.x_max, crop.y_min, crop.y_max), box, scaling=crop.scaling)
        row = shared | _image_columns(pixels, f"{idx}-{crop.window}") | place
        if kept is not None:
            low, high = percentiles(image.cut(crop), (recipe.low, recipe.high)).tolist()
            gray_range = (low, high) if recipe.renormalise_crops else None
            corners = (place["x_min"], place["x_max"], place["y_min"], place["y_max"])
            row["kept_channels"] = kept.row(pixels, corners, gray_range=gray_range)
        rows.append(row)
    return rows, looked_at.rejections


_COPIED = (
    *("idx", "label", "category", "database", "name", "dir_name"),
    *("organism", "cell_type", "cell_visible", "phenotype", "compound", "sirna", "gene", "microscopy"),
    *("licence", "plate", "well", "site", "field"),
)


def _stain_names(stains: list[str], planes: int) -> list[str]:
    """One name per plane; a plane whose stain is not known goes by its number."""
    return [*stains, *(f"channel {number}" for number in range(len(stains), planes))][:planes]


def _absent(planes: list[npt.NDArray[Any] | None], stains: list[str], recipe: Recipe) -> set[int]:
    """The numbers of the channels whose files are absent (I4)."""
    absent = {number for number, plane in enumerate(planes) if plane is None}
    if len(absent) == len(planes):
        raise FieldRejected("missing_file", "no channel file is there")
    if absent and recipe.missing_channels == "reject":
        names = (stains[number] if number < len(stains) else f"channel {number}" for number in sorted(absent))
        raise FieldRejected("missing_channel", ", ".join(names))
    return absent


def _merged(planes: list[npt.NDArray[Any]], recipe: Recipe) -> MergedField:
    """The merged image, at full depth where crops are cut from it at full depth."""
    if recipe.reject_uniform == "nan-cast" and any(_is_flat(plane, recipe) for plane in planes):
        # 0/0 made the whole mean NaN, and the cast made it black (I2)
        return MergedField(np.zeros(planes[0].shape, dtype=np.uint8))
    try:
        merger = Merger(planes, low=recipe.low, high=recipe.high)
    except InputError as error:
        raise FieldRejected("unmergeable", str(error)) from None
    # Published images were cropped from the 8-bit file of the merged image.
    return MergedField(merger.bytes() if recipe.read_depth == "8-bit" else merger)


def _may_crop(shape: tuple[int, ...], wanted: int, recipe: Recipe) -> bool:
    # One crop is less than the whole image, which it replaced only in the published set (I6).
    return min(shape) >= recipe.min_whole_side and (wanted > 1 or recipe.replace_single)


def _is_flat(plane: npt.NDArray[Any], recipe: Recipe) -> bool:
    bottom, top = percentiles(plane, (recipe.low, recipe.high))
    return bool(bottom == top)


@dataclass
class _Crops:
    """What became of the crops of a field: those that pass with their pixels, and the others.

    `counts` are (256,) values of the merged image in all crops that were looked at.
    """

    kept: list[tuple[Crop, Pixels]] = dataclasses.field(default_factory=list)
    rejections: list[Rejection] = dataclasses.field(default_factory=list)
    counts: npt.NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(256, np.int64))


def _crops(field: Row, image: MergedField, recipe: Recipe, seed: int) -> _Crops:
    """Up to `crops_wanted` crops that pass; a window whose crop fails gives way to the next one."""
    wanted: int = field["crops_wanted"]
    crops = _Crops()
    if not _may_crop(image.shape, wanted, recipe):
        return crops
    planned = plan_crops(
        *image.shape,
        wanted=4,
        rng=derive_rng(seed, "crop", field["idx"]),
        min_side=recipe.min_crop_side,
        min_whole_side=recipe.min_whole_side,
        scales=recipe.crop_scales,
    )
    for crop in planned:
        if len(crops.kept) == wanted:
            break
        pixels, counts, issue = _crop_pixels(image.cut(crop), recipe)
        crops.counts += counts
        if issue is None:
            crops.kept.append((crop, pixels))
            continue
        image_id = f"{field['idx']}-{crop.window}"
        crops.rejections.append(
            Rejection(field["idx"], "render", f"crop_{issue}", image_id=image_id, dir_name=field["dir_name"])
        )
    crops.kept.sort(key=lambda pair: pair[0].window)
    return crops


def _crop_pixels(box: npt.NDArray[Any], recipe: Recipe) -> tuple[Pixels, npt.NDArray[np.int64], str | None]:
    """The pixels of a crop, how often each value occurs before it is stretched, and what speaks against it."""
    plain = box if box.dtype == np.uint8 else to_bytes(box)
    counts = byte_counts(plain)
    mean = float(counts @ np.arange(256)) / plain.size
    if not 1 < mean < 254:
        return plain, counts, "dark" if mean <= 1 else "bright"
    bottom, upper_quartile, top = percentiles(plain, (recipe.low, 75, recipe.high), counted=(counts, 0))
    if upper_quartile == 0:
        return plain, counts, "dim"
    pixels = merge_channels([box], low=recipe.low, high=recipe.high) if recipe.renormalise_crops else plain
    # The published rule stops above; a flat crop then became 0/0 like a flat image (I2), and background noise.
    if recipe.reject_uniform == "reject" and (issue := quality_issue(pixels)):
        return pixels, counts, issue
    return pixels, counts, "empty" if top - bottom < 255 * recipe.min_crop_contrast else None


def _signal_box(whole: Pixels) -> Box:
    """x_min, x_max, y_min, y_max of all pixels that are not black."""
    columns, rows = (np.flatnonzero(whole.any(axis=axis)) for axis in (0, 1))
    return int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1


def _place(box: Box | None, within: Box | None = None, *, scaling: float | None = None) -> dict[str, Any]:
    """Where in the field an image lies; null if uncropped. A trimmed field has box columns, too."""
    right, down = (within[0], within[2]) if within else (0, 0)
    x_min, x_max, y_min, y_max = (box[0] + right, box[1] + right, box[2] + down, box[3] + down) if box else (None,) * 4
    place = {"x_min": x_min, "x_max": x_max, "y_min": y_min, "y_max": y_max}
    return place | {"crop": scaling is not None, "scaling": scaling}


def _image_columns(pixels: Pixels, image_id: str) -> dict[str, Any]:
    encoded = encode_png(pixels)
    return {
        "image": {"bytes": encoded, "path": f"{image_id}.png"},
        "image_id": image_id,
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "dhash": difference_hash(pixels),
        "png_bytes": len(encoded),
    }
