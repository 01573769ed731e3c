"""What the tabs say, without a browser: progress, neighbours, an upload's answer, what is not on the map."""

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.explore.app import build_app
from cytoimagenet_hf.explore.clicks import neighbours, waiting
from cytoimagenet_hf.explore.gallery import Answer, Gallery, Neighbour
from cytoimagenet_hf.explore.map_tab import _left_out
from cytoimagenet_hf.explore.upload_tab import _channels, _found, upload_tab
from cytoimagenet_hf.images import Rejection
from tests.datasets import write_textures

GRAY = Image.fromarray(np.full((8, 8), 100, np.uint8))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    root = tmp_path_factory.mktemp("tabs")
    return Gallery(write_textures(root / "cytoimagenet", per_class=3, side=32))


class Extracting:
    """A gallery whose features come with a delay, or not at all."""

    rows = range(40)
    images_done = 10

    def __init__(self, error=None):
        self.is_ready, self.error = False, error

    def extract(self):
        if self.error:
            raise self.error
        self.is_ready = True


def answer(**changes):
    near = (Neighbour(0, 0.5), Neighbour(1, 0.6))
    usual = {"channels": {"1": GRAY, "dna": GRAY}, "seen": GRAY, "neighbours": near, "labels": {"a<b": 2}}
    return Answer(**usual | {"usual": 0.7, "images": ("x",), "image": "x", "note": ""} | changes)


def test_whoever_waits_is_told_how_far_the_features_are():
    gallery = Extracting()
    assert set(waiting(gallery)) <= {"Extracting features, once: 10 of 40 images (25%)."}
    assert gallery.is_ready
    assert list(waiting(gallery)) == []
    with pytest.raises(InputError, match="no image can be used"):
        list(waiting(Extracting(InputError("no image can be used"))))


def test_neighbours_can_be_clicked_and_the_first_is_the_image_itself(gallery):
    html = neighbours(gallery, (Neighbour(3, 0.25),), of=1)
    assert html.index('data-row="1"') < html.index('data-row="3"')
    assert html.count("clickable") == 2
    assert html.count('class="own') == 1
    assert "distance 0.2500" in html


def test_an_upload_that_nothing_is_like_is_told_so(gallery):
    assert "really like it" not in _found(gallery, answer())
    assert "really like it" not in _found(gallery, answer(usual=None))
    far = _found(gallery, answer(usual=0.1))
    assert "None of them is really like it" in far
    assert "the nearest is at 0.5000, and 95 % of this dataset's images have another within 0.1000" in far
    assert "a&lt;b (2)" in far


def test_each_channel_is_shown_and_what_is_looked_up():
    shown = _channels(answer())
    assert [name in shown for name in ("<b>channel 1</b>", "<b>dna</b>", "<b>merged</b>")] == [True] * 3
    assert "merged" not in _channels(answer(channels={"dna": GRAY}))


def test_images_without_features_are_listed_with_their_reason(gallery, monkeypatch):
    assert _left_out(gallery) == ""
    monkeypatch.setattr(gallery, "rejected", (Rejection("s-<1>", "too small"),))
    assert "1 image is not on the map" in _left_out(gallery)
    assert "<li>s-&lt;1&gt;: too small</li>" in _left_out(gallery)


def test_without_a_model_there_is_one_tab(gallery):
    labels = [block.label for block in build_app(gallery).blocks.values() if type(block).__name__ == "Tab"]
    assert labels == ["Browse"]


@pytest.mark.parametrize("addresses", [True, False])
def test_addresses_are_opened_only_for_who_sits_at_this_machine(gallery, addresses, monkeypatch):
    asked = []
    monkeypatch.setattr(gallery, "look_up", lambda files, image: asked.append(files) or answer())
    monkeypatch.setattr("cytoimagenet_hf.explore.upload_tab.waiting", lambda gallery: ())
    with gr.Blocks() as app:
        upload_tab(gallery, gr.State(None), addresses=addresses)
    box = next(block for block in app.blocks.values() if block.elem_id == "address")
    (given,) = [one.fn for one in app.fns.values() if (box._id, "submit") in one.targets]
    list(given(" s3://bucket/plate.zarr "))
    assert (box.visible, asked) == (addresses, [["s3://bucket/plate.zarr"]] if addresses else [])
    if addresses:
        with pytest.raises(gr.Error, match="this is no address"):
            list(given("/etc/passwd"))
