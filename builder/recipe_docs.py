"""docs/recipes.md, made from the fields of `Recipe`: `python -m builder.recipe_docs > docs/recipes.md`."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from .recipe import RECIPES, Recipe

_HEAD = """# Recipes

Every rule of the curation that can change a number is a field of `builder.recipe.Recipe`. `published` does what the
paper or its code did, `corrected`, the default, what was meant. Choose one with `--recipe`, change a field with
`--set min_fields=100`, or keep a recipe of your own in a file:

```yaml
# mine.yaml: python -m builder build --recipe mine.yaml …
base: corrected
min_fields: 100
missing_channels: reject
```

Both recipes draw from generators seeded per item and take labels in one pass with ties in the order of (category,
label), so equal input gives equal output (L4, L5); ids come from content, never from the order of files (S2).
This page is made by `python -m builder.recipe_docs`.
"""


def recipes_markdown() -> str:
    """The page: a table of the fields that differ, then one of those that do not."""
    published, corrected = RECIPES["published"], RECIPES["corrected"]
    differ, same = [], []
    for rule in fields(Recipe):
        if rule.name == "name":
            continue
        row, meaning, reason = (rule.metadata[key] for key in ("row", "meaning", "reason"))
        values = [_value(getattr(recipe, rule.name)) for recipe in (published, corrected)]
        row = "" if row == "-" else row
        if values[0] != values[1]:
            differ.append((f"`{rule.name}`", row, *values, meaning, reason))
        else:
            same.append((f"`{rule.name}`", row, values[0], meaning, reason))
    return "\n".join(
        [
            _HEAD,
            "## Where the two differ\n",
            _table(("field", "fault", "published", "corrected", "meaning", "what was wrong"), differ),
            "\n## The same in both\n",
            _table(("field", "fault", "value", "meaning", "why it is one field"), same),
            "",
        ]
    )


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"from {item[0]}: {item[1]}" if isinstance(item, tuple) else f"`{item}`" for item in value)
    return f"`{value}`"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    # A bar inside a cell would end it.
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    print(recipes_markdown(), end="")
