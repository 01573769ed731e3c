"""Built datasets and other folders: name → what becomes of a sound one."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def shard(folder: Path) -> Path:
    """The first training shard."""
    return next((folder / "data").glob("train-*.parquet"))


def in_shard(content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Other bytes in a shard."""
    return lambda folder: shard(folder).write_bytes(content(shard(folder).read_bytes())) and None


def in_table(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    """Another table in every shard."""

    def rewrite(folder: Path) -> None:
        for path in (folder / "data").glob("*.parquet"):
            pq.write_table(change(pq.read_table(path)), path)

    return rewrite


def text(name: str, content: bytes) -> Callable[[Path], None]:
    """Other bytes in one file."""
    return lambda folder: (folder / name).write_bytes(content) and None


def no_data(folder: Path) -> None:
    """No shards at all."""
    shutil.rmtree(folder / "data")


def folder_for_shard(folder: Path) -> None:
    """A folder where a shard should be."""
    path = shard(folder)
    path.unlink()
    path.mkdir()


def looping_link(folder: Path) -> None:
    """A link to itself instead of a shard."""
    path = shard(folder)
    path.unlink()
    os.symlink(path.name, path)


def broken_pixels(table: pa.Table) -> pa.Table:
    """Images that are not images."""
    images = [{"bytes": b"no image", "path": None}] * len(table)
    place = table.schema.get_field_index("image")
    return table.set_column(place, table.schema.field("image"), pa.array(images, table.schema.field("image").type))


DATASETS: dict[str, Callable[[Path], None]] = {
    "no_data": no_data,
    "empty_shard": in_shard(lambda _: b""),
    "text_shard": in_shard(lambda _: b"not Parquet" * 30),
    "cut_shard": in_shard(lambda content: content[: len(content) // 2]),
    "cut_footer": in_shard(lambda content: content[:-6]),
    "damaged_shard": in_shard(lambda content: content[:400] + bytes(200) + content[600:]),
    "damaged_lengths": in_shard(lambda content: content[:40] + bytes(200) + content[240:]),
    "zeros_shard": in_shard(lambda content: bytes(len(content))),
    "lfs_shard": in_shard(lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"),
    "folder_for_shard": folder_for_shard,
    "looping_link": looping_link,
    "no_label": in_table(lambda table: table.drop_columns(["label"])),
    "no_image": in_table(lambda table: table.drop_columns(["image"])),
    "label_is_text": in_table(
        lambda table: table.set_column(
            table.schema.get_field_index("label"), "label", pa.array(["a"] * len(table))
        ).replace_schema_metadata(None)
    ),
    "no_rows": in_table(lambda table: table.slice(0, 0)),
    "card_is_binary": text("README.md", b"---\n\xff\xfe\x00\n---\n"),
    "card_is_no_yaml": text("README.md", b"---\nconfigs: [\n---\n"),
}
"""Each of these leaves a dataset that cannot be trusted whole."""


PICTURES: dict[str, Callable[[Path], None]] = {"broken_pixels": in_table(broken_pixels)}
"""Damage that only what decodes pixels can see."""


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder with its size and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found[str(path.relative_to(folder))] = (len(content), content)
    return found
