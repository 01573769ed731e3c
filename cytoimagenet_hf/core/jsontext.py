"""JSON that others wrote, read within bounds: a file that is nested too deeply or too long is refused by name.

Python's own reader ends such files in `RecursionError` or takes all memory, here or in whatever copies the result.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError, one_line
from .regular import require_regular

MOST_LEVELS = 100
"""Objects and lists within each other; the deepest of the formats that are read here has about fifteen."""

MOST_BYTES = 1 << 30
"""Of one text: the longest list of boxes of an archive has a tenth of it."""

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_OPENING, _CLOSING = b"[{", b"]}"


def parse_json(text: str | bytes, *, where: str | Path, strict: bool = False) -> Any:
    r"""What a JSON text says.

    Args:
        text: the text; bytes are UTF-8, UTF-16 or UTF-32, with or without a byte-order mark.
        where: what messages call it, such as its file.
        strict: refuse NaN and Infinity, which Python writes and JSON does not have.

    Raises:
        InputError: it is not JSON, is nested more than `MOST_LEVELS` deep, is longer than `MOST_BYTES`, or holds a
            number of thousands of digits.

    Example:
        >>> parse_json('{"plate": ["A", "B"]}', where=".zattrs")
        {'plate': ['A', 'B']}
        >>> parse_json("[" * 200, where="config.json")
        Traceback (most recent call last):
        cytoimagenet_hf.core.errors.InputError: config.json is not readable JSON: nested more than 100 levels deep
    """
    if len(text) > MOST_BYTES:
        raise InputError(f"{where} is not readable JSON: longer than {MOST_BYTES:,} bytes")
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text)).removeprefix("\ufeff")
        if _is_too_deep(text):
            raise InputError(f"{where} is not readable JSON: nested more than {MOST_LEVELS} levels deep")
        return json.loads(text, parse_constant=_no_number if strict else None)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{where} is not readable JSON: {one_line(error)}") from error


def read_json_file(path: str | Path, *, strict: bool = False) -> Any:
    """What a JSON file says.

    Args:
        path: the file.
        strict: as of `parse_json`.

    Raises:
        OSError: the file is absent or cannot be read.
        InputError: as of `parse_json`; or it is a pipe, a socket or a device.
    """
    require_regular(path)
    with open(path, "rb") as handle:
        return parse_json(handle.read(MOST_BYTES + 1), where=path, strict=strict)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _is_too_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= MOST_LEVELS:
        return False
    signs = np.frombuffer(_STRINGS.sub("", text).encode(errors="replace"), np.uint8)
    steps = np.isin(signs, list(_OPENING)).astype(np.int32) - np.isin(signs, list(_CLOSING))
    return bool(np.cumsum(steps).max(initial=0) > MOST_LEVELS)
