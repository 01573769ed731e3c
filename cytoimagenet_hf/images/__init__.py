"""Where images come from, once: folders, tables, what microscopes write, datasets; each as a list of `Image`."""

from .base import Image, PlaneRef

__all__ = ["Image", "PlaneRef"]
