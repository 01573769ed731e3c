"""A plate on one page: heat maps, montage, map, controls and doses, without a server and without requests."""

from .page import write_report

__all__ = ["write_report"]
