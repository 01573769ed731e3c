"""What microscopes write: planes by the index beside them where there is one, else by the names of the files.

A format of this kind is facts: how the instrument names its files, which files are its index, and what the index says
of each image. `Instrument` finds planes by them, in one way for all.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, replace

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.base import PlaneRef
from cytoimagenet_hf.images.channels import Channel
from cytoimagenet_hf.images.collect import Findings, FoundPlane, not_images
from cytoimagenet_hf.images.containers import expand_stacks
from cytoimagenet_hf.images.names import Naming, planes_by_name, share_named
from cytoimagenet_hf.images.source import Ignored, Source, natural
from cytoimagenet_hf.options.source import SourceOptions
from cytoimagenet_hf.tables.wells import well_at


@dataclass(frozen=True)
class Entry:
    """One image as an index lists it.

    Its `file` is a name below the folder of the index, `/` between folders, or a place on the microscope's own disk.
    """

    file: str
    row: str  # of its well, a number or letters
    column: str
    channel: Channel
    _: KW_ONLY
    plate: str
    site: str = ""  # field of view within the well
    z: int | None = None  # number of the plane in its stack, from 1
    t: int | None = None  # number of the time point, from 1
    unused: str = ""  # why it gives no plane; empty where it gives one
    thumbnail: str = ""  # a smaller copy of it beside it, which is no image of its own


@dataclass(frozen=True)
class Instrument:
    """One kind of source: what a microscope or its program writes."""

    about: str  # a line for listings and messages
    called: str  # whose names they are, in the reason of files that are named otherwise
    names: Naming
    newer_names: Naming | None = None  # of another version of the program, for names that the first do not fit
    indexes: Callable[[Source], Sequence[str]] = lambda source: ()  # the index files of a source
    entries: Callable[[Source, str], Iterable[Entry]] = lambda source, index: ()  # what an index lists
    index_called: str = ""  # in the reason of files that no index lists
    elsewhere: bool = False  # whether images that are not below the index are looked for in all folders
    note: str = ""  # what the names leave open

    def matches(self, source: Source, options: SourceOptions) -> bool:
        """Whether there is an index, or at least half of the images are named so."""
        return bool(self.indexes(source)) or sum(share_named(source, names) for names in self._names) >= 0.5

    @property
    def _names(self) -> tuple[Naming, ...]:
        return (self.names,) if self.newer_names is None else (self.names, self.newer_names)

    def find(self, source: Source, options: SourceOptions) -> Findings:
        """Planes by the index where there is one, else by name."""
        indexes = {index: index.rpartition("/")[0] for index in self.indexes(source)}
        listed = _Listed(source, self.elsewhere)
        for index in indexes:
            for entry in self.entries(source, index):
                listed.add(entry, index)
        loose = [name for name in source.images if name not in listed.files]
        below = tuple(f"{folder}/" if folder else "" for folder in indexes.values())
        unlisted = [name for name in loose if name.startswith(below)]
        by_name: list[FoundPlane] = []
        others = [name for name in loose if name not in set(unlisted)]
        for names in self._names:
            planes, others = planes_by_name(source, others, names)
            by_name += planes
        groups = self.names.expression.groupindex
        if "time" in groups:
            by_name = _times_in_order(by_name)
        if not self.index_called:  # these instruments write stacks, too
            by_name = expand_stacks(by_name, options, named="c" in groups)
        ignored = listed.ignored + [Ignored(name, f"{self.index_called} does not name it") for name in unlisted]
        ignored += [Ignored(name, f"not named as {self.called} names images") for name in others]
        notes = [self.note] if self.note else []
        notes += [f"{index} names no image" for index, folder in indexes.items() if folder not in listed.folders]
        return Findings([*listed.planes, *by_name], ignored + not_images(source, *indexes), notes=notes)


class _Listed:
    """What the indexes of a source list: planes, and all files that they name."""

    def __init__(self, source: Source, elsewhere: bool) -> None:
        self.planes: list[FoundPlane] = []
        self.ignored: list[Ignored] = []
        self.files: set[str] = set()
        self.folders: set[str] = set()  # of indexes that give planes
        self._source, self._there = source, set(source.files)
        self._by_base: dict[str, str] = {}  # empty where several files have the name
        for name in source.files if elsewhere else ():
            base = name.rpartition("/")[2]
            self._by_base[base] = "" if base in self._by_base else name

    def add(self, entry: Entry, index: str) -> None:
        """Take in an image of an index."""
        folder = index.rpartition("/")[0]
        below = f"{folder}/" if folder else ""
        name, base = below + entry.file, entry.file.rpartition("/")[2]
        if name not in self._there:
            leads_out = ":" in entry.file or entry.file.startswith("/") or ".." in entry.file.split("/")
            if leads_out or below + base in self._there:
                name = below + base
            name = name if name in self._there else self._by_base.get(base) or name
        self.files |= {name, name[: name.rfind("/") + 1] + entry.thumbnail}
        if entry.unused:
            self.ignored.append(Ignored(name if entry.file else index, entry.unused))
            return
        problem = ""
        try:
            well = well_at(entry.row, entry.column)
        except InputError as error:
            well, problem = f"r{entry.row}c{entry.column}", str(error)
        if not problem and name not in self._there and not (self._source.root / name).is_file():
            problem = f"{index} names {base}, which is absent"
        self.folders.add(folder)
        self.planes.append(
            FoundPlane(
                PlaneRef(self._source.root / name),
                entry.channel,
                name,
                plate=entry.plate,
                well=well,
                site=entry.site,
                z=entry.z,
                t=entry.t,
                origin=folder,
                problem=problem,
            )
        )


def _times_in_order(planes: Sequence[FoundPlane]) -> list[FoundPlane]:
    """Planes with the number of their time point: the written times, in order."""
    written = sorted({str(plane.metadata["time"]) for plane in planes}, key=natural)
    numbers = {time: number for number, time in enumerate(written, 1)}
    return [replace(plane, t=numbers[str(plane.metadata["time"])]) for plane in planes]
