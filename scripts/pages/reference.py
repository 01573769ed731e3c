"""An extension of the API reference: the docstrings' section `Example:` is rendered as code, as `Examples:` is."""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Called by mkdocstrings for every documented name."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Give the section the name under which it is parsed as doctests."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
