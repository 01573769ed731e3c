"""The first tab: the images by page, filtered by what is known of them."""

from typing import Any

import gradio as gr

from .clicks import answer_clicks, pictures, pictures_part
from .gallery import Gallery

_ANY = "any"


def browse_tab(app: gr.Blocks, gallery: Gallery) -> None:
    """Filters, pages with totals and, with a model, the neighbours of the image that is clicked."""
    with gr.Row(elem_classes="filters"):
        filters = [
            gr.Dropdown(
                [_ANY, *gallery.choices(column)],
                value=_ANY,
                label=column.replace("dir_name", "source").replace("_", " "),
                min_width=140,
            )
            for column in gallery.filters
        ]
    number = gr.State(1)
    above = _pager()
    near = pictures_part("near")
    page = pictures_part("browse")
    below = _pager()
    if gallery.has_model:
        answer_clicks(near, gallery, page)

    def show(number: int, *values: str) -> tuple[Any, ...]:
        wanted = {
            column: None if value == _ANY else value for column, value in zip(gallery.filters, values, strict=True)
        }
        part = gallery.browse(wanted, page=number)
        line = (
            f"{part.first + 1:,} to {part.first + len(part.rows):,} of {part.total:,} images, page {part.number:,} of "
            f"{part.pages:,}"
            if part.rows
            else "No image has all of these."
        )
        pager = (gr.Button(interactive=part.number > 1), line, gr.Button(interactive=part.number < part.pages))
        return (part.number, pictures(gallery, part.rows, clickable=gallery.has_model), *pager, *pager)

    shown = [number, page, *above, *below]
    for box in filters:
        box.change(lambda *values: show(1, *values), filters, shown, show_progress="hidden")
    to_top = "() => document.querySelector('.pager').scrollIntoView({behavior: 'smooth', block: 'nearest'})"
    for back, _, ahead in (above, below):
        for button, step in ((back, -1), (ahead, 1)):
            button.click(
                lambda number, *values, step=step: show(number + step, *values),
                [number, *filters],
                shown,
                show_progress="hidden",
            ).then(None, js=to_top)
    app.load(show, [number, *filters], shown, show_progress="hidden")


def _pager() -> tuple[gr.Button, gr.Markdown, gr.Button]:
    with gr.Row(elem_classes="pager"):
        back = gr.Button("← Previous", size="md", min_width=120)
        found = gr.Markdown(elem_classes="found")
        ahead = gr.Button("Next →", size="md", min_width=120)
    return back, found, ahead
