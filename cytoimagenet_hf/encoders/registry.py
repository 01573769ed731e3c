"""Every kind of network that can be asked for by name, and the one function that loads any of them."""

import re
from pathlib import Path
from typing import Any

from cytoimagenet_hf.errors import InputError

from .build import FactsEncoder
from .facts import EncoderFacts
from .own import OWN, load_own

ENCODERS: dict[str, EncoderFacts] = {OWN.name: OWN}
"""Name → facts."""


def load_encoder(
    name: str | Path, *, revision: str | None = None, trust_remote_code: bool = False, **options: Any
) -> FactsEncoder:
    """Load any network as channels in, one vector out.

    Args:
        name: a folder or Hub name, a Keras `.h5` file, `random:SEED`, or a key of `ENCODERS`; `NAME:PLACE` loads the
            weights of that kind from a folder, a file or another Hub name.
        revision: of a Hub repository; a 40-hex commit where its own code is to run.
        trust_remote_code: run the Python code of the repository, which needs such a revision.
        **options: `method` and `scaling` of our own networks, `pooling`, `normalize` and fields of the facts such as
            `full_scale`, `size` and `fit`.

    Raises:
        InputError: nothing loads under that name, or weights, record or options that cannot be used.

    Example:
        >>> import numpy as np
        >>> encoder = load_encoder("random:7")
        >>> encoder.encode(np.zeros((2, 3, 64, 64), np.uint16)).shape  # two images of three channels
        (2, 3840)
    """
    if revision is not None and not re.fullmatch(r"[0-9a-f]{40}", revision) and trust_remote_code:
        raise InputError(f"revision {revision!r} can change: code runs only from a 40-hex commit")
    return load_own(str(name), **options)
