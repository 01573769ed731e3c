"""Port against Keras: the largest difference of pooled features at each input size."""

import re
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import file_sha256
from cytoimagenet_hf.networks.keras import convert_keras, keras_record

LIMIT = 1e-5


def run(
    weights: Annotated[Path, typer.Argument(help="Keras weights, HDF5.")],
    outputs: Annotated[Path, typer.Argument(help="Outputs of Keras, npz.")],
) -> dict[str, Any]:
    """Compare our port of Keras weights with outputs of Keras; refused where a feature differs by 1e-5 or more.

    OUTPUTS holds pooled outputs of Keras under keys "WIDTHxHEIGHT"; the input of a key is
    `np.random.default_rng(W * 10000 + H).uniform(0, 255, (1, H, W, 3)).astype("f4")`.

    Example: python scripts/bench.py keras_parity efficientnetb0_weights-notop.h5 keras_outputs.npz
    """
    model, record = convert_keras(weights), keras_record(weights)
    expected = np.load(outputs)
    table = []
    for key in sorted(filter(re.compile(r"\d+x\d+").fullmatch, expected), key=_size):
        width, height = _size(key)
        image = np.random.default_rng(width * 10000 + height).uniform(0, 255, (1, height, width, 3)).astype("f4")
        pixels = (
            torch.from_numpy(image) * record["rescale_factor"] - torch.tensor(record["image_mean"])
        ) / torch.tensor(record["image_std"])
        with torch.inference_mode():
            features = model(pixels.permute(0, 3, 1, 2)).pooler_output.numpy()
        difference, largest = np.abs(features - expected[key]).max(), np.abs(expected[key]).max()
        table.append({"size": key, "largest difference": float(difference), "largest feature": float(largest)})
    if worst := [row for row in table if row["largest difference"] >= LIMIT]:
        raise InputError(f"features of {weights} differ from those of Keras by {LIMIT:g} or more: {worst}")
    return {"table": table, "limit": LIMIT, "weights_sha256": file_sha256(weights)}


def _size(key: str) -> tuple[int, int]:
    """Width and height of a key."""
    width, height = key.split("x")
    return int(width), int(height)
