"""The site builds without a warning: every page is in its menu, every link on it leads to a page."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ROOT = Path(__file__).resolve().parents[2]


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("material", reason="needs mkdocs-material: pip install '.[docs]'")
    # Not --quiet: it drops warnings before --strict counts them.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("plate", "leaderboard"):
        shown = (tmp_path / "site" / "example" / f"{name}.html").read_text(encoding="utf-8")
        assert re.search("simulated", shown, flags=re.IGNORECASE)
        assert not re.findall(r"(?:src|href)=\"?https?:", shown)
    for name in ("index", "paper", "architecture", "01_load", "journeys/profile", "CONTRIBUTING", "release"):
        assert (tmp_path / "site" / f"{name}.html").is_file()
    for page in (tmp_path / "site").rglob("*.html"):  # no page asks another server for a script or a font
        asked = re.findall(r"<(?:script|link)[^>]+(?:src|href)=\"?(https?://[^>]*)", page.read_text(encoding="utf-8"))
        assert not [url for url in asked if re.search(r"\.js|shim|fonts", url)], page
    menu = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    for journey in ("load", "extract", "profile", "curate", "pretrain", "benchmark", "cluster"):
        navigation = re.findall(rf'<a href="?journeys/{journey}\.html"?[^>]*class="?md-nav__link', menu)
        assert len(navigation) == 1, journey
    if CHROMIUM:
        assert search(tmp_path / "site" / "journeys" / "load.html", "toy_20") == (True, [])


def search(page, words):
    """Whether the search of a page opened from its folder finds something, and what it asks other servers for."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install '.[dev]'")
    asked = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(page.as_uri())
        tab.fill("input[name=query]", words, force=True)
        tab.dispatch_event("input[name=query]", "keyup")  # what the page reads words at, once its search is ready
        tab.wait_for_selector(".md-search-result__item", state="attached", timeout=60_000)
        browser.close()
    return True, [url for url in asked if not url.startswith(("file:", "data:"))]
