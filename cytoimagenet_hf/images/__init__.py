"""Where images come from, once: folders, tables, what microscopes write, datasets; each as a list of `Image`."""

from .base import Box, Image, PlaneRef, Rejection
from .cells import find_cells
from .collect import Found
from .find import find_images, look
from .formats import FORMATS
from .illumination import find_illumination
from .source import Ignored

__all__ = [
    "FORMATS",
    "Box",
    "Found",
    "Ignored",
    "Image",
    "PlaneRef",
    "Rejection",
    "find_cells",
    "find_illumination",
    "find_images",
    "look",
]
