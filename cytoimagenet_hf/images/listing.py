"""What a source holds: the output of `extract --list`, before anything is computed."""

from collections import Counter
from typing import Any

from rich.table import Table

from cytoimagenet_hf.core.terminal import Terminal

from .collect import Found

_SHOWN = 10  # lines of what was ignored or cannot be used


def summarise(found: Found) -> dict[str, Any]:
    """Plates, wells, sites, channels, and what was ignored and why, as plain JSON values."""
    plates: dict[str, dict[str, Any]] = {}
    for image in found.images:
        counts = plates.setdefault(str(image.metadata.get("plate", "")), {"images": 0, "wells": set(), "sites": set()})
        counts["images"] += 1
        counts["wells"].add(image.metadata.get("well"))
        counts["sites"].add(image.metadata.get("site"))
    return {
        "source": found.source,
        "format": found.format,
        "images": len(found.images),
        "plates": {
            plate: {
                "images": counts["images"],
                "wells": len(counts["wells"] - {None}),
                "sites": len(counts["sites"] - {None}),
            }
            for plate, counts in sorted(plates.items())
        },
        "channels": [
            {"channel": channel.key, "label": channel.label, "stain": stain} for channel, stain in found.stains.items()
        ],
        "rejected": [{"id": image.id, "reason": image.reason} for image in found.rejected],
        "ignored": [{"path": file.path, "reason": file.reason} for file in found.ignored],
        "notes": list(found.notes),
    }


def show(found: Found) -> None:
    """Print the summary for people."""
    console = Terminal()
    summary = summarise(found)
    console.print(f"{summary['images']:,} images in {found.source}, read as {found.format}")
    plates = Table("plate", "wells", "sites a well, at most", "images")
    for plate, counts in summary["plates"].items():
        plates.add_row(plate or "–", f"{counts['wells']}", f"{counts['sites']}", f"{counts['images']:,}")
    console.print(plates)
    stains = Table("channel", "name in the source", "stain")
    for channel in summary["channels"]:
        stains.add_row(channel["channel"], channel["label"] or "–", channel["stain"])
    console.print(stains)
    _reasons(console, "cannot be used", [(image["id"], image["reason"]) for image in summary["rejected"]])
    _reasons(console, "ignored", [(file["path"], file["reason"]) for file in summary["ignored"]])
    for note in found.notes:
        console.print(f"note: {note}")


def _reasons(console: Terminal, title: str, entries: list[tuple[str, str]]) -> None:
    for reason, count in Counter(reason for _, reason in entries).most_common(_SHOWN):
        example = next(name for name, other in entries if other == reason)
        console.print(f"{title}: {count:,} x {reason}, such as {example}")
