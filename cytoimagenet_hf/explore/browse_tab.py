"""The first tab: the images by page, filtered by what is known of them."""

from typing import Any

import gradio as gr

from .clicks import answer_clicks, pictures, pictures_part
from .gallery import Gallery


def browse_tab(app: gr.Blocks, gallery: Gallery) -> None:
    """Filters with counts, an order, pages with totals and, with a model, the neighbours of the image clicked."""
    with gr.Row(elem_classes="filters"):
        filters = [
            gr.Dropdown(_options(gallery.choices(column)), value=None, label=_named(column), min_width=140)
            for column in gallery.filters
        ]
        order = gr.Dropdown(
            [(_named(name), name) for name in gallery.orders], value="shuffled", label="order", min_width=140
        )
        reset = gr.Button("Reset", size="md", min_width=90, elem_classes="reset")
    number = gr.State(1)
    above = _pager()
    near = pictures_part("near")
    page = pictures_part("browse")
    below = _pager()
    if gallery.has_model:
        answer_clicks(near, gallery, page)

    def show(number: int, order: str, *values: str | None) -> tuple[Any, ...]:
        wanted = dict(zip(gallery.filters, values, strict=True))
        part = gallery.browse(wanted, page=number, order=order or "shuffled")
        line = (
            f"{part.first + 1:,} to {part.first + len(part.rows):,} of {part.total:,} images, page {part.number:,} of "
            f"{part.pages:,}"
            if part.rows
            else "No image has all of these: choose others, or reset."
        )
        pager = (gr.Button(interactive=part.number > 1), line, gr.Button(interactive=part.number < part.pages))
        return (part.number, pictures(gallery, part.rows, clickable=gallery.has_model), *pager, *pager)

    def narrow(order: str, *values: str | None) -> tuple[Any, ...]:
        """The first page of what is wanted, and how many images each choice of a filter would leave."""
        wanted = dict(zip(gallery.filters, values, strict=True))
        boxes = [
            gr.Dropdown(_options(gallery.choices(column, wanted), value), value=value or None)
            for column, value in wanted.items()
        ]
        return (*show(1, order, *values), *boxes)

    def clear() -> tuple[Any, ...]:
        return ("shuffled", *narrow("shuffled", *[None] * len(filters)))

    shown = [number, page, *above, *below]
    for box in filters:
        box.input(narrow, [order, *filters], [*shown, *filters], show_progress="hidden")
    order.input(lambda *given: show(1, *given), [order, *filters], shown, show_progress="hidden")
    reset.click(clear, None, [order, *shown, *filters], show_progress="hidden")
    to_top = "() => document.querySelector('.pager').scrollIntoView({behavior: 'smooth', block: 'nearest'})"
    for back, _, ahead in (above, below):
        for button, step in ((back, -1), (ahead, 1)):
            button.click(
                lambda number, *given, step=step: show(number + step, *given),
                [number, order, *filters],
                shown,
                show_progress="hidden",
            ).then(None, js=to_top)
    app.load(show, [number, order, *filters], shown, show_progress="hidden")


def _named(column: str) -> str:
    return column.replace("dir_name", "source").replace("_", " ")


def _options(counts: dict[str, int], chosen: str | None = None) -> list[tuple[str, str]]:
    """What a filter offers: to let all through, and each value with its number of images."""
    kept = counts if not chosen or chosen in counts else {chosen: 0} | counts
    return [("any", ""), *((f"{value} ({count:,})", value) for value, count in kept.items())]


def _pager() -> tuple[gr.Button, gr.Markdown, gr.Button]:
    with gr.Row(elem_classes="pager"):
        back = gr.Button("← Previous", size="md", min_width=120)
        total = gr.Markdown(elem_classes="found")
        ahead = gr.Button("Next →", size="md", min_width=120)
    return back, total, ahead
