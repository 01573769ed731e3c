"""ImageXpress (MetaXpress): `TimePoint_1/ZStep_1/PLATE_B03_s2_w1<UUID>.tif`, thumbnails beside, names in the .HTD.

Projections of a stack lie in the folder above its z steps, or in `ZStep_0` where MetaXpress exported them. Where no
.HTD names the waves, the TIFFs name the setting of their illumination. BBBC021 is written so, flat and without
`TimePoint_1`, its waves numbered 1, 2 and 4; RxRx1 so, as PNG.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import plain_number, whole_or_none
from cytoimagenet_hf.images.channels import Channel, is_stain_word
from cytoimagenet_hf.images.collect import Findings, FoundPlane, not_images
from cytoimagenet_hf.images.containers import expand_stacks
from cytoimagenet_hf.images.names import Naming, planes_by_name
from cytoimagenet_hf.images.remote import local_file
from cytoimagenet_hf.images.source import Ignored, Source, suffix_of
from cytoimagenet_hf.imaging.names import illumination_setting
from cytoimagenet_hf.options.source import SourceOptions

_UUID = r"[0-9A-F]{8}-(?:[0-9A-F]{4}-){3}[0-9A-F]{12}"
# The wave is matched lazily: a UUID follows it without a sign between, and its first digit is no second digit of it.
_NAME = re.compile(
    r"(?P<_folder>(?:[^/]+/)*)(?:(?P<plate>[^/]+?)_)?(?P<well>[A-Z]{1,2}\d{2})"
    rf"(?P<_more>(?:_s(?P<site>\d+))?(?:_w(?P<c>\d\d??))?(?:_?(?:{_UUID}|\[{_UUID}\]))?)\.(?:tiff?|png|jpe?g|bmp)",
    re.IGNORECASE,
)
_STEP = re.compile(r"(TimePoint|ZStep)_(\d+)", re.IGNORECASE)
_WAVES = re.compile(r'"NWavelengths"\s*,\s*(\d+)', re.IGNORECASE)
_WAVE = re.compile(r'"WaveName(\d+)"\s*,\s*"([^"]*)"', re.IGNORECASE)


def matches(source: Source, options: SourceOptions) -> bool:
    """An .HTD, or at least half of the images that are not thumbnails with a site, a wave or a UUID in such a name."""
    names = [name for name in source.images if not _is_thumbnail(name)]
    hits = [match for name in names if (match := _NAME.fullmatch(name))]
    if hits and source.with_suffix(".htd"):
        return True
    folders = {name.rpartition("/")[0].rpartition("/")[2] for name in names}
    if len(folders) > 1 and all(map(is_stain_word, folders)) and not any(match["c"] for match in hits):
        return False  # a folder per channel
    return sum(1 for match in hits if match["_more"]) * 2 >= max(1, len(names))


def find(source: Source, options: SourceOptions) -> Findings:
    """Planes by name; thumbnails and everything else is ignored."""
    thumbnails = [name for name in source.files if _is_thumbnail(name)]
    names = [name for name in source.images if not _is_thumbnail(name)]
    planes, others = planes_by_name(source, names, Naming(_NAME, split_folder=_split))
    planes = _labelled(planes, _headers(source))
    planes, notes = _plates_by_folder(planes, source.root.resolve())
    planes, projections = _without_projections(planes)
    ignored = [Ignored(name, "thumbnail") for name in thumbnails]
    ignored += [
        Ignored(plane.ref.path.relative_to(source.root).as_posix(), "a projection of planes that are there")
        for plane in projections
    ]
    ignored += [Ignored(name, "not named as ImageXpress names images") for name in others]
    return Findings(expand_stacks(planes, options, named=True), ignored + not_images(source), notes=notes)


def _is_thumbnail(name: str) -> bool:
    return "_thumb" in name.rpartition("/")[2].lower()


def _split(folder: str) -> tuple[str, dict[str, str]]:
    """Folder of the plate, with the time point and z step that the folders below it give."""
    parts = folder.split("/") if folder else []
    values = {}
    while parts and (match := _STEP.fullmatch(parts[-1])):
        values["t" if match[1].lower() == "timepoint" else "z"] = match[2]
        parts.pop()
    return "/".join(parts), values


def _headers(source: Source) -> dict[str, dict[str, str]]:
    """Folder of a plate → names of its waves by number; exports repeat the .HTD in the folders below."""
    headers: dict[str, dict[str, str]] = {}
    for name in source.with_suffix(".htd"):
        headers.setdefault(_split(name.rpartition("/")[0])[0], {}).update(_wave_names(source.root / name))
    return headers


def _wave_names(header: Path) -> dict[str, str]:
    """Names of the waves from a .HTD file; a damaged one is refused, since channels would go by other names."""
    try:
        text = header.read_bytes().decode("cp1252", "replace")
    except OSError as error:
        raise InputError(f"{header} cannot be read: {error.strerror or error}") from error
    names = {plain_number(number): name.strip() for number, name in _WAVE.findall(text) if name.strip()}
    counted = _WAVES.search(text)
    waves = whole_or_none(counted[1], most=1_000_000) if counted else 0
    cut = "endfile" not in text.lower() and (not names or waves is None or len(names) < waves)
    if "htsinfofile" not in text.lower() or cut:
        raise InputError(
            f"{header} is damaged or cut off, so the names of its channels are not known: copy it again, or take it "
            "out of the folder to read the channels by number (--stains 1=…)"
        )
    return names


def _labelled(planes: Sequence[FoundPlane], headers: Mapping[str, Mapping[str, str]]) -> list[FoundPlane]:
    """Waves with the names of the header, else of the first file of the wave that opens."""
    labels: dict[tuple[str, str], str] = {}
    for plane in planes:
        wave = (plane.origin, plane.channel.key)
        if wave in labels:
            continue
        label: str | None = headers.get(plane.origin, {}).get(plane.channel.key, "")
        if not label and suffix_of(plane.ref.path.name) in (".tif", ".tiff"):
            label = _setting(plane.ref.path)
        if label is not None:  # a damaged file says nothing of the others
            labels[wave] = label
    return [
        replace(plane, channel=Channel(plane.channel.key, labels.get((plane.origin, plane.channel.key), "")))
        for plane in planes
    ]


def _setting(path: Path) -> str | None:
    try:
        with local_file(path) as file:
            return illumination_setting(file)
    except InputError:  # an object that cannot be read is as a damaged file
        return None


def _without_projections(planes: Sequence[FoundPlane]) -> tuple[list[FoundPlane], list[FoundPlane]]:
    """Planes of stacks and single planes; and the projections (no z step, or step 0) beside the planes they show."""

    def stack(plane: FoundPlane) -> tuple[str, str, str, str, int | None, str]:
        return plane.origin, plane.plate, plane.well, plane.site, plane.t, plane.channel.key

    deep = {stack(plane) for plane in planes if plane.z}
    projections = [plane for plane in planes if not plane.z and stack(plane) in deep]
    kept = [plane for plane in planes if plane.z or stack(plane) not in deep]
    return [plane if plane.z else replace(plane, z=None) for plane in kept], projections


def _plates_by_folder(planes: Sequence[FoundPlane], root: Path) -> tuple[list[FoundPlane], list[str]]:
    """Plates called by their folders where files of several folders carry one prefix (BBBC021: one per week)."""
    folders: dict[str, set[str]] = {}
    for plane in planes:
        folders.setdefault(plane.plate, set()).add(plane.origin)
    shared = {
        plate: origins
        for plate, origins in folders.items()
        if len({(root / origin).name for origin in origins}) == len(origins) > 1
    }
    notes = [
        f"files of {len(origins)} folders are named {plate}: their plates are called by the folders, such as "
        f"{(root / min(origins)).name}"
        for plate, origins in shared.items()
    ]
    renamed = [
        replace(plane, plate=(root / plane.origin).name) if plane.plate in shared else plane for plane in planes
    ]
    return renamed, notes
