"""A plate on one page: heat maps, montage, map, controls and doses, without a server and without requests."""

from .drawings import write_figure
from .page import check_report, write_report

__all__ = ["check_report", "write_figure", "write_report"]
