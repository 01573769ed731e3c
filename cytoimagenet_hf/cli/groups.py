"""How the help of the commands with many options is arranged: groups in the order of the work, and choices shown.

Commands declare their options one by one; what belongs together is said here, so that `--help` reads top to bottom.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, get_args, get_type_hints

GROUPS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "extract": {
        "Where the images are": (
            *("format", "pattern", "root", "axes", "projection", "max_pixels", "acquisition", "derived"),
            *("encoding", "sheet", "id_column", "image_column", "label_column", "storage_option", "keep"),
        ),
        "Channels and cells": (
            *("stains", "channels", "illumination"),
            *("cells", "cells_pattern", "cells_rows", "cell_size", "cell_box", "cell_border", "masked"),
        ),
        "The network and its features": (
            *("normalize", "method", "pooling", "pixels", "views", "scaling", "size", "scale", "full_scale"),
            *("revision", "trust_remote_code"),
        ),
        "How it runs": (
            *("backend", "device", "dtype", "batch_size", "workers", "shard_size", "storage", "dask", "part", "seed"),
        ),
    },
    "profile": {
        "Plate map": (
            *("metadata", "barcodes", "sheet", "encoding", "controls", "control_column", "compound_column"),
            *("dose_column", "dose_unit", "treatment"),
        ),
        "Which cells count": ("drop_border", "cell_area", "min_cells"),
        "Normalisation": ("normalize", "on", "by", "drop_constant", "drop_nan"),
        "Selection and whitening": (
            *("select", "correlation", "sphere", "sphere_epsilon", "sphere_by", "tvn", "components"),
        ),
        "Report": ("report", "figure", "images", "pattern", "stains", "plate_size", "full_size", "seed"),
    },
}
"""Command → group → names of its parameters; those that no group names stay among the options."""

CHOICES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "extract": {
        "pooling": ("last", "blocks", "early", "stage:N"),
        "method": ("concat-norm", "concat-raw", "merge-norm", "merge-raw"),
        "cell_border": ("mirror", "leave"),
        "storage": ("float32", "float16"),
        "backend": ("auto", "torch", "openvino", "onnxruntime", "compile"),
        "dtype": ("float32", "bfloat16"),
        "views": ("1", "8"),
    },
    "profile": {
        "level": ("cell", "image", "site", "well"),
        "operation": ("mean", "median"),
        "normalize": ("standardize", "mad_robustize", "robustize", "inverse_normal"),
        "on": ("all", "controls"),
        "plate_size": ("24", "48", "96", "384", "1536"),
    },
}
"""Command → parameter → its values, shown where help would say TEXT; the command itself checks them."""


def arranged(name: str, command: Callable[..., None]) -> Callable[..., None]:
    """The command with its options in their groups and its choices shown.

    Args:
        name: of the command.
        command: a function whose parameters are `Annotated` with options.
    """
    group_of = {one: group for group, names in GROUPS.get(name, {}).items() for one in names}
    choices = CHOICES.get(name, {})
    if not group_of and not choices:
        return command
    hints = get_type_hints(command, include_extras=True)
    signature = inspect.signature(command)
    order = list(group_of)  # within a group as the group says; what has none comes first, as declared
    parameters = sorted(
        signature.parameters.values(), key=lambda one: order.index(one.name) if one.name in group_of else -1
    )
    for place, parameter in enumerate(parameters):
        kind, *marks = get_args(hints[parameter.name])
        changes: dict[str, Any] = {}
        if parameter.name in group_of:
            changes["rich_help_panel"] = group_of[parameter.name]
        if parameter.name in choices:
            changes["metavar"] = "|".join(choices[parameter.name])
        if changes:
            hints[parameter.name] = Annotated[kind, *(_changed(mark, changes) for mark in marks)]
        parameters[place] = parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _changed(option: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of an option: several commands share some of them."""
    import copy

    if dataclasses.is_dataclass(option) or not hasattr(option, "help"):
        return option
    changed = copy.copy(option)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed
