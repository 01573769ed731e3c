"""Where images come from: a folder, a glob, a table of files, a HuggingFace dataset; one item per image, with its id.

Nothing is opened here but tables: an item reads its channels when it is asked to, so a wrong file is an error of that
image alone.
"""

import glob
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.files import inside

SUFFIXES = frozenset(
    {".png", ".tif", ".tiff", ".bmp", ".dib", ".jpg", ".jpeg", ".npy", ".gif", ".flex", ".lsm", ".dv"}
)
"""Files that count as images in a folder."""

_ID_COLUMNS = ("id", "image_id", "idx")
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class ImageItem:
    """One image: its id, and the function that reads its channels."""

    id: str
    read: Callable[[], Any]


def find_images(
    source: str | Path,
    *,
    channels: str | None = None,
    root: str | Path | None = None,
    id_column: str | None = None,
    image_column: str = "image",
) -> list[ImageItem]:
    """The images of a source, ordered by id.

    Args:
        source: a folder of image files (ids are their relative paths without suffix); a glob; a `.csv` or `.parquet`
            table; a built dataset folder; or `hf:NAME[:SPLIT]`, a dataset on the Hub or on disk.
        channels: for a folder, the pattern of one file per channel, such as `"{well}_w{c}.tif"`: `{c}` is the channel,
            the other fields make the id. For a table, the columns that name the files, comma-separated; by default
            `path`, several files of one image joined by `|`.
        root: folder that the files of a table are relative to; by default that of the table.
        id_column: column of ids in a table or dataset; by default the first of `id`, `image_id` and `idx` there is.
        image_column: column of images in a dataset.

    Raises:
        InputError: nothing there, no such column, ids that repeat or are empty, or a file outside the root.
    """
    text = str(source)
    if text.startswith("hf:") or _is_dataset(Path(text)):
        items = _from_dataset(text.removeprefix("hf:"), id_column, image_column)
    elif text.endswith((".csv", ".parquet")):
        items = _from_table(Path(text), channels or "path", Path(root) if root else Path(text).parent, id_column)
    elif Path(text).is_dir():
        folder = Path(text)
        items = _by_pattern(folder, channels) if channels else _one_per_file(folder, sorted(folder.rglob("*")))
    elif _GLOB.search(text):
        fixed = text[: _GLOB.search(text).start()].rpartition("/")[0] or ("/" if text.startswith("/") else ".")  # type: ignore[union-attr]
        items = _one_per_file(Path(fixed), [Path(found) for found in glob.glob(text, recursive=True)])
    else:
        raise InputError(f"{text} is no folder, table, glob or hf:NAME: check the path")
    if not items:
        raise InputError(f"no images in {text}: files need one of the endings {', '.join(sorted(SUFFIXES))}")
    _require_ids([item.id for item in items], text)
    return sorted(items, key=lambda item: item.id)


def _one_per_file(root: Path, files: Sequence[Path]) -> list[ImageItem]:
    images = [file for file in files if file.suffix.lower() in SUFFIXES and file.is_file()]
    names = [file.relative_to(root).with_suffix("").as_posix() for file in images]
    # a.png beside a.tif: the suffix becomes part of the id
    doubled = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    return [
        ImageItem(file.relative_to(root).as_posix() if name in doubled else name, lambda file=file: file)  # type: ignore[misc]
        for file, name in zip(images, names, strict=True)
    ]


def _by_pattern(folder: Path, pattern: str) -> list[ImageItem]:
    fields = re.findall(r"\{(\w+)\}", pattern)
    if fields.count("c") != 1 or len(fields) < 2 or len(set(fields)) != len(fields):
        raise InputError(
            f"channel pattern {pattern!r} needs {{c}} once and one other field or more, each once: {{well}}_w{{c}}.tif"
        )
    literal = [re.escape(part) for part in re.split(r"\{\w+\}", pattern)]
    groups = [f"(?P<{name}>[^/]+?)" for name in fields]
    expression = "".join(part + group for part, group in zip(literal, [*groups, ""], strict=True))
    prefix = "" if "/" in pattern else r"(?P<_folder>(?:[^/]+/)*)"
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.rglob("*")):
        match = re.fullmatch(prefix + expression, file.relative_to(folder).as_posix())
        if match and file.is_file():
            values = match.groupdict()
            name = values.get("_folder", "") + "-".join(values[field] for field in fields if field != "c")
            found.setdefault(name, {})[values["c"]] = file
    wanted = sorted({channel for files in found.values() for channel in files}, key=_natural)
    return [ImageItem(name, _channel_reader(files, wanted)) for name, files in found.items()]


def _channel_reader(files: dict[str, Path], wanted: Sequence[str]) -> Callable[[], list[Path]]:
    def read() -> list[Path]:
        missing = [channel for channel in wanted if channel not in files]
        if missing:
            raise InputError(f"lacks the file of channel {', '.join(missing)}")
        return [files[channel] for channel in wanted]

    return read


def _from_table(table: Path, columns: str, root: Path, id_column: str | None) -> list[ImageItem]:
    if not table.is_file():
        raise InputError(f"{table} does not exist")
    rows = pd.read_csv(table, dtype=str) if table.suffix == ".csv" else pd.read_parquet(table)
    named = _id_column(list(rows.columns), id_column, str(table))
    wanted = [column.strip() for column in columns.split(",")]
    for column in wanted:
        if column not in rows.columns:
            raise InputError(f"{table} has no column {column!r}: it has {', '.join(map(str, rows.columns))}")
    items = []
    for name, *cells in rows[[named, *wanted]].itertuples(index=False):
        if any(not isinstance(cell, str) or not cell for cell in cells):
            raise InputError(f"{table}: row {name!r} has an empty cell among {', '.join(wanted)}")
        files = [inside(root, part) for cell in cells for part in cell.split("|")]
        items.append(ImageItem("" if pd.isna(name) else str(name), lambda files=files: files))  # type: ignore[misc]
    return items


def _is_dataset(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob("data/*.parquet"))


def _from_dataset(name: str, id_column: str | None, image_column: str) -> list[ImageItem]:
    import datasets

    path, _, split = name.partition(":")
    try:
        loaded = datasets.load_dataset(path, split=split or None)
    except (FileNotFoundError, ValueError, ConnectionError) as error:
        raise InputError(f"no dataset loads from {name!r}: {error}") from error
    parts = list(loaded.values()) if isinstance(loaded, datasets.DatasetDict) else [loaded]
    items = []
    for part in parts:
        named = _id_column(part.column_names, id_column, name)
        if image_column not in part.column_names:
            raise InputError(f"{name} has no column {image_column!r}: it has {', '.join(part.column_names)}")
        images = part.select_columns([image_column])
        items += [
            ImageItem(str(key), lambda images=images, row=row: images[row][image_column])  # type: ignore[misc]
            for row, key in enumerate(part[named])
        ]
    return items


def _id_column(columns: Sequence[str], wanted: str | None, where: str) -> str:
    for name in [wanted] if wanted else _ID_COLUMNS:
        if name in columns:
            return name
    raise InputError(f"{where} has no column {wanted or ' or '.join(_ID_COLUMNS)}: name the column of ids (id_column)")


def _require_ids(ids: Sequence[str], where: str) -> None:
    seen: set[str] = set()
    for name in ids:
        if not name or name in seen:
            raise InputError(f"{where}: " + (f"id {name!r} occurs twice" if name else "an image has no id"))
        seen.add(name)


def _natural(text: str) -> list[tuple[int, int | str]]:
    """Sort key in which channel 2 comes before channel 10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", text) if part]
