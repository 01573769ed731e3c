"""What a model's card says, read from the files of the model: its configuration, processor, training and scores.

A card is a function of the folder it stands in, so it can be rendered again whenever a file or the template changes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import write_json, write_text
from cytoimagenet_hf.core.jsontext import read_json_file
from cytoimagenet_hf.scoring.contamination import overlaps, tasks
from cytoimagenet_hf.scoring.results import read_results

from .render import LICENCE_FILE, ModelFacts, model_card, model_licence, read_note

TRAINING, CONVERSION, SCORES = "training.json", "conversion.json", "benchmarks.json"
"""Facts beside the weights: of the run, of the file they were converted from, of the benchmarks they took."""

_FIGURES = {
    "curves.png": "Loss and accuracy by epoch",
    "categories.png": "Confusion between categories, as shares of each category's validation images",
}
_PREPROCESSING = (
    *("method", "percentile_low", "percentile_high", "full_scale", "do_resize", "size", "resample"),
    *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std"),
)
_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's codes


def write_model_card(folder: str | Path, *, name: str | None = None) -> Path:
    """README.md of a saved model, from what lies beside it, and the LICENSE.md to which it links.

    Args:
        folder: with `config.json`; `preprocessor_config.json`, `training.json`, `conversion.json`, `benchmarks.json`,
            `NOTE.md` and figures as far as they are there.
        name: of the model or its repository; the folder's name by default.

    Raises:
        InputError: no configuration, or a damaged file.
    """
    folder = Path(folder)
    facts = card_facts(folder, name=name)
    write_text(folder / LICENCE_FILE, model_licence(facts.training_sources, facts.base_models))
    write_text(folder / "README.md", model_card(facts))
    return folder / "README.md"


def card_facts(folder: str | Path, *, name: str | None = None) -> ModelFacts:
    """What the card of a saved model says; see `write_model_card`."""
    folder = Path(folder)
    config = _read(folder / "config.json")
    if config is None:
        raise InputError(f"{folder} holds no config.json: give the folder of a saved model")
    processor = _read(folder / "preprocessor_config.json") or {}
    preprocessing = {key: processor[key] for key in _PREPROCESSING if processor.get(key) is not None}
    if "resample" in preprocessing:
        preprocessing["resample"] = _FILTERS.get(preprocessing["resample"], preprocessing["resample"])
    origin = ""
    if (conversion := _read(folder / CONVERSION)) is not None:
        weights, digest = conversion["weights"], conversion["sha256"][:16]
        origin = f"Converted from the Keras weights `{weights}` (SHA-256 `{digest}…`)."
    sources = _training_sources(config)
    training = _read(folder / TRAINING) or {}
    return ModelFacts(
        name=name or folder.resolve().name,
        architecture=_architecture(config),
        preprocessing=preprocessing,
        base_models=_base_models(config, training),
        fused=bool(config.get("backbones")),
        extraction=config.get("extraction") or {},
        training=training,
        training_sources=sources,
        datasets=training.get("datasets", ()),
        benchmarks=_read(folder / SCORES) or (),
        contamination=_contamination(sources),
        figures={caption: file for file, caption in _FIGURES.items() if (folder / file).is_file()},
        origin=origin,
        note=read_note(folder),
    )


def add_scores(folder: str | Path, results: str | Path, *, entry: str | None = None) -> list[dict[str, Any]]:
    """Take a model's scores out of a benchmark's results into its folder, for its card.

    Args:
        folder: of the saved model.
        results: `results.json` of `cytoimagenet benchmark`.
        entry: name of the model in the results; may be left out when they hold a single model.

    Returns:
        The scores, as written to `benchmarks.json`.

    Raises:
        InputError: no such entry, several models without a name, or a file that holds no results.
    """
    record = read_results(results)
    entries = {described.name: described for described in record.entries}
    models = record.names("model")
    if entry is None and len(models) == 1:
        (entry,) = models
    if entry not in entries:
        raise InputError(f"{results} has no entry {entry!r}: choose one of {', '.join(entries)}")
    rows = [
        {
            "task": score.set,
            "metric": "kNN accuracy" if score.measure == "accuracy" else score.measure,
            "value": score.value,
            "low": score.interval[0],
            "high": score.interval[1],
            "method": entries[entry].about.get("method", ""),
        }
        for score in record.scores
        if score.entry == entry
    ]
    write_json(Path(folder) / SCORES, rows)
    return rows


def _architecture(config: Mapping[str, Any]) -> str:
    """In words: the class, and for EfficientNets what scales them."""
    name = (config.get("architectures") or [config.get("model_type", "model")])[0]
    if config.get("backbones"):
        return f"{name} of {' and '.join(_architecture(backbone) for backbone in config['backbones'])}"
    if config.get("model_type") == "efficientnet":
        width, depth = config.get("width_coefficient"), config.get("depth_coefficient")
        return "EfficientNet-B0" if (width, depth) == (1.0, 1.0) else f"EfficientNet (width {width}, depth {depth})"
    return str(name)


def _base_models(config: Mapping[str, Any], training: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was fine-tuned, as the training says, or fused; of what lies on the Hub."""
    bases_given = [*(config.get("sources") or ()), training.get("base_model")]
    bases = {base["repo"]: base for base in bases_given if isinstance(base, Mapping) and base.get("repo")}
    return [{"repo": repo, "revision": base.get("revision")} for repo, base in bases.items()]


def _training_sources(config: Mapping[str, Any]) -> list[str] | None:
    """Those that the configuration declares; of a fusion those of all its backbones."""
    if config.get("backbones"):
        parts = [_training_sources(backbone) for backbone in config["backbones"]]
        return None if None in parts else sorted({source for part in parts for source in part or ()})
    names = config.get("training_sources")
    return sorted(map(str, names)) if isinstance(names, list | tuple) else None


def _contamination(sources: Sequence[str] | None) -> list[dict[str, str]]:
    if sources is None:
        return []
    shared = [overlap for task in tasks() for overlap in overlaps(task, frozenset(sources))]
    return [{"task": o.task, "source": o.source, "kind": o.kind, "note": o.note} for o in shared]


def _read(path: Path) -> Any:
    """Content of a JSON file, None when it is not there."""
    try:
        return read_json_file(path)
    except FileNotFoundError:
        return None
