"""The window itself: a Gradio app over a `Gallery`. Every refusal is a line of text beside what caused it."""

from typing import Any

import gradio as gr

from cytoimagenet_hf.errors import InputError

from .gallery import FILTERS, Gallery

MAX_UPLOAD = "200mb"
_ANY = "any"
_UPLOADS = [".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy"]


def build_app(gallery: Gallery) -> gr.Blocks:
    """The app: browse by metadata, look up an image of one's own, a map of features.

    Args:
        gallery: what to show.
    """
    with gr.Blocks(title="CytoImageNet explorer", analytics_enabled=False) as app:
        gr.Markdown(f"# CytoImageNet explorer\n{_size_line(gallery)}")
        with gr.Tab("Browse"):
            _browse_tab(app, gallery)
        if gallery.has_model:
            with gr.Tab("Your image"):
                _look_up_tab(gallery)
            with gr.Tab("Map"):
                _map_tab(gallery)
    return app


def _size_line(gallery: Gallery) -> str:
    shown, total = len(gallery.rows), gallery.total
    images = f"{total:,} images" if shown == total else f"{shown:,} of {total:,} images"
    return f"{images}, {gallery.rows['label'].nunique()} classes, {gallery.rows['dir_name'].nunique()} sources"


def _browse_tab(app: gr.Blocks, gallery: Gallery) -> None:
    with gr.Row():
        filters = [
            gr.Dropdown(
                [_ANY, *gallery.choices(column)],
                value=_ANY,
                label=column.replace("dir_name", "source").replace("_", " "),
            )
            for column in FILTERS
        ]
    found = gr.Markdown()
    pictures = gr.Gallery(columns=8, object_fit="contain", label="Images", show_label=False, elem_id="browse")

    def show(*values: str) -> tuple[list[Any], str]:
        wanted = {column: None if value == _ANY else value for column, value in zip(FILTERS, values, strict=True)}
        images = gallery.browse(wanted)
        return images, f"{len(images)} shown" if images else "No image has all of these."

    for box in filters:
        box.change(show, filters, [pictures, found], show_progress="hidden")
    app.load(show, filters, [pictures, found], show_progress="hidden")


def _look_up_tab(gallery: Gallery) -> None:
    gr.Markdown(
        "Drop the channels of one field of view: one multi-channel file or one file per channel, any bit depth."
    )
    with gr.Row():
        upload = gr.File(file_count="multiple", file_types=_UPLOADS, label="Image files", elem_id="upload")
        seen = gr.Image(
            label="As the network sees it", type="pil", image_mode="L", interactive=False, height=300, elem_id="seen"
        )
        labels = gr.Label(num_top_classes=5, label="Labels of its neighbours")
    message = gr.Markdown(elem_id="message")
    near = gr.Gallery(columns=8, height=220, object_fit="contain", label="Nearest images", elem_id="neighbours")

    def answer(files: list[str] | None) -> tuple[Any, Any, list[Any], str]:
        if not files:
            return None, None, [], ""
        try:
            found = gallery.look_up(files)
        except InputError as error:
            return None, None, [], f"**This cannot be used:** {_without_folders(str(error), files)}"
        return found.seen, dict(found.labels), gallery.neighbours_with_images(found), ""

    upload.change(answer, upload, [seen, labels, near, message])


def _map_tab(gallery: Gallery) -> None:
    table = gallery.map()
    gr.Markdown("First two principal components of the features.")
    colour = gr.Radio(["category", "source"], value="category", label="Colour by")
    plot = gr.ScatterPlot(table, x="x", y="y", color="category", height=520, elem_id="map")
    colour.change(lambda by: gr.ScatterPlot(table, x="x", y="y", color=by, height=520), colour, plot)


def _without_folders(message: str, files: list[str]) -> str:
    """The message with bare file names: where the server keeps uploads is nobody's business."""
    for file in files:
        message = message.replace(str(file), str(file).replace("\\", "/").rsplit("/", 1)[-1])
    return message


def launch(gallery: Gallery, *, host: str = "127.0.0.1", port: int | None = None) -> None:
    """Serve the app until interrupted; files outside the app's own uploads are not served."""
    build_app(gallery).queue().launch(
        server_name=host, server_port=port, max_file_size=MAX_UPLOAD, allowed_paths=[], show_error=False
    )
