"""Port against Keras: the largest difference of pooled features at each input size, as JSON and a table.

    python scripts/keras_parity.py WEIGHTS.h5 OUTPUTS.npz

OUTPUTS holds pooled outputs of Keras under keys "WIDTHxHEIGHT"; the input of a key is
`np.random.default_rng(W * 10000 + H).uniform(0, 255, (1, H, W, 3)).astype("f4")`.
"""

import re
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from benches.common import write

from cytoimagenet_hf.core.files import atomic_path, file_sha256
from cytoimagenet_hf.networks.keras import convert_keras, keras_record

_WHAT = (
    "The published Keras weights and their port give the same features. Compared are the 1,280 pooled features of "
    "equal "
    "inputs, in float32."
)
_DOCS = Path(__file__).resolve().parents[1] / "docs"


def main(
    weights: Annotated[Path, typer.Argument(help="Keras weights, HDF5.")],
    outputs: Annotated[Path, typer.Argument(help="Outputs of Keras, npz.")],
    docs: Annotated[Path, typer.Option(help="Folder of the table and of benchmarks/keras_parity.json.")] = _DOCS,
) -> None:
    """Compare our port of Keras weights with outputs of Keras; exits with 1 above the limit.

    Example: python scripts/keras_parity.py efficientnetb0_weights-notop.h5 keras_outputs.npz
    """
    model, record = convert_keras(weights), keras_record(weights)
    expected = np.load(outputs)
    rows = []
    for key in sorted(filter(re.compile(r"\d+x\d+").fullmatch, expected), key=_size):
        width, height = _size(key)
        image = np.random.default_rng(width * 10000 + height).uniform(0, 255, (1, height, width, 3)).astype("f4")
        pixels = (
            torch.from_numpy(image) * record["rescale_factor"] - torch.tensor(record["image_mean"])
        ) / torch.tensor(record["image_std"])
        with torch.inference_mode():
            features = model(pixels.permute(0, 3, 1, 2)).pooler_output.numpy()
        difference, largest = np.abs(features - expected[key]).max(), np.abs(expected[key]).max()
        rows.append({"size": key, "largest difference": float(difference), "largest feature": float(largest)})
    result = {"table": rows, "limit": 1e-5, "weights_sha256": file_sha256(weights)}
    lines = ["# Agreement with Keras", "", _WHAT, ""]
    lines += ["| width x height | largest absolute difference | largest feature |", "|---|---|---|"]
    lines += [f"| {row['size']} | {row['largest difference']:.1e} | {row['largest feature']:.2f} |" for row in rows]
    lines += ["", "Written by `scripts/keras_parity.py`. A difference of 1e-5 or more counts as an error."]
    write(result, docs / "benchmarks" / "keras_parity.json")
    with atomic_path(docs / "keras_parity.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    typer.echo("\n".join(lines))
    if any(row["largest difference"] >= result["limit"] for row in rows):
        raise typer.Exit(1)


def _size(key: str) -> tuple[int, int]:
    """Width and height of a key."""
    width, height = key.split("x")
    return int(width), int(height)


if __name__ == "__main__":
    typer.run(main)
