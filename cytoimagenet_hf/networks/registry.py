"""Every kind of network that can be asked for by name, and the one function that loads any of them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from transformers.utils import cached_file

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.jsontext import read_json_file
from cytoimagenet_hf.core.settings import build, shows_fields
from cytoimagenet_hf.options.networks import EncoderOptions

from .base import Encoder, Request
from .build import load_file_encoder
from .facts import EncoderFacts
from .kinds import cell_painting_cnn, cloome, cp_measure, dino, microsnoop, own, remote, subcell, vit_files

Loader = Callable[[Request], Encoder]

_KINDS: tuple[tuple[tuple[EncoderFacts, ...], Loader], ...] = (
    (own.KINDS, own.load),
    (dino.KINDS, dino.load),
    (remote.KINDS, remote.load),
    (subcell.KINDS, partial(load_file_encoder, subcell.build)),
    (vit_files.KINDS, vit_files.load),
    (microsnoop.KINDS, partial(load_file_encoder, microsnoop.build)),
    (cell_painting_cnn.KINDS, partial(load_file_encoder, cell_painting_cnn.build)),
    (cloome.KINDS, partial(load_file_encoder, cloome.build)),
    (cp_measure.KINDS, cp_measure.load),
)

ENCODERS: dict[str, EncoderFacts] = {facts.name: facts for kinds, _ in _KINDS for facts in kinds}
"""Name → facts."""

REDRAWN_KINDS = tuple(facts.name for facts in (*own.KINDS, *dino.KINDS))
"""Those whose weights can be drawn anew: their classes draw their own; of the others only the file is known."""

OWN_KINDS = tuple(facts.name for facts in own.KINDS)
"""Those that take the paper's `method`; the others have their own way with channels."""

_TOKEN_KINDS = tuple(facts.name for facts in (*dino.KINDS, *vit_files.KINDS))
_OPTIONS = {"method": OWN_KINDS, "scaling": OWN_KINDS, "pooling": OWN_KINDS, "take": _TOKEN_KINDS}
"""Option → the kinds that have it; the others are of all networks."""

LOADERS: dict[str, Loader] = {facts.name: load for kinds, load in _KINDS for facts in kinds}
"""Name → what loads it."""

_BY_REPO = {facts.source.repo: facts.name for facts in ENCODERS.values() if "://" not in facts.source.repo}


@shows_fields(EncoderOptions)
def load_encoder(name: str | Path, options: EncoderOptions | None = None, **fields: Any) -> Encoder:
    """Load any network as channels in, one vector out.

    Args:
        name: a folder or Hub name, a Keras `.h5` file, `random:SEED`, or a key of `ENCODERS`; `KEY:PLACE` loads the
            weights of that kind from a folder, a file or another Hub name.
        options: choices for the network.
        **fields: of `options.networks.EncoderOptions`, such as `size`, `normalize`, `pooling` and `revision`, in place
            of or on top of `options`.

    Raises:
        InputError: nothing loads under that name, or weights, record or options that cannot be used.

    Example:
        >>> import numpy as np
        >>> encoder = load_encoder("random:7")
        >>> encoder.encode(np.zeros((2, 3, 64, 64), np.uint16)).shape  # two images of three channels
        (2, 3840)
    """
    options = build(EncoderOptions, fields, name="network", base=options)
    asked = str(name)
    if options.trust_remote_code:
        remote.require_commit(asked, revision=options.revision)
    key = kind_of(asked, revision=options.revision)
    named = asked == key or asked.startswith(f"{key}:")
    place = asked.removeprefix(key).removeprefix(":") if named and not Path(asked).exists() else asked
    facts = ENCODERS[key]
    for option, kinds in _OPTIONS.items():
        if getattr(options, option) is not None and key not in kinds:
            raise InputError(f"there is no option {option} for {asked}: it is one of {', '.join(kinds)}")
    if options.redrawn is not None and key not in REDRAWN_KINDS:
        raise InputError(
            f"{asked} cannot be redrawn: how the weights of a {key} are drawn before training is not known"
        )
    remote.require_consent(asked, facts, trust_remote_code=options.trust_remote_code)
    return LOADERS[key](Request(asked, facts, place or None, options))


def kind_of(name: str, *, revision: str | None = None) -> str:
    """The key of `ENCODERS` that a name stands for: by its own beginning, the repository, or its configuration.

    Raises:
        InputError: a DINO network of a width that no published one has.

    Example:
        >>> kind_of("dinov2-small"), kind_of("facebook/dinov2-small"), kind_of("random:3"), kind_of("cloome:w.pt")
        ('dinov2-small', 'dinov2-small', 'own', 'cloome')
    """
    key = name.partition(":")[0]
    if key in ENCODERS and not Path(name).exists():
        return key
    if name in _BY_REPO:
        return _BY_REPO[name]
    if name.startswith("timm/"):
        return "timm"
    if name.startswith("random:") or name.endswith((".h5", ".hdf5")):
        return own.OWN.name
    config = _config(name, revision)
    if config.get("model_type") in dino.MODEL_TYPES:
        widths = (config.get("hidden_size"), *(config.get("hidden_sizes") or ())[-1:])
        family = "dinov2" if str(config["model_type"]).startswith("dinov2") else "dinov3"
        for facts in dino.KINDS:
            if facts.name.startswith(family) and facts.dim in widths:
                return facts.name
        raise InputError(f"{name} is a {config['model_type']} of a width that is not known: {widths[0]}")
    return own.OWN.name


def _config(name: str, revision: str | None) -> dict[str, Any]:
    """The configuration of a model, or nothing: the loader then says what is wrong with it."""
    try:
        file = cached_file(name, "config.json", revision=revision, _raise_exceptions_for_missing_entries=False)
        content = {} if file is None else read_json_file(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
