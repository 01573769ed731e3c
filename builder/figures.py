"""Pictures of a built dataset: the contact sheet a person looks at before trusting it."""

import io
from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
from PIL import Image, ImageDraw

from cytoimagenet_hf.data import label_names
from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.seeding import derive_rng

_LABEL_WIDTH = 170
_GAP = 3


def contact_sheet(
    output: str | Path, *, seed: int, classes: int = 40, per_class: int = 8, side: int = 96
) -> Image.Image:
    """Sampled images of a built dataset, one row per class, each shrunk to fit `side` x `side` pixels.

    Args:
        output: a built dataset folder.
        seed: chooses the images; the same seed shows the same ones.
        classes: at most this many, spread evenly over the class list.
        per_class: images in a row.
        side: pixels.

    Returns:
        A mode L picture, `side` pixels plus a gap per class high.

    Raises:
        InputError: the folder holds no built dataset.
    """
    files = sorted(Path(output).glob("data/*.parquet"))
    if not files:
        raise InputError(f"{output} holds no data/*.parquet: build it first")
    table = pads.dataset(files, format="parquet")
    codes = table.to_table(columns=["label"])["label"].to_numpy()
    names = label_names(output)
    shown = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, classes).round().astype(int))]
    sheet = Image.new("L", (_LABEL_WIDTH + per_class * (side + _GAP), len(shown) * (side + _GAP)), color=40)
    pen = ImageDraw.Draw(sheet)
    for row, label in enumerate(shown):
        top = row * (side + _GAP)
        pen.multiline_text((6, top + side // 2 - 12), _wrapped(label), fill=230)
        rows = np.flatnonzero(codes == names.index(label))
        picked = derive_rng(seed, "contact sheet", label).permutation(rows)[:per_class]
        for column, cell in enumerate(table.take(np.sort(picked), columns=["image"])["image"].to_pylist()):
            picture = Image.open(io.BytesIO(cell["bytes"]))
            picture.thumbnail((side, side))
            sheet.paste(picture, (_LABEL_WIDTH + column * (side + _GAP), top))
    return sheet


def _wrapped(label: str, width: int = 24) -> str:
    """The label in lines of at most `width` characters."""
    lines = [""]
    for word in label.split():
        lines = [*lines[:-1], f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < width else [*lines, word]
    return "\n".join(lines)
