"""The forty source datasets of CytoImageNet (paper, Supplementary Table 1), one module each."""

from collections.abc import Sequence
from types import MappingProxyType

from cytoimagenet_hf.errors import InputError

from . import (
    bbbc005,
    bbbc006,
    bbbc010,
    bbbc011,
    bbbc012,
    bbbc013,
    bbbc014,
    bbbc015,
    bbbc017,
    bbbc020,
    bbbc022,
    bbbc025,
    bbbc026,
    bbbc038,
    bbbc041,
    bbbc045,
    bbbc048,
    bbbc051,
    cil_kinome,
    idr0003,
    idr0009,
    idr0016,
    idr0017,
    idr0021,
    idr0037,
    idr0041,
    idr0067,
    idr0072,
    idr0080,
    idr0081,
    idr0088,
    idr0093,
    kag_cell_cycle,
    kag_hpa,
    kag_hpa_single,
    kag_leukemia,
    rec_rxrx1,
    rec_rxrx2,
    rec_rxrx19a,
    rec_rxrx19b,
)
from .base import Source
from .refused import refused_name

SOURCES: MappingProxyType[str, Source] = MappingProxyType(
    {
        "bbbc005": bbbc005.SOURCE,
        "bbbc006": bbbc006.SOURCE,
        "bbbc010": bbbc010.SOURCE,
        "bbbc011": bbbc011.SOURCE,
        "bbbc012": bbbc012.SOURCE,
        "bbbc013": bbbc013.SOURCE,
        "bbbc014": bbbc014.SOURCE,
        "bbbc015": bbbc015.SOURCE,
        "bbbc017": bbbc017.SOURCE,
        "bbbc020": bbbc020.SOURCE,
        "bbbc022": bbbc022.SOURCE,
        "bbbc025": bbbc025.SOURCE,
        "bbbc026": bbbc026.SOURCE,
        "bbbc038": bbbc038.SOURCE,
        "bbbc041": bbbc041.SOURCE,
        "bbbc045": bbbc045.SOURCE,
        "bbbc048": bbbc048.SOURCE,
        "bbbc051": bbbc051.SOURCE,
        "cil_kinome": cil_kinome.SOURCE,
        "idr0003": idr0003.SOURCE,
        "idr0009": idr0009.SOURCE,
        "idr0016": idr0016.SOURCE,
        "idr0017": idr0017.SOURCE,
        "idr0021": idr0021.SOURCE,
        "idr0037": idr0037.SOURCE,
        "idr0041": idr0041.SOURCE,
        "idr0067": idr0067.SOURCE,
        "idr0072": idr0072.SOURCE,
        "idr0080": idr0080.SOURCE,
        "idr0081": idr0081.SOURCE,
        "idr0088": idr0088.SOURCE,
        "idr0093": idr0093.SOURCE,
        "kag_cell_cycle": kag_cell_cycle.SOURCE,
        "kag_hpa": kag_hpa.SOURCE,
        "kag_hpa_single": kag_hpa_single.SOURCE,
        "kag_leukemia": kag_leukemia.SOURCE,
        "rec_rxrx1": rec_rxrx1.SOURCE,
        "rec_rxrx19a": rec_rxrx19a.SOURCE,
        "rec_rxrx19b": rec_rxrx19b.SOURCE,
        "rec_rxrx2": rec_rxrx2.SOURCE,
    }
)


def choose_sources(
    sources: Sequence[str] | None = None, exclude: Sequence[str] = (), licences: Sequence[str] | None = None
) -> dict[str, Source]:
    """The sources a caller wants, by `dir_name`.

    Args:
        sources: only these; all forty when None.
        exclude: not these.
        licences: only sources under these licences; `cc-by` means every version of it, `cc-by-4.0` that one.

    Raises:
        InputError: a name that is no source, a benchmark set, or a licence no source has.
    """
    wanted = [name.lower() for name in (SOURCES if sources is None else sources)]
    for name in wanted:
        if benchmark := refused_name(name):
            raise InputError(
                f"{benchmark.title} is a benchmark: training on it would void its scores, so it is no source"
            )
    left_out = {name.lower() for name in exclude}
    # A benchmark may be excluded by name: it is not there anyway.
    unknown = [name for name in wanted if name not in SOURCES]
    unknown += sorted(name for name in left_out if name not in SOURCES and not refused_name(name))
    if unknown:
        raise InputError(f"{', '.join(unknown)}: no such source; known are {', '.join(SOURCES)}")
    known = {licence for source in SOURCES.values() for licence in (source.licence, licence_family(source.licence))}
    chosen_licences = None if licences is None else {licence.lower() for licence in licences}
    if unused := sorted((chosen_licences or set()) - known):
        raise InputError(f"{', '.join(unused)}: no source has this licence; known are {', '.join(sorted(known))}")
    return {
        name: SOURCES[name]
        for name in sorted(set(wanted) - left_out)
        if chosen_licences is None
        or not chosen_licences.isdisjoint({SOURCES[name].licence, licence_family(SOURCES[name].licence)})
    }


def licence_family(licence: str) -> str:
    """A licence without its version.

    Example:
        >>> licence_family("cc-by-nc-4.0"), licence_family("cc0")
        ('cc-by-nc', 'cc0')
    """
    head, dash, version = licence.rpartition("-")
    return head if dash and version.replace(".", "").isdigit() else licence
