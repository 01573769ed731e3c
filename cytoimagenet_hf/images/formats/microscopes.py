"""Files of a whole acquisition: Zeiss `.czi`, Nikon `.nd2`, Leica `.lif`; their scenes and positions are sites."""

import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.options import Options
from cytoimagenet_hf.images.source import Ignored, Source, without_suffix
from cytoimagenet_hf.images.stores import czi, lif, nd2

_WELL = re.compile(r"(?:.*[^A-Za-z0-9])?([A-Z]{1,2}\d{2})(?:[^A-Za-z0-9].*)?")


def matcher(suffix: str) -> Callable[[Source, Options], bool]:
    """Any file with that ending."""
    return lambda source, options: bool(source.with_suffix(suffix))


def finder(suffix: str) -> Callable[[Source, Options], Findings]:
    """Planes of all files with that ending; a file that cannot be read is an image with that problem."""
    planes_of = {".czi": _czi, ".nd2": _nd2, ".lif": _lif}[suffix]

    def find(source: Source, options: Options) -> Findings:
        names = source.with_suffix(suffix)
        planes: list[FoundPlane] = []
        notes: list[str] = []
        for name in names:
            path, stem = source.root / name, without_suffix(name)
            try:
                planes += planes_of(path, stem, notes)
            except InputError as error:
                planes.append(FoundPlane(PlaneRef(path), Channel(""), stem, problem=str(error)))
        ignored = [Ignored(name, f"not a {suffix} file") for name in source.files if name not in names]
        more = [f"the same holds for {len(notes) - 3} more files"] if len(notes) > 3 else []
        return Findings(planes, ignored, notes=[*notes[:3], *more])

    return find


def _czi(path: Path, stem: str, notes: list[str]) -> Iterator[FoundPlane]:
    layout = czi.describe(path)
    if layout.tiles > 1:
        notes.append(f"{path.name} is a mosaic of {layout.tiles} tiles: stitched, and black where no tile lies")
    sites: dict[str, int] = {}
    for scene in layout.scenes:
        well = layout.wells.get(scene, "")
        sites[well] = sites.get(well, 0) + 1  # fields of a well are scenes of one name, in order
        for c in range(layout.sizes["C"]):
            for z in range(layout.sizes["Z"]):
                for t in range(layout.sizes["T"]):
                    yield FoundPlane(
                        PlaneRef(path, kind="czi", place=(scene, c, z, t)),
                        Channel(str(c + 1), layout.channels[c] if layout.channels else ""),
                        f"{stem}/{scene + 1}" if scene >= 0 and len(layout.scenes) > 1 else stem,
                        plate=Path(stem).name if well else "",
                        well=well,
                        site=str(sites[well] if well else scene + 1) if scene >= 0 else "",
                        z=z + 1 if layout.sizes["Z"] > 1 else None,
                        t=t + 1,
                        origin=stem,
                    )


def _nd2(path: Path, stem: str, notes: list[str]) -> Iterator[FoundPlane]:
    layout = nd2.describe(path)
    several = len({indices.get("P", 0) for indices in layout.frames}) > 1
    deep = any(indices.get("Z") for indices in layout.frames)
    for frame, indices in enumerate(layout.frames):
        position = indices.get("P", 0)
        label = layout.positions[position] if position < len(layout.positions) else ""
        match = _WELL.fullmatch(label)
        for c, channel in enumerate(layout.channels):
            yield FoundPlane(
                PlaneRef(path, kind="nd2", place=(frame, c)),
                Channel(str(c + 1), "" if channel.isdecimal() else channel),
                f"{stem}/{position + 1}" if several else stem,
                plate=Path(stem).name if match else "",
                well=match[1] if match else "",
                site=str(position + 1) if several else "",
                z=indices.get("Z", 0) + 1 if deep else None,
                t=indices["T"] + 1 if "T" in indices else None,
                origin=stem,
            )


def _lif(path: Path, stem: str, notes: list[str]) -> Iterator[FoundPlane]:
    for number, image in enumerate(lif.describe(path)):
        base = f"{stem}/{image.name}"
        outer = image.outer
        if not image.is_picture:
            reason = f"{path}: image {image.name} has the axes {', '.join(image.sizes) or 'of a point'}: no picture"
            yield FoundPlane(PlaneRef(path), Channel(""), base, problem=reason)
            continue
        if unknown := [axis for axis, size in outer.items() if axis not in ("M", "T", "Z", "C", "Y") and size > 1]:
            swept = "a sweep of wavelengths gives no stains" if {*unknown} & {"λ", "Λ"} else "known are M, T, Z and C"
            counts = ", ".join(f"{outer[axis]} planes along {axis}" for axis in unknown)
            reason = f"{path}: image {image.name} has {counts}: {swept}; export the planes that you need as TIFF"
            yield FoundPlane(PlaneRef(path), Channel(""), base, problem=reason)
            continue
        depth = "Y" if "Y" in outer else "Z"  # a scan in X and Z is moved along Y
        for places in product(*(range(size) for size in outer.values())):
            at = dict(zip(outer, places, strict=True))
            yield FoundPlane(
                PlaneRef(path, kind="lif", place=(number, *(part for pair in at.items() for part in pair))),
                Channel(str(at.get("C", 0) + 1)),
                f"{base}/{at['M'] + 1}" if outer.get("M", 1) > 1 else base,
                site=str(at["M"] + 1) if outer.get("M", 1) > 1 else "",
                z=at[depth] + 1 if outer.get(depth, 1) > 1 else None,
                t=at["T"] + 1 if outer.get("T", 1) > 1 else None,
                origin=stem,
            )
