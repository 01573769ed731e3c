"""The map of a set of features, computed once and kept beside the features: UMAP of 5,000 images takes a minute."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from huggingface_hub import cached_assets_path

from cytoimagenet_hf.core.files import atomic_path
from cytoimagenet_hf.core.versions import installed_versions
from cytoimagenet_hf.profiles.embedding import Embedding, embed


def kept_map(values: npt.NDArray[np.floating], *, seed: int, cache: Path | None = None) -> Embedding:
    """`embed` of (n, d) features, or what an earlier call kept of the same features, seed and version of UMAP."""
    folder = Path(cached_assets_path("cytoimagenet-hf", namespace="maps")) if cache is None else cache / "_maps"
    file = folder / f"{_key(values, seed)}.npz"
    if file.is_file():
        with np.load(file, allow_pickle=False) as kept:
            across, down = (str(axis) for axis in kept["axes"])
            return Embedding(kept["places"], (across, down), str(kept["method"]))
    made = embed(values, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary, temporary.open("wb") as out:
        np.savez(out, places=made.places, axes=np.array(made.axes), method=np.array(made.method))
    return made


def _key(values: npt.NDArray[np.floating], seed: int) -> str:
    method = installed_versions(["umap-learn"]).get("umap-learn", "components")
    digest = hashlib.sha256(f"{method} {seed} {values.shape} {values.dtype}".encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:32]
