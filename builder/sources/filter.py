"""Which sources take part: `--sources`, `--exclude`, `--licences` and `--sources-from` of every stage, as one record.

A source of one's own is a file like those of this package, in any folder: `sources_in` reads it.
"""

import importlib.util
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError, one_line
from cytoimagenet_hf.core.regular import require_regular
from cytoimagenet_hf.core.settings import check_fields, setting

from . import SOURCES
from .base import Source
from .benchmark_sets import benchmark_named


@dataclass(frozen=True, kw_only=True)
class SourceFilter:
    """Which sources take part; without arguments all of them.

    `only` and `exclude` are names (`dir_name`); the licence `cc-by` stands for all its versions, not for `cc-by-nc`.

    Example:
        >>> list(choose_sources(SourceFilter())) == sorted(SOURCES)
        True
        >>> list(choose_sources(SourceFilter(only=["BBBC013"])))
        ['bbbc013']
    """

    only: tuple[str, ...] | None = setting(None, "Only these sources, comma-separated.", option="sources", commas=True)
    exclude: tuple[str, ...] = setting((), "All sources but these, comma-separated.", commas=True)
    licences: tuple[str, ...] | None = setting(None, "Only sources under these licences, e.g. cc0,cc-by.", commas=True)
    sources_from: Path | None = setting(None, "Folder of source files of your own, beside the builder's; run.")

    def __post_init__(self) -> None:
        check_fields(self, name="sources")
        if self.only is not None and {name.lower() for name in self.only} <= {name.lower() for name in self.exclude}:
            raise InputError(
                f"--sources {','.join(self.only)} --exclude {','.join(self.exclude)} leave no source: name another one"
            )

    @cached_property
    def registry(self) -> Mapping[str, Source]:
        """The sources there are: those of this package, and those of a folder."""
        return SOURCES if self.sources_from is None else sources_in(self.sources_from)

    @property
    def takes_all(self) -> bool:
        """Nothing is left out."""
        return self.only is None and not self.exclude and self.licences is None

    def allows(self, licence: str) -> bool:
        """Whether a source under this licence may take part, as far as its licence goes."""
        asked = None if self.licences is None else {name.lower() for name in self.licences}
        return asked is None or not asked.isdisjoint({licence, _licence_family(licence)})

    def require_known_licences(self, licences: Collection[str]) -> None:
        """Refuse a licence that is none of `licences`, with or without its version."""
        names = {name for licence in licences for name in (licence, _licence_family(licence))}
        if unknown := sorted({name.lower() for name in self.licences or ()} - names):
            raise InputError(f"{', '.join(unknown)}: no such licence; known are {', '.join(sorted(names))}")


ALL_SOURCES = SourceFilter()


def choose_sources(wanted: SourceFilter = ALL_SOURCES) -> dict[str, Source]:
    """The sources that take part, by `dir_name`.

    Raises:
        InputError: a name that is not a source, a benchmark set, or a licence no source has.
    """
    registry = wanted.registry
    named = [name.lower() for name in (registry if wanted.only is None else wanted.only)]
    for name in named:
        if benchmark := benchmark_named(name):
            raise InputError(
                f"{benchmark.title} is a benchmark: training on it would void its scores, so it is not a source"
            )
    left_out = {name.lower() for name in wanted.exclude}
    # A benchmark may be excluded by name: it is not there anyway.
    unknown = [name for name in named if name not in registry]
    unknown += sorted(name for name in left_out if name not in registry and not benchmark_named(name))
    if unknown:
        raise InputError(f"{', '.join(unknown)}: no such source; known are {', '.join(registry)}")
    wanted.require_known_licences({source.licence for source in registry.values()})
    chosen = {name: registry[name] for name in sorted(set(named) - left_out) if wanted.allows(registry[name].licence)}
    if not chosen:
        raise InputError("no source is left by --sources, --exclude and --licences: choose fewer of these options")
    return chosen


def sources_in(folder: Path) -> dict[str, Source]:
    """The sources of this package and those of a folder: each of its `*.py` files that does not start with `_`.

    The files are run: give a folder whose code you trust.

    Raises:
        InputError: no folder, no such file, one that fails or holds no `SOURCE`, or a name that does not fit.
    """
    files = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_")) if folder.is_dir() else []
    if not files:
        raise InputError(
            f"--sources-from {folder}: no folder with a source in it. Copy builder/sources/skeleton.py there as "
            "<dir_name>.py"
        )
    registry = dict(SOURCES)
    for path in files:
        name, source = path.stem, _source_of(path)
        if source.dir_name != name or name != name.lower() or "-" in name:
            raise InputError(
                f"{path}: its dir_name is {source.dir_name!r}; name the file <dir_name>.py, lower case, no -"
            )
        if benchmark := benchmark_named(name):
            raise InputError(f"{path}: {benchmark.title} is a benchmark, kept for evaluation: it is not a source")
        if name in SOURCES:
            raise InputError(f"{path}: {name} is a source of the builder already: choose another dir_name")
        registry[name] = source
    return registry


def _source_of(path: Path) -> Source:
    spec = importlib.util.spec_from_file_location(f"builder_sources_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} cannot be read as a Python module")
    require_regular(path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the file's own code raises
        raise InputError(f"{path} cannot be run: {type(error).__name__}: {one_line(error)}. Mend it") from error
    source = getattr(module, "SOURCE", None)
    if not isinstance(source, Source):
        raise InputError(f"{path} holds no SOURCE = Source(...): see builder/sources/skeleton.py")
    return source


def _licence_family(licence: str) -> str:
    """A licence without its version.

    Example:
        >>> _licence_family("cc-by-nc-4.0"), _licence_family("cc0")
        ('cc-by-nc', 'cc0')
    """
    head, dash, version = licence.rpartition("-")
    return head if dash and version.replace(".", "").isdigit() else licence
