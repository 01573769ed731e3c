"""Microscopy images as arrays: read any file at native depth, stretch contrast, merge channels, judge, encode.

The rules are those of paper §2.2: each channel is clipped at its 0.1 and 99.9 percentile and scaled to [0, 1], the
merged image is the mean of the channels times 255. Images stay at the depth of their files until that last step.
"""

from cytoimagenet_hf.core.numbers import MAX_PIXELS

from .channels import Merger, merge_channels, to_bytes, to_gray, to_gray_bytes
from .errors import AmbiguousAxesError, ImageReadError, ImageTooLargeError
from .percentile import byte_counts, normalize, percentiles
from .png import encode_png
from .quality import proves_quality, quality_issue
from .read import read_image, read_planes
from .stacks import StackLayout, describe_stack

__all__ = [
    "MAX_PIXELS",
    "AmbiguousAxesError",
    "ImageReadError",
    "ImageTooLargeError",
    "Merger",
    "StackLayout",
    "byte_counts",
    "describe_stack",
    "encode_png",
    "merge_channels",
    "normalize",
    "percentiles",
    "proves_quality",
    "quality_issue",
    "read_image",
    "read_planes",
    "to_bytes",
    "to_gray",
    "to_gray_bytes",
]
