"""What each measurement says: its rows by their words, and the heading and sentence of `numbers.md.jinja`.

Every number in a sentence is taken from the measurement's JSON file.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

Result = Mapping[str, Any]


def row(result: Result, start: str, **further: object) -> Result:
    """The first row whose first text starts so, and whose further columns are so.

    Example:
        >>> row({"table": [{"way": "ours, PNG", "seconds": 2}, {"way": "floor", "seconds": 1}]}, "floor")["seconds"]
        1
    """
    for line in result["table"]:
        texts = [value for value in line.values() if isinstance(value, str)]
        if any(text.startswith(start) for text in texts) and all(
            line[name] == value for name, value in further.items()
        ):
            return dict(line)
    raise KeyError(f"no row {start!r} {further or ''}")


def gains(result: Result, features: str, over: str) -> tuple[int, int]:
    """Least and largest gain in points over all sets and seeds of the measurement `spread`.

    Features are `"default"` or `"what the network pools"`, over `"untrained"` or `"pixels"`.
    """
    rows = [line for line in result["table"] if line["features"] == features]
    least, most = ([line[f"over {over}, {end}"] for line in rows] for end in ("least", "most"))
    return round(min(least)), round(max(most))


def primes(line: Result) -> list[float]:
    """The lowest and highest Z' of every compound in a row of the measurement `screen`."""
    ends = (", lowest", ", highest")
    return [value for name, value in line.items() if name.startswith("Z'") and name.endswith(ends)]


def steepest(result: Result) -> tuple[str, float]:
    """The step of the measurement `growth` whose cost grows fastest, and how fast."""
    rises = ratios_of(result, "us a row, large", "us a row, small")
    return max(zip((line["step"] for line in result["table"]), rises, strict=True), key=lambda pair: pair[1])


def ratios_of(result: Result, above: str, below: str) -> list[float]:
    """One column by another."""
    return [line[above] / max(line[below], 1e-9) for line in result["table"]]


_environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
_environment.filters["as"] = format
_environment.globals |= {function.__name__: function for function in (row, gains, primes, steepest, ratios_of)}
_TEMPLATE = Path(__file__).with_name("numbers.md.jinja").read_text(encoding="utf-8")
_TEXTS = _environment.from_string(_TEMPLATE).module
MEASUREMENTS = re.findall(r"^{% macro (\w+)\(result\)", _TEMPLATE, flags=re.MULTILINE)
"""Names of the files in docs/benchmarks in the order of the page."""


def heading_and_sentence(name: str, result: Result) -> tuple[str, str]:
    """What the page says first of a measurement.

    Raises:
        KeyError: the file no longer has a row that the sentence is about.
    """
    heading, sentence = str(getattr(_TEXTS, name)(result)).strip().split("\n", 1)
    return heading, " ".join(sentence.split())
