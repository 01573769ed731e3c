"""Write the generated pages of the documentation, or check that they are what would be written.

python scripts/docs.py
python scripts/docs.py --check     exits with 1 and names the pages that differ
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).resolve().parents[1]


def main(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 if a page differs.")] = False,
) -> None:
    """Write every generated page that differs.

    Example: python scripts/docs.py --check
    """
    stale = []
    for name, content in pages().items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(name)
        if not check:
            path.write_text(content, encoding="utf-8")
    for name in stale:
        typer.echo(f"{name} {'differs: run python scripts/docs.py' if check else 'written'}")
    if check and stale:
        raise typer.Exit(1)


def pages() -> dict[str, str]:
    """Page → what it should hold."""
    sys.path.insert(0, str(ROOT))  # builder and scripts are run from the checkout, not installed
    from builder.publish.repository import card
    from cytoimagenet_hf.dataset.cards import model_card
    from cytoimagenet_hf.dataset.cards.facts import card_facts
    from scripts.pages import cells, columns, curation, numbers, repairs, study
    from scripts.pages.blocks import filled
    from scripts.pages.results import measured, recipes, results, settings

    blocks_of = {
        "README.md": {"results": results()},
        "docs/cells.md": cells.parts(measured("cells_agreement")),
        "docs/columns.md": columns.parts(),
        "docs/holdings.md": {"labels": curation.labels(), "holdings": curation.holdings()},
        "docs/journeys/pretrain.md": {"recipes": recipes()},
        "docs/journeys/profile.md": {"settings": settings()},
        "docs/numbers.md": {"numbers": "\n".join(numbers.sections().values())},
        "docs/recipes.md": {"recipes": curation.recipes()},
        "docs/repairs.md": {"repairs": repairs.changes(measured("repairs"))},
        "docs/sources.md": {"sources": curation.sources()},
        "docs/study.md": study.parts(),
    }
    shown = ROOT / "docs" / "cards"
    cards = {
        "docs/cards/dataset/README.md": card(shown / "dataset"),
        "docs/cards/model/README.md": model_card(card_facts(shown / "model", name="me/simulated-b0")),
    }
    made = {page: filled((ROOT / page).read_text(encoding="utf-8"), parts) for page, parts in blocks_of.items()}
    return made | cards


if __name__ == "__main__":
    typer.run(main)
