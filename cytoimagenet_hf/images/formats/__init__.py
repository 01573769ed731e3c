"""The kinds of sources, found by looking: a file each, as `matches(source, options)` and `find(source, options)`."""

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
    harmony,
    imagexpress,
    incell,
    loaddata,
    microscopes,
    named,
    omezarr,
    pattern,
    samplesheet,
    table,
    yokogawa,
)


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


FORMATS: dict[str, Format] = {
    "dataset": Format("a HuggingFace dataset: hf:NAME[:SPLIT] or a built folder", dataset.matches, dataset.find),
    "pattern": Format("files named by --pattern", pattern.matches, pattern.find),
    "arrays": Format("Zarr arrays without OME metadata, by --axes (JUMP-Lite)", arrays.matches, arrays.find),
    "loaddata": Format("a CellProfiler LoadData table, also JUMP's", loaddata.matches, loaddata.find),
    "samplesheet": Format("a samplesheet of nf-core/cellpainting", samplesheet.matches, samplesheet.find),
    "table": Format("a CSV or Parquet table of files", table.matches, table.find),
    "omezarr": Format("OME-Zarr plates and images, up to 0.6", omezarr.matches, omezarr.find),
    "czi": Format("Zeiss .czi", microscopes.matcher(".czi"), microscopes.finder(".czi")),
    "nd2": Format("Nikon .nd2", microscopes.matcher(".nd2"), microscopes.finder(".nd2")),
    "lif": Format("Leica .lif", microscopes.matcher(".lif"), microscopes.finder(".lif")),
    "phenix": Format("Opera Phenix or Operetta, by Index.idx.xml or by name", harmony.matches, harmony.find),
    "yokogawa": Format("Yokogawa, by MeasurementData.mlf or by name", yokogawa.matches, yokogawa.find),
    "incell": Format("IN Cell Analyzer, by .xdce or by name", incell.matches, incell.find),
    "imagexpress": Format("ImageXpress, by name", imagexpress.matches, imagexpress.find),
    "scanr": Format("Olympus scanR, by name", named.matcher(named.SCANR), named.finder(named.SCANR)),
    "cellomics": Format("Cellomics, by name", named.matcher(named.CELLOMICS), named.finder(named.CELLOMICS)),
    "gen5": Format("Gen5 (Cytation, Lionheart), by name", named.matcher(named.GEN5), named.finder(named.GEN5)),
    "cq1": Format(
        "Yokogawa CQ1 and CV1000, by name", named.matcher(named.CQ1), named.finder(named.CQ1, note=named.CQ1_NOTE)
    ),
    "bdpathway": Format("BD Pathway, by name", named.matcher(named.BD_PATHWAY), named.finder(named.BD_PATHWAY)),
    "flex": Format("Opera .flex, by name", named.matcher(named.FLEX), named.finder(named.FLEX, note=named.FLEX_NOTE)),
    "incucyte": Format("IncuCyte, by name", named.matcher(named.INCUCYTE), named.finder(named.INCUCYTE)),
    "leica": Format("Leica Matrix Screener, by name", named.matcher(named.LEICA), named.finder(named.LEICA)),
    "channelfolders": Format("a folder per channel; only when asked for", channelfolders.matches, channelfolders.find),
    "folder": Format("image files, each an image or a stack", folder.matches, folder.find),
}
"""Name → kind; the first that matches is taken."""
