"""HTML of the window: grids of images with whole captions, and the map with thumbnails. Text is escaped here."""

import base64
import io
from collections.abc import Sequence
from html import escape
from importlib.resources import files

import numpy as np
import pandas as pd
from PIL import Image

from cytoimagenet_hf.core.colours import CATEGORIES, OTHER

_SIDE, _THUMBNAIL = 256, 56  # pixels of a shown image, and of one under the pointer
_MARGIN = 2.0  # percent of the map's width and height
_UNKNOWN = "not stated"
_UNKNOWN_COLOUR = "#99999955"  # paler than OTHER on light pages and on dark ones


def asset(name: str) -> str:
    """A style or script of the window: a file beside this module."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def grid(
    images: Sequence[tuple[Image.Image | None, Sequence[str]]], *, rows: Sequence[int] | None = None, own: bool = False
) -> str:
    """Images beside each other, each over the lines of its caption; None where an image cannot be shown.

    `rows` are what a click on each tells the page, none where they cannot be clicked; `own` sets off the first, which
    the others were looked up for.
    """
    figures = []
    for number, (picture, lines) in enumerate(images):
        first, *rest = [escape(line) for line in lines] or [""]
        kind = " ".join(["own"] * (own and number == 0) + ["clickable"] * (rows is not None))
        click = "" if rows is None else f' data-row="{int(rows[number])}" tabindex="0" role="button"'
        lines_below = "".join(f"<span>{line}</span>" for line in rest)
        shown = (
            f'<img alt="{first}" src="{data_uri(picture)}">' if picture else '<div class="none">cannot be shown</div>'
        )
        caption = f"<figcaption><b>{first}</b>{lines_below}</figcaption>"
        figures.append(f'<figure class="{kind}"{click}>{shown}{caption}</figure>')
    return f'<div class="grid">{"".join(figures)}</div>'


def data_uri(picture: Image.Image, *, side: int = _SIDE) -> str:
    """An image as an address that holds it, at most `side` pixels wide and high."""
    small = picture.convert("L")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def sheet(images: Sequence[Image.Image | None]) -> Image.Image:
    """All thumbnails in one picture, as many across as down."""
    across = _across(len(images))
    whole = Image.new("L", (across * _THUMBNAIL, -(-len(images) // across) * _THUMBNAIL))
    for number, picture in enumerate(images):
        if picture is not None:
            small = picture.convert("L").resize((_THUMBNAIL, _THUMBNAIL))
            whole.paste(small, (number % across * _THUMBNAIL, number // across * _THUMBNAIL))
    return whole


def _across(number: int) -> int:
    return max(1, int(np.ceil(np.sqrt(number))))


def thumbnails(images: Sequence[Image.Image | None]) -> str:
    """What `point_map` shows under the pointer: `sheet`, hidden, in the order of the points."""
    address = data_uri(sheet(images), side=1 << 14)
    return f'<img class="sheet" hidden alt="" data-across="{_across(len(images))}" src="{address}">'


def point_map(points: pd.DataFrame, *, by: str, own: tuple[float, float] | None = None) -> str:
    """The map: a point per image, its thumbnail under the pointer, a legend of the six most frequent values.

    `points` has the columns `row`, `x`, `y`, `label` and `by`, in the order of the thumbnails; `own` is the place of a
    visitor's image, which has no row: a star.
    """
    values = points[by].astype("str").where(points[by].notna(), _UNKNOWN)
    counts = values[points[by].notna()].value_counts()
    colours = dict(zip(counts.index, CATEGORIES, strict=False))
    marks = [(colour, f"{name} ({counts[name]:,})") for name, colour in colours.items()]
    if others := len(counts) - len(colours):
        rest = int(counts.iloc[len(colours) :].sum())
        marks.append((OTHER, f"{others:,} other{'s' * (others > 1)} ({rest:,})"))
    if unknown := int(points[by].isna().sum()):
        marks.append((_UNKNOWN_COLOUR, f"{_UNKNOWN} ({unknown:,})"))
    legend = "".join(f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for colour, name in marks)
    across, down = _scaled(points["x"]), _scaled(-points["y"])
    star = ""
    if own is not None:
        legend += "<span><b>★</b> your image, between its nearest</span>"
        x, y = _scaled(points["x"], own[0])[-1], _scaled(-points["y"], -own[1])[-1]
        star = f'<text class="star" x="{x:.2f}%" y="{y:.2f}%"><title>Your image</title>★</text>'
    radius = 6 if len(points) < 600 else 4
    fills = [_UNKNOWN_COLOUR if value == _UNKNOWN else colours.get(value, OTHER) for value in values]
    says = [
        label if value == label else f"{label} · {value}" for label, value in zip(points["label"], values, strict=True)
    ]
    circles = [
        f'<circle cx="{across[place]:.2f}%" cy="{down[place]:.2f}%" r="{radius}" fill="{fills[place]}" '
        f'data-row="{points["row"].iat[place]}" data-place="{place}" data-says="{escape(says[place])}"/>'
        # Gray first: what has a colour lies above what has none.
        for place in sorted(range(len(points)), key=lambda place: fills[place] in CATEGORIES)
    ]
    return (
        f'<div class="map"><div class="legend">{legend}</div><div class="stage">'
        '<div class="frame" tabindex="0" role="application" '
        'aria-label="Map: arrow keys go from image to image, Enter shows the neighbours, plus and minus zoom">'
        f'<svg role="img" aria-label="Images by their features">{"".join(circles)}{star}</svg></div>'
        '<div class="zoom"><button type="button" data-zoom="1.6" aria-label="Larger">+</button>'
        '<button type="button" data-zoom="0.625" aria-label="Smaller">−</button></div></div>'
        '<div class="tip"><i></i><span></span></div></div>'
    )


def _scaled(values: "pd.Series[float]", *more: float) -> list[float]:
    """Percent of the map's width or height, of the values and of places among them."""
    low, high = float(values.min()), float(values.max())
    share = (np.array([*values, *more]) - low) / (high - low or 1.0)
    return [float(one) for one in _MARGIN + share * (100 - 2 * _MARGIN)]
