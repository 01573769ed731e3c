"""The tables of docs/sources.md, docs/recipes.md and docs/holdings.md, from the facts of the builder."""

from dataclasses import fields
from typing import Any

from builder.holdings import read_holdings
from builder.recipe import RECIPES, Recipe
from builder.select.compare import PAPER
from builder.sources import SOURCES
from builder.sources.base import Count, Source

from .blocks import table
from .results import measured


def sources() -> str:
    """A table of all sources, then what to know about each."""
    rows = [
        (
            f"[{source.dir_name}]({source.link})",
            *(source.name, source.licence),
            next((f"{count.number:,} ({count.certainty})" for count in source.expected if count.what == "fields"), ""),
            ", ".join(dict.fromkeys(source.stains.values())),
            source.citation,
        )
        for source in SOURCES.values()
    ]
    facts = table(("source", "name", "licence", "fields of view", "stains", "citation"), rows)
    return "\n".join([facts, "", *map(_section, SOURCES.values())])


def _section(source: Source) -> str:
    def shown(count: Count) -> str:
        return f"{count.what} {count.number:,} ({count.certainty})"

    lines = [
        f"## {source.dir_name}",
        f"{source.name}. {source.database}. Annotated from: {source.kind}.",
        source.notes,
        f"Download: {source.download}" + (f" About {source.disk_gb:,g} GB." if source.disk_gb else ""),
        "Expected: " + "; ".join(map(shown, source.expected)),
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def recipes() -> str:
    """A table of the fields in which the two recipes differ, then one of those in which they do not."""
    differ, same = [], []
    for rule in fields(Recipe)[1:]:  # the first is the name
        published, corrected = (_value(getattr(RECIPES[name], rule.name)) for name in ("published", "corrected"))
        fault, meaning, reason = (rule.metadata[key] for key in ("row", "meaning", "reason"))
        first = (f"`{rule.name}`", "" if fault == "-" else fault, published)
        if published == corrected:
            same.append((*first, meaning, reason))
        else:
            differ.append((*first, corrected, meaning, reason))
    return (
        "## Where the two differ\n\n"
        + table(("field", "fault", "published", "corrected", "meaning", "what was wrong"), differ)
        + "\n\n## The same in both\n\n"
        + table(("field", "fault", "value", "meaning", "why it is one field"), same)
    )


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"from {item[0]}: {item[1]}" if isinstance(item, tuple) else f"`{item}`" for item in value)
    return f"`{value}`"


def labels() -> str:
    """How many labels each way of selecting gave, and which of the author's names are missing."""
    result = measured("labels")
    names = {name: name for name in PAPER} | {"labels": "all", "names": "names of 51"}
    head = ("category", *(str(row["what"]) for row in result["table"]))
    rows = [(shown, *(f"{row[name]:,}" for row in result["table"])) for name, shown in names.items()]
    parts = [table(head, rows) + "\n\n" + "".join(f"- {note}\n" for note in result["notes"])]
    for what, report in result["reports"].items():
        missing = list(report["missing"].items())
        parts.append(f"Missing with {what}:\n\n{table(('name', 'why'), missing)}\n")
        if not missing:
            parts[-1] = f"Missing with {what}: none.\n"
    return "\n".join(parts)


def holdings() -> str:
    """What the author of the paper held of each source."""
    rows = [
        (held.source, held.label or "all", f"{held.fields:,}", held.certainty, held.basis)
        for held in read_holdings("author")
    ]
    return table(("source", "label", "fields", "certainty", "basis"), rows)
