"""The third tab: a visitor's own image and the images nearest to it."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images.remote import is_address

from .clicks import answer_clicks, neighbours, pictures_part, waiting
from .gallery import Answer, Gallery
from .pages import grid
from .upload import keep_within


def upload_tab(gallery: Gallery, looked_up: gr.State, *, addresses: bool = False) -> None:
    """Files in; each channel as the network sees it, the nearest images, and whether they are near, out.

    `looked_up` keeps the neighbours of the last image for the map; `addresses`: whether an address may be given, which
    this machine then opens.
    """
    gr.Markdown(
        "Drop one field of view, at any bit depth: one file per channel, a stack, or a microscope's file (.nd2, .czi, "
        ".lif, .dv, .flex, OME-TIFF). Of several fields of a plate you choose which to look up."
    )
    upload = gr.File(file_count="multiple", label="Image files", elem_id="upload", height=180)
    address = gr.Textbox(
        label="Or an address",
        info="s3://, https:// or hf:// of an image, a plate.zarr or a folder",
        elem_id="address",
        visible=addresses,
    )
    message = gr.Markdown(elem_id="message")
    field = gr.Dropdown(label="Image", elem_id="field", visible=False, interactive=True)
    seen = pictures_part("seen")
    near = pictures_part("neighbours")
    beside = pictures_part("their-neighbours")
    answer_clicks(beside, gallery, near)

    def answer(files: list[str] | None, image: str | None) -> Iterator[tuple[Any, ...]]:
        if not files:
            yield "", gr.Dropdown(visible=False), "", "", "", None
            return
        if not is_address(files[0]):
            keep_within(Path(get_upload_folder()), spared=files)
        try:
            for line in waiting(gallery):
                yield line, gr.skip(), "", "", "", None
            yield "Reading the image and looking for its nearest …", gr.skip(), "", "", "", None
            nearest = gallery.look_up(files, image=image)
        except InputError as error:
            sentence = f"**This cannot be used:** {_without_folders(str(error), files)}"
            yield sentence, gr.Dropdown(visible=False) if image is None else gr.skip(), "", "", "", None
            return
        number = len(nearest.images)
        label = f"Which of the {number:,} images in these files"
        choice = gr.Dropdown(list(nearest.images), value=nearest.image, label=label, visible=number > 1)
        sentence = f"{nearest.note} The map shows it, too, as a star.".strip()
        yield sentence, choice, _channels(nearest), _found(gallery, nearest), "", nearest.neighbours

    def first(files: list[str] | None) -> Iterator[tuple[Any, ...]]:
        yield from answer(files, None)

    def at_address(text: str) -> Iterator[tuple[Any, ...]]:
        yield from answer(_given(None, text) if addresses else None, None)

    def another(files: list[str] | None, text: str, image: str | None) -> Iterator[tuple[Any, ...]]:
        yield from answer(_given(files, text if addresses else ""), image)

    shown = [message, field, seen, near, beside, looked_up]
    # A network takes a gigabyte for the largest image: one visitor after the other.
    one_by_one = {"concurrency_limit": 1, "concurrency_id": "look up", "show_progress": "hidden"}
    upload.change(first, upload, shown, **one_by_one)
    upload.upload(lambda: "", None, address)
    address.submit(at_address, address, shown, **one_by_one)
    field.input(another, [upload, address, field], shown, **one_by_one)


def _given(files: list[str] | None, text: str) -> list[str] | None:
    """The address, if there is one, else the files.

    Raises:
        gr.Error: a text that is no address: a file of this machine is not opened for a visitor.
    """
    if not text.strip():
        return files
    if not is_address(text.strip()):
        raise gr.Error("this is no address: write s3://…, https://… or hf://…")
    return [text.strip()]


def _channels(answer: Answer) -> str:
    parts = [(picture, (_channel_name(name),)) for name, picture in answer.channels.items()]
    merged = (answer.seen, ("merged", "what is looked up"))
    shown = [*parts, merged] if len(parts) > 1 else [(answer.seen, parts[0][1])]
    return f'<div class="strip"><h3>As the network sees it</h3>{grid(shown)}</div>'


def _channel_name(name: str) -> str:
    return f"channel {name}" if name.isdigit() else name


def _found(gallery: Gallery, answer: Answer) -> str:
    """The neighbours, what labels they have, and whether they are near at all."""
    labels = ", ".join(f"{escape(label)} ({count})" for label, count in answer.labels.items())
    line = f"Their labels: {labels}."
    if answer.usual is not None and answer.neighbours[0].distance > answer.usual:
        line += (
            f" <b>None of them is really like it:</b> the nearest is at {answer.neighbours[0].distance:.4f}, and 95 % "
            f"of this dataset's images have another within {answer.usual:.4f}."
        )
    title = f"<h3>The {len(answer.neighbours)} nearest images by cosine distance of their features</h3>"
    return f'<div class="strip">{title}<p>{line}</p>{neighbours(gallery, answer.neighbours)}</div>'


def _without_folders(message: str, files: list[str]) -> str:
    """The message with bare file names: server paths are stripped."""
    for file in files:
        message = message.replace(str(file), str(file).replace("\\", "/").rsplit("/", 1)[-1])
    return message
