"""Where images come from, once: folders, tables, what microscopes write, datasets; each as a list of `Image`."""

from .base import Image, PlaneRef
from .find import Found, Rejected, find_images, look
from .formats import FORMATS
from .source import Ignored

__all__ = ["FORMATS", "Found", "Ignored", "Image", "PlaneRef", "Rejected", "find_images", "look"]
