"""What a network has to beat: features anyone can compute from pixels (E7, docs/paper.md)."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import cv2
import numpy as np
from sklearn.decomposition import PCA
from tqdm import tqdm

from cytoimagenet_hf.core.ahead import read_ahead
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.imaging import normalize, to_gray
from cytoimagenet_hf.tables import FeatureTable, make_table

from .base import Array, ids_of

_BINS = 32
_SIDE = 16  # pixels a side of the thumbnails that enter the PCA
_COMPONENTS = 64
_SIGMAS = (1.0, 2.0, 4.0, 8.0)  # pixels; of the Laplacians of Gaussians
_REACH = 4  # standard deviations: where scipy's `gaussian_laplace`, whose numbers these are, cuts its kernels off
_RANGE_SAMPLE = 200  # images whose pixels set the common range of the raw histograms

Range = tuple[float, float]

BASELINES = (
    *("raw intensities", "raw histogram", "intensity histogram", "LoG texture"),
    *("foreground area", "object count", "pixel PCA"),
)
"""Names of the baselines; the two raw ones see absolute intensity, the others each channel after its own stretch."""


def pixel_baselines(items: Sequence[Image], *, seed: int, workers: int = 0) -> dict[str, FeatureTable]:
    """Feature tables of the baselines, channels side by side.

    `raw intensities`: mean and deviation; `raw histogram`: 32 bins between the 0.1 and 99.9 percentile of a sample of
    all images; `intensity histogram`: 32 bins of the stretched channel; `LoG texture`: mean and deviation of the
    Laplacian of Gaussian at four scales; `foreground area`: share of pixels above Otsu's threshold; `object count`:
    connected pieces of it; `pixel PCA`: 64 components of 16 x 16 thumbnails, fitted on the training split if there is
    one. The seed is of the sample and of the PCA.
    """
    ranges = _common_ranges(items, seed=seed)
    values = described(items, partial(_numbers, ranges=ranges), workers=workers, what="pixel baselines")
    train = np.array([item.metadata.get("split", "train") == "train" for item in items])
    pixels = values["pixel PCA"]
    components = min(_COMPONENTS, int(train.sum()), pixels.shape[1])
    pca = PCA(components, svd_solver="randomized", random_state=seed).fit(pixels[train])
    values["pixel PCA"] = pca.transform(pixels)
    return {name: make_table(ids_of(items), table, about={"baseline": name}) for name, table in values.items()}


def described(
    items: Sequence[Image], numbers_of: Callable[[Image], dict[str, Array]], *, workers: int, what: str
) -> dict[str, Array]:
    """Name → (n, d) float32 numbers of every image, which do not depend on how many threads describe them.

    Raises:
        InputError: an image cannot be read.
    """
    columns: dict[str, list[Array]] = {}
    rows = read_ahead(((item.id, item) for item in items), numbers_of, workers)
    for _, numbers in tqdm(rows, total=len(items), desc=what, unit="image", disable=None):
        if isinstance(numbers, InputError):
            raise numbers
        for name, row in numbers.items():
            columns.setdefault(name, []).append(row)
    return {name: np.asarray(column, np.float32) for name, column in columns.items()}


def _numbers(item: Image, ranges: Sequence[Range]) -> dict[str, Array]:
    """The numbers of one image by baseline; for the PCA its thumbnails."""
    gray = [to_gray(channel) for channel in item.read()]
    raw = [channel.astype(np.float64) for channel in gray]
    stretched = [normalize(channel) for channel in gray]
    masks = [foreground(channel) for channel in stretched]
    thumbnails = [cv2.resize(c, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).ravel() for c in stretched]
    return {
        "raw intensities": np.concatenate([raw_moments(channel) for channel in raw]),
        "raw histogram": np.concatenate([intensity_histogram(c, ends) for c, ends in zip(raw, ranges, strict=True)]),
        "intensity histogram": np.concatenate([intensity_histogram(channel) for channel in stretched]),
        "LoG texture": np.concatenate([log_texture(channel) for channel in stretched]),
        "foreground area": np.array([mask.mean() for mask in masks]),
        "object count": np.array([object_count(mask) for mask in masks], np.float64),
        "pixel PCA": np.concatenate(thumbnails),
    }


def raw_moments(channel: Array) -> Array:
    """Mean and standard deviation of the pixels as they are: (2,)."""
    return np.array([channel.mean(), channel.std()])


def log_texture(channel: Array) -> Array:
    """Mean absolute value and deviation of the scale-normalised Laplacian of Gaussian at four scales: (8,)."""
    responses = [sigma**2 * laplacian_of_gaussian(channel, sigma) for sigma in _SIGMAS]
    return np.array([number for response in responses for number in (np.abs(response).mean(), response.std())])


def laplacian_of_gaussian(channel: Array, sigma: float) -> Array:
    """The numbers of `scipy.ndimage.gaussian_laplace` to float64 rounding, at a fifth of its time: (H, W) float64."""
    pixels = np.asarray(channel, np.float64)
    smooth, curved = _gaussian(sigma)
    across, down = (
        cv2.sepFilter2D(pixels, cv2.CV_64F, *kernels, borderType=cv2.BORDER_REFLECT)
        for kernels in ((curved, smooth), (smooth, curved))
    )
    return np.asarray(across + down)


@lru_cache
def _gaussian(sigma: float) -> tuple[Array, Array]:
    """A Gaussian of sum 1 and its second derivative, as far as they reach."""
    reach = int(_REACH * sigma + 0.5)
    place = np.arange(-reach, reach + 1, dtype=np.float64)
    smooth = np.exp(-0.5 * (place / sigma) ** 2)
    smooth /= smooth.sum()
    return smooth, smooth * (place**2 / sigma**4 - 1 / sigma**2)


def object_count(foreground: Array) -> int:
    """Connected pieces of a foreground that are larger than a thousandth of the image: cells, roughly."""
    _, _, statistics, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8))
    return int((statistics[1:, cv2.CC_STAT_AREA] > foreground.size / 1000).sum())


def intensity_histogram(channel: Array, ends: Range = (0.0, 1.0)) -> Array:
    """Share of pixels in each of 32 bins between two values, what lies outside in the first and last: (32,)."""
    counts, _ = np.histogram(np.clip(channel, *ends), bins=_BINS, range=ends)
    return counts / channel.size


def foreground(channel: Array) -> Array:
    """Pixels above Otsu's threshold of a channel in [0, 1]: (H, W) bool."""
    gray = (channel * 255).astype(np.uint8)
    threshold, _ = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return np.asarray(gray > threshold)


def _common_ranges(items: Sequence[Image], *, seed: int) -> list[Range]:
    """Per channel, the 0.1 and 99.9 percentile of the pixels of a sample of images."""
    chosen = derive_rng(seed, "baseline-range").permutation(len(items))[:_RANGE_SAMPLE]
    sampled = [[to_gray(channel) for channel in items[row].read()] for row in sorted(chosen)]
    ends = []
    for channels in zip(*sampled, strict=True):
        low, high = np.percentile(np.concatenate([channel.ravel() for channel in channels]), [0.1, 99.9])
        ends.append((float(low), float(high) if high > low else float(low) + 1.0))
    return ends
