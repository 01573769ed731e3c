"""Names of channels from the metadata of OME, ImageJ and MetaMorph files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile

from cytoimagenet_hf.core.numbers import LARGEST, whole_number
from cytoimagenet_hf.core.xml import children, local


@dataclass(frozen=True)
class OmeDocument:
    """What the metadata of an OME-TIFF say of its images, in order."""

    channel_names: tuple[tuple[str, ...], ...] = ()  # per image, one per channel; nothing where a channel has none
    files: frozenset[str] = frozenset()  # that the planes lie in, as far as they are named
    stored: int = 0  # images that say where their planes lie
    planes: int = 0  # the most that an image states, by its sizes, by where its planes lie, or by a modulo


def read_ome(xml: str) -> OmeDocument:
    """The metadata of an OME-TIFF, whatever version its namespace names; nothing where they are broken."""
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError):
        return OmeDocument()
    names = []
    files, stored = set(), 0
    planes = max(map(_modulo_length, root.iter()), default=0)
    for image in children(root, "Image"):
        pixels = next(children(image, "Pixels"), ElementTree.Element("Pixels"))
        channels = [channel.get("Name", "").strip() for channel in children(pixels, "Channel")]
        names.append(tuple(channels) if all(channels) else ())
        places = list(children(pixels, "TiffData"))
        stored += bool(places)
        planes = max(planes, math.prod(_stated(pixels, f"Size{axis}", 1) for axis in "CZT"))
        for data in places:
            planes = max(planes, sum(_stated(data, name, 0) for name in ("IFD", "NumPlanes", "PlaneCount")))
            files |= {place.get("FileName") or place.text or "" for place in children(data, "UUID")}
    return OmeDocument(tuple(names), frozenset(files - {""}), stored, planes)


def _stated(element: ElementTree.Element, name: str, default: int) -> int:
    text = element.get(name)
    return default if text is None else whole_number(text, f"{name} of its OME metadata")


def _modulo_length(element: ElementTree.Element) -> int:
    """Places along an axis that stands within another, such as lifetimes within channels: from Start to End."""
    if not local(element.tag)[:-1].endswith("Along") or "Start" not in element.attrib:
        return 0
    try:
        start, end, step = (float(element.get(name, "1")) for name in ("Start", "End", "Step"))
        return max(0, int((end - start) / step) + 1)
    except (ValueError, ArithmeticError):  # no numbers, or without an end
        return LARGEST


def imagej_channel_names(labels: Any, sizes: Mapping[str, int]) -> tuple[str, ...]:
    """ImageJ's `Labels` as names of channels: one per channel, or one per plane that agrees over all of a channel."""
    channels = sizes.get("C", 1)
    if not isinstance(labels, list | tuple) or channels < 2 or len(labels) % channels:
        return ()
    names = tuple(str(label).strip() for label in labels[:channels])
    repeated = all(str(label).strip() == names[place % channels] for place, label in enumerate(labels))
    return names if repeated and all(names) and len(set(names)) == channels else ()


def illumination_setting(path: Path) -> str | None:
    """The illumination setting that MetaXpress and MetaMorph note in a TIFF (`DAPI`).

    Empty where it notes none; None where the file cannot be opened.
    """
    try:
        with open(path, "rb") as handle, tifffile.TiffFile(handle) as tiff:
            metadata = tiff.metaseries_metadata or {}
    except Exception:  # whatever a damaged file makes the decoder raise; reading it says what is wrong
        return None
    return str(metadata.get("PlaneInfo", {}).get("_IllumSetting_", "")).strip()
