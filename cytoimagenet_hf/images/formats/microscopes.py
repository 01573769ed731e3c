"""Files of a whole acquisition: Zeiss `.czi`, Nikon `.nd2`, Leica `.lif`; their scenes and positions are sites."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from cytoimagenet_hf.errors import InputError
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
        for name in names:
            path, stem = source.root / name, without_suffix(name)
            try:
                planes += planes_of(path, stem)
            except InputError as error:
                planes.append(FoundPlane(PlaneRef(path), Channel(""), stem, problem=str(error)))
        return Findings(planes, [Ignored(name, f"no {suffix} file") for name in source.files if name not in names])

    return find


def _czi(path: Path, stem: str) -> Iterator[FoundPlane]:
    layout = czi.describe(path)
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


def _nd2(path: Path, stem: str) -> Iterator[FoundPlane]:
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


def _lif(path: Path, stem: str) -> Iterator[FoundPlane]:
    for number, image in enumerate(lif.describe(path)):
        outer = {axis: size for axis, size in image.sizes.items() if axis in ("M", "T", "Z", "C")}
        unknown = [axis for axis in image.sizes if axis not in {*outer, "Y", "X", "S"} and image.sizes[axis] > 1]
        base = f"{stem}/{image.name}"
        if unknown:
            reason = f"{path}: image {image.name} has axes {', '.join(image.sizes)}; known are M, T, Z, C, Y, X, S"
            yield FoundPlane(PlaneRef(path), Channel(""), base, problem=reason)
            continue
        for m in range(outer.get("M", 1)):
            for t in range(outer.get("T", 1)):
                for z in range(outer.get("Z", 1)):
                    for c in range(outer.get("C", 1)):
                        at = {"M": m, "T": t, "Z": z, "C": c}
                        place = [part for axis in outer for part in (axis, at[axis])]
                        yield FoundPlane(
                            PlaneRef(path, kind="lif", place=(number, *place)),
                            Channel(str(c + 1)),
                            f"{base}/{m + 1}" if outer.get("M", 1) > 1 else base,
                            site=str(m + 1) if outer.get("M", 1) > 1 else "",
                            z=z + 1 if outer.get("Z", 1) > 1 else None,
                            t=t + 1 if outer.get("T", 1) > 1 else None,
                            origin=stem,
                        )
