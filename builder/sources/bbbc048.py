"""BBBC048: Jurkat cells in seven stages of the cell cycle, one row per channel file."""

import re

from .base import Count, Field
from .bbbc import broad, download, link
from .names import by_name

# Channel → stain, what it shows, modality. Brightfield of a whole cell shows the cell body (SOURCES 1.3).
CHANNELS: dict[str, tuple[str, str | None, str]] = {
    "3": ("brightfield", "cell body", "brightfield"),
    "4": ("nucleus", "nucleus", "fluorescence"),
    "6": ("darkfield", None, "darkfield"),
}


def _field(file: str, name: re.Match[str]) -> Field:
    stain, shown, microscopy = CHANNELS[name["channel"]]
    return Field(
        key=f"{name['id']}/ch{name['channel']}",
        files=[file],
        channels=[stain],
        cell_type="jurkat",
        cell_visible=shown,
        phenotype=name["stage"],
        microscopy=microscopy,
        site=name["id"],
    )


SOURCE = broad(
    dir_name="bbbc048",
    name="Cell Cycle Jurkat Cells",
    link=link("BBBC048"),
    licence="unverified",
    citation="Eulenberg et al. 2017, doi:10.1038/s41467-017-00623-3",
    organism="human",
    microscopy=None,  # by channel
    stains={f"Ch{channel}": stain for channel, (stain, _, _) in CHANNELS.items()},
    scan=by_name(
        r"(?P<stage>g1|s|g2|prophase|metaphase|anaphase|telophase) ?/"
        r"(?P<id>\d+)_ch(?P<channel>[346])(?:\.ome)?\.jpe?g",
        _field,
    ),
    kind="folders",
    download=download("BBBC048", "BBBC048v1.zip", into="CellCycle/<stage>/<id>_Ch3.ome.jpg"),
    disk_gb=0.5,
    ignore=r"_merged\.jpe?g$",
    rows_differ_in="channel",
    expected=(
        Count("fields", 96_798, "table"),
        Count("phenotype", 7, "table"),
        *(
            Count(f"phenotype={stage}", 3 * cells, "table")
            for stage, cells in {"g1": 14_333, "s": 8_616, "g2": 8_601, "prophase": 606, "metaphase": 68}.items()
        ),
    ),
    notes="Ch3 is brightfield, Ch4 propidium iodide and Ch6 darkfield, inferred from the paper.",
)
