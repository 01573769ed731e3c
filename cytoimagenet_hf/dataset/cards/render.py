"""Dataset and model cards, rendered from result files: no number in a card is typed by hand.

Templates live in `model_card/` (inside the wheel: `cytoimagenet_hf/model_card/`). The YAML header is made with the
classes of `datasets` and `huggingface_hub`, so that `load_dataset` and the Hub read it as their own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import datasets as hf
import jinja2
from huggingface_hub import DatasetCardData, EvalResult, ModelCardData

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.simulated import SENTENCE, is_simulated
from cytoimagenet_hf.dataset.schema import CATEGORIES, SUBSETS

BIBTEX = """@article{hua2021cytoimagenet,
  title   = {CytoImageNet: A large-scale pretraining dataset for bioimage transfer learning},
  author  = {Hua, Stanley Bryan Z. and Lu, Alex X. and Moses, Alan M.},
  journal = {arXiv preprint arXiv:2111.11646},
  year    = {2021}
}"""
LICENCE_FILE = "LICENSE.md"
"""What `license_link` of a card names: a file that stands beside it. The Hub takes this name or an address."""
PAPER = "https://arxiv.org/abs/2111.11646"
"""Address of the paper."""

# Licence of the sources → the Hub's identifier; several become `other` with the list in the card.
_HUB_LICENCES = {
    "cc0": "cc0-1.0",
    **{name: name for name in ("cc-by-3.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0")},
}

# Measure of a score → the metric under which the Hub files it.
_METRIC_TYPES = {
    "macro F1": "f1",
    **dict.fromkeys(("replicate mAP", "mechanism mAP"), "mean_average_precision"),
    **dict.fromkeys(("recall@1", "recall of pairs"), "recall"),
    "share enriched": "enrichment",
}


@dataclass(frozen=True)
class CardSource:
    """A source dataset as a card and a manifest name it; `link` and `citation` are empty where they are not known."""

    dir_name: str
    name: str
    database: str
    licence: str  # of its images, as in the column `licence`
    link: str
    citation: str
    images: int  # of the dataset that are from it


@dataclass(frozen=True)
class SplitFiles:
    """One split: its name, the Parquet files that hold it (paths in the repository), rows and bytes."""

    name: str
    paths: tuple[str, ...]
    num_examples: int
    num_bytes: int


@dataclass(frozen=True)
class DatasetFacts:
    """What a dataset's card says.

    Attributes:
        features: columns, with the class names in `label`.
        splits: train and validation as stored; the default configuration.
        published_splits: the same rows under the row-wise split of the paper; configuration `published`.
        channel_splits: the same rows with their planes kept apart; configuration `channels`.
        subset_splits: name of a subset (`schema.SUBSETS`) → its own files, with its own classes; a configuration each.
        sources: the source datasets that its images are from.
        summaries: stage name → content of its summary JSON.
        statistics: counts to show: `images_by_category`, `images_by_database`, `classes_by_category`.
        leaks: counts of the leak report of the default split.
        figures: caption → file in the repository.
        note: what its maker wants to be read first; `read_note` finds it.
    """

    features: hf.Features
    splits: Sequence[SplitFiles]
    published_splits: Sequence[SplitFiles] = ()
    channel_splits: Sequence[SplitFiles] = ()
    subset_splits: Mapping[str, Sequence[SplitFiles]] = field(default_factory=dict)
    sources: Sequence[CardSource] = ()
    summaries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)
    leaks: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def dataset_card(facts: DatasetFacts) -> str:
    """README.md of a dataset repository: what `load_dataset` reads on top, what a person reads below.

    Example:
        >>> from huggingface_hub import DatasetCard
        >>> from cytoimagenet_hf.dataset.schema import dataset_features
        >>> facts = DatasetFacts(dataset_features(["actin"]), [SplitFiles("train", ("data/a",), 1, 9)])
        >>> DatasetCard(dataset_card(facts)).data.configs[0]["data_files"]
        [{'split': 'train', 'path': ['data/a']}]
    """
    labels = facts.features["label"].names
    subsets = {name: sorted(set(SUBSETS[name]) & set(labels)) for name, of in facts.subset_splits.items() if of}
    others = {"published": facts.published_splits, "channels": facts.channel_splits, **facts.subset_splits}
    configurations = {"default": facts.splits} | {name: of for name, of in others.items() if of}
    derived = {
        "header": _dataset_header(facts.features, configurations, facts.sources),
        "labels": labels,
        "categories": CATEGORIES,
        "sources": sorted(facts.sources, key=lambda source: source.dir_name),
        "licence_names": sorted({source.licence for source in facts.sources}),
        "subsets": subsets,
        "columns": {
            name: str(feature.dtype) if isinstance(feature, hf.Value) else type(feature).__name__
            for name, feature in facts.features.items()
        },
    }
    return _rendered("dataset_card.md.jinja", **vars(facts) | derived)


@dataclass(frozen=True)
class ModelFacts:
    """What a model's card says.

    Attributes:
        name: of the model.
        architecture: for example `"EfficientNet-B0"`.
        preprocessing: the record the image processor was made from.
        base_models: `repo` and `revision` on the Hub of what was fine-tuned, converted or fused.
        fused: several networks side by side, whose class comes with this package.
        extraction: how features are taken by default, as the configuration says; empty: its usual pooled output.
        training: metrics and configuration of the run: `objective` (a sentence), `config`, `metrics`,
            `per_category`, `never_predicted`.
        training_sources: short names of the sources it was trained on; None when they are not known.
        datasets: names on the Hub of the datasets it was trained on, as far as they are there.
        benchmarks: one mapping per score with task, metric, value (in [0, 1]), low, high, method.
        contamination: one mapping per (task, source) that share something, with `kind` and `note`.
        figures: caption → file beside the card.
        origin: where the weights come from, when not from `training`.
        note: what its maker wants to be read first; `read_note` finds it.
    """

    name: str
    architecture: str
    preprocessing: Mapping[str, Any]
    base_models: Sequence[Mapping[str, Any]] = ()
    fused: bool = False
    extraction: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    training_sources: Sequence[str] | None = None
    datasets: Sequence[str] = ()
    benchmarks: Sequence[Mapping[str, Any]] = ()
    contamination: Sequence[Mapping[str, Any]] = ()
    figures: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    note: str = ""


def model_card(facts: ModelFacts) -> str:
    """README.md of a model repository; scores outside [0, 1] are refused."""
    extraction = ", ".join(f"`{option}` {value}".lower() for option, value in facts.extraction.items())
    return _rendered("model_card.md.jinja", **vars(facts) | {"header": _model_header(facts), "extraction": extraction})


def _model_header(facts: ModelFacts) -> str:
    results = []
    for score in facts.benchmarks:
        if not 0 <= score["value"] <= 1:
            raise InputError(
                f"benchmark {score['task']} has the value {score['value']}: scores are fractions in [0, 1]"
            )
        results.append(
            EvalResult(
                task_type="image-feature-extraction",
                dataset_type=score["task"],
                dataset_name=score["task"],
                metric_type=_METRIC_TYPES.get(score["metric"], "accuracy"),
                metric_name=score["metric"],
                metric_value=round(score["value"], 4),
            )
        )
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="image-feature-extraction",
        license="other",  # that of the weights follows from the images they were trained on
        license_name="by-training-images",
        license_link=LICENCE_FILE,
        base_model=[str(base["repo"]) for base in facts.base_models] or None,
        base_model_relation=("merge" if facts.fused else "finetune") if facts.base_models else None,
        datasets=list(facts.datasets) or None,
        tags=["microscopy", "biology", "efficientnet", "cytoimagenet"],
        model_name=facts.name,
        eval_results=results or None,
    )
    return str(data.to_yaml())


def model_licence(training_sources: Sequence[str] | None, base_models: Sequence[Mapping[str, Any]] = ()) -> str:
    """LICENSE.md of a model, to which its card's header links: what the weights depend on."""
    images = (
        "the images it was trained on, which its card names as far as they are known"
        if training_sources is None
        else f"the images of these sources, under the licences of each: {', '.join(training_sources)}"
        if training_sources
        else "its own training images, none of which are of the archives of CytoImageNet"
    )
    bases = ", ".join(f"https://huggingface.co/{base['repo']}" for base in base_models)
    return (
        f'# Licence of the weights\n\nThe weights follow from {images}. The card of the dataset, section "Sources and '
        'licences", lists the licence of each source; some of them exclude commercial use.\n'
        + (f"\nThey continue other weights, whose licences hold as well: {bases}.\n" if bases else "")
        + "\nThe code of cytoimagenet-hf is under the Apache License 2.0.\n"
    )


def dataset_licence(sources: Iterable[CardSource]) -> str:
    """LICENSE.md of a dataset of several sources, to which its card's header links."""
    lines = [
        f"| {source.dir_name} | {source.licence} | {source.images:,} | {source.link} |"
        for source in sorted(sources, key=lambda source: source.dir_name)
    ]
    return (
        "# Licences of the images\n\nEach image is under the licence of its source, which stands in its column "
        "`licence`.\n\n| source | licence | images | page |\n|---|---|--:|---|\n" + "\n".join(lines) + "\n"
    )


def read_note(folder: str | Path) -> str:
    """What a folder's card says on top whenever it is rendered: whether it is simulated, and the text of `NOTE.md`."""
    path = Path(folder) / "NOTE.md"
    note = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    return "\n\n".join(part for part in (f"> **{SENTENCE}**" if is_simulated(folder) else "", note) if part)


def hub_licence(licences: Iterable[str]) -> str:
    """The Hub's identifier of the licence that all sources share; `other` when they differ or one is not known.

    Example:
        >>> hub_licence(["cc0", "cc0"]), hub_licence(["cc0", "cc-by-4.0"]), hub_licence(["unverified"])
        ('cc0-1.0', 'other', 'other')
    """
    licences = set(licences)
    return _HUB_LICENCES.get(licences.pop(), "other") if len(licences) == 1 else "other"


def _dataset_header(
    features: hf.Features,
    configurations: Mapping[str, Sequence[SplitFiles]],
    sources: Sequence[CardSource],
) -> str:
    licence = hub_licence(source.licence for source in sources)
    data = DatasetCardData(
        license=licence,
        # The Hub asks for a name where the licence is none of its own.
        **({"license_name": "by-source", "license_link": LICENCE_FILE} if licence == "other" else {}),
        pretty_name="CytoImageNet",
        task_categories=["image-classification", "image-feature-extraction"],
        tags=["microscopy", "biology", "cell-imaging", "fluorescence", "bioimage"],
        size_categories=[_size_category(sum(s.num_examples for s in configurations["default"]))],
    )
    # The class names stand in the schema of every Parquet file; the card of 894 classes repeats them once, not five
    # times, and the Hub's page reads them there.
    infos = {
        name: hf.DatasetInfo(
            features=features if name == "default" else None,
            splits=[{"name": s.name, "num_bytes": s.num_bytes, "num_examples": s.num_examples} for s in of],
        )
        for name, of in configurations.items()
    }
    hf.info.DatasetInfosDict(infos).to_dataset_card_data(data)
    data.configs = [_config(name, of) for name, of in configurations.items()]
    return str(data.to_yaml())


def _config(name: str, splits: Sequence[SplitFiles]) -> dict[str, Any]:
    files_by_split = [{"split": split.name, "path": list(split.paths)} for split in splits]
    return {"config_name": name, "data_files": files_by_split} | ({"default": True} if name == "default" else {})


def _size_category(rows: int) -> str:
    for limit, text in ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")):
        if rows < limit:
            return text
    return "1M<n<10M"


def _rendered(template: str, **context: Any) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["cell"] = lambda value: str(value).replace("|", "\\|").replace("\n", " ")
    return (
        environment.from_string((templates() / template).read_text(encoding="utf-8")).render(bibtex=BIBTEX, **context)
        + "\n"
    )


def templates() -> Traversable:
    """The folder of card and page templates."""
    packaged = files("cytoimagenet_hf") / "model_card"
    # In a checkout the templates lie beside the package, where they are edited.
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "model_card"
