"""A dataset seen through features: how far images of a label are from each other and from other labels.

The author kept 552 of the 894 classes, those whose mean inter-class cosine distance exceeded 0.8 (paper §3); the same
choice here gives a list of labels that `load_cytoimagenet(subset=…)` takes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import atomic_path, write_json
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.core.simulated import save_figure
from cytoimagenet_hf.dataset.load import load_cytoimagenet, require_columns
from cytoimagenet_hf.features.folder import cached_features
from cytoimagenet_hf.images import Rejection
from cytoimagenet_hf.images.base import row_image
from cytoimagenet_hf.options.benchmark import DiversityOptions
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.options.networks import EncoderOptions
from cytoimagenet_hf.profiles.embedding import embed
from cytoimagenet_hf.tables import FeatureTable

from .extraction import load_model
from .figures import scatter

_COLOURED = 12  # values of a column that get a colour of their own


@dataclass(frozen=True)
class Diversity:
    """How far the labels of a dataset are apart, seen through one network.

    Attributes:
        dataset: as the caller wrote it.
        model: name of the network.
        weights: fingerprint of the network.
        drawn: how many images of each label were drawn, and from which distance on labels form the subset.
        distances: a row per label: `label`, `images`, `intra`, `inter`, `category`.
        subset: the labels that stand apart, ready for `subset=`.
        rejected: images that cannot be used.
        features: of the images drawn, with what the dataset knows of them as metadata.
    """

    dataset: str
    model: str
    weights: str
    drawn: DiversityOptions
    distances: pd.DataFrame
    subset: list[str]
    rejected: tuple[Rejection, ...]
    features: FeatureTable

    @property
    def record(self) -> dict[str, Any]:
        """All but the features, as plain JSON values."""
        return {
            **{name: getattr(self, name) for name in ("dataset", "model", "weights")},
            **{name: getattr(self.drawn, name) for name in ("seed", "per_label", "threshold")},
            "labels": self.distances.astype(object).where(self.distances.notna(), None).to_dict("records"),
            "subset": self.subset,
            "rejected": [asdict(rejection) for rejection in self.rejected],
        }


def measure_diversity(
    dataset: str, model: str, drawn: DiversityOptions, *, cache: Path | None, settings: Extraction
) -> Diversity:
    """Draw images of every label of a built folder or dataset repository, and measure the distances of their features.

    The model is whatever `extraction.load_model` takes; the cache of features is by default among those of the Hub.
    """
    images = load_cytoimagenet(dataset, split=drawn.split)
    require_columns(images, ("image", "label", "image_id"), dataset)
    about = images.remove_columns("image").to_pandas()
    about["label"] = [images.features["label"].names[code] for code in about["label"]]
    rows = sample_per_label(about["label"], about["image_id"], per_label=drawn.per_label, seed=drawn.seed)
    chosen = [row_image(dataset, split=drawn.split, row=int(row), id=str(about["image_id"].iloc[row])) for row in rows]
    loaded = load_model(model, EncoderOptions(method="merge-norm"), seed=drawn.seed)
    table, rejected = cached_features(loaded.encoder, chosen, cache=cache, settings=settings)
    facts = about.set_index("image_id", drop=False).loc[table.ids].reset_index(drop=True)
    if rejected and facts["label"].nunique() < 2 <= about["label"].nunique():
        raise InputError(
            f"{dataset}: {len(rejected)} of {len(chosen)} images have no features, and the others have one label: "
            f"{rejected[0].id}: {rejected[0].reason}"
        )
    distances = label_distances(table.values, facts["label"])
    distances = distances.merge(facts.groupby("label")["category"].first().reset_index(), on="label")
    subset = distant_labels(distances, threshold=drawn.threshold)
    features = replace(table, metadata=facts)
    return Diversity(dataset, loaded.name, loaded.encoder.fingerprint, drawn, distances, subset, rejected, features)


def write_diversity(diversity: Diversity, output: Path) -> None:
    """Write `diversity.json`, `subset.json`, `distances.csv`, `distances.png` and `crops.png` into a folder."""
    write_json(output / "diversity.json", diversity.record)
    write_json(output / "subset.json", diversity.subset)
    with atomic_path(output / "distances.csv") as temporary:
        diversity.distances.to_csv(temporary, index=False)
    features = diversity.features
    for name, figure in (
        ("distances.png", distance_scatter(diversity.distances, threshold=diversity.drawn.threshold)),
        ("crops.png", crop_figure(features.values, features.metadata, seed=diversity.drawn.seed)),
    ):
        save_figure(figure, output / name, simulated=bool(features.about.get("simulated")))


def sample_per_label(labels: Sequence[str], ids: Sequence[str], *, per_label: int, seed: int) -> npt.NDArray[np.int64]:
    """Rows of at most `per_label` images of each label, drawn by id: the order of the dataset does not matter.

    Example:
        >>> sample_per_label(["a", "a", "b"], ["1", "2", "3"], per_label=1, seed=0).size
        2
    """
    frame = pd.DataFrame({"label": labels, "id": ids}).sort_values("id")
    chosen = [
        group.index.to_numpy()[derive_rng(seed, "diversity", str(label)).permutation(len(group))[:per_label]]
        for label, group in frame.groupby("label")
    ]
    return np.sort(np.concatenate(chosen))


def label_distances(features: npt.NDArray[Any], labels: Sequence[str]) -> pd.DataFrame:
    """Mean cosine distances of each label's images, to each other and to those of all other labels.

    One row per label, ordered by name: `label`, `images`, `intra` (NaN for a single image), `inter`. Every other label
    counts the same, however many images it has.

    Example:
        >>> distances = label_distances(np.array([[1.0, 0], [1, 0], [0, 1], [0, 2]]), ["a", "a", "b", "b"])
        >>> distances[["intra", "inter"]].to_numpy().tolist()
        [[0.0, 1.0], [0.0, 1.0]]
    """
    values = np.asarray(features, np.float64)
    norms = np.linalg.norm(values, axis=1)
    if not np.isfinite(norms).all() or (norms == 0).any():
        odd = (~np.isfinite(norms) | (norms == 0)).nonzero()[0]
        raise InputError(f"rows {odd[:5].tolist()} hold NaN, or are zero vectors: their cosine is undefined")
    names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise InputError("only one label: there is nothing to be distant from")
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, codes, values / norms[:, None])
    counts = np.bincount(codes)
    means = sums / counts[:, None]
    # Sums of unit vectors hold all pairwise cosines: |Σu|² = n + Σ_{i≠j} cos(i, j).
    pairs = np.maximum(counts * (counts - 1), 1)
    intra = np.where(counts > 1, 1 - ((sums**2).sum(1) - counts) / pairs, np.nan)
    inter = 1 - ((means @ means.sum(0)) - (means**2).sum(1)) / (len(names) - 1)
    # Rounding leaves -1e-17 where all images are equal.
    return pd.DataFrame(
        {"label": names, "images": counts, "intra": np.maximum(intra, 0.0), "inter": np.maximum(inter, 0.0)}
    )


def distant_labels(distances: pd.DataFrame, *, threshold: float) -> list[str]:
    """Labels whose mean inter-class distance exceeds the threshold, ready for `subset=`."""
    return sorted(distances.loc[distances["inter"] > threshold, "label"].tolist())


def distance_scatter(distances: pd.DataFrame, *, threshold: float) -> Figure:
    """Intra- against inter-class distance, a point per label, coloured by category where the column is there."""
    figure = Figure(figsize=(5.5, 4.2), layout="constrained")
    axes = figure.subplots()
    categories = distances["category"] if "category" in distances else pd.Series("label", index=distances.index)
    for number, (name, group) in enumerate(distances.groupby(categories)):
        colour = colormaps["tab10"](number % 10)
        axes.scatter(group["inter"], group["intra"], s=10, color=colour, label=f"{name} ({len(group)})")
    axes.axvline(threshold, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel("mean cosine distance to other labels")
    axes.set_ylabel("mean cosine distance within the label")
    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    return figure


def crop_figure(features: npt.NDArray[Any], about: pd.DataFrame, *, seed: int) -> Figure:
    """What the crops did: whole images above, cropped ones below, coloured by label, source and scaling.

    `about` has for each row the `label`, and `crop`, `dir_name` and `scaling` where the dataset has them.
    """
    frequent = about["label"].value_counts().index[:_COLOURED]  # those with the most images
    rows = about["label"].isin(frequent).to_numpy()
    embedding = embed(features[rows], seed=seed)
    points = embedding.places
    some = about[rows].reset_index(drop=True)
    cropped = some["crop"].fillna(False).astype(bool) if "crop" in some else pd.Series(False, index=some.index)
    columns = [name for name in ("label", "dir_name", "scaling") if name in some]
    figure = Figure(figsize=(4.2 * len(columns), 7), layout="constrained")
    grid = figure.subplots(2, len(columns), squeeze=False)
    for line, (title, kept) in enumerate((("whole", ~cropped), ("cropped", cropped))):
        for place, column in enumerate(columns):
            axes, values = grid[line, place], some.loc[kept, column].astype(str)
            commonest = values.value_counts().index[:_COLOURED].tolist()
            scatter(axes, points[kept.to_numpy()], values.to_numpy(), commonest)
            if commonest:
                axes.legend(fontsize=5, frameon=False, markerscale=2)
            axes.set_title(f"{title}, by {column.replace('dir_name', 'source')}", fontsize=9)
    figure.suptitle(embedding.method, fontsize=8)
    return figure
