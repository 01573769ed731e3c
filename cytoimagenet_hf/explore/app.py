"""The window itself: a Gradio app over a `Gallery`. Every rejection is a line of text beside what caused it."""

import contextlib
import os
import sys
import tempfile
import threading

import gradio as gr

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.simulated import SENTENCE

from .browse_tab import browse_tab
from .gallery import Gallery
from .map_tab import map_tab
from .pages import asset
from .upload_tab import upload_tab

MAX_UPLOAD = "200mb"
_KEPT = 3600
"""Seconds for which an upload is kept."""

_HERE = ("127.0.0.1", "localhost", "::1")
_VISITORS = 8  # served at once: one who waits for features keeps nobody from browsing


def build_app(gallery: Gallery, *, addresses: bool = False) -> gr.Blocks:
    """The app: browse by metadata, look up an image of one's own, a map of features.

    `addresses`: whether visitors may name images on the internet: this machine would open what they name, also in its
    own network, so only where visitors sit at it.
    """
    with gr.Blocks(title="CytoImageNet explorer", analytics_enabled=False, delete_cache=(_KEPT // 6, _KEPT)) as app:
        if gallery.simulated:
            gr.Markdown(f"**{SENTENCE}**", elem_id="simulated")
        gr.Markdown(f"# CytoImageNet explorer\n\n{_size_line(gallery)}", elem_id="top")
        with gr.Tab("Browse"):
            browse_tab(app, gallery)
        if gallery.has_model:
            looked_up = gr.State(None)  # of each visitor
            with gr.Tab("Map") as tab:
                map_tab(tab, gallery, looked_up)
            with gr.Tab("Your image"):
                upload_tab(gallery, looked_up, addresses=addresses)
    return app


def _size_line(gallery: Gallery) -> str:
    line = f"{gallery.total:,} images"
    line += "" if gallery.classes is None else f" in {gallery.classes:,} classes"
    line += "." if gallery.sources is None else f" from {gallery.sources:,} sources."
    shown = len(gallery.rows)
    return line if shown == gallery.total else f"{line} Shown is a random sample of {shown:,}."


def launch(gallery: Gallery, *, host: str = "127.0.0.1", port: int | None = None, browser: bool = False) -> None:
    """Serve the app until interrupted; no files but the app's own uploads are served, and these go at the end.

    By default the port is a free one from 7860 on.
    """
    with contextlib.ExitStack() as uploads:
        if "GRADIO_TEMP_DIR" not in os.environ:
            os.environ["GRADIO_TEMP_DIR"] = uploads.enter_context(tempfile.TemporaryDirectory(prefix="uploads-"))
            uploads.callback(os.environ.pop, "GRADIO_TEMP_DIR")
        app = build_app(gallery, addresses=host in _HERE).queue(default_concurrency_limit=_VISITORS)
        app.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            max_file_size=MAX_UPLOAD,
            allowed_paths=[],
            show_error=False,
            prevent_thread_lock=True,
            theme=gr.themes.Default(primary_hue="blue"),
            css=asset("window.css"),
            footer_links=["gradio"],
        )
        if gallery.has_model:
            threading.Thread(target=_make_map, args=(gallery,), daemon=True).start()
        app.block_thread()


def _make_map(gallery: Gallery) -> None:
    """Features and map, made while the visitor looks at the first page."""
    try:
        gallery.extract()
        for rejection in gallery.rejected:
            print(f"no features for {rejection.id}: {rejection.reason}", file=sys.stderr)
        gallery.map()
    except InputError as error:  # whoever asks for neighbours or the map reads it in the window
        print(f"no features: {error}", file=sys.stderr)
