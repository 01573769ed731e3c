"""Parts of pages that are made from measurements: tables, and blocks between two comments that name the part.

<!-- made by scripts/docs.py: results -->
…
<!-- end -->
"""

import re
from collections.abc import Iterable, Mapping, Sequence

_BLOCK = re.compile(r"(<!-- made by scripts/docs\.py: (\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def filled(page: str, parts: Mapping[str, str]) -> str:
    """The page with its made parts, name → Markdown, written anew; its blocks and the parts have the same names.

    Example:
        >>> filled("A\\n<!-- made by scripts/docs.py: x -->\\nold\\n<!-- end -->\\n", {"x": "new"})
        'A\\n<!-- made by scripts/docs.py: x -->\\nnew\\n<!-- end -->\\n'
    """
    names = [match[2] for match in _BLOCK.finditer(page)]
    if sorted(names) != sorted(parts):
        raise ValueError(f"the page has the blocks {names}, made are {list(parts)}")
    return _BLOCK.sub(lambda match: f"{match[1]}{parts[match[2]].rstrip()}\n{match[3]}", page)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: int = 0) -> str:
    """A Markdown table whose last `numbers` columns stand to the right.

    Example:
        >>> print(table(("set", "%"), [("a|b", 12)], numbers=1))
        | set | % |
        | --- | --: |
        | a\\|b | 12 |
    """
    marks = ["---"] * (len(head) - numbers) + ["--:"] * numbers
    # A bar inside a cell would end it.
    lines = (" | ".join(str(cell).replace("|", "\\|") for cell in line) for line in [head, marks, *rows])
    return "\n".join(f"| {line} |" for line in lines)


def anchor(heading: str) -> str:
    """The fragment that Markdown viewers give a heading.

    Example:
        >>> anchor("A real plate, measured")
        'a-real-plate-measured'
    """
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
