"""What the sets of the Broad Bioimage Benchmark Collection share."""

from functools import partial

from .base import Source

broad = partial(Source, database="Broad Bioimage Benchmark Collection")
"""A `Source` of this collection."""
LJOSA = "Ljosa et al. 2012, doi:10.1038/nmeth.2083"


def link(number: str) -> str:
    """The page of a set.

    Example:
        >>> link("BBBC013")
        'https://bbbc.broadinstitute.org/BBBC013'
    """
    return f"https://bbbc.broadinstitute.org/{number}"


def download(number: str, *files: str, into: str) -> str:
    """What to fetch from the collection's file server, and what must lie in the source's folder afterwards."""
    server = f"https://data.broadinstitute.org/bbbc/{number}"
    return f"Fetch {', '.join(f'{server}/{file}' for file in files)} and unpack it to {into}."
