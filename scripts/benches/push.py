"""What a second push sends after a few rows changed, by the size of row groups.

The Hub stores files in chunks of some 64 KB that end where the content says so, and takes only those it has not seen.
The same is done here to the files before and after a change: what is new is what would be sent.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from builder.publish.data_files import open_writer
from cytoimagenet_hf.schema import dataset_features

_SMALLEST, _LARGEST = 8 << 10, 128 << 10  # of a chunk; one in 64 KiB places ends one
_SHARE = 0.01
RowNumbers = npt.NDArray[np.int64]


def run(
    images: Annotated[int, typer.Option(help="Images in the data set.")] = 2000,
    kilobytes: Annotated[int, typer.Option(help="Mean size of an encoded image; 63 in the data set.")] = 60,
    groups: Annotated[str, typer.Option(help="Rows of a row group, sizes to compare.")] = "100,250,500,1000",
) -> dict[str, Any]:
    """Bytes sent after 1 % of the images changed, and the time of a single row and of the first streamed one.

    Example: python scripts/bench.py push --images 500 --groups 100,500
    """
    table = []
    with tempfile.TemporaryDirectory() as name:
        for size in map(int, groups.split(",")):
            for change, rows in _changes(images).items():
                before, after = Path(name) / "before.parquet", Path(name) / "after.parquet"
                _write(before, np.arange(images), kilobytes, size)
                _write(after, rows, kilobytes, size)
                known = dict(_chunks(before))
                sent = sum(length for digest, length in dict(_chunks(after)).items() if digest not in known)
                table.append(
                    {
                        "rows of a group": size,
                        "change": change,
                        "sent, % of the file": 100 * sent / after.stat().st_size,
                        "one row, ms": 1000 * _seconds(lambda path=before: _one_row(path, images // 2)),
                        "read for the first streamed row, MB": _group_bytes(before) / 1e6,
                    }
                )
    return {
        "table": table,
        "options": {"images": images, "kilobytes": kilobytes, "groups": groups},
        "notes": [
            "Sent: bytes of chunks (8 to 128 KiB, 64 on average, cut by content) that the file before does not hold.",
            "1 % of the bytes are new where images were replaced; each lies in two chunks or more.",
        ],
    }


def _changes(images: int) -> dict[str, RowNumbers]:
    """What is done to the rows: the number of each image; a negative one is new."""
    rng = np.random.default_rng(0)
    count = max(1, round(_SHARE * images))
    rows, chosen = np.arange(images), np.sort(rng.permutation(images)[:count])
    replaced = rows.copy()
    replaced[chosen] = -1 - chosen
    start = images // 3
    together = rows.copy()
    together[start : start + count] = -1 - together[start : start + count]
    return {
        "replaced, here and there": replaced,
        "replaced, side by side": together,
        "removed, here and there": np.delete(rows, chosen),
        "removed, side by side": np.delete(rows, slice(start, start + count)),
    }


def _write(path: Path, rows: RowNumbers, kilobytes: int, group: int) -> None:
    """The file of some images, whose content follows from their number alone."""
    schema = dataset_features(["actin", "dna"]).arrow_schema
    with open_writer(path, schema) as writer:
        for start in range(0, len(rows), group):
            part = [_row(int(row), kilobytes) for row in rows[start : start + group]]
            columns = {name: [row.get(name) for row in part] for name in schema.names}
            writer.write_table(pa.table(columns, schema=schema), row_group_size=len(part))


def _row(number: int, kilobytes: int) -> dict[str, Any]:
    rng = np.random.default_rng(2 * abs(number) + (number < 0))
    content = rng.bytes(int(1024 * kilobytes * rng.uniform(0.5, 1.5)))  # what PNG leaves cannot be made smaller
    image_id = hashlib.sha256(content).hexdigest()
    text = {"idx": image_id[:16], "image_id": image_id[:20], "sha256": image_id, "filename": f"{image_id[:9]}.png"}
    text |= {"category": "gene", "organism": "human", "dir_name": f"source {number // 500}", "licence": "cc0"}
    return text | {"image": {"bytes": content, "path": text["filename"]}, "label": number % 2, "width": 224}


def _chunks(path: Path) -> Iterator[tuple[bytes, int]]:
    """Chunks of a file that end where the eight bytes before say so: hash and length of each."""
    content = path.read_bytes()
    window = np.zeros(len(content) - 7, np.uint64)
    for place in range(8):
        window |= np.frombuffer(content, np.uint8)[place : len(content) - 7 + place].astype(np.uint64) << np.uint64(
            8 * place
        )
    ends = np.flatnonzero((window * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(48) == 0) + 8
    start = 0
    for end in [*ends.tolist(), len(content)]:
        while end - start > _LARGEST:
            yield _chunk(content[start : start + _LARGEST])
            start += _LARGEST
        if end - start >= _SMALLEST or end == len(content):
            yield _chunk(content[start:end])
            start = end


def _chunk(content: bytes) -> tuple[bytes, int]:
    return hashlib.blake2b(content, digest_size=16).digest(), len(content)


def _one_row(path: Path, row: int) -> None:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if row < rows:
                file.read_row_group(group, columns=["image.bytes"])["image"][row].as_py()
                return
            row -= rows


def _group_bytes(path: Path) -> int:
    return int(pq.read_metadata(path).row_group(0).total_byte_size)


def _seconds(call: Callable[[], None], *, repeat: int = 5) -> float:
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return float(np.median(times))
