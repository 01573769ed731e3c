"""HTML of the window: what is shown is escaped, whole, and of the right image."""

import base64
import io
import re

import numpy as np
import pandas as pd
from PIL import Image

from cytoimagenet_hf.core.colours import CATEGORIES, OTHER
from cytoimagenet_hf.explore.pages import data_uri, grid, point_map, sheet, thumbnails


def gray(value, side=8):
    return Image.fromarray(np.full((side, side), value, np.uint8))


def opened(address):
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_a_caption_cannot_carry_markup():
    html = grid([(gray(1), ("<script>alert(1)</script>", "a&b"))])
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "a&amp;b" in html


def test_captions_are_whole_and_clicks_name_their_row():
    html = grid([(gray(1), ("one", "x" * 300)), (None, ("two",))], rows=[7, 9])
    assert "x" * 300 in html
    assert re.findall(r'data-row="(\d+)"', html) == ["7", "9"]
    assert html.count("cannot be shown") == 1


def test_large_images_travel_small():
    assert opened(data_uri(gray(3, side=1000))).size == (256, 256)


def test_thumbnails_lie_in_the_order_of_the_points():
    whole = np.asarray(sheet([gray(10), None, gray(30), gray(40), gray(50)]))
    side = 56
    assert whole.shape == (2 * side, 3 * side)
    assert [whole[side // 2, side // 2 + place * side] for place in range(3)] == [10, 0, 30]
    assert [whole[side + side // 2, side // 2 + place * side] for place in range(2)] == [40, 50]
    hidden = thumbnails([gray(10), None, gray(30)])
    assert 'data-across="2"' in hidden
    assert opened(re.search('src="([^"]+)"', hidden)[1]).size == (2 * side, 2 * side)


def test_the_legend_has_six_colours_and_counts_the_rest():
    plates = [f"p{number}" for number in range(9) for _ in range(9 - number)] + [None]
    points = pd.DataFrame({"row": range(len(plates)), "x": np.arange(len(plates)), "y": 1.0, "plate": plates})
    html = point_map(points.assign(label="actin"), by="plate")
    assert html.count("<circle") == len(plates)
    assert all(f'<i style="background:{colour}">' in html for colour in CATEGORIES)
    assert "p0 (9)" in html
    assert "3 others (6)" in html  # plates of 3, 2 and 1 images
    assert html.count(f'fill="{OTHER}"') == 6
    assert "not stated (1)" in html
    colours = re.findall(r'<circle [^>]*fill="(#\w+)"', html)
    assert [colour in CATEGORIES for colour in colours] == [False] * 7 + [True] * 39  # what has a colour lies above
    assert sorted(map(int, re.findall(r'data-place="(\d+)"', html))) == list(range(len(plates)))


def test_points_of_one_place_are_drawn_inside():
    points = pd.DataFrame({"row": [4], "x": [2.0], "y": [2.0], "label": ['a"b']})
    (x, y) = re.search(r'cx="([\d.]+)%" cy="([\d.]+)%"', point_map(points, by="label")).groups()
    assert 0 < float(x) < 100
    assert 0 < float(y) < 100


def test_a_visitors_image_is_a_star_at_its_place():
    points = pd.DataFrame({"row": [0, 1], "x": [0.0, 10.0], "y": [0.0, 10.0], "label": ["a", "b"]})
    assert "★" not in point_map(points, by="label")
    html = point_map(points, by="label", own=(5.0, 10.0))
    assert re.search(r'class="star" x="50.00%" y="2.00%"', html)
    assert "your image" in html
