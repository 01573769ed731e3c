"""The one feature table: rows known by id, with metadata and the story of how they were made.

Extraction writes it, profiles transform it, benchmarks score it. Rows meet by id, never by position: features of two
networks joined by row order once put the label into the features.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytoimagenet_hf.errors import InputError


@dataclass(frozen=True)
class FeatureTable:
    """Features of images, sites, wells or treatments.

    Attributes:
        ids: (n,) unique text.
        values: (n, d) float32 or float64, finite.
        metadata: n rows in the order of `ids`; columns such as `plate`, `well`, `site` under the names of
            `Image.metadata`; no columns where nothing is known.
        names: (d,) unique names of the features, `Image_dna_b0_0003`.
        about: what made it: model, fingerprints, normalisation, and in `steps` every step since.
    """

    ids: npt.NDArray[Any]
    values: npt.NDArray[np.floating]
    metadata: pd.DataFrame
    names: tuple[str, ...]
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not len(self.ids) == len(self.values) == len(self.metadata):
            raise InputError(
                f"{len(self.ids)} ids and {len(self.metadata)} rows of metadata for features of shape "
                f"{self.values.shape}: one of each per row"
            )
        if len(self.names) != self.values.shape[1]:
            raise InputError(f"{len(self.names)} names for {self.values.shape[1]} features: one per column")
        for what, given in (("ids", self.ids.tolist()), ("feature names", self.names)):
            twice = [name for name, count in Counter(given).items() if count > 1]
            if twice:
                raise InputError(f"{len(twice)} {what} occur more than once, such as {twice[:3]}: they must be unique")
        odd = ~np.isfinite(self.values)
        if odd.any():
            rows, columns = odd.any(axis=1).nonzero()[0], odd.any(axis=0).nonzero()[0]
            raise InputError(
                f"{len(rows)} rows hold NaN or infinite features, such as {self.ids[rows[:3]].tolist()} in "
                f"{[self.names[column] for column in columns[:3]]}: extract them again, or drop those columns"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: Sequence[str] | npt.NDArray[Any]) -> "FeatureTable":
        """The rows of these ids, in this order.

        Raises:
            InputError: an id has no features.
        """
        order = pd.Index(self.ids).get_indexer(pd.Index(ids))
        if (order < 0).any():
            missing = np.asarray(ids, dtype=object)[order < 0]
            raise InputError(
                f"no features for {len(missing)} of {len(order)} ids, such as {missing[:3].tolist()}: extract them "
                "from the same images, or compare how ids are written"
            )
        return self.take(order)

    def take(self, positions: npt.NDArray[Any]) -> "FeatureTable":
        """The rows at these positions (integers), or where a mask is true."""
        metadata = self.metadata.iloc[positions] if positions.dtype != bool else self.metadata[positions]
        return FeatureTable(
            self.ids[positions], self.values[positions], metadata.reset_index(drop=True), self.names, self.about
        )
