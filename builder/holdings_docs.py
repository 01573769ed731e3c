"""docs/holdings.md, from the shipped holdings and the labels that were measured.

Made by `python -m builder.holdings_docs > docs/holdings.md`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .holdings import read_holdings
from .select.compare import PAPER

MEASURED = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "labels.json"

_HEAD = """# Holdings and labels

Which labels a selection gives depends on what was downloaded. The author of the paper held a part of the large
sources: of idr0088 some 85,000 of 952,290 fields of view. With complete downloads each of its 1,177 compounds has more
fields than a class needs and fewer than the mechanism it stands for; labels take their rows from the rarest on, so the
compounds take all rows and the mechanisms vanish.

`python -m builder labels --output DIR --recipe published` shows the labels of your own build beside the paper's, and
what became of each of the 51 class names in the author's subsets `toy_20` and `toy_50`.

## What comes out

"""

_WAYS = """
## The two recipes

`published` limits the sources to the author's holdings (field `holdings`, value `author`). Which plates he had is not
known: whole plates are drawn, by the seed, until a source has its number. So the labels differ from seed to seed by
some twenty, and a rare mechanism of idr0088 (`tamoxifen`, `estrogen receptor antagonist`) is a class or not by the
plates that were drawn. Give your own numbers in a file of the form of `builder/holdings.csv` with
`--set holdings=mine.csv`; fields that are not held are recorded as `not_held`.

`corrected` takes what there is and shares it (field `assignment`, value `minimum first`): in the order from the
rarest, each label first takes the fewest fields that make a class, and only when all have had their turn does each
draw anew, from its own and the free fields, up to the most. It was chosen among five ways, measured on the table above
with complete downloads. Labels in turn: 2,134 labels, 44 mechanisms and conditions, 37 of the 51 names. Categories by
turns: 1,816 labels, 230, 44 names. Rare categories first: 1,811 labels, 230, 43 names. At most 637 classes a category,
the most frequent ones: 1,174 labels, 210, 41 names. Minimum first: 2,340 labels, 230, all 51 names. The others keep
mechanisms at the price of compounds and reagents; this one loses none, at the price of smaller classes (a median of
650 fields for 720).

## What is known of the holdings

Numbers are of fields of view. Where a basis is a file, it is one of the repository stan-hua/CytoImageNet. Sources that
are not listed were held whole, as far as is known.

"""

_OPEN = """
## What cannot be known

Which plates and positions of the limited sources were held; the rows behind each label of the published dataset before
crops were made; how the author's tables spelled a label where only their size is public. `gene` is the category that
is farthest from the paper: idr0041 and idr0080 give most of it, and whether the author counted their genes as labels
is not stated. The table above is not a build: labels come from the sources' tables, the public inventory, or draws,
as its notes say.
"""


def holdings_markdown(measured: Path = MEASURED) -> str:
    """The page."""
    result = json.loads(measured.read_text(encoding="utf-8"))
    holdings = [
        (held.source, held.label or "all", f"{held.fields:,}", held.certainty, held.basis)
        for held in read_holdings("author")
    ]
    parts = [_HEAD, _labels(result["table"]), "\n", *(f"- {note}\n" for note in result["notes"]), "\n"]
    parts += [_missing(what, report) for what, report in result["reports"].items()]
    head = ("source", "label", "fields", "certainty", "basis")
    return "".join([*parts, _WAYS, _table(head, holdings), _OPEN])


def _labels(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ("category", *(str(row["what"]) for row in rows))
    names = {**{name: name for name in PAPER}, "labels": "all", "names": "names of 51"}
    return _table(head, [(shown, *(f"{row[name]:,}" for row in rows)) for name, shown in names.items()])


def _missing(what: str, report: Mapping[str, Any]) -> str:
    if not report["missing"]:
        return f"Missing with {what}: none.\n\n"
    return f"Missing with {what}:\n\n" + _table(("name", "why"), list(report["missing"].items())) + "\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    print(holdings_markdown(), end="")
