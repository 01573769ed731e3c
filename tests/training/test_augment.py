import numpy as np
import pytest
import torch
from scipy import ndimage

from cytoimagenet_hf.training.augment import Augmentation, Draws, augment, blur, warp


def image(side: int = 9) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (side, side)).astype(np.float32))


def matrices(augmentation: Augmentation, count: int, **place: int) -> torch.Tensor:
    drawn = augmentation.draw(count, **place).matrices
    assert drawn is not None
    return drawn


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
    drawn = matrices(augmentation, 64, seed=1, epoch=2, step=3)
    assert torch.equal(drawn, matrices(augmentation, 64, seed=1, epoch=2, step=3))
    assert not torch.equal(drawn, matrices(augmentation, 64, seed=1, epoch=2, step=4))
    assert not torch.equal(drawn, matrices(augmentation, 64, seed=1, epoch=2, step=3, view=1))
    assert len(torch.unique(drawn, dim=0)) == 64  # each image has its own


def test_draws_stay_in_their_ranges() -> None:
    drawn = matrices(Augmentation(rotation=360, flip=True, scale_jitter=0.25), 2000, seed=0, epoch=0, step=0)
    determinant = torch.linalg.det(drawn[:, :, :2])
    zoom = determinant.abs().rsqrt()
    assert zoom.min() >= 1 / 1.2501
    assert zoom.max() <= 1.2501
    assert 0.45 < (determinant < 0).float().mean() < 0.55
    only_turned = matrices(Augmentation(rotation=360), 2000, seed=0, epoch=0, step=0)
    assert torch.allclose(torch.linalg.det(only_turned[:, :, :2]), torch.ones(2000))
    angle = torch.rad2deg(torch.atan2(only_turned[:, 1, 0], only_turned[:, 0, 0])) % 360
    assert torch.histc(angle, bins=4, min=0, max=360).min() > 400  # every quarter of the circle


def test_nothing_is_drawn_when_nothing_is_asked_for() -> None:
    assert Augmentation(rotation=0).draw(3, seed=0, epoch=0, step=0) == Draws()
    images = image()[None, None]
    assert augment(images, Draws()) is images


def test_a_crop_lies_within_the_image_and_shows_what_is_there() -> None:
    drawn = matrices(Augmentation(rotation=0, crop=0.5), 2000, seed=0, epoch=0, step=0)
    side, centre = drawn[:, 0, 0], drawn[:, :, 2]
    assert 0.5 <= side.min() < 0.51
    assert 0.99 < side.max() <= 1
    assert (centre.abs() + side[:, None]).max() <= 1 + 1e-6
    assert centre.amin() < -0.4
    # The upper left quarter of a 4 x 4 image, at the same number of pixels.
    quarter = torch.tensor([[[0.5, 0, -0.5], [0, 0.5, -0.5]]])
    rows = torch.tensor([[0.0, 4, 8, 12]] * 4)[None, None]
    assert augment(rows, Draws(matrices=quarter))[0, 0, 0].tolist() == [0.0, 1.0, 3.0, 5.0]


def test_the_camera_changes_intensities_and_stays_in_range() -> None:
    pixels = torch.tensor([[0.0, 51.0, 102.0, 204.0]])[None, None]

    def after(**drawn: float) -> list[float]:
        return augment(pixels, Draws(**{name: torch.tensor([v]) for name, v in drawn.items()}))[0, 0, 0].tolist()

    assert after(gain=1.5) == [0.0, 76.5, 153.0, 255.0]
    assert after(offset=-0.2) == pytest.approx([0.0, 0.0, 51.0, 153.0], abs=1e-4)
    assert after(gamma=2.0) == pytest.approx([0.0, 10.2, 40.8, 163.2], abs=1e-4)
    assert after(gain=0.5, offset=0.2) == pytest.approx([51.0, 76.5, 102.0, 153.0], abs=1e-4)


def test_each_image_is_blurred_by_its_own_width_as_scipy_does() -> None:
    images = torch.stack([image(), image(), image()])[:, None]
    sharp, soft, softer = blur(images, torch.tensor([0.0, 0.7, 1.5]))[:, 0]
    np.testing.assert_allclose(sharp, image(), atol=1e-4)
    for blurred, sigma in ((soft, 0.7), (softer, 1.5)):
        expected = ndimage.gaussian_filter(image().numpy(), sigma, mode="mirror", radius=int(np.ceil(3 * sigma)))
        np.testing.assert_allclose(blurred, expected, atol=1e-3)


def test_noise_has_its_deviation_and_each_image_its_own() -> None:
    gray = torch.full((3, 1, 64, 64), 128.0)
    seeds = torch.tensor([5, 6, 5])
    noisy = augment(gray, Draws(noise=torch.tensor([0.1, 0.1, 0.1]), seeds=seeds)) - 128
    assert noisy[0].std() == pytest.approx(25.5, rel=0.05)
    assert torch.equal(noisy[0], noisy[2])
    assert not torch.equal(noisy[0], noisy[1])
    alone = augment(gray[:1], Draws(noise=torch.tensor([0.1]), seeds=seeds[1:2])) - 128
    assert torch.equal(alone[0], noisy[1])  # whatever else is in the batch


def test_every_option_is_drawn_in_its_range() -> None:
    options = {"gain": 0.5, "offset": 0.1, "gamma": 0.25, "blur": 2.0, "noise": 0.05}
    drawn = Augmentation(rotation=0, **options).draw(2000, seed=0, epoch=0, step=0)
    ranges = {"gain": (1 / 1.5, 1.5), "offset": (-0.1, 0.1), "gamma": (0.8, 1.25), "sigma": (0, 2), "noise": (0, 0.05)}
    for name, (low, high) in ranges.items():
        values = getattr(drawn, name)
        assert values.min() >= low - 1e-6, name
        assert values.max() <= high + 1e-6, name
        assert values.max() - values.min() > 0.98 * (high - low), name
    assert drawn.matrices is None
    assert len(drawn[:5].gain) == len(drawn[:5].seeds) == 5
