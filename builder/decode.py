"""A stored image as everyone decodes it: what `Image(mode="L")` of the dataset makes of its bytes."""

import io

import numpy as np
import numpy.typing as npt
import PIL.Image

from cytoimagenet_hf.imaging.png import decode_gray_png


def decode_stored(content: bytes) -> npt.NDArray[np.uint8]:
    """The gray pixels of an encoded image, (H, W).

    Raises:
        Exception: whatever its bytes make a decoder stumble over.
    """
    pixels = decode_gray_png(content)
    if pixels is not None and pixels.dtype == np.uint8:
        return pixels
    with PIL.Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("L"))
