"""Writing simulated pixels as the real archives do: PNG, RGBA PNG, TIFF, palette BMP, RGB BMP."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image


def write_image(path: Path, pixels: NDArray[Any], encoding: str = "plain") -> None:
    """Write (H, W) or (H, W, 3) pixels as .png, .bmp (any letter case) or .tif.

    Encodings: "plain"; "palette" (8-bit index into a gray palette); "rgba" (gray in three colours, opaque).
    """
    suffix = path.suffix.lower()
    if suffix in (".tif", ".tiff"):
        # Compression as horizontal differences: noise-limited 12-bit data shrinks by a third, float stays as it is.
        options = {} if pixels.dtype == np.float32 else {"compression": "zlib", "predictor": True}
        tifffile.imwrite(path, pixels, metadata=None, software=False, datetime=False, **options)
        return
    image = Image.fromarray(pixels)
    if encoding == "palette":
        image.putpalette([value for level in range(256) for value in (level, level, level)])
    elif encoding == "rgba":
        image = image.convert("RGBA")
    image.save(
        path, format={".bmp": "BMP", ".png": "PNG"}[suffix], **({"compress_level": 1} if suffix == ".png" else {})
    )
