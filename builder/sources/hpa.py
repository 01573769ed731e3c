"""What the two sets of the Human Protein Atlas share: four colours a field, one row each, labels on the green one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from cytoimagenet_hf.core.errors import InputError

from .base import Archive, Field, RejectedItem, Source, keyed
from .names import matching

STAINS = {"blue": "nucleus", "red": "microtubules", "yellow": "er", "green": "protein"}
competition = partial(
    Source,
    database="Kaggle",
    licence="unverified",
    organism="human",
    microscopy="confocal",
    stains=STAINS,
    kind="metadata table",
    rows_differ_in="channel",
    physical_fields="hpa",
)
"""A `Source` of the atlas. Both name an image of it by the same id: it is one field, whichever set lists it."""
# Labels so common that a rarer one beside them says more; dropped in this order while others remain.
POPULAR = ("nucleus", "er", "golgi", "nucleoli", "mitochondria", "actin")


def rows(
    archive: Archive, labels: Mapping[str, tuple[str, ...]], *, cell_type: str | None
) -> Iterator[Field | RejectedItem]:
    """Four rows for every id of the training table, and for every image of the test set.

    `labels` say what the green channel of an id shows; `cell_type` is that of all rows, None where it varies unstated.
    """
    for image, shown in labels.items():
        for colour in STAINS:
            file = f"train/{image}_{colour}.png"
            yield _row(archive.find(file, last=0) or file, image, colour, shown, cell_type)
    # The zips of the images have no folder inside: some unpack both into one, where what is not labelled is the test.
    labelled = {image.lower() for image in labels}
    apart = any(f"/{folder}/" in f"/{image.lower()}" for image in archive.images for folder in ("train", "test"))
    name_of = r"(?:(?P<set>[^/]+)/)?(?P<id>[^/]+)_(?P<colour>blue|red|yellow|green)\.(?:png|tiff?)"
    for file, name in matching(archive, name_of):
        if name["set"] == "test" or (not apart and name["id"] not in labelled):
            yield _row(file, name["id"], name["colour"], (), cell_type)


def _row(file: str, image: str, colour: str, shown: tuple[str, ...], cell_type: str | None) -> Field:
    return Field(
        key=f"{image.lower()}/{colour}",
        files=[file],
        channels=[STAINS[colour]],
        cell_type=cell_type,
        cell_visible=shown if colour == "green" else STAINS[colour],
        site=image,
        physical_field=image.lower(),
    )


def read_labels(
    archive: Archive, columns: tuple[str, str], names_of: Callable[[str], tuple[str, ...]], numbers: str
) -> dict[str, tuple[str, ...]]:
    """Id → names of its classes, from the columns of ids and class numbers of the training table.

    `names_of` turns the numbers in a cell into names; `numbers` says which there are, for messages.
    """
    table = archive.table("train.csv", columns=columns)

    def names(cell: str) -> tuple[str, ...]:
        try:
            return names_of(cell)
        except (ValueError, IndexError):
            raise InputError(f"train.csv has the {columns[1].lower()} {cell!r}, not numbers {numbers}") from None

    return keyed(table[columns[0]], map(names, table[columns[1]]), table="train.csv")


def drop_popular(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels without the over-represented ones, as long as one is left.

    Example:
        >>> drop_popular(["er", "nuclear membrane"]), drop_popular(["nucleoli", "nucleoli"])
        (('nuclear membrane',), ('nucleoli',))
    """
    left = list(labels)
    for popular in POPULAR:
        while popular in left and len(left) > 1:
            left.remove(popular)
    return tuple(left)
