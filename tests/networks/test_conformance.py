"""Every kind in the registry, on a stand-in with random weights that goes through the real loader.

For all: finite, the same twice, independent of the batch, the length that the facts state, 8 bits equal to 16 bits of
one scene, and channels exchanged as declared. What it cannot show is that published weights give published features.
"""

import numpy as np
import pytest

from cytoimagenet_hf.networks import ENCODERS, Encoder, load_encoder
from tests.networks.stand_ins import make

LARGE = ("dinov3-vit7b16",)  # one block of it takes a gigabyte; its smaller sisters are the same code
OF_CELLS = ("cp_measure",)  # takes cells with label images, no arrays: tests/features/test_cell_tables.py
KINDS = [key for key in ENCODERS if key not in LARGE + OF_CELLS]


@pytest.fixture(scope="module", params=KINDS)
def encoder(request, tmp_path_factory) -> Encoder:
    if request.param == "timm":
        pytest.importorskip("timm", reason="needs timm, and torchvision, which it imports", exc_type=ImportError)
    name, options = make(request.param, tmp_path_factory.mktemp("stand-in") / request.param)
    return load_encoder(name, **options)


@pytest.fixture(scope="module")
def stains(encoder) -> list[str]:
    """One channel per role; two where any will do, and two for the role of any other stain."""
    named = [role[0] for role in encoder.facts.stains if role != ("*",)]
    if encoder.facts.stains and ("*",) not in encoder.facts.stains:
        return named
    return [*named, "first", "second"]


@pytest.fixture(scope="module")
def scene(encoder, stains) -> np.ndarray:
    """Two images of smooth spots, uint8 (2, C, H, W), as large as the network's size or a bit larger."""
    height, width = encoder.facts.size or (70, 81)
    rng = np.random.default_rng(3)
    coarse = rng.gamma(1.5, 40, (2, len(stains), 12, 12)).clip(0, 255)
    rows = np.linspace(0, 11, height + 3).astype(int)
    columns = np.linspace(0, 11, width + 5).astype(int)
    fine = coarse[:, :, rows][:, :, :, columns] + rng.uniform(0, 20, (2, len(stains), len(rows), len(columns)))
    return fine.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def vectors(encoder, stains, scene) -> np.ndarray:
    return encoder.encode(scene, stains=stains)


def same(features: np.ndarray, expected: np.ndarray) -> None:
    """Equal within 1e-4 of the largest number: random weights give vectors of any scale."""
    np.testing.assert_allclose(features, expected, atol=1e-4 * np.abs(expected).max())


def inputs(encoder, channels: int) -> int:
    """Units per image."""
    if encoder.facts.channels == "each":
        return channels
    return 2 if ("*",) in encoder.facts.stains else 1


def test_vectors_are_finite_differ_and_have_the_length_of_the_facts(encoder, stains, vectors) -> None:
    assert np.isfinite(vectors).all()
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, encoder.facts.dim * inputs(encoder, len(stains)))
    stated = ENCODERS[encoder.name.partition(":")[0]].dim
    assert stated in (0, encoder.facts.dim)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3 * np.abs(vectors).max()


def test_an_image_gives_one_vector_whatever_its_batch(encoder, stains, scene, vectors) -> None:
    same(encoder.encode(scene[1:], stains=stains)[0], vectors[1])
    same(encoder.encode(scene, stains=stains), vectors)


def test_depth_of_pixels_does_not_matter(encoder, stains, scene, vectors) -> None:
    """257 times an 8-bit scene is the same scene in 16 bits."""
    sixteen = scene.astype(np.uint16) * 257
    same(encoder.encode(sixteen, stains=stains), vectors)


def test_exchanged_channels(encoder, stains, scene, vectors) -> None:
    order = list(range(len(stains)))[::-1]
    turned = encoder.encode(scene[:, order], stains=[stains[number] for number in order])
    dim = encoder.facts.dim
    if encoder.facts.channels == "each":  # vectors move with their channels
        expected = vectors.reshape(2, -1, dim)[:, ::-1].reshape(2, -1)
    elif ("*",) in encoder.facts.stains:  # the two free stains change places
        expected = np.concatenate([vectors[:, dim:], vectors[:, :dim]], axis=1)
    else:  # roles are found by name; a network without roles does not care
        expected = vectors
    same(turned, expected)


def test_the_whole_registry_was_checked() -> None:
    assert set(KINDS) | set(LARGE) | set(OF_CELLS) == set(ENCODERS)
    assert len(KINDS) == 38
