"""Files of a whole acquisition (Zeiss `.czi`, Nikon `.nd2`, Leica `.lif`) that say all of their images themselves."""

from dataclasses import dataclass

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane
from cytoimagenet_hf.images.containers import planes_in
from cytoimagenet_hf.images.source import Ignored, Source, without_suffix
from cytoimagenet_hf.options.source import SourceOptions


@dataclass(frozen=True)
class Acquisitions:
    """Files with one ending.

    Attributes:
        about: a line for listings and messages.
        suffix: the ending, lower case.
    """

    about: str
    suffix: str

    def matches(self, source: Source, options: SourceOptions) -> bool:
        """Any file with that ending."""
        return bool(source.with_suffix(self.suffix))

    def find(self, source: Source, options: SourceOptions) -> Findings:
        """Planes of all files with that ending; a file that cannot be read is an image with that problem."""
        names = source.with_suffix(self.suffix)
        planes: list[FoundPlane] = []
        notes: list[str] = []
        for name in names:
            path, stem = source.root / name, without_suffix(name)
            try:
                planes += planes_in(path, stem, notes)
            except InputError as error:
                planes.append(FoundPlane(PlaneRef(path), Channel(""), stem, problem=str(error)))
        ignored = [Ignored(name, f"not a {self.suffix} file") for name in source.files if name not in names]
        more = [f"the same holds for {len(notes) - 3} more files"] if len(notes) > 3 else []
        if len(names) > 1 and not any(plane.well for plane in planes):
            example = "{well}_s{site}" + self.suffix
            more.append(f"no file says its well: if the names do, say how: --pattern '{example}'")
        return Findings(planes, ignored, notes=[*notes[:3], *more])
