"""Which stain each channel of a source is: by its names or by the caller's mapping, never by guessing an order."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.numbers import plain_number
from cytoimagenet_hf.options.source import Stains

from .source import natural

_NUMBERED = re.compile(r"(?:wave(?:length)?|channel|ch|w|c|d)?[ _-]?0*(\d+)", re.IGNORECASE)


_MOST_COMMAS = 3  # in the name of a channel


@dataclass(frozen=True, order=True)
class Channel:
    """A channel as its source writes it."""

    key: str  # its number or token: `1`, `DAPI`
    label: str = ""  # the name that an index or a header gives it; empty where none does

    @property
    def name(self) -> str:
        """The name in lower case: its label, or its key."""
        return (self.label or self.key).strip().lower()

    @property
    def numbered(self) -> bool:
        """Whether nothing but a number is known of it."""
        return self.name.isdecimal()

    @property
    def stated(self) -> bool:
        """Whether a name or a header says which channel a file is; `1` alone stands where nothing does."""
        return self.key not in ("", "1") or bool(self.label)


def name_channels(
    channels: Iterable[Channel], *, stains: Stains, wanted: Sequence[str] = ()
) -> tuple[dict[Channel, str], tuple[str, ...]]:
    """The stain of every channel of a source that is kept, and the order of stains in an image.

    Channels come in the source's own order; `wanted` are those to keep in theirs, by name or stain, all where empty.
    """
    channels = list(dict.fromkeys(channels))
    named = _unique_names(channels)
    listing = ", ".join(dict.fromkeys(named.values())) or "none"
    order: list[str] = []
    if isinstance(stains, tuple):
        if stains:
            named = _by_position(named, stains, listing)
            order = list(stains)
    else:
        for token, stain in stains.items():
            hits = _meant(token, named)
            if not hits:
                raise InputError(f"stains name channel {token!r}, which is not there: the channels are {listing}")
            named |= dict.fromkeys(hits, stain)
            order.append(stain)
    _require_one_each(named, channels)
    order += [stain for stain in dict.fromkeys(named.values()) if stain not in order]
    if wanted:
        chosen = _all_chosen(wanted, named, listing)
        order = list(dict.fromkeys(chosen))
        named = {channel: stain for channel, stain in named.items() if stain in order}
    return named, tuple(order)


def in_order(channels: Iterable[Channel]) -> list[Channel]:
    """Channels by their keys, 2 before 10."""
    return sorted(set(channels), key=lambda channel: (natural(channel.key), channel.label))


def _unique_names(channels: Sequence[Channel]) -> dict[Channel, str]:
    """Names; where two keys have the same label (three bright-field planes), the key is added."""
    keys: dict[str, set[str]] = {}
    for channel in channels:
        keys.setdefault(channel.name, set()).add(channel.key)
    return {
        channel: f"{channel.name} {channel.key.lower()}" if len(keys[channel.name]) > 1 else channel.name
        for channel in channels
    }


def _by_position(named: dict[Channel, str], stains: tuple[str, ...], listing: str) -> dict[Channel, str]:
    if sorted(stains) == sorted(named.values()):
        return named
    if not all(channel.numbered for channel in named):
        raise InputError(
            f"the channels have names ({listing}): say which is which, such as "
            f"{next(iter(named.values()))}={stains[0]}, instead of {','.join(stains)}"
        )
    numbers = sorted({channel.key for channel in named}, key=natural)
    if len(numbers) != len(stains):
        raise InputError(
            f"{len(stains)} stains ({', '.join(stains)}) for {len(numbers)} channels ({listing}): name them, such as "
            f"{numbers[0]}={stains[0]}"
        )
    by_number = dict(zip(numbers, stains, strict=True))
    return {channel: by_number[channel.key] for channel in named}


def _is(token: str, channel: Channel) -> bool:
    """Whether a caller's word means this channel: its label, its key, or its number as `w1`, `ch01`, `C1`."""
    word = token.strip().lower()
    if word in (channel.name, channel.key.lower(), channel.label.lower()):
        return True
    given, of_key = _NUMBERED.fullmatch(word), _NUMBERED.fullmatch(channel.key)
    return bool(given and of_key and plain_number(given[1]) == plain_number(of_key[1]))


def _meant(word: str, named: dict[Channel, str]) -> list[Channel]:
    """The channels that a word means: those called so, else those of the only name that begins with it."""
    if hits := [channel for channel in named if _is(word, channel)]:
        return hits
    start = word.strip().lower()
    if not any(letter.isalpha() for letter in start):
        return []  # 1 is not 10
    begun = [
        channel
        for channel in named
        if channel.name.startswith(start) and not (start[-1].isdecimal() and channel.name[len(start)].isdecimal())
    ]
    if len(names := sorted({channel.name for channel in begun})) > 1:
        raise InputError(f"channel {word!r} may be {' or '.join(names)}: write more of its name")
    return begun


def _require_one_each(named: dict[Channel, str], channels: Sequence[Channel]) -> None:
    holders: dict[str, set[str]] = {}
    for channel in channels:
        holders.setdefault(named[channel], set()).add(channel.key)
    for stain, keys in holders.items():
        if len(keys) > 1:
            raise InputError(f"channels {', '.join(sorted(keys))} would both be {stain!r}: give each its own stain")


def _all_chosen(words: Sequence[str], named: dict[Channel, str], listing: str) -> list[str]:
    """The stains of the channels that are asked for; words cut at the commas of one name are put together."""
    chosen: list[str] = []
    place = 0
    while place < len(words):
        for end in range(min(place + _MOST_COMMAS + 1, len(words)), place, -1):
            word = ",".join(words[place:end])
            exact = [stain for channel, stain in named.items() if word.lower() == stain or _is(word, channel)]
            if exact:
                break
        else:
            word, end = words[place], place + 1
            exact = [named[channel] for channel in _meant(word, named)]
        if not exact:
            raise InputError(f"there is no channel {word!r}: the channels are {listing}")
        chosen.append(exact[0])
        place = end
    return chosen


_STAIN_WORDS = re.compile(
    r"(?:a|alexa)?_?(?:405|488|555|568|594|647)|dapi|hoechst(?:\d+)?|e?gfp|fitc|rfp|mcherry|yfp|cfp|tritc|cy[357]"
    r"|tx(?:as)?_?red|texas_?red|draq5|dna|rna|nucle(?:us|i|ar|oli)|er|mito(?:chondria|tracker)?|agp|actin|phalloidin"
    r"|wga|golgi|(?:alpha|beta)?_?tubulin|microtubules?|conc?anavalin|syto\d*|protein|phase(?: ?contrast)?"
    r"|bright_?field|bf|dic|red|green|blue|orange|nir",
    re.IGNORECASE,
)


def is_stain_word(text: str) -> bool:
    """Whether a text is a name that laboratories give to channels: a dye, a filter, or what it shows.

    Example:
        >>> [word for word in ("DAPI", "tubulin", "plate7", "A01") if is_stain_word(word)]
        ['DAPI', 'tubulin']
    """
    return bool(_STAIN_WORDS.fullmatch(text.strip()))
