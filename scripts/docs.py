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

    return {
        "docs/sources.md": filled(_read("docs/sources.md"), {"sources": curation.sources()}),
        "docs/recipes.md": filled(_read("docs/recipes.md"), {"recipes": curation.recipes()}),
        "docs/holdings.md": filled(
            _read("docs/holdings.md"), {"labels": curation.labels(), "holdings": curation.holdings()}
        ),
        "docs/columns.md": columns.page(),
        "docs/numbers.md": numbers.page(),
        "docs/cells.md": filled(_read("docs/cells.md"), {"agreement": cells.agreement(measured("cells_agreement"))}),
        "README.md": filled(_read("README.md"), {"results": results()}),
        "docs/journeys/profile.md": filled(_read("docs/journeys/profile.md"), {"settings": settings()}),
        "docs/journeys/pretrain.md": filled(_read("docs/journeys/pretrain.md"), {"recipes": recipes()}),
        "docs/study.md": study.page(),
        "docs/repairs.md": repairs.page(measured("repairs")),
        "docs/cards/dataset/README.md": card(ROOT / "docs" / "cards" / "dataset"),
        "docs/cards/model/README.md": model_card(
            **card_facts(ROOT / "docs" / "cards" / "model", name="me/simulated-b0")
        ),
    }


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
