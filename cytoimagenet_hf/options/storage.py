"""How stores on the internet are reached: the options of their clients and ours, and where objects stay."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import whole_or_none

SECRET = re.compile(r"key|secret|token|password|credential|sas|signature", re.IGNORECASE)


@dataclass(frozen=True)
class Storage:
    """How stores are reached.

    Attributes:
        options: `endpoint`, `region`, `allow_http`, … as the store calls them, and ours: `retries` (4), `backoff`
            (seconds before the first repetition, 0.5; doubled each time), `max_objects` of a listing, `schemes` of
            the addresses that may be opened, with commas (all).
        keep: folder in which objects stay once they were read; None: nothing is written to disk.
    """

    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    keep: Path | None = None

    def number(self, name: str, default: int) -> int:
        """A whole number among the options.

        Raises:
            InputError: it is not a whole number.
        """
        given = dict(self.options).get(name)
        number = default if given is None else whole_or_none(given)
        if number is None:
            raise InputError(f"storage option {name}={given!r}: give a whole number")
        return number

    @property
    def backoff(self) -> float:
        """Seconds before the first repetition of a request."""
        given = dict(self.options).get("backoff", "0.5")
        try:
            seconds = float(given)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds <= 60:
            raise InputError(f"storage option backoff={given!r}: give seconds, at most 60")
        return seconds

    @property
    def public(self) -> dict[str, str]:
        """The options without what may be a secret, for records."""
        return {name: value for name, value in self.options if not SECRET.search(name) and "@" not in value}


def parse_place(given: str | Path | None) -> Path | str | None:
    """A place on this machine as a path; an address stays text, see `images.remote.place_at`.

    Example:
        >>> parse_place("plate/masks"), parse_place("s3://bucket/masks")
        (PosixPath('plate/masks'), 's3://bucket/masks')
    """
    return Path(given) if isinstance(given, str) and "://" not in given else given


def parse_storage(given: Storage | Mapping[str, str] | Sequence[str] | None) -> Storage:
    """Storage options from a mapping or from `KEY=VALUE` texts.

    Raises:
        InputError: a text without `=`, a name twice, or text where a number belongs.

    Example:
        >>> parse_storage(["endpoint=http://127.0.0.1:9000", "secret_access_key=x"]).public
        {'endpoint': 'http://127.0.0.1:9000'}
    """
    if isinstance(given, Storage):
        return given
    pairs: list[tuple[str, str]] = []
    listed = [given] if isinstance(given, str) else given or ()
    entries = given.items() if isinstance(given, Mapping) else [entry.partition("=")[::2] for entry in listed]
    for name, value in entries:
        plain = str(name).strip().lower()
        if not plain or value == "":
            raise InputError(
                f"storage option {plain!r} has no value: write --storage-option endpoint=http://HOST:PORT"
            )
        if plain in dict(pairs):
            raise InputError(f"storage option {plain!r} is given twice")
        pairs.append((plain, str(value)))
    storage = Storage(tuple(sorted(pairs)))
    for name in ("retries", "max_objects"):
        storage.number(name, 0)
    storage.backoff  # noqa: B018 - refused now where it is no number
    return storage
