"""Where the images of a feature folder lie and how they were asked for, so that a report can show them again."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import write_json
from cytoimagenet_hf.images import Image, find_images

from .store import read_json, stamp_of

SOURCE = "_source.json"


def write_source(output: Path, source: str, options: Mapping[str, Any], images: Sequence[Image]) -> None:
    """Note beside features where their images lie.

    Args:
        output: folder of the features.
        source: as the caller wrote it; kept as an absolute path.
        options: of `find_images`.
        images: what it found.
    """
    place = source if source.startswith("hf:") else os.path.abspath(source)
    given = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    if given.get("root"):
        given["root"] = os.path.abspath(given["root"])
    write_json(output / SOURCE, {"source": place, "options": given, "stamp": stamp_of(images)})


def recorded_images(features: Path) -> tuple[list[Image], str]:
    """The images behind features, if they are still where they were and as they were; else none, and why.

    Args:
        features: folder of an extraction, or a table, which knows nothing of images.
    """
    record = read_json(features / SOURCE) if features.is_dir() else None
    if not isinstance(record, dict) or not {"source", "options", "stamp"} <= record.keys():
        return [], "the features do not say where their images lie"
    try:
        images = find_images(record["source"], **record["options"])
    except (InputError, TypeError) as error:  # TypeError: options of another version
        return [], f"the images are not found again: {error}"
    if stamp_of(images) != record["stamp"]:
        return [], f"the images in {record['source']} have changed since the features were made"
    return images, ""
