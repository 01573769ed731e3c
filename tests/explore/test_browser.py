"""The explorer in a real browser: open, filter, upload, be refused. Screenshots stay in the test's folder."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from cytoimagenet_hf.networks import MicroscopyImageProcessor, build_efficientnet
from tests.datasets import write_textures

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a system Chromium, which is not installed")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A running explorer, started as a user starts it."""
    root = tmp_path_factory.mktemp("explorer")
    write_textures(root / "cytoimagenet", per_class=15, side=48)
    network = build_efficientnet(0, seed=0, width_coefficient=0.25, depth_coefficient=0.25)
    network.save_pretrained(root / "model")
    MicroscopyImageProcessor().save_pretrained(root / "model")
    command = [sys.executable, "-m", "cytoimagenet_hf", "explore", str(root / "cytoimagenet"), "--model"]
    environment = os.environ | {"HF_HOME": str(root / "home"), "GRADIO_TEMP_DIR": str(root / "uploads")}
    environment |= {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    with subprocess.Popen(
        [*command, str(root / "model")], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            assert server.stdout is not None
            printed = []
            for line in server.stdout:
                printed.append(line)
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    yield found[0]
                    break
            else:
                pytest.fail("the explorer did not start:\n" + "".join(printed[-20:]))
        finally:
            server.kill()


@pytest.fixture
def page(address):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        page.goto(address)
        page.get_by_role("heading", name="CytoImageNet explorer").wait_for()
        yield page
        browser.close()


def upload(page, *files):
    page.get_by_role("tab", name="Your image").click()
    page.locator("#upload input[type=file]").set_input_files([str(file) for file in files])


def test_open_filter_and_turn_pages(page, tmp_path):
    assert "30 images in 2 classes from 3 sources" in page.content()
    page.get_by_text("1 to 24 of 30 images, page 1 of 2").first.wait_for()
    assert page.get_by_role("button", name="Next").count() == 2  # above and below the images
    page.get_by_role("button", name="Next").last.click()
    page.get_by_text("25 to 30 of 30 images, page 2 of 2").last.wait_for()
    assert page.get_by_role("button", name="Next").first.is_disabled()
    assert page.get_by_role("button", name="Next").last.is_disabled()
    page.get_by_label("label", exact=True).click()
    page.get_by_role("option", name="stripes").click()
    page.get_by_text("1 to 15 of 15 images").first.wait_for()
    page.wait_for_function(
        "[...document.querySelectorAll('#browse img')].filter(i => i.naturalWidth == 48).length == 15"
    )
    page.screenshot(path=tmp_path / "browse.png")
    page.get_by_role("button", name="Reset").click()
    page.get_by_text("1 to 24 of 30 images").first.wait_for()
    assert page.get_by_label("label", exact=True).input_value() == ""


@pytest.mark.parametrize("width", [1400, 900, 420])
def test_captions_are_whole_and_nothing_is_wider_than_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.locator("#browse figure").nth(23).wait_for()
    cut = "[...document.querySelectorAll('#browse figcaption')].filter(c => c.scrollWidth > c.clientWidth + 1).length"
    assert page.evaluate(cut) == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    buttons = "[...document.querySelectorAll('.pager button')].map(one => one.getBoundingClientRect().height)"
    assert min(page.evaluate(buttons)) >= 44  # what a finger hits


def test_a_click_on_an_image_shows_its_neighbours(page):
    page.locator("#browse figure").nth(2).click()
    page.locator("#near figure").nth(7).wait_for()
    captions = page.locator("#near figcaption").all_inner_texts()
    assert len(captions) == 8
    assert ["distance 0." in caption for caption in captions] == [False] + [True] * 7
    second = captions[1].replace("distance", "").split("\n")[0]
    page.locator("#near figure").nth(1).click()  # from neighbour to neighbour
    page.wait_for_function(
        "label => document.querySelector('#near figcaption').innerText.startsWith(label)", arg=second
    )
    page.locator("#near figure").nth(7).wait_for()


def test_a_16_bit_multi_channel_tiff_finds_its_neighbours(page, tmp_path):
    line = (np.arange(48) // 4 % 2 * 1000 + 40_000).astype(np.uint16)
    stack = np.stack([np.broadcast_to(line[:, None], (48, 48))] * 2)
    tifffile.imwrite(tmp_path / "field.tif", stack, photometric="minisblack")
    upload(page, tmp_path / "field.tif")
    page.locator("#neighbours img").first.wait_for()
    assert page.locator("#neighbours img").count() == 8
    assert page.locator("#seen img").count() == 3  # two channels, and what is looked up
    assert "Their labels: stripes (" in page.locator("#neighbours").inner_text()
    assert not page.locator("#field").is_visible()
    assert page.locator("#neighbours figcaption b").first.inner_text() == "stripes"
    assert "taken as channels" in page.locator("#message").inner_text()
    page.screenshot(path=tmp_path / "neighbours.png")


def test_of_several_fields_of_a_plate_one_is_chosen(page, tmp_path):
    rng = np.random.default_rng(0)
    files = [tmp_path / f"SIM_{well}_s1_w{channel}.tif" for well in ("A01", "B02") for channel in (1, 2)]
    for file in files:
        tifffile.imwrite(file, rng.integers(0, 4096, (48, 48)).astype(np.uint16))
    upload(page, *files)
    page.get_by_text("Which of the 2 images in these files").wait_for()
    page.locator("#neighbours img").first.wait_for()
    before = page.locator("#seen img").first.get_attribute("src")
    page.locator("#field input").click()
    page.get_by_role("option").nth(1).click()
    page.wait_for_function("before => document.querySelector('#seen img')?.src != before", arg=before)


@pytest.mark.parametrize(("name", "content"), [("notes.tif", b"cells are nice"), ("empty.png", b"")])
def test_bad_uploads_get_a_message_that_names_the_file_only(page, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    upload(page, tmp_path / name)
    page.locator("#message").get_by_text("cannot be used").wait_for()
    said = page.locator("#message").inner_text()
    assert name in said
    assert "/" not in said


def test_the_map_shows_thumbnails_colours_and_neighbours(page, tmp_path):
    page.get_by_role("tab", name="Map").click()
    page.locator("#map circle").first.wait_for()
    assert page.locator("#map circle").count() == 30
    assert page.locator("#map .legend").inner_text().strip() == "phenotype (30)"
    page.get_by_role("radio", name="label").check()
    page.get_by_text("dots (15)").wait_for()
    page.locator(".sheet").wait_for(state="attached")
    box = page.locator("#map circle").nth(5).bounding_box()
    beside = box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2 + 3  # near is enough
    page.mouse.move(*beside)
    assert page.locator("#map .tip").is_visible()
    assert "url(" in page.locator("#map .tip i").evaluate("one => one.style.backgroundImage")
    page.mouse.click(*beside)
    page.locator("#map-near figure").nth(7).wait_for()
    assert page.locator("#map circle.picked").count() == 1
    page.get_by_role("button", name="Larger").click()
    assert page.evaluate("(f => f.scrollWidth / f.clientWidth)(document.querySelector('.frame'))") == pytest.approx(
        1.6, 0.1
    )
    corner = page.evaluate("document.querySelector('.frame').scrollLeft")
    page.get_by_role("radio", name="source").check()  # other colours, the same part of the map
    page.locator("#map .legend").get_by_text("source1 (10)").wait_for()
    assert page.evaluate("document.querySelector('.frame').scrollLeft") == pytest.approx(corner, abs=2)
    assert corner > 0
    page.screenshot(path=tmp_path / "map.png")


def test_the_map_is_walked_with_the_keyboard_and_shows_an_upload(page, tmp_path):
    tifffile.imwrite(tmp_path / "field.tif", np.arange(48 * 48, dtype=np.uint16).reshape(48, 48))
    upload(page, tmp_path / "field.tif")
    page.locator("#neighbours img").first.wait_for()
    page.get_by_role("tab", name="Map").click()
    page.locator("#map .star").wait_for()
    page.locator(".sheet").wait_for(state="attached")
    page.locator("#map .frame").focus()
    walked = []
    for key in ("ArrowRight", "ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
        walked.append(page.locator("#map circle.at").get_attribute("data-row"))
    assert len(set(walked)) > 1
    assert page.locator("#map .tip").is_visible()
    page.keyboard.press("Enter")
    page.locator("#map-near figure").nth(7).wait_for()
    assert page.locator("#map-near figure").first.get_attribute("data-row") == walked[-1]


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../../etc/passwd", "data/train-00000-of-00001.parquet"])
def test_nothing_else_is_served(page, address, path):
    for prefix in ("/gradio_api/file=", "/file="):
        assert page.request.get(f"{address}{prefix}{path}").status in (403, 404)
