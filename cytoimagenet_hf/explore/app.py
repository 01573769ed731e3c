"""The window itself: a Gradio app over a `Gallery`. Every rejection is a line of text beside what caused it."""

import sys
import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

from cytoimagenet_hf.errors import InputError

from .gallery import COLOURS, FILTERS, Gallery, Neighbour
from .pages import CSS, JS, data_uri, grid, point_map, sheet

MAX_UPLOAD = "200mb"
_ANY = "any"
_WAIT = "The features of {:,} images are being extracted, once; this page goes on by itself. Browse meanwhile."


def build_app(gallery: Gallery) -> gr.Blocks:
    """The app: browse by metadata, look up an image of one's own, a map of features.

    Args:
        gallery: what to show.
    """
    with gr.Blocks(title="CytoImageNet explorer", analytics_enabled=False) as app:
        gr.Markdown("# CytoImageNet explorer")
        gr.Markdown(lambda: _size_line(gallery))  # asked at every visit: what was left out is known after a while
        with gr.Tab("Browse"):
            _browse_tab(app, gallery)
        if gallery.has_model:
            with gr.Tab("Map") as tab:
                _map_tab(tab, gallery)
            with gr.Tab("Your image"):
                _look_up_tab(gallery)
    return app


def _size_line(gallery: Gallery) -> str:
    shown, total = len(gallery.rows), gallery.total
    images = f"{total:,} images" if shown == total else f"A sample of {shown:,} of {total:,} images"
    line = f"{images}, {gallery.rows['label'].nunique()} classes, {gallery.rows['dir_name'].nunique()} sources"
    if gallery.rejected:
        first = gallery.rejected[0]
        line += f". {len(gallery.rejected)} left out of neighbours and map: {first.id} ({first.reason})"
    return line


def _pictures(gallery: Gallery, rows: Any, *, clickable: bool = True) -> str:
    rows = list(rows)
    return grid([(gallery.image(row), gallery.caption(row)) for row in rows], rows=rows if clickable else None)


def _near(gallery: Gallery, found: tuple[Neighbour, ...], *, of: int | None = None) -> str:
    """Neighbours as a grid, nearest first, with their distances; before them the row that they are neighbours of."""
    near = [(gallery.image(one.row), (*gallery.caption(one.row), f"distance {one.distance:.3f}")) for one in found]
    first = [] if of is None else [(gallery.image(of), gallery.caption(of))]
    return grid([*first, *near], own=of is not None)


def _neighbours_below(source: gr.HTML, gallery: Gallery, *, elem_id: str) -> None:
    """Under a grid or map: the image that was clicked, and its neighbours."""
    title = gr.Markdown()
    near = gr.HTML(elem_id=elem_id, css_template=CSS)

    def answer(event: gr.EventData) -> Iterator[tuple[str, str]]:
        row = int(event.row)
        if not gallery.is_ready:
            yield _WAIT.format(len(gallery.rows)), ""
        try:
            found = gallery.neighbours_of(row, k=7)
        except InputError as error:
            yield f"**No neighbours:** {error}", ""
            return
        yield "### This image, then the nearest by cosine distance", _near(gallery, found, of=row)

    into_view = f"() => document.getElementById('{elem_id}').scrollIntoView({{behavior: 'smooth', block: 'nearest'}})"
    source.select(answer, None, [title, near], show_progress="hidden").then(None, js=into_view)


def _browse_tab(app: gr.Blocks, gallery: Gallery) -> None:
    with gr.Row():
        filters = [
            gr.Dropdown(
                [_ANY, *gallery.choices(column)],
                value=_ANY,
                label=column.replace("dir_name", "source").replace("_", " "),
                min_width=140,
            )
            for column in FILTERS
        ]
    number = gr.State(1)
    with gr.Row(equal_height=True):
        back = gr.Button("← Previous", size="sm", min_width=90)
        found = gr.Markdown(elem_id="found")
        ahead = gr.Button("Next →", size="sm", min_width=90)
    pictures = gr.HTML(elem_id="browse", css_template=CSS, js_on_load=JS)
    if gallery.has_model:
        _neighbours_below(pictures, gallery, elem_id="near")

    def show(page: int, *values: str) -> tuple[Any, ...]:
        wanted = {column: None if value == _ANY else value for column, value in zip(FILTERS, values, strict=True)}
        part = gallery.browse(wanted, page=page)
        line = (
            f"{part.first + 1:,} to {part.first + len(part.rows):,} of {part.total:,} images, page {part.number} of "
            f"{part.pages}"
            if part.rows
            else "No image has all of these."
        )
        return (
            part.number,
            line,
            _pictures(gallery, part.rows, clickable=gallery.has_model),
            gr.Button(interactive=part.number > 1),
            gr.Button(interactive=part.number < part.pages),
        )

    shown = [number, found, pictures, back, ahead]
    for box in filters:
        box.change(lambda *values: show(1, *values), filters, shown, show_progress="hidden")
    back.click(lambda page, *values: show(page - 1, *values), [number, *filters], shown, show_progress="hidden")
    ahead.click(lambda page, *values: show(page + 1, *values), [number, *filters], shown, show_progress="hidden")
    app.load(show, [number, *filters], shown, show_progress="hidden")


def _map_tab(tab: gr.Tab, gallery: Gallery) -> None:
    colour = gr.Radio(list(COLOURS), value="category", label="Colour by", elem_id="colour")
    line = gr.Markdown(elem_id="method")
    plot = gr.HTML(elem_id="map", css_template=CSS, js_on_load=JS)
    _neighbours_below(plot, gallery, elem_id="map-near")
    made: dict[str, str] = {}

    def draw(by: str) -> Iterator[tuple[str, str]]:
        if not made:
            yield (
                "The map is being made; it takes some seconds."
                if gallery.is_ready
                else _WAIT.format(len(gallery.rows)),
                "",
            )
        try:
            points, method = gallery.map()
        except InputError as error:
            yield f"**No map:** {error}", ""
            return
        if not made:
            made["sheet"] = data_uri(sheet([gallery.image(row) for row in points["row"]]), side=1 << 14)
        said = f"{len(points):,} images by their features ({method}). Point to see one, click to see its neighbours."
        yield said, point_map(points, made["sheet"], by=by)

    tab.select(draw, colour, [line, plot])
    colour.change(draw, colour, [line, plot], show_progress="hidden")


def _look_up_tab(gallery: Gallery) -> None:
    gr.Markdown(
        "Drop the channels of one field of view, at any bit depth: a stack, a microscope's file (.nd2, .czi, .lif, "
        ".dv, .flex, OME-TIFF), or one file per channel."
    )
    upload = gr.File(file_count="multiple", label="Image files", elem_id="upload", height=140)
    message = gr.Markdown(elem_id="message")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            seen = gr.HTML(elem_id="seen", css_template=CSS)
        with gr.Column(scale=1, min_width=240):
            labels = gr.Label(num_top_classes=5, label="Labels of its neighbours", visible=False)
    near = gr.HTML(elem_id="neighbours", css_template=CSS)

    def answer(files: list[str] | None) -> tuple[Any, ...]:
        if not files:
            return "", "", gr.Label(visible=False), ""
        try:
            found = gallery.look_up(files)
        except InputError as error:
            said = f"**This cannot be used:** {_without_folders(str(error), files)}"
            return said, "", gr.Label(visible=False), ""
        parts = list(found.channels.items()) if len(found.channels) > 1 else []
        pictures = [*parts, ("together" if parts else next(iter(found.channels)), found.seen)]
        return (
            found.note,
            "<h3>As the network sees it</h3>" + grid([(picture, (name,)) for name, picture in pictures]),
            gr.Label(dict(found.labels), visible=True),
            "<h3>Nearest images, by cosine distance</h3>" + _near(gallery, found.neighbours),
        )

    upload.change(answer, upload, [message, seen, labels, near])


def _without_folders(message: str, files: list[str]) -> str:
    """The message with bare file names: where the server keeps uploads is nobody's business."""
    for file in files:
        message = message.replace(str(file), str(file).replace("\\", "/").rsplit("/", 1)[-1])
    return message


def launch(gallery: Gallery, *, host: str = "127.0.0.1", port: int | None = None) -> None:
    """Serve the app until interrupted; files outside the app's own uploads are not served."""
    app = build_app(gallery).queue()
    app.launch(
        server_name=host,
        server_port=port,
        max_file_size=MAX_UPLOAD,
        allowed_paths=[],
        show_error=False,
        prevent_thread_lock=True,
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
