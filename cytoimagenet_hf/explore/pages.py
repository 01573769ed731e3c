"""HTML of the window: grids of images with whole captions, and the map with thumbnails. Text is escaped here."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
from PIL import Image

from cytoimagenet_hf.colours import OTHER, PALETTE

# Okabe and Ito's colours, distinct to colour-blind readers too; values beyond six share gray.

_SIDE, _THUMBNAIL = 256, 56  # pixels of a shown image, and of one under the pointer
_WIDTH, _HEIGHT, _MARGIN = 1000, 620, 14

CSS = """
.grid {display: grid; grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); gap: 12px; width: 100%}
.grid figure {margin: 0; min-width: 0}
.grid img {width: 100%; aspect-ratio: 1; object-fit: contain; background: #000; border-radius: 4px; display: block}
.grid .clickable {cursor: pointer}
.grid .none {aspect-ratio: 1; background: #8882; border-radius: 4px; display: grid; place-content: center}
.grid figcaption {font-size: 13px; line-height: 1.35; overflow-wrap: anywhere; padding-top: 4px}
.grid figcaption b {display: block}
.map {position: relative}
.map svg {width: 100%; height: auto; max-height: 70vh; display: block; background: #8881; border-radius: 6px}
.map circle {cursor: pointer; stroke: #fff8; stroke-width: 1}
.map circle.picked {stroke: #000; stroke-width: 4}
.map .tip {position: absolute; display: none; pointer-events: none; background: #000; color: #fff; padding: 4px;
  border-radius: 4px; font-size: 12px; width: 112px; z-index: 9}
.map .tip span {color: #fff !important}
.grid .own img {outline: 3px solid #d55e00}
@media (max-width: 600px) {.map circle {r: 13px}}
.map .tip i {display: block; width: 112px; height: 112px; background-repeat: no-repeat}
.legend {display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 13px; padding: 6px 0}
.legend i {display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 5px}
"""

JS = """
const rowOf = event => event.target.closest('[data-row]');
element.addEventListener('click', event => {
  const place = rowOf(event);
  if (!place) return;
  element.querySelectorAll('.picked').forEach(one => one.classList.remove('picked'));
  place.classList.add('picked');
  trigger('select', {row: Number(place.dataset.row)});
});
element.addEventListener('mousemove', event => {
  const tip = element.querySelector('.tip');
  if (!tip) return;
  const point = event.target.closest('circle');
  tip.style.display = point ? 'block' : 'none';
  if (!point) return;
  const box = element.querySelector('.map').getBoundingClientRect();
  const sheet = element.querySelector('.sheet'), across = Number(sheet.dataset.across), side = 112;
  const n = Number(point.dataset.place), thumbnail = tip.querySelector('i');
  thumbnail.style.backgroundImage = `url(${sheet.src})`;
  thumbnail.style.backgroundSize = `${across * side}px auto`;
  thumbnail.style.backgroundPosition = `-${n % across * side}px -${Math.floor(n / across) * side}px`;
  tip.querySelector('span').textContent = point.dataset.says;
  const x = event.clientX - box.left, y = event.clientY - box.top;
  tip.style.left = (x > box.width - 140 ? x - 135 : x + 14) + 'px';
  tip.style.top = (y > box.height - 150 ? y - 150 : y + 14) + 'px';
});
"""


def grid(
    images: Sequence[tuple[Image.Image | None, Sequence[str]]], *, rows: Sequence[int] | None = None, own: bool = False
) -> str:
    """Images beside each other, each over its caption.

    Args:
        images: with the lines of their captions; None where an image cannot be shown.
        rows: what a click on each tells the page; None: they cannot be clicked.
        own: set off the first, which the others were looked up for.
    """
    figures = []
    for number, (picture, lines) in enumerate(images):
        first, *rest = [escape(line) for line in lines] or [""]
        click = "" if rows is None else f' class="clickable" data-row="{int(rows[number])}"'
        click = ' class="own"' if own and number == 0 else click
        shown = (
            f'<img alt="{first}" src="{data_uri(picture)}">' if picture else '<div class="none">cannot be shown</div>'
        )
        figures.append(f"<figure{click}>{shown}<figcaption><b>{first}</b>{' · '.join(rest)}</figcaption></figure>")
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


def point_map(points: pd.DataFrame, thumbnails: str, *, by: str) -> str:
    """The map: a point per image, its thumbnail under the pointer, a legend of the six most frequent values.

    Args:
        points: columns `row`, `x`, `y`, `label` and `by`; the order is that of the thumbnails.
        thumbnails: `sheet` as a data address.
        by: column of the colours.
    """
    values = points[by].fillna("not stated").astype(str)
    counts = values.value_counts()
    colours = dict(zip(counts.index, PALETTE, strict=False))
    marks = [
        f'<span><i style="background:{colour}"></i>{escape(name)} ({counts[name]:,})</span>'
        for name, colour in colours.items()
    ]
    if others := len(counts) - len(colours):
        rest = int(counts.iloc[len(colours) :].sum())
        marks.append(f'<span><i style="background:{OTHER}"></i>{others:,} others ({rest:,})</span>')
    across, down = _scaled(points["x"], _WIDTH), _scaled(-points["y"], _HEIGHT)
    radius = 7 if len(points) < 600 else 4
    says = [
        label if value == label else f"{label} · {value}" for label, value in zip(points["label"], values, strict=True)
    ]
    circles = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colours.get(value, OTHER)}" data-row="{row}" '
        f'data-place="{place}" data-says="{escape(said)}"/>'
        for place, (x, y, value, row, said) in enumerate(zip(across, down, values, points["row"], says, strict=True))
    ]
    return (
        f'<div class="map"><div class="legend">{"".join(marks)}</div>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Images by their features">'
        f'{"".join(circles)}</svg><div class="tip"><i></i><span></span></div>'
        f'<img class="sheet" hidden alt="" data-across="{_across(len(points))}" src="{thumbnails}"></div>'
    )


def _scaled(values: "pd.Series[float]", length: int) -> list[float]:
    low, high = float(values.min()), float(values.max())
    share = (values - low) / (high - low or 1.0)
    return [float(one) for one in _MARGIN + share * (length - 2 * _MARGIN)]
