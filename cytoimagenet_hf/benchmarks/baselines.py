"""What a network has to beat: features anyone can compute from pixels (FACTS E7)."""

from collections.abc import Sequence

import cv2
import numpy as np
from sklearn.decomposition import PCA
from tqdm import tqdm

from cytoimagenet_hf.imaging import normalize

from .base import Array, Item
from .inputs import FeatureTable

_BINS = 32
_SIDE = 16  # pixels a side of the thumbnails that enter the PCA
_COMPONENTS = 64


def pixel_baselines(items: Sequence[Item], *, seed: int) -> dict[str, FeatureTable]:
    """Feature tables of three baselines, each channel after the percentile stretch, channels side by side.

    `intensity histogram`: 32 bins; `foreground area`: share of pixels above Otsu's threshold; `pixel PCA`: 64
    components of 16 x 16 thumbnails, fitted on the training split where there is one.
    """
    histograms, areas, thumbnails = [], [], []
    for item in tqdm(items, desc="pixel baselines", unit="image", disable=None):
        stretched = [normalize(channel) for channel in item.read()]
        histograms.append(np.concatenate([intensity_histogram(channel) for channel in stretched]))
        areas.append([foreground_area(channel) for channel in stretched])
        thumbnails.append(
            np.concatenate([cv2.resize(c, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).ravel() for c in stretched])
        )
    ids = np.array([item.id for item in items], dtype=object)
    train = np.array([item.groups.get("split", "train") == "train" for item in items])
    pixels = np.asarray(thumbnails, np.float32)
    components = min(_COMPONENTS, int(train.sum()), pixels.shape[1])
    pca = PCA(components, svd_solver="randomized", random_state=seed).fit(pixels[train])
    tables = {
        "pixel PCA": pca.transform(pixels),
        "intensity histogram": np.asarray(histograms, np.float32),
        "foreground area": np.asarray(areas, np.float32),
    }
    return {name: FeatureTable(name, ids, values, about={"baseline": name}) for name, values in tables.items()}


def intensity_histogram(channel: Array) -> Array:
    """Share of pixels in each of 32 bins of [0, 1]: (32,)."""
    counts, _ = np.histogram(channel, bins=_BINS, range=(0.0, 1.0))
    return counts / channel.size


def foreground_area(channel: Array) -> float:
    """Share of pixels above Otsu's threshold of a channel in [0, 1]."""
    gray = (channel * 255).astype(np.uint8)
    threshold, _ = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float((gray > threshold).mean())
