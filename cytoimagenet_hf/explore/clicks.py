"""Images and their neighbours as HTML, and what a click on an image shows."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from html import escape

import gradio as gr

from cytoimagenet_hf.core.errors import InputError

from .gallery import Gallery, Neighbour
from .pages import asset, grid


def pictures_part(name: str) -> gr.HTML:
    """An empty part of the window for a grid or the map: what is clicked in it selects a row."""
    return gr.HTML(elem_id=name, css_template=asset("parts.css"), js_on_load=asset("parts.js"))


def pictures(gallery: Gallery, rows: Sequence[int], *, clickable: bool = True) -> str:
    """Rows of the sample as a grid with their captions."""
    return grid([(gallery.image(row), gallery.caption(row)) for row in rows], rows=rows if clickable else None)


def neighbours(gallery: Gallery, nearest: tuple[Neighbour, ...], *, of: int | None = None) -> str:
    """Neighbours as a grid, nearest first, with their distances; before them the row that they are neighbours of."""
    near = [(gallery.image(one.row), (*gallery.caption(one.row), f"distance {one.distance:.4f}")) for one in nearest]
    first = [] if of is None else [(gallery.image(of), gallery.caption(of))]
    rows = [*([] if of is None else [of]), *(one.row for one in nearest)]
    return grid([*first, *near], rows=rows, own=of is not None)


def waiting(gallery: Gallery) -> Iterator[str]:
    """How far the features are, twice a second until they are there.

    Raises:
        InputError: they cannot be extracted.
    """
    if gallery.is_ready:
        return
    with ThreadPoolExecutor(1) as pool:
        extraction = pool.submit(gallery.extract)
        while not extraction.done():
            done, total = gallery.images_done, len(gallery.rows)
            yield f"Extracting features, once: {done:,} of {total:,} images ({done / total:.0%})."
            wait([extraction], timeout=0.5)
        extraction.result()


def answer_clicks(near: gr.HTML, gallery: Gallery, *sources: gr.HTML) -> None:
    """A click in a grid, on the map or among neighbours shows in `near` the image and its own neighbours."""

    def answer(event: gr.EventData) -> Iterator[str]:
        row = int(event.row)
        try:
            for line in waiting(gallery):
                yield f'<div class="near">{escape(line)}</div>'
            nearest = gallery.neighbours_of(row, k=7)
        except InputError as error:
            yield f'<div class="near"><b>No neighbours:</b> {escape(str(error))}</div>'
            return
        title = "<h3>This image, and the nearest by cosine distance of their features</h3>"
        yield f'<div class="near strip">{title}{neighbours(gallery, nearest, of=row)}</div>'

    show = f"() => document.getElementById('{near.elem_id}').scrollIntoView({{behavior: 'smooth', block: 'nearest'}})"
    for source in (*sources, near):
        source.select(answer, None, near, show_progress="hidden").then(None, js=show)
