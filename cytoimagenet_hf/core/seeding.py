"""Random generators that depend on what is sampled, not on when or by whom.

Every function that samples takes a seed and derives one generator per item from (seed, stage, id), so results are the
same for any number of workers, in any order, and after a restart.
"""

import hashlib

import numpy as np


def derive_rng(seed: int, stage: str, item_id: str = "") -> np.random.Generator:
    """A generator for one item of one stage.

    Args:
        seed: the seed the caller chose.
        stage: what is being sampled, for example `"crop"`; separates streams that share ids.
        item_id: the stable id of the item.

    Example:
        >>> [int(derive_rng(1, "crop", "bbbc013-a").integers(100)) for _ in range(2)]
        [93, 93]
    """
    # The separator cannot occur in stages or ids, so ("ab", "c") and ("a", "bc") stay apart.
    key = "\x1f".join((str(int(seed)), stage, item_id)).encode()
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "big"))
