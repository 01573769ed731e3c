"""A plate on one page: heat maps, montage, map, controls and doses, without a server and without requests."""

from .figure import write_figure
from .page import write_report

__all__ = ["write_figure", "write_report"]
