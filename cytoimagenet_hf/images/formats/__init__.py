"""The kinds of sources, found by looking: each says whether a source `matches`, and can `find` its planes."""

from collections.abc import Callable
from dataclasses import dataclass

from cytoimagenet_hf.images.collect import Findings
from cytoimagenet_hf.images.source import Source
from cytoimagenet_hf.options.source import SourceOptions

from . import (
    arrays,
    channelfolders,
    dataset,
    folder,
    imagexpress,
    loaddata,
    named,
    omezarr,
    pattern,
    samplesheet,
    table,
)
from .harmony import PHENIX
from .incell import INCELL
from .instruments import Instrument
from .microscopes import Acquisitions
from .yokogawa import YOKOGAWA


@dataclass(frozen=True)
class Format:
    """One kind of source.

    Attributes:
        about: a line for listings and messages.
        matches: whether a source is of this kind.
        find: its planes.
    """

    about: str
    matches: Callable[[Source, SourceOptions], bool]
    find: Callable[[Source, SourceOptions], Findings]


FORMATS: dict[str, Format | Instrument | Acquisitions] = {
    "dataset": Format("a HuggingFace dataset: hf:NAME[:SPLIT] or a built folder", dataset.matches, dataset.find),
    "pattern": Format("files named by --pattern", pattern.matches, pattern.find),
    "arrays": Format("Zarr arrays without OME metadata, by --axes (JUMP-Lite)", arrays.matches, arrays.find),
    "loaddata": Format("a CellProfiler LoadData table, also JUMP's", loaddata.matches, loaddata.find),
    "samplesheet": Format("a samplesheet of nf-core/cellpainting", samplesheet.matches, samplesheet.find),
    "table": Format("a CSV or Parquet table of files", table.matches, table.find),
    "omezarr": Format("OME-Zarr plates and images, up to 0.6", omezarr.matches, omezarr.find),
    "czi": Acquisitions("Zeiss .czi", ".czi"),
    "nd2": Acquisitions("Nikon .nd2", ".nd2"),
    "lif": Acquisitions("Leica .lif", ".lif"),
    "phenix": PHENIX,
    "yokogawa": YOKOGAWA,
    "incell": INCELL,
    "imagexpress": Format("ImageXpress, by name", imagexpress.matches, imagexpress.find),
    "scanr": named.SCANR,
    "cellomics": named.CELLOMICS,
    "gen5": named.GEN5,
    "cq1": named.CQ1,
    "bdpathway": named.BD_PATHWAY,
    "flex": named.FLEX,
    "incucyte": named.INCUCYTE,
    "leica": named.LEICA,
    "channelfolders": Format("a folder per channel; only when asked for", channelfolders.matches, channelfolders.find),
    "folder": Format("image files, each an image or a stack", folder.matches, folder.find),
}
"""Name → kind; the first that matches is taken."""
