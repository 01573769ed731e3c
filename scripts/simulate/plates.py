"""Wells, plates and names of files, as instruments write them."""

import uuid
from collections.abc import Iterator

from cytoimagenet_hf.core.seeding import derive_rng


def wells(rows: str = "BCDEFG", columns: range = range(2, 12)) -> list[str]:
    """Padded well names in reading order, the edge of a 96-well plate left out by default."""
    return [f"{row}{column:02d}" for row in rows for column in columns]


def allot(labels: list[str], *, repeats: int, plates: int) -> Iterator[tuple[int, str, str]]:
    """Spread `repeats` wells of every label over plates: (plate number from 0, padded well, label).

    Every plate holds every label as evenly as possible, in wells shifted from plate to plate, so that neither plate
    nor position tells the label.
    """
    names = wells("ABCDEFGHIJKLMNOP", range(1, 25))
    order = [(turn % plates, label) for turn in range(repeats) for label in labels]
    filled = dict.fromkeys(range(plates), 0)
    for plate, label in order:
        well = names[(filled[plate] * 7 + plate * 5) % len(names)]  # 7 and 384 share no factor: no well twice
        filled[plate] += 1
        yield plate, well, label


def file_uuid(seed: int, key: str) -> str:
    """The upper-case UUID that MetaXpress appends to a file name."""
    return str(uuid.UUID(bytes=derive_rng(seed, "uuid", key).bytes(16), version=4)).upper()
