"""Where the images come from: the page of sources, written from their own facts.

Regenerate with `python -m builder.provenance > docs/sources.md`; a test compares the two.
"""

from .sources import SOURCES
from .sources.base import Source

_PREAMBLE = """# Sources

The {number} source datasets, generated from `builder/sources`. Licence `unverified`: look at the linked page before
you share pixels. Certainty of a number: `table` counted in a real table, `reference` stated by the published project,
`docs` stated by the source's own pages, `inferred` deduced.

| source | name | licence | fields of view | stains | citation |
|---|---|---|---|---|---|
"""


def sources_markdown() -> str:
    """A Markdown page: a table of all sources, then what to know about each."""
    rows = "".join(_row(source) for source in SOURCES.values())
    return _PREAMBLE.format(number=len(SOURCES)) + rows + "\n" + "\n".join(map(_section, SOURCES.values()))


def _row(source: Source) -> str:
    fields = next((f"{count.number:,} ({count.certainty})" for count in source.expected if count.what == "fields"), "")
    stains = ", ".join(dict.fromkeys(source.stains.values()))
    cells = (f"[{source.dir_name}]({source.link})", source.name, source.licence, fields, stains, source.citation)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _section(source: Source) -> str:
    lines = [
        f"## {source.dir_name}",
        f"{source.name}. {source.database}. Annotated from: {source.kind}.",
        source.notes,
        f"Download: {source.download}" + (f" About {source.disk_gb:,g} GB." if source.disk_gb else ""),
        "Expected: " + "; ".join(f"{count.what} {count.number:,} ({count.certainty})" for count in source.expected),
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


if __name__ == "__main__":
    print(sources_markdown(), end="")
