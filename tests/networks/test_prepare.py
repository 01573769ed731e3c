"""Planes to inputs, with spelled-out numbers; roles by name; what peers refuse."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.networks import ENCODERS, EncoderFacts, WeightSource, load_encoder
from cytoimagenet_hf.networks.network import Fed
from cytoimagenet_hf.networks.prepare import make_units
from cytoimagenet_hf.networks.roles import ANY, DNA, ER, match_roles
from tests.networks.stand_ins import make

EACH = EncoderFacts("tiny", "Tiny", "each", "dtype", 1, WeightSource("nowhere"))
JOINT = replace(EACH, channels="joint")
A, B = np.uint16([[0, 100], [200, 400]]), np.uint16([[0, 0], [0, 800]])


def units(facts, planes, **options):
    return make_units(facts, planes, **({"stains": ()} | options))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(JOINT, scale="none"), [A, B]),
        (replace(JOINT, full_scale=800.0), [A / 800, B / 800]),
        (replace(JOINT, scale="as-uint8", full_scale=800.0), [A / 800 * 255, B / 800 * 255]),
        (replace(JOINT, scale="minmax"), [A / 400, B / 800]),
        (replace(JOINT, scale="minmax", per="image"), [A / 800, B / 800]),
        (replace(JOINT, scale="percentile", low=0.0, high=100.0), [A / 400, B / 800]),
        (replace(JOINT, scale="percentile", low=50.0, high=100.0, clip=False), [(A - 150.0) / 250, B / 800]),
        (replace(JOINT, scale="percentile", low=25.0, high=100.0, from_zero=True), [A / 400, B / 800]),
        (replace(JOINT, scale="zscore"), [(A - 175.0) / A.std(), (B - 200.0) / B.std()]),
    ],
    ids=lambda value: value.scale + value.per if isinstance(value, EncoderFacts) else "",
)
def test_scales(facts, expected) -> None:
    (unit,) = units(facts, [A, B])
    np.testing.assert_allclose(unit, np.stack(expected), rtol=1e-6, atol=1e-6)
    assert unit.dtype == np.float32


def test_a_constant_plane_is_zero_and_colour_becomes_gray() -> None:
    constant = np.full((2, 2), 7, np.uint16)
    for scale in ("minmax", "percentile", "zscore"):
        assert (units(replace(EACH, scale=scale), [constant])[0] == 0).all()
    picture = np.uint8([[[0, 30, 60], [255, 255, 255]]])
    np.testing.assert_allclose(units(EACH, [picture])[0], [[[30 / 255, 1]]], rtol=1e-6)


def test_merged_channels_are_one() -> None:
    (unit,) = units(replace(EACH, channels="merged", full_scale=800.0), [A, B])
    np.testing.assert_allclose(unit, [(A / 800 + B / 800) / 2], rtol=1e-6)


def test_crops_tiles_and_patches() -> None:
    plane = np.arange(35, dtype=np.uint8).reshape(5, 7)
    whole = replace(EACH, scale="none")
    np.testing.assert_array_equal(units(replace(whole, multiple=3), [plane])[0][0], plane[:3, :6])
    (cropped,) = units(replace(whole, fit="crop", size=(3, 3)), [plane])
    np.testing.assert_array_equal(cropped[0], plane[1:4, 2:5])
    tiled = replace(whole, fit="tiles", size=(2, 3))
    (tiles,) = units(tiled, [plane])
    assert tiles.shape == (4, 2, 3)  # two rows of two
    np.testing.assert_array_equal(tiles[3], plane[2:4, 3:6])
    mean = Fed(torch.nn.Flatten(), tiled)(torch.from_numpy(tiles)[None])
    np.testing.assert_allclose(mean[0], tiles.mean(0).ravel(), rtol=1e-6)
    with pytest.raises(InputError, match="looks at 8 x 8 pixels"):
        units(replace(whole, fit="crop", size=(8, 8)), [plane])


def test_the_first_step_of_the_network_is_factor_mean_deviation_and_repetition() -> None:
    facts = replace(EACH, factor=2.0, mean=(1.0, 2.0, 3.0), sd=(1.0, 2.0, 4.0), repeat=3)
    fed = Fed(torch.nn.Flatten(), facts)(torch.tensor([[[[5.0]]]]))
    assert fed.tolist() == [[9.0, 4.0, 1.75]]


def test_roles_are_found_by_any_of_their_names() -> None:
    assert match_roles([ER, DNA], ["Hoechst-33342", "ER"], name="net") == [[1, 0]]
    assert match_roles([DNA, ANY], ["mito", "dapi", "agp"], name="net") == [[1, 0], [1, 2]]
    with pytest.raises(InputError, match=r"needs the stain er .* the image has dapi, agp"):
        match_roles([ER, DNA], ["dapi", "agp"], name="net")
    with pytest.raises(InputError, match="hoechst, dapi all name the stain dna"):
        match_roles([DNA], ["hoechst", "dapi"], name="net")
    with pytest.raises(InputError, match="no named channels"):
        match_roles([DNA], [], name="net")
    with pytest.raises(InputError, match="beside its fixed ones"):
        match_roles([DNA, ANY], ["dapi"], name="net")


@pytest.mark.parametrize(
    ("planes", "options", "message"),
    [
        ([], {}, "without channels"),
        ([A], {"stains": ["a", "b"]}, "1 channels with 2 stain names"),
        ([np.float32([[3.0]])], {}, "full_scale"),
        ([A], {"ranges": {"a": (0.0, 1.0)}}, "ranges over a plate do not apply"),
    ],
)
def test_unusable_images_are_refused(planes, options, message) -> None:
    with pytest.raises(InputError, match=message):
        units(EACH, planes, **options)


@pytest.mark.parametrize("key", ["openphenom", "morphem"])
def test_foreign_code_needs_consent_and_a_commit(key, tmp_path) -> None:
    name, _ = make(key, tmp_path / key)
    with pytest.raises(InputError, match="trust_remote_code=True"):
        load_encoder(name)
    with pytest.raises(InputError, match="trust_remote_code=True"):
        load_encoder(key)
    with pytest.raises(InputError, match="40 hex digits, not main"):
        load_encoder(key, trust_remote_code=True, revision="main")


@pytest.mark.parametrize("key", ["subcell-bg", "cloome", "microsnoop", "unidino"])
def test_files_that_are_not_the_networks_are_refused(key, tmp_path) -> None:
    with pytest.raises(InputError, match=r"needs the file|no model loads"):
        load_encoder(f"{key}:{tmp_path / 'none.pth'}")
    torch.save({"something.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"no weights of"):
        load_encoder(f"{key}:{tmp_path / 'other.pth'}")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(InputError, match=r"text\.pth"):
        load_encoder(f"{key}:{tmp_path / 'text.pth'}")


def test_an_unknown_order_of_channels_is_asked_for(tmp_path) -> None:
    name, options = make("dino4cells", tmp_path / "d4c")
    with pytest.raises(InputError, match="pass roles="):
        load_encoder(name)
    assert [role[0] for role in load_encoder(name, **options).facts.stains] == ["microtubules", "er", "dna", "protein"]


def test_every_kind_says_what_it_is() -> None:
    for name, facts in ENCODERS.items():
        assert facts.name == name
        assert facts.source.repo
        assert facts.verified or facts.note, name


def test_gain_takes_the_logarithm_of_the_pixel_by_the_mean() -> None:
    (unit,) = make_units(replace(EACH, scale="gain"), [np.array([[1, 3], [2, 2]], np.uint16)], stains=())
    np.testing.assert_allclose(unit[0], np.log([[0.6, 1.6], [1.1, 1.1]]) / 2 + 0.5, rtol=1e-6)
    (black,) = make_units(replace(EACH, scale="gain"), [np.zeros((2, 2), np.uint16)], stains=())
    assert np.ptp(black) == 0
