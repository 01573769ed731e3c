"""Names of channels from the metadata of OME, ImageJ and MetaMorph files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile


def ome_channel_names(xml: str, image: int) -> tuple[str, ...]:
    """`Channel@Name` of one Image of an OME document, whatever version its namespace names.

    Args:
        xml: the document.
        image: which Image, from 0.

    Returns:
        One name per channel; nothing where a channel has none, or the document is broken.

    Example:
        >>> ome_channel_names('<OME><Image><Pixels><Channel Name="DNA"/></Pixels></Image></OME>', 0)
        ('DNA',)
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return ()
    images = [element for element in root if _local(element) == "Image"]
    if not 0 <= image < len(images):
        return ()
    pixels = next((element for element in images[image] if _local(element) == "Pixels"), None)
    channels = [] if pixels is None else [element for element in pixels if _local(element) == "Channel"]
    names = tuple(channel.get("Name", "").strip() for channel in channels)
    return names if all(names) else ()


def imagej_channel_names(labels: Any, sizes: Mapping[str, int]) -> tuple[str, ...]:
    """ImageJ's `Labels` as names of channels: one per channel, or one per plane that agrees over all of a channel.

    Args:
        labels: what the file has: one text per plane, channels fastest, or nothing.
        sizes: lengths of the axes by letter.

    Example:
        >>> imagej_channel_names(["DNA", "actin", "DNA", "actin"], {"Z": 2, "C": 2})
        ('DNA', 'actin')
    """
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
        with tifffile.TiffFile(path) as tiff:
            metadata = tiff.metaseries_metadata or {}
    except Exception:  # whatever a damaged file makes the decoder raise; reading it says what is wrong
        return None
    return str(metadata.get("PlaneInfo", {}).get("_IllumSetting_", "")).strip()


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
