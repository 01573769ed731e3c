"""Is the YAML header of a card one that `load_dataset` and the Hub can read? Checked offline."""

from collections.abc import Mapping
from typing import Any

import yaml


def check_card(text: str) -> list[str]:
    """What is wrong with a card's YAML header, checked offline; an empty list when nothing is.

    Checks the delimiters, the YAML itself, split sizes, that every configuration names its files, and that class codes
    run from 0 without gaps.

    Example:
        >>> check_card("---\\nlicense: cc0-1.0\\n---\\n# A card"), check_card("# A card")
        ([], ['the card does not start with a YAML header between two lines of ---'])
    """
    parts = text.split("---\n", 2)
    if len(parts) < 3 or parts[0]:
        return ["the card does not start with a YAML header between two lines of ---"]
    try:
        header = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        return [f"the YAML header cannot be read: {error}"]
    if not isinstance(header, dict):
        return ["the YAML header is not a mapping"]
    problems = []
    for info in _as_list(header.get("dataset_info")):
        problems += _info_problems(info)
    for config in _as_list(header.get("configs")):
        if not config.get("config_name") or not config.get("data_files"):
            problems.append(f"a configuration lacks its name or its files: {config}")
    for model in _as_list(header.get("model-index")):
        for result in model.get("results", []):
            for metric in result.get("metrics", []):
                if not isinstance(metric.get("value"), int | float):
                    problems.append(f"a metric of {model.get('name')} is not a number: {metric}")
    return problems


def _info_problems(info: Mapping[str, Any]) -> list[str]:
    problems = []
    for split in info.get("splits", []):
        if split.get("num_examples", -1) < 0:
            problems.append(f"split {split.get('name')} has no size")
    for feature in info.get("features", []):
        dtype = feature.get("dtype")
        names = dtype.get("class_label", {}).get("names", {}) if isinstance(dtype, dict) else {}
        if [int(code) for code in names] != list(range(len(names))):
            problems.append(f"class codes of {feature['name']} do not run from 0 without gaps")
    return problems


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
