"""The source datasets of CytoImageNet (paper, Supplementary Table 1), one module each, listed below."""

from importlib import import_module
from types import MappingProxyType

from .base import Source

_NAMES = (
    *("bbbc005", "bbbc006", "bbbc010", "bbbc011", "bbbc012", "bbbc013", "bbbc014", "bbbc015", "bbbc017"),
    *("bbbc020", "bbbc022", "bbbc025", "bbbc026", "bbbc038", "bbbc041", "bbbc045", "bbbc048", "bbbc051"),
    "cil_kinome",
    *("idr0003", "idr0009", "idr0016", "idr0017", "idr0021", "idr0037", "idr0041"),
    *("idr0067", "idr0072", "idr0080", "idr0081", "idr0088", "idr0093"),
    *("kag_cell_cycle", "kag_hpa", "kag_hpa_single", "kag_leukemia"),
    *("rec_rxrx1", "rec_rxrx19a", "rec_rxrx19b", "rec_rxrx2"),
)

SOURCES: MappingProxyType[str, Source] = MappingProxyType(
    {name: import_module(f".{name}", __name__).SOURCE for name in _NAMES}
)
"""`dir_name` → source."""
