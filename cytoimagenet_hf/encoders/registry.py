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
    if trust_remote_code and not Path(name).is_dir():
        require_pinned(revision, str(name))
    return load_own(str(name), revision=revision, trust_remote_code=trust_remote_code, **options)


def require_pinned(revision: str | None, name: str) -> None:
    """Refuse to run code that may be another tomorrow.

    Raises:
        InputError: no revision, or one that is no commit of 40 hex digits, such as a branch.
    """
    if revision is None or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise InputError(
            f"{name}: its own code runs only from a revision of 40 hex digits, not {revision or 'its newest state'}: "
            "look at the code of one commit on its page and pass that commit as revision"
        )
