"""XML that instruments write, read by local names: namespaces change with every version of their programs."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from .errors import InputError
from .numbers import whole_number


def local(name: str) -> str:
    """A tag or attribute without its namespace."""
    return name.rpartition("}")[2]


def read_xml(path: Path) -> Element:
    """The root of an XML file.

    Raises:
        InputError: it cannot be read, or is not XML.
    """
    try:
        return ElementTree.fromstring(path.read_bytes())  # expat limits entities since 2.4.1, and loads none
    except OSError as error:
        raise InputError(f"cannot open {path}: {error.strerror or error}") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path} is not readable XML: {error}") from error


def children(element: Element, name: str) -> Iterator[Element]:
    """Direct children of a local name."""
    return (child for child in element if local(child.tag) == name)


def descendants(element: Element, name: str) -> Iterator[Element]:
    """All elements of a local name below one."""
    return (child for child in element.iter() if isinstance(child.tag, str) and local(child.tag) == name)


def texts(element: Element) -> dict[str, str]:
    """Local name → text of the direct children."""
    return {local(child.tag): (child.text or "").strip() for child in element}


def whole(text: str | None, first: int = 1) -> int | None:
    """A number of an index, counted from 1; None where there is none.

    Args:
        text: as written.
        first: what the instrument calls the first.

    Raises:
        InputError: digits of a number too large for any plane.
    """
    if not text or not text.strip().isdecimal():
        return None
    return whole_number(text, "a number of the index") - first + 1


def attributes(element: Element) -> dict[str, str]:
    """Local name → value of the attributes."""
    return {local(name): value for name, value in element.attrib.items()}
