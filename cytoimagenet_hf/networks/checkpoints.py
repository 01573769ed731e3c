"""Weights from files into a network, with proof that they are that network's.

transformers draws at random what a file lacks and prints a report; here it is an error. Messages that do not matter
(a classification head left out, progress bars) are not printed.
"""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModel, PreTrainedModel
from transformers.utils import logging

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.jsontext import read_json_file

_HEADS = frozenset({"head", "heads", "head_dist", "fc", "classifier", "last_linear", "pooler"})
_MOST = {"depth_coefficient": 16, "width_coefficient": 16, "num_hidden_layers": 1000, "hidden_size": 1 << 16}
"""Field of a configuration → far more than any published network has."""

State = dict[str, torch.Tensor]
"""Tensors by name."""

_NESTED = ("teacher", "state_dict", "model_state_dict", "model")  # where files keep them
_ADVICE = "pass a folder with config.json and model.safetensors, or a Hub name"


def load_network(
    name: str | Path,
    *,
    auto: Any = AutoModel,
    revision: str | None = None,
    trust_remote_code: bool = False,
    **options: Any,
) -> PreTrainedModel:
    """A trained network with all its weights, from a folder or the Hub; what is wrong with them is refused by name.

    With an auto class for a task, the head may be new. Options are fields of the configuration, and arguments of
    `from_pretrained`.
    """
    check_folder(name)
    settings: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code, **options}
    # Mismatched shapes come back in the report, where those of a new head are listed.
    settings |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
    with explained(name), quietly():
        model, info = auto.from_pretrained(str(name), **settings)
        missing = info["missing_keys"]
        poolable = "add_pooling_layer" in inspect.signature(type(model).__init__).parameters
        if auto is AutoModel and missing and poolable and all(key.startswith("pooler.") for key in missing):
            # Saved from a classifier: the stock class would draw a dense layer at random and pool through it.
            model, info = auto.from_pretrained(str(name), add_pooling_layer=False, **settings)
    _check_class(model, name)
    _check_keys(model, info, name)
    require_finite_weights(model, str(name))
    return model


def check_folder(name: str | Path) -> None:
    """Look at the files of a local folder before anything is built from them; Hub names pass."""
    place = Path(name)
    if not place.is_dir():
        text = str(name)
        if place.exists() or text.startswith(("/", ".", "~")) or text.count("/") > 1 or "\\" in text:
            raise InputError(f"no model loads from {text!r}, which is not a folder: {_ADVICE}")
        return
    odd = [path for path in sorted(place.iterdir()) if path.exists() and not (path.is_file() or path.is_dir())]
    if odd:
        raise InputError(f"{odd[0]} is a pipe, a socket or a device, not a file of a model: remove it")
    config = place / "config.json"
    if not config.is_file():
        raise InputError(f"{place} has no config.json: {_ADVICE}")
    try:
        content = read_json_file(config)
    except OSError as error:
        raise InputError(f"{config} cannot be read: {error.strerror or error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("model_type"), str):
        raise InputError(f"{config} names no model_type: is it the configuration of a transformers model?")
    _check_extent(content, config)
    _check_indexes(place)
    for file in sorted(place.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as opened:
                opened.keys()
        except Exception as error:  # safetensors' own class derives from Exception
            raise InputError(f"{file} is damaged or no safetensors file: {error}") from error


def _check_extent(content: dict[str, Any], config: Path) -> None:
    """Refuse a configuration whose layers would take hours to build, before they are built."""
    for name, most in _MOST.items():
        value = content.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value <= most:
            raise InputError(f"{config}: {name} is {value}: above 0 and at most {most}")


def _check_indexes(place: Path) -> None:
    """Refuse an index of sharded weights that names a file elsewhere: transformers would read it."""
    for index in sorted(place.glob("*.index.json")):
        try:
            shards = read_json_file(index)["weight_map"].values()
            names = sorted({str(shard) for shard in shards})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{index} is not an index of weights: {error!r}") from error
        for name in names:
            if name in ("", ".", "..") or "/" in name or "\\" in name or not (place / name).is_file():
                raise InputError(f"{index} names {name!r}, which is not a file beside it")


def read_tensors(file: Path) -> State:
    """The tensors of a file by name; a pickle is read without running its code."""
    with explained(file):
        content: Any = (
            load_file(file)
            if file.suffix == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    entries = content.items() if isinstance(content, dict) else ()
    state = {str(key): value for key, value in entries if isinstance(value, torch.Tensor)}
    if not state:
        raise InputError(f"{file} holds no weights by name")
    return state


def strip(state: State, *prefixes: str) -> State:
    """The state with prefixes taken off the names that have them, in this order.

    Example:
        >>> list(strip({"module.backbone.a": torch.zeros(1)}, "module.", "backbone."))
        ['a']
    """
    for prefix in prefixes:
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def fill(network: nn.Module, state: State, *, name: str, ignore: tuple[str, ...] = ()) -> None:
    """Put weights into a network: all of them, and each has a place. Names that begin with `ignore` are left out."""
    given = {key: value for key, value in state.items() if not key.startswith(ignore or ("\0",))}
    wanted = network.state_dict()
    missing = [key for key in wanted.keys() - given.keys() if not key.endswith("num_batches_tracked")]
    if missing:
        raise InputError(f"{name}: the file lacks the weights {few(missing)}")
    if extra := given.keys() - wanted.keys():
        raise InputError(f"{name}: the file has weights that the network has no place for: {few(extra)}")
    for key, value in given.items():
        if value.shape != wanted[key].shape:
            raise InputError(f"{name}: {key} is {tuple(value.shape)} in the file and {tuple(wanted[key].shape)} here")
    network.load_state_dict(given, strict=False)


def require_finite_weights(network: nn.Module, name: str) -> None:
    """Refuse a network with NaN or infinite weights."""
    for key, value in network.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(f"{name}: the weights {key} have NaN or infinite values: is the file damaged?")


def few(names: Iterable[str]) -> str:
    """The first of the different names, and how many more there are."""
    listed = sorted(set(names))
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more


@contextmanager
def quietly() -> Iterator[None]:
    """Without transformers' load report and progress bars, unless its verbosity was raised."""
    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    if level > logging.INFO:
        logging.set_verbosity(logging.CRITICAL)
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def explained(name: str | Path) -> Iterator[None]:
    """What reading other people's files raises, as an error that names the model and the next step.

    Raises:
        InputError: from whatever the block raises, but for memory that ran out.
    """
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except ImportError as error:
        raise InputError(f"{name} needs a package that is missing ({error}); for timm: pip install timm") from error
    except Exception as error:  # transformers, safetensors, torch and the Hub share no class but this
        reason = " ".join(str(error).split())
        raise InputError(f"no model loads from {str(name)!r}: {_ADVICE} ({type(error).__name__}: {reason})") from error


def _check_class(model: PreTrainedModel, name: str | Path) -> None:
    """A configuration that names a class of its own must have been loaded by that class."""
    auto_map = getattr(model.config, "auto_map", None) or {}
    classes = {
        name.rsplit(".", 1)[-1]
        for kind, name in auto_map.items()
        if kind.startswith("AutoModel") and isinstance(name, str)
    }
    if classes and type(model).__name__ not in classes:
        raise InputError(
            f"{name} is made for its own class {few(classes)}, and {type(model).__name__} of transformers is not it: "
            "its code runs only with trust_remote_code and a revision of 40 hex digits"
        )


def _check_keys(model: PreTrainedModel, info: dict[str, Any], name: str | Path) -> None:
    base = model.base_model
    parts_of_network = {key.split(".", 1)[0] for key in base.state_dict()}
    prefix = f"{model.base_model_prefix}." if base is not model else ""
    shapes = {key: (tuple(theirs), tuple(ours)) for key, theirs, ours in info["mismatched_keys"]}
    missing = [
        key for key in info["missing_keys"] if key.startswith(prefix) and not key.endswith("num_batches_tracked")
    ]
    other = {key: shape for key, shape in shapes.items() if key.startswith(prefix)}
    if missing:
        raise InputError(f"{name}: the file lacks weights of {type(model).__name__}: {few(missing)}")
    if other:
        key, (theirs, ours) = next(iter(sorted(other.items())))
        raise InputError(
            f"{name}: {len(other)} weights have another shape than {type(model).__name__} needs, such as {key}: "
            f"{theirs} in the file, {ours} in the network"
        )
    # Weights of a head are left out; weights of further layers would mean that the configuration is another network's.
    stem = f"{model.base_model_prefix}."
    extra = [
        key
        for key in info["unexpected_keys"]
        if (parts := key.removeprefix(stem).split("."))[0] in parts_of_network and _HEADS.isdisjoint(parts)
    ]
    if extra:
        raise InputError(f"{name}: the file has weights that {type(model).__name__} has no place for: {few(extra)}")
