"""What the window shows, without the window: rows by filter, nearest images of an upload, a map of features.

Dataset images are merged and contrast-stretched already, so an upload goes through the same: its channels are
stretched and merged, and both meet the network as one gray image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets as hf
import numpy as np
import pandas as pd
from PIL import Image

from cytoimagenet_hf.benchmarks.extraction import load_model
from cytoimagenet_hf.data import load_cytoimagenet, require_columns
from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.features.folder import cached_features
from cytoimagenet_hf.features.store import Refusal
from cytoimagenet_hf.images.rows import row_image
from cytoimagenet_hf.knn import kneighbors
from cytoimagenet_hf.models.channels import as_channels
from cytoimagenet_hf.seeding import derive_rng

FILTERS = ("category", "label", "dir_name", "organism", "cell_type", "microscopy")
"""Columns to filter by, in the order they are shown."""

METHOD = "merge-norm"
_SHOWN = ("label", "category", "dir_name", "cell_type", "channels", "image_id")


@dataclass(frozen=True)
class Neighbour:
    """A dataset image near an upload: its id, distance in feature space and metadata."""

    image_id: str
    distance: float
    row: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What an upload gets back: itself as the network sees it, its neighbours, and the shares of their labels."""

    seen: Image.Image
    neighbours: tuple[Neighbour, ...]
    labels: Mapping[str, float]


class Gallery:
    """A sample of a dataset with its metadata and, given a model, its features.

    Args:
        path: a built folder or a Hub repository.
        model: folder or name of a model for neighbours and the map; without one only browsing works.
        limit: at most this many images, sampled over all splits.
        seed: of the sample.
        cache: folder where features are kept; by default among the caches of the Hub.

    Raises:
        InputError: no dataset, or no model at that place.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        model: str | None = None,
        limit: int = 5000,
        seed: int = 0,
        cache: Path | None = None,
    ) -> None:
        splits = load_cytoimagenet(path)
        require_columns(splits, ("image", "label"), path)
        self.refused: tuple[Refusal, ...] = ()
        whole = hf.concatenate_datasets([splits[name] for name in sorted(splits)])
        rows = whole.remove_columns("image").to_pandas()
        picked = np.sort(derive_rng(seed, "explore").permutation(len(rows))[:limit])
        self.images = whole.select(picked)
        names = whole.features["label"].names
        self.rows = (
            rows.iloc[picked].reset_index(drop=True).assign(label=lambda table: table["label"].map(names.__getitem__))
        )
        self.total = len(whole)
        self._model_name = model
        self._position = {image_id: position for position, image_id in enumerate(self.rows["image_id"])}
        if model is not None:
            self._encoder = load_model(model, method=METHOD).encoder
            places = [(name, row) for name in sorted(splits) for row in range(len(splits[name]))]
            wanted = [
                row_image(path, split=places[place][0], row=places[place][1], id=str(image_id))
                for place, image_id in zip(picked, self.rows["image_id"], strict=True)
            ]
            table, self.refused = cached_features(self._encoder, wanted, cache=cache)
            self._features = table.values
            # Rows of the sample that have features: an image that the network cannot take has none.
            self._known = np.array([self._position[name] for name in table.ids])

    @property
    def has_model(self) -> bool:
        """Whether neighbours and the map are available."""
        return self._model_name is not None

    def choices(self, column: str) -> list[str]:
        """Values of a filter column, most frequent first."""
        return [str(value) for value in self.rows[column].dropna().value_counts().index]

    def browse(self, wanted: Mapping[str, str | None], *, most: int = 24) -> list[tuple[Image.Image, str]]:
        """Images whose columns have the wanted values, with a caption each; filters that are None let all through."""
        kept = np.ones(len(self.rows), dtype=bool)
        for column, value in wanted.items():
            if column not in FILTERS:
                raise InputError(f"no filter {column!r}: choose from {', '.join(FILTERS)}")
            if value:
                kept &= (self.rows[column] == value).to_numpy()
        return [(self.image(position), self._caption(position)) for position in np.flatnonzero(kept)[:most]]

    def image(self, position: int) -> Image.Image:
        """The stored image of one row of the sample."""
        picture: Image.Image = self.images[int(position)]["image"]
        return picture

    def look_up(self, files: Sequence[str | Path], *, k: int = 8) -> Answer:
        """The nearest dataset images of an upload.

        Args:
            files: one or several image files of any bit depth; each channel of each file is one of the image.
            k: how many neighbours.

        Raises:
            InputError: no model, no file, or a file that is no usable image.
        """
        if not self.has_model:
            raise InputError("neighbours need a model: start with --model")
        if not files:
            raise InputError("drop at least one image file")
        # What a file does not say of its planes the page says: they are channels.
        channels = as_channels([str(file) for file in files], channels_axis="channels_first")
        (unit,) = self._encoder.units(channels, stains=())
        seen = unit[0] * np.float32(255)
        query = extract_features(self._encoder, [[seen]], ids=["upload"]).values
        distances, found = kneighbors(self._features, query, min(k, len(self._features)), metric="cosine")
        near = [
            Neighbour(str(self.rows["image_id"][i]), float(d), self.rows.loc[i, list(_SHOWN)].dropna().to_dict())
            for i, d in zip(self._known[found[0]], distances[0], strict=True)
        ]
        shares = pd.Series([neighbour.row["label"] for neighbour in near]).value_counts(normalize=True)
        picture = Image.fromarray(seen.astype(np.uint8))
        return Answer(picture, tuple(near), {str(label): float(share) for label, share in shares.items()})

    def neighbours_with_images(self, answer: Answer) -> list[tuple[Image.Image, str]]:
        """The neighbours of an answer as pictures with captions."""
        return [
            (
                self.image(self._position[n.image_id]),
                f"{n.row['label']} · {n.row['dir_name']} · distance {n.distance:.3f}",
            )
            for n in answer.neighbours
        ]

    def map(self) -> pd.DataFrame:
        """Two coordinates per image (principal components of the standardised features) with category and source."""
        if not self.has_model:
            raise InputError("the map needs a model: start with --model")
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        plane = PCA(2, svd_solver="full").fit_transform(StandardScaler().fit_transform(self._features))
        return (
            self.rows.loc[self._known, ["category", "dir_name", "label"]]
            .rename(columns={"dir_name": "source"})
            .assign(x=plane[:, 0], y=plane[:, 1])
        )

    def _caption(self, position: int) -> str:
        row = self.rows.loc[position, list(_SHOWN)].dropna()
        return " · ".join(str(row[name]) for name in ("label", "dir_name", "cell_type") if name in row)
