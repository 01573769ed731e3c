import numpy as np
import pytest
import torch
from scipy import ndimage

from cytoimagenet_hf.training.augment import Augmentation, warp


def image(side: int = 9) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (side, side)).astype(np.float32))


def rotation(degrees: float) -> torch.Tensor:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return torch.tensor([[[c, -s, 0], [s, c, 0]]], dtype=torch.float32)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turns_move_pixels_and_change_none(turns: int) -> None:
    turned = warp(image()[None, None], rotation(90 * turns))[0, 0]
    np.testing.assert_allclose(turned, np.rot90(image(), turns), atol=1e-3)


@pytest.mark.parametrize("degrees", [17.0, 45.0, 200.0])
def test_any_angle_agrees_with_scipy_reflecting_at_the_border(degrees: float) -> None:
    turned = warp(image()[None, None], rotation(degrees))[0, 0]
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.array([[c, s], [-s, c]])  # rows and columns, where the grid is x and y
    centre = np.array([4.0, 4.0])
    expected = ndimage.affine_transform(
        image().numpy(), matrix, offset=centre - matrix @ centre, order=1, mode="reflect"
    )
    np.testing.assert_allclose(turned, expected, atol=0.05)


def test_mirror_and_zoom() -> None:
    mirror = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]])
    np.testing.assert_allclose(warp(image()[None, None], mirror)[0, 0], np.fliplr(image()), atol=1e-3)
    shrink = torch.tensor([[[3.0, 0, 0], [0, 3, 0]]])  # three times as wide a view, filled by reflection
    assert warp(image()[None, None], shrink)[0, 0, 4, 4] == pytest.approx(float(image()[4, 4]), abs=1e-3)


def test_a_step_draws_the_same_again_and_another_step_something_else() -> None:
    augmentation = Augmentation(rotation=360, flip=True, scale_jitter=0.2)
    drawn = augmentation.matrices(64, seed=1, epoch=2, step=3)
    assert torch.equal(drawn, augmentation.matrices(64, seed=1, epoch=2, step=3))
    assert not torch.equal(drawn, augmentation.matrices(64, seed=1, epoch=2, step=4))
    assert len(torch.unique(drawn, dim=0)) == 64  # each image has its own


def test_draws_stay_in_their_ranges() -> None:
    drawn = Augmentation(rotation=360, flip=True, scale_jitter=0.25).matrices(2000, seed=0, epoch=0, step=0)
    determinant = torch.linalg.det(drawn[:, :, :2])
    zoom = determinant.abs().rsqrt()
    assert zoom.min() >= 1 / 1.2501
    assert zoom.max() <= 1.2501
    assert 0.45 < (determinant < 0).float().mean() < 0.55
    only_turned = Augmentation(rotation=360).matrices(2000, seed=0, epoch=0, step=0)
    assert torch.allclose(torch.linalg.det(only_turned[:, :, :2]), torch.ones(2000))
    angle = torch.rad2deg(torch.atan2(only_turned[:, 1, 0], only_turned[:, 0, 0])) % 360
    assert torch.histc(angle, bins=4, min=0, max=360).min() > 400  # every quarter of the circle


def test_nothing_is_drawn_when_nothing_is_asked_for() -> None:
    assert not Augmentation(rotation=0).active
    assert Augmentation(rotation=90).active
