"""Parts of hand-written pages that are made from measurements: between two comments that name the part.

<!-- made by scripts/docs.py: results -->
…
<!-- end -->
"""

import re
from collections.abc import Mapping

_BLOCK = re.compile(r"(<!-- made by scripts/docs\.py: (\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def filled(page: str, parts: Mapping[str, str]) -> str:
    """The page with its made parts written anew.

    Args:
        page: Markdown with blocks.
        parts: name → Markdown of that block.

    Raises:
        ValueError: a block that nobody makes, or a part without its block.

    Example:
        >>> filled("A\\n<!-- made by scripts/docs.py: x -->\\nold\\n<!-- end -->\\n", {"x": "new"})
        'A\\n<!-- made by scripts/docs.py: x -->\\nnew\\n<!-- end -->\\n'
    """
    names = [found[2] for found in _BLOCK.finditer(page)]
    if sorted(names) != sorted(parts):
        raise ValueError(f"the page has the blocks {names}, made are {list(parts)}")
    return _BLOCK.sub(lambda found: f"{found[1]}{parts[found[2]].rstrip()}\n{found[3]}", page)


def anchor(heading: str) -> str:
    """The fragment that Markdown viewers give a heading.

    Example:
        >>> anchor("A real plate, measured")
        'a-real-plate-measured'
    """
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
