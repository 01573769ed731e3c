"""Pictures of a built dataset: the contact sheet a person looks at before trusting it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from builder.decode import decode_stored
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.dataset.load import data_files, label_names

_CLASSES, _PER_CLASS = 40, 8  # classes are spread evenly over the class list
_SIDE, _GAP, _LABEL_WIDTH = 96, 3, 170  # pixels
_LINE = 24  # characters of a line


def contact_sheet(output: str | Path, *, seed: int, classes: int = _CLASSES) -> Image.Image:
    """A mode L picture: eight sampled images of each of some classes of a built dataset, a row per class.

    The classes are evenly spread over the names; the same seed shows the same images.
    """
    files = data_files(output)
    codes = pa.concat_arrays(
        [chunk for path in files for chunk in pq.read_table(path, columns=["label"])["label"].chunks]
    ).to_numpy()
    names = label_names(output)
    sampled = np.unique(np.linspace(0, len(names) - 1, classes).round().astype(int))
    picked = {
        code: np.sort(
            derive_rng(seed, "contact sheet", names[code]).permutation(np.flatnonzero(codes == code))[:_PER_CLASS]
        )
        for code in sampled
    }
    encoded = _images(files, np.sort(np.concatenate(list(picked.values()))))
    sheet = Image.new("L", (_LABEL_WIDTH + _PER_CLASS * (_SIDE + _GAP), len(sampled) * (_SIDE + _GAP)), color=40)
    pen = ImageDraw.Draw(sheet)
    for line, (code, rows) in enumerate(picked.items()):
        top = line * (_SIDE + _GAP)
        pen.multiline_text((6, top + _SIDE // 2 - 12), _wrapped(names[code]), fill=230)
        for column, row in enumerate(rows):
            picture = _fitted(Image.fromarray(decode_stored(encoded[row])))
            sheet.paste(picture, (_LABEL_WIDTH + column * (_SIDE + _GAP), top))
    return sheet


def _fitted(picture: Image.Image) -> Image.Image:
    """A picture scaled to fit a square; one that is narrower than a pixel then is still one pixel wide."""
    scale = _SIDE / max(picture.size)
    width, height = (max(1, round(length * scale)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _images(files: Sequence[Path], rows: npt.NDArray[np.int64]) -> dict[int, bytes]:
    """The encoded images at sorted row numbers, counted over all files; other row groups are not read."""
    images: dict[int, bytes] = {}
    start = 0
    for path in files:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                wanted = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
                if len(wanted):
                    content = file.read_row_group(group, columns=["image.bytes"])["image"]
                    images |= {int(row): content[int(row) - start]["bytes"].as_py() for row in wanted}
                start = stop
    return images


def _wrapped(label: str) -> str:
    """The label in lines of at most 24 characters."""
    lines = [""]
    for word in label.split():
        lines = [*lines[:-1], f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < _LINE else [*lines, word]
    return "\n".join(lines)
