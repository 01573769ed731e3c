"""Which sources take part: the `--sources`, `--exclude` and `--licences` of every stage, as one record."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cytoimagenet_hf.core.errors import InputError

from . import SOURCES
from .base import Source
from .benchmark_sets import benchmark_named


@dataclass(frozen=True, kw_only=True)
class SourceFilter:
    """Which sources take part; without arguments all of them.

    Attributes:
        only: `dir_name` of those that may; all when None.
        exclude: `dir_name` of those that may not.
        licences: licences under which they may; `cc-by` stands for all its versions, not for `cc-by-nc`. All when
            None.

    Example:
        >>> len(choose_sources(SourceFilter())), list(choose_sources(SourceFilter(only=["BBBC013"])))
        (40, ['bbbc013'])
    """

    only: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    licences: Sequence[str] | None = None

    @property
    def takes_all(self) -> bool:
        """Nothing is left out."""
        return self.only is None and not self.exclude and self.licences is None

    def allows(self, licence: str) -> bool:
        """Whether a source under this licence may take part, as far as its licence goes."""
        asked = None if self.licences is None else {name.lower() for name in self.licences}
        return asked is None or not asked.isdisjoint({licence, licence_family(licence)})

    def require_known_licences(self, licences: Collection[str]) -> None:
        """Refuse a licence that nobody has.

        Raises:
            InputError: it is none of `licences`, with or without its version.
        """
        known = {name for licence in licences for name in (licence, licence_family(licence))}
        if unknown := sorted({name.lower() for name in self.licences or ()} - known):
            raise InputError(f"{', '.join(unknown)}: no such licence; known are {', '.join(sorted(known))}")


ALL_SOURCES = SourceFilter()


def choose_sources(wanted: SourceFilter = ALL_SOURCES) -> dict[str, Source]:
    """The sources that take part, by `dir_name`.

    Raises:
        InputError: a name that is no source, a benchmark set, or a licence no source has.
    """
    named = [name.lower() for name in (SOURCES if wanted.only is None else wanted.only)]
    for name in named:
        if benchmark := benchmark_named(name):
            raise InputError(
                f"{benchmark.title} is a benchmark: training on it would void its scores, so it is no source"
            )
    left_out = {name.lower() for name in wanted.exclude}
    # A benchmark may be excluded by name: it is not there anyway.
    unknown = [name for name in named if name not in SOURCES]
    unknown += sorted(name for name in left_out if name not in SOURCES and not benchmark_named(name))
    if unknown:
        raise InputError(f"{', '.join(unknown)}: no such source; known are {', '.join(SOURCES)}")
    wanted.require_known_licences({source.licence for source in SOURCES.values()})
    chosen = sorted(set(named) - left_out)
    return {name: SOURCES[name] for name in chosen if wanted.allows(SOURCES[name].licence)}


def licence_family(licence: str) -> str:
    """A licence without its version.

    Example:
        >>> licence_family("cc-by-nc-4.0"), licence_family("cc0")
        ('cc-by-nc', 'cc0')
    """
    head, dash, version = licence.rpartition("-")
    return head if dash and version.replace(".", "").isdigit() else licence
