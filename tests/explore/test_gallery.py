import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.explore.gallery import Gallery
from cytoimagenet_hf.models import MicroscopyImageProcessor, build_efficientnet
from tests.datasets import write_textures


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset of two textures and a small network that tells them apart without training."""
    root = tmp_path_factory.mktemp("explore")
    write_textures(root / "cytoimagenet", per_class=12, side=48)
    network = build_efficientnet(0, seed=0, width_coefficient=0.25, depth_coefficient=0.25)
    network.save_pretrained(root / "model")
    MicroscopyImageProcessor().save_pretrained(root / "model")
    return root


@pytest.fixture(scope="module")
def gallery(place):
    return Gallery(place / "cytoimagenet", model=str(place / "model"), cache=place / "cache")


def test_filters_narrow_what_is_shown(gallery):
    assert len(gallery.browse({}, most=100)) == 24
    stripes = gallery.browse({"label": "stripes"}, most=100)
    assert len(stripes) == 12
    assert all(caption.startswith("stripes") for _, caption in stripes)
    assert gallery.browse({"label": "stripes", "dir_name": "nowhere"}) == []


def test_an_unknown_filter_is_refused(gallery):
    with pytest.raises(InputError, match="no filter 'colour'"):
        gallery.browse({"colour": "red"})


def test_a_16_bit_two_channel_upload_finds_images_like_it(gallery, tmp_path):
    """Channels that a cast to 8 bits would saturate: 2 % of the 16-bit range above a pedestal."""
    rows = (np.arange(48) // 4 % 2 * 1000 + 40_000).astype(np.uint16)
    stack = np.stack([np.broadcast_to(rows[:, None], (48, 48))] * 2)
    tifffile.imwrite(tmp_path / "mine.tif", stack, photometric="minisblack")
    answer = gallery.look_up([tmp_path / "mine.tif"], k=5)
    assert set(np.unique(np.asarray(answer.seen))) == {0, 255}
    assert {neighbour.row["label"] for neighbour in answer.neighbours} == {"stripes"}
    assert answer.labels == {"stripes": 1.0}
    distances = [neighbour.distance for neighbour in answer.neighbours]
    assert distances == sorted(distances)


@pytest.mark.parametrize("content", [b"", b"not an image at all"])
def test_what_is_no_image_is_refused_by_name(gallery, tmp_path, content):
    (tmp_path / "notes.tif").write_bytes(content)
    with pytest.raises(InputError, match=r"notes\.tif"):
        gallery.look_up([tmp_path / "notes.tif"])


def test_the_map_has_one_point_per_image(gallery):
    points = gallery.map()
    assert len(points) == len(gallery.rows)
    assert np.isfinite(points[["x", "y"]].to_numpy()).all()


def test_without_a_model_browsing_works_and_the_rest_says_what_it_needs(place):
    plain = Gallery(place / "cytoimagenet", limit=5)
    assert len(plain.rows) == 5
    assert plain.total == 24
    with pytest.raises(InputError, match="--model"):
        plain.look_up(["x.png"])
