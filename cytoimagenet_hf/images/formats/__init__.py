"""The kinds of sources, found by looking: each says whether a source `matches`, and can `find` its planes."""

from collections.abc import Callable
from dataclasses import dataclass

from cytoimagenet_hf.images.collect import Findings
from cytoimagenet_hf.images.containers import Acquisitions
from cytoimagenet_hf.images.source import Source
from cytoimagenet_hf.options.source import SourceOptions

from . import arrays, dataset, files, imagexpress, loaddata, named, omezarr, table
from .harmony import PHENIX
from .incell import INCELL
from .instruments import Instrument
from .yokogawa import YOKOGAWA


@dataclass(frozen=True)
class Format:
    """One kind of source: a line about it for listings and messages, whether a source is of it, and its planes."""

    about: str
    matches: Callable[[Source, SourceOptions], bool]
    find: Callable[[Source, SourceOptions], Findings]


FORMATS: dict[str, Format | Instrument | Acquisitions] = {
    "dataset": Format("a HuggingFace dataset: hf:NAME[:SPLIT] or a built folder", dataset.matches, dataset.find),
    "pattern": Format("files named by --pattern", lambda _, options: options.pattern is not None, files.by_pattern),
    "arrays": Format("Zarr arrays without OME metadata, by --axes (JUMP-Lite)", arrays.matches, arrays.find),
    "loaddata": Format("a CellProfiler LoadData table, also JUMP's", loaddata.matches, loaddata.find),
    "samplesheet": Format("a samplesheet of nf-core/cellpainting", table.is_samplesheet, table.read_samplesheet),
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
    # Folders of classes look the same, so that this kind is read only when it is asked for.
    "channelfolders": Format(
        "a folder per channel; only when asked for", lambda source, options: False, files.by_channel_folder
    ),
    "folder": Format("image files, each an image or a stack", lambda source, _: bool(source.images), files.one_by_one),
}
"""Name → kind; the first that matches is taken."""
