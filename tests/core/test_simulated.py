"""The mark of drawn images, and how features, results and pictures inherit it."""

import matplotlib
import numpy as np
import tifffile

from cytoimagenet_hf.core.simulated import is_simulated, mark_simulated, save_figure
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.images import find_images
from cytoimagenet_hf.networks import build_efficientnet


def test_the_mark_holds_for_everything_below_it(tmp_path):
    (tmp_path / "drawn" / "plate").mkdir(parents=True)
    mark_simulated(tmp_path / "drawn")
    assert is_simulated(tmp_path / "drawn" / "plate" / "A01.tif")
    assert not is_simulated(tmp_path)
    assert not is_simulated("hf:owner/name:train")


def test_features_of_drawn_images_say_so(tmp_path):
    network = build_efficientnet(0, seed=0, width_coefficient=0.25, depth_coefficient=0.25)
    for name in ("taken", "drawn"):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "A01_s1_w1.tif", np.arange(48 * 48, dtype=np.uint16).reshape(48, 48))
    mark_simulated(tmp_path / "drawn")
    pattern = "{well}_s{site}_w{c}.tif"
    taken, drawn = (
        extract_features(network, find_images(tmp_path / name, pattern=pattern)) for name in ("taken", "drawn")
    )
    assert "simulated" not in taken.about
    assert drawn.about["simulated"] is True
    np.testing.assert_array_equal(taken.values, drawn.values)


def test_a_picture_in_a_marked_folder_bears_the_word(tmp_path):
    from matplotlib.figure import Figure

    matplotlib.use("agg")
    (tmp_path / "run").mkdir()
    mark_simulated(tmp_path / "run")
    taken, drawn = Figure(), Figure()
    save_figure(taken, tmp_path / "a.png")
    save_figure(drawn, tmp_path / "run" / "a.png")
    assert [one.get_text() for one in taken.texts] == []
    assert [one.get_text() for one in drawn.texts] == ["Simulated"]
