"""docs/example/: pages of a finished demo, as they would be hosted: `python -m scripts.pages.example demo`.

Copies the pages and takes three pictures of the plate's page in a browser: a treatment selected in the hit list, its
wells on the plate, and the fields of one of them. Needs playwright and Chromium.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, sync_playwright

from cytoimagenet_hf.core.files import atomic_path

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "example"
PAGES = {"plate.html": "plate/plate.html", "leaderboard.html": "leaderboard.html"}
"""Name in the example → file of the demo."""
STEPS = ("hits", "plate", "fields")
"""Names of the pictures, in the order in which a reader would click."""
_VIEW = {"width": 1240, "height": 700}


def write_example(demo: Path, folder: Path = EXAMPLE) -> None:
    """Copy the pages of a demo and picture the plate's page."""
    folder.mkdir(exist_ok=True)
    for name, source in PAGES.items():
        shutil.copyfile(demo / source, folder / name)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=_VIEW)
        page.goto((folder / "plate.html").resolve().as_uri())
        for step in STEPS:
            _click_to(page, step)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            ImageDraw.Draw(picture).text((12, 12), "SIMULATED", "#9c3b06", ImageFont.load_default(22), stroke_width=1)
            with atomic_path(folder / f"{step}.png") as temporary:
                picture.quantize(256, dither=Image.Dither.NONE).save(temporary, "PNG", optimize=True)
        browser.close()


def _click_to(page: Page, step: str) -> None:
    """From the step before to this one."""
    if step == "fields":
        page.locator("aside img").click()
        page.locator("dialog img").first.wait_for()
        return
    if step == "hits":
        page.locator("#hits tbody tr").first.click()
    heading = page.get_by_role("heading", name="Hits" if step == "hits" else "The plate")
    heading.evaluate("element => scrollTo(0, element.getBoundingClientRect().top + scrollY - 64)")


if __name__ == "__main__":
    write_example(Path(sys.argv[1]))
