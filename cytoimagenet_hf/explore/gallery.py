"""What the window shows, without the window: rows by filter and page, nearest images, a map of features.

Browsing needs no features. They are extracted when something first asks for them, so that a window can open before.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets as hf
import numpy as np
import numpy.typing as npt
import pandas as pd
from huggingface_hub import cached_assets_path
from PIL import Image

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.core.simulated import is_simulated
from cytoimagenet_hf.core.versions import installed_versions
from cytoimagenet_hf.dataset.images import (
    find_image_column,
    load_splits,
    parse_name,
    with_usual_columns,
)
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.features.folder import cached_features
from cytoimagenet_hf.images import Rejection
from cytoimagenet_hf.images.base import row_image
from cytoimagenet_hf.images.stores.dataset import DAMAGED, cell_planes, plane_counts
from cytoimagenet_hf.imaging import to_gray_bytes
from cytoimagenet_hf.networks import OWN_KINDS, kind_of, load_encoder
from cytoimagenet_hf.options.source import USUAL, ImageColumns
from cytoimagenet_hf.profiles.embedding import Embedding, embed
from cytoimagenet_hf.scoring.knn import kneighbors

from .upload import as_seen, read_upload

FILTERS = ("category", "label", "dir_name", "organism", "cell_type", "microscopy")
"""Columns to filter by, in the order they are shown."""
COLOURS = {"category": "category", "label": "label", "source": "dir_name", "plate": "plate"}
"""What the map can be coloured by → column."""

_USUAL = 0.95  # share of the dataset's images whose nearest image is within what is called usual
_ASKED = 2000  # images from which that is estimated


@dataclass(frozen=True)
class Page:
    """Some rows of all that match: `rows` are places in the sample, `first` counts from 0."""

    rows: tuple[int, ...]
    number: int
    pages: int
    first: int
    total: int


@dataclass(frozen=True)
class Neighbour:
    """An image of the dataset near another: its row in the sample and the distance in feature space."""

    row: int
    distance: float


@dataclass(frozen=True)
class Answer:
    """What an upload gets back."""

    channels: Mapping[str, Image.Image]  # name → the channel as the network sees it
    seen: Image.Image  # all channels merged, as the network sees them; this is what is looked up
    neighbours: tuple[Neighbour, ...]  # the nearest images first
    labels: Mapping[str, int]  # how many of the neighbours have each label, the most frequent first
    usual: float | None  # within this distance of its nearest lie 95 % of the dataset's own images
    images: tuple[str, ...]  # names of all images in the files, and `image`: the one that is shown
    image: str
    note: str  # what was decided about the files


@dataclass(frozen=True)
class _Features:
    """(n, d) values and the rows of the sample that they belong to: an unusable image has none."""

    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.floating]


class Gallery:
    """A sample of a dataset with its metadata and, given a model, its features.

    Args:
        path: a dataset with images: a folder, a Hub repository, or `hf:NAME:CONFIGURATION:SPLIT@REVISION`.
        model: a name of `cytoimagenet models`, folder or Hub name, for neighbours and the map; without one only
            browsing works.
        limit: at most this many images, sampled over all splits.
        seed: of the sample and of the map.
        cache: folder where features are kept; by default among the caches of the Hub.
        columns: where the dataset has its images, classes and ids.
        report: called with a line on what is being done.

    Raises:
        InputError: no dataset, no images in it, no model at that place, or a model that takes no gray image.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        model: str | None = None,
        limit: int = 5000,
        seed: int = 0,
        cache: Path | None = None,
        columns: ImageColumns = USUAL,
        report: Callable[[str], object] = lambda line: None,
    ) -> None:
        self._encoder = None if model is None else _encoder(model)  # first: a wrong name is refused at once
        name = parse_name(str(path))
        report(f"reading {name.path}")
        stored = load_splits(name)
        splits = with_usual_columns(stored, name.path, columns, labelled=False)
        self._feature = next(iter(splits.values())).features["image"]
        whole = hf.concatenate_datasets([splits[split] for split in sorted(splits)])
        picked = np.sort(derive_rng(seed, "explore").permutation(len(whole))[:limit])
        self.images = whole.select(picked)
        self.rows = self.images.remove_columns("image").to_pandas()
        if "label" in self.rows:
            names = dict(enumerate(whole.features["label"].names))
            self.rows["label"] = self.rows["label"].map(names)  # sets whose labels are kept back have -1 for them
        self.has_model = model is not None  # neighbours and the map are available
        self.filters = tuple(column for column in FILTERS if column in self.rows)
        self.colours = tuple(name for name, column in COLOURS.items() if column in self.rows)
        self.orders = ("shuffled", "as stored", *self.filters)
        self.total = len(whole)
        self.simulated = is_simulated(name.path)
        self._shuffled = derive_rng(seed, "explore", "order").permutation(len(self.rows))
        self.classes, self.sources = (
            len(whole.unique(column)) if column in whole.column_names else None for column in ("label", "dir_name")
        )
        self.rejected: tuple[Rejection, ...] = ()  # known when the features are extracted
        self._seed, self._cache = seed, cache
        places = [(split, row) for split in sorted(splits) for row in range(len(splits[split]))]
        column = find_image_column(next(iter(stored.values())).features, columns.image, name.path)
        counts: Sequence[int | None] = plane_counts(self.images, "image") or [None] * len(picked)
        self._wanted = [
            row_image(name.rows_of_all, *places[place], id=str(image_id), column=column, planes=planes)
            for place, image_id, planes in zip(picked, self.rows["image_id"], counts, strict=True)
        ]
        self._making = threading.RLock()
        self._features: _Features | None = None
        self._points: Embedding | None = None
        self._usual: float | None = None  # nothing is usual among fewer than two images
        self.images_done = 0  # while the features are being extracted

    @property
    def is_ready(self) -> bool:
        """Whether the features are there; before, neighbours and the map wait for them."""
        return self._features is not None

    @property
    def has_map(self) -> bool:
        """Whether the map is there; before, it takes a while."""
        return self._points is not None

    def extract(self) -> None:
        """Extract the features, or take them from the cache; asked again it does nothing."""
        self._extracted("features")

    def choices(self, column: str, wanted: Mapping[str, str | None] | None = None) -> dict[str, int]:
        """Values of a filter column, most frequent first, and how many images passing the other filters have each."""
        if column not in self.rows:
            return {}
        others = {name: value for name, value in (wanted or {}).items() if name != column}
        counts = self.rows[column][self._kept(others)].dropna().value_counts()
        return {str(value): int(count) for value, count in counts.items()}

    def browse(
        self, wanted: Mapping[str, str | None], *, page: int = 1, size: int = 24, order: str = "as stored"
    ) -> Page:
        """One page of the rows whose columns have the wanted values; filters that are None let all through.

        Pages count from 1; beyond the last it is the last. The order `shuffled` is the same for every page and seed.
        """
        if order not in self.orders:
            raise InputError(f"no order {order!r}: choose from {', '.join(self.orders)}")
        kept = self._kept(wanted)
        if order == "shuffled":
            rows = self._shuffled[kept[self._shuffled]]
        else:
            rows = np.flatnonzero(kept)
            if order != "as stored":
                rows = rows[np.argsort(self.rows[order].iloc[rows].astype(str), kind="stable")]
        pages = max(1, -(-len(rows) // size))
        number = min(max(1, page), pages)
        first = (number - 1) * size
        return Page(tuple(map(int, rows[first : first + size])), number, pages, first, len(rows))

    def _kept(self, wanted: Mapping[str, str | None]) -> npt.NDArray[np.bool_]:
        kept = np.ones(len(self.rows), dtype=bool)
        for column, value in wanted.items():
            if column not in FILTERS:
                raise InputError(f"no filter {column!r}: choose from {', '.join(FILTERS)}")
            if value and column in self.rows:
                kept &= (self.rows[column] == value).to_numpy()
        return kept

    def image(self, row: int) -> Image.Image | None:
        """The stored image of a row of the sample; None where its bytes are damaged."""
        try:
            planes = cell_planes(self.images[int(row)]["image"], self._feature)
        except DAMAGED:
            return None
        return Image.fromarray(to_gray_bytes(planes)) if planes else None

    def caption(self, row: int) -> tuple[str, ...]:
        """What is known of an image: label; category, source and cell type; channels; plate and well."""
        values = {str(name): str(value).replace("|", ", ") for name, value in self.rows.loc[row].dropna().items()}
        values["category"] = values.get("category", "").replace("_", " ")
        facts = [values[name] for name in ("category", "dir_name", "cell_type") if values.get(name)]
        where = [f"{name} {values[name]}" for name in ("plate", "well") if values.get(name)]
        lines = (
            values.get("label", ""),
            " · ".join(facts),
            f"channels: {values['channels']}" if values.get("channels") else "",
            ", ".join(where),
        )
        return tuple(line for line in lines if line)

    def neighbours_of(self, row: int, *, k: int = 8) -> tuple[Neighbour, ...]:
        """The images nearest to one of the sample, itself left out."""
        features = self._extracted("neighbours")
        place = np.flatnonzero(features.rows == row)
        if not len(place):
            reason = next((one.reason for one in self.rejected if one.id == self.rows["image_id"][row]), "")
            raise InputError(f"the network could not take this image: {reason}")
        return self._near(features.values[place], k, exclude=place)

    def look_up(self, files: Sequence[str | Path], *, image: str | None = None, k: int = 8) -> Answer:
        """The nearest dataset images of an upload.

        Args:
            files: what `read_upload` takes.
            image: which of several images in the files; by default the first that can be used.
            k: how many neighbours.

        Raises:
            InputError: no model, no file, or files that are not a usable image.
        """
        encoder = self._require_model("neighbours")
        upload = read_upload(files, image=image)
        merged = upload.merged
        channels = dict(zip(upload.names, as_seen(encoder, upload.planes), strict=True))
        (seen,) = as_seen(encoder, [merged])
        near = self._near(extract_features(encoder, [[merged]], ids=["upload"]).values, k)
        counts = pd.Series([self.rows["label"][one.row] for one in near if "label" in self.rows]).value_counts()
        labels = {str(name): int(count) for name, count in counts.items()}
        return Answer(channels, seen, near, labels, self._usual_distance(), upload.images, upload.image, upload.note)

    def map(self) -> tuple[pd.DataFrame, str]:
        """Two coordinates per image with features, what it can be coloured by, and the method; computed once.

        Columns are `row` (in the sample), `x`, `y` and those of `COLOURS`.
        """
        features = self._extracted("the map")
        with self._making:
            if self._points is None:
                self._points = _kept_map(features.values, seed=self._seed, cache=self._cache)
        embedding = self._points
        shown = self.rows.loc[features.rows]
        if "category" in shown:
            shown = shown.assign(category=shown["category"].str.replace("_", " "))
        columns = {name: shown[column].to_numpy() for name, column in COLOURS.items() if column in shown}
        columns.setdefault("label", np.full(len(shown), "no label"))
        places = {"x": embedding.places[:, 0], "y": embedding.places[:, 1]}
        return pd.DataFrame({"row": features.rows} | places | columns), embedding.method

    def place_of(self, near: Sequence[Neighbour]) -> tuple[float, float] | None:
        """Where the map shows an image without a place of its own: between its nearest three, nearer to the nearer."""
        points, _ = self.map()
        places = points.set_index("row").loc[[one.row for one in near[:3]], ["x", "y"]].to_numpy()
        if not len(places):
            return None
        weights = 1 / (np.array([one.distance for one in near[:3]]) + 1e-6)
        x, y = weights @ places / weights.sum()
        return float(x), float(y)

    def _near(self, query: npt.NDArray[Any], k: int, **options: Any) -> tuple[Neighbour, ...]:
        features = self._extracted("neighbours")
        most = len(features.values) - len(options.get("exclude", ()))
        distances, nearest = kneighbors(features.values, query, min(k, most), metric="cosine", **options)
        return tuple(Neighbour(int(features.rows[i]), float(d)) for i, d in zip(nearest[0], distances[0], strict=True))

    def _usual_distance(self) -> float | None:
        """Of an image of the dataset to its nearest: 95 % of them have theirs within it."""
        features = self._extracted("neighbours")
        with self._making:
            if self._usual is None and len(features.values) > 1:
                asked = np.arange(0, len(features.values), -(-len(features.values) // _ASKED))
                nearest, _ = kneighbors(features.values, features.values[asked], 1, metric="cosine", exclude=asked)
                self._usual = float(np.quantile(nearest, _USUAL))
            return self._usual

    def _extracted(self, what: str) -> _Features:
        encoder = self._require_model(what)
        with self._making:
            if self._features is None:
                self.images_done = 0
                table, self.rejected = cached_features(encoder, self._wanted, cache=self._cache, advance=self._count)
                row_of = {image_id: row for row, image_id in enumerate(self.rows["image_id"])}
                self._features = _Features(np.array([row_of[name] for name in table.ids]), table.values)
            return self._features

    def _count(self, images: int) -> None:
        self.images_done += images

    def _require_model(self, what: str) -> Any:
        if self._encoder is None:
            raise InputError(f"{what} need a model: start with --model")
        return self._encoder


def _encoder(model: str) -> Any:
    """The network; our own take the merged image, which is what the dataset holds."""
    encoder = load_encoder(model, method="merge-norm") if kind_of(model) in OWN_KINDS else load_encoder(model)
    if encoder.facts.channels == "joint":
        raise InputError(
            f"{model} takes several stains at once, and the dataset holds gray images: name another --model"
        )
    return encoder


def _kept_map(values: npt.NDArray[np.floating], *, seed: int, cache: Path | None = None) -> Embedding:
    """`embed` of (n, d) features, or what an earlier call kept of the same features and seed."""
    folder = Path(cached_assets_path("cytoimagenet-hf", namespace="maps")) if cache is None else cache / "_maps"
    file = folder / f"{_key(values, seed)}.npz"
    if file.is_file():
        with np.load(file, allow_pickle=False) as kept:
            across, down = (str(axis) for axis in kept["axes"])
            return Embedding(kept["places"], (across, down), str(kept["method"]))
    made = embed(values, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary, temporary.open("wb") as out:
        np.savez(out, places=made.places, axes=np.array(made.axes), method=np.array(made.method))
    return made


def _key(values: npt.NDArray[np.floating], seed: int) -> str:
    version = installed_versions(["scikit-learn"])["scikit-learn"]
    digest = hashlib.sha256(f"t-SNE {version} {seed} {values.shape} {values.dtype}".encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:32]
