"""What a second push sends after 1 % of the rows changed, by the size of row groups.

A dataset is written as `publish` writes it and pushed to a Hub on the loopback interface by the command that users
run; it is changed and pushed again. What the Hub's own client uploads is counted where it arrives: chunks of some
64 KB that end where the content says so, less those that it has sent before.
"""

import copy
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from builder.publish import files, repository
from builder.render.shard import SHARD_SCHEMA
from cytoimagenet_hf.dataset.schema import SUBSETS
from cytoimagenet_hf.imaging import encode_png
from tests.hub.loopback import TOKEN, Hub, serve

from .common import side_by_side
from .images import publish_rows

_SHARE = 0.01
_RUN = 8  # images of one run, as if those of a plate stood together
_LABELS = sorted([next(iter(SUBSETS["toy_20"])), *(f"label {number:02d}" for number in range(39))])
RowNumbers = npt.NDArray[np.int64]


def run(
    images: Annotated[int, typer.Option(help="Images in the dataset.")] = 2000,
    kilobytes: Annotated[int, typer.Option(help="Mean size of an encoded image; 63 in the dataset.")] = 60,
    groups: Annotated[str, typer.Option(help="Rows of a row group, sizes to compare.")] = "100,250,1000",
) -> dict[str, Any]:
    """Bytes that a second push uploads after 1 % of the rows changed, and the time of a single row.

    Example: python scripts/bench.py push --images 500 --groups 250
    """
    table = []
    for size in map(int, groups.split(",")):
        with (
            tempfile.TemporaryDirectory() as name,
            serve() as hub,
            patch.object(files, "ROW_GROUP_ROWS", size),
            # One picture, whatever the size: here it would be a tenth of all.
            patch.object(repository, "contact_sheet", lambda *_, **__: PIL.Image.new("L", (1, 1))),
        ):
            first = Path(name) / "cytoimagenet"
            _write(first, np.arange(images), kilobytes)
            whole = _pushed(first, hub, Path(name) / "home")
            file = first / "data" / "train-00000-of-00001.parquet"
            for change, rows in _changes(images).items():
                folder, home = Path(name) / "changed", Path(name) / "home of the change"
                _write(folder, rows, kilobytes, other_source=change == "source of 1 % renamed")
                shutil.copytree(Path(name) / "home", home)
                before = copy.deepcopy(hub.repositories)
                sent = _pushed(folder, hub, home)
                hub.repositories = before
                reading = side_by_side({"one row": partial(_one_row, file, images // 2)}, repeat=5)
                table.append(
                    {
                        "rows of a group": size,
                        "change of 1 % of the rows": change,
                        "first push, MB": whole / 1e6,
                        "sent, MB": sent / 1e6,
                        "sent, %": 100 * sent / whole,
                        "one row, ms": 1000 * reading["one row"],
                        "read for the first streamed row, MB": _group_bytes(file) / 1e6,
                    }
                )
                shutil.rmtree(folder)
                shutil.rmtree(home)
    return {
        "table": table,
        "options": {"images": images, "kilobytes": kilobytes, "groups": groups},
        "notes": [
            "Sent: the bodies in which huggingface_hub and hf_xet upload chunks and their lists, counted by a Hub on "
            "the loopback interface; the folder is pushed but for the card's picture, from the machine that pushed it "
            "before.",
            "The Hub's chunks bound it: 8 to 128 KiB, 64 on average, as large as one image. An image that changes "
            "alone takes the chunks with it that it begins and ends in, three times its own bytes; no size of row "
            "group or page changes that. Images that change side by side cost little more than their bytes.",
            f"Runs of {_RUN}: what an order of rows would give that keeps images of a plate together, at the price of "
            "streams that are no longer mixed.",
        ],
    }


def _changes(images: int) -> dict[str, RowNumbers]:
    """What is done to the rows: the number of each image; a negative one is new."""
    rng = np.random.default_rng(0)
    count = max(_RUN, round(_SHARE * images))
    rows = np.arange(images)
    chosen = np.sort(rng.permutation(images)[:count])
    starts = rng.permutation(images // _RUN)[: count // _RUN] * _RUN
    in_runs = np.sort(np.concatenate([np.arange(start, start + _RUN) for start in starts]))
    together = np.arange(images // 3, images // 3 + count)
    changes = {
        f"replaced, {where}": np.where(np.isin(rows, which), -1 - rows, rows)
        for where, which in (("here and there", chosen), (f"in runs of {_RUN}", in_runs), ("side by side", together))
    }
    changes["removed, here and there"] = np.delete(rows, chosen)
    changes["removed, side by side"] = np.delete(rows, together)
    return changes | {"source of 1 % renamed": rows}


def _write(folder: Path, rows: RowNumbers, kilobytes: int, *, other_source: bool = False) -> None:
    """The dataset of some images, whose content follows from their number alone."""
    shard = folder / "shard.parquet"
    folder.mkdir(parents=True)
    made = [_row(number, kilobytes, other_source=other_source) for number in rows.tolist()]
    with pq.ParquetWriter(shard, SHARD_SCHEMA) as writer:
        for start in range(0, len(made), 100):
            writer.write_table(pa.Table.from_pylist(made[start : start + 100], schema=SHARD_SCHEMA))
    sides = ["validation" if abs(number) % 20 == 0 else "train" for number in rows.tolist()]
    publish_rows(folder, [shard], _LABELS, splits=(sides, sides))
    shard.unlink()


def _row(number: int, kilobytes: int, *, other_source: bool) -> dict[str, Any]:
    rng = np.random.default_rng(2 * abs(number) + (number < 0))
    width = max(8, round(1024 * kilobytes * rng.uniform(0.5, 1.5) / 224))
    content = encode_png(rng.integers(0, 256, (224, width), dtype=np.uint8))  # what PNG leaves cannot be made smaller
    identity = hashlib.sha256(str(number).encode()).hexdigest()
    source = f"source {abs(number) % 100}"
    row = {"image_id": identity[:20], "idx": identity[:16], "sha256": identity, "dhash": identity[:32]}
    row |= {"label": _LABELS[abs(number) % len(_LABELS)], "category": "gene", "organism": "human"}
    row |= {"dir_name": f"{source} new" if other_source and source == "source 7" else source, "database": "Database"}
    row |= {"name": source, "licence": "cc0", "crop": False, "width": width, "height": 224, "png_bytes": len(content)}
    row |= {"image": {"bytes": content, "path": None}}
    return {name: row.get(name) for name in SHARD_SCHEMA.names}


def _pushed(folder: Path, hub: Hub, home: Path) -> int:
    """Push a folder by the command; returns the bytes that arrived."""
    hub.xet.received.clear()
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_XET"}
    environment |= {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home), "HF_TOKEN": TOKEN}
    command = [sys.executable, "-m", "cytoimagenet_hf", "push", "dataset", str(folder), "me/cytoimagenet"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    stored = hub.files("datasets", "me/cytoimagenet")
    if any(stored[f"data/{path.name}"] != path.read_bytes() for path in folder.glob("data/*.parquet")):
        raise RuntimeError("what arrived is not what was pushed")
    return sum(hub.xet.received)


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
