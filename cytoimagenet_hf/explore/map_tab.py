"""The second tab: all images as points by their features."""

from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr

from cytoimagenet_hf.core.errors import InputError

from .clicks import answer_clicks, pictures_part, waiting
from .gallery import Gallery, Neighbour
from .pages import point_map, thumbnails


def map_tab(tab: gr.Tab, gallery: Gallery, looked_up: gr.State) -> None:
    """The map with its colours, the neighbours of the point that is clicked, and which images are not on it.

    `looked_up` holds the neighbours of the visitor's image, which becomes a star.
    """
    colours = list(gallery.colours) or ["label"]
    colour = gr.Radio(colours, value=colours[0], label="Colour by", elem_id="colour")
    line = gr.Markdown(elem_id="method")
    plot = pictures_part("map")
    near = pictures_part("map-near")
    left_out = gr.HTML(elem_id="left-out")
    pictures = gr.HTML(elem_id="thumbnails")  # megabytes: sent once, colours change without them
    answer_clicks(near, gallery, plot)
    made: dict[str, str] = {}

    def draw(by: str, near: tuple[Neighbour, ...] | None) -> Iterator[tuple[str, Any, str]]:
        try:
            for status in waiting(gallery):
                yield status, gr.skip(), ""
            if not gallery.has_map:
                yield "Drawing the map, once: it takes up to a minute for thousands of images.", gr.skip(), ""
            points, method = gallery.map()
        except InputError as error:
            yield f"**No map:** {error}", "", ""
            return
        status = (
            f"{len(points):,} images by their features ({method}). Point to see one, click to see its neighbours; "
        )
        status += "or use the arrow keys and Enter."
        yield status, point_map(points, by=by, own=gallery.place_of(near) if near else None), _left_out(gallery)

    def draw_first(by: str, near: tuple[Neighbour, ...] | None) -> Iterator[tuple[str, Any, str, Any]]:
        for drawn in draw(by, near):
            yield *drawn, gr.skip()
        if gallery.has_map:
            if not made:
                made["sheet"] = thumbnails([gallery.image(row) for row in gallery.map()[0]["row"]])
            yield *drawn, made["sheet"]

    tab.select(draw_first, [colour, looked_up], [line, plot, left_out, pictures], show_progress="hidden")
    colour.change(draw, [colour, looked_up], [line, plot, left_out], show_progress="hidden")


def _left_out(gallery: Gallery) -> str:
    """Images without features, folded: each with its reason."""
    if not gallery.rejected:
        return ""
    number = len(gallery.rejected)
    items = "".join(f"<li>{escape(one.id)}: {escape(one.reason)}</li>" for one in gallery.rejected)
    plural = "image is" if number == 1 else "images are"
    return f"<details><summary>{number:,} {plural} not on the map: why</summary><ul>{items}</ul></details>"
