"""Where each well lies between the controls, how the response follows the dose, and the wells in two dimensions."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cytoimagenet_hf.core.colours import PALETTE
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.profiles.embedding import Embedding
from cytoimagenet_hf.profiles.screening import Response, Separation, group_name

from .svg import FAINT, GRID, INK, OTHER, PAPER, drawing, line, number, scale, text, ticks, well_mark

_BLUE, _RED, _GREEN = PALETTE[:3]
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 560.0, 320.0, 62.0, 52.0, 40.0, 30.0


def control_strips(
    separation: Separation,
    scores: npt.NDArray[np.float64],
    roles: Sequence[str],
    ids: Sequence[str],
    *,
    on_plate: bool = True,
) -> str:
    """Scores of the controls of one plate and compound, with bars of three deviations: Z' measures the gap.

    Scores, roles and ids are (n,) of the plate's wells; `on_plate` names the plate and the setting.
    """
    height, left = 150.0, 110.0
    kinds = (("negative", "negative", _BLUE), ("positive", separation.compound, _RED))
    wells = [np.flatnonzero([role == kind for role in roles]) for kind, _, _ in kinds]
    middles = [scores[rows].mean() for rows in wells]
    bars = [3 * scores[rows].std(ddof=1) for rows in wells]
    ends = [middle + sign * bar for middle, bar in zip(middles, bars, strict=True) for sign in (-1, 1)]
    everything = np.concatenate([ends, *(scores[rows] for rows in wells)])
    low, high = everything.min() - 0.05, everything.max() + 0.05
    across = scale(low, high, left, _WIDTH - _RIGHT)
    verdict = "good enough for screening" if separation.z_prime > 0.5 else "too close for screening"
    title = f"{_named(separation, on_plate)}: Z′ {separation.z_prime:.2f}, SSMD {separation.ssmd:.1f}"
    parts = [text(0, 16, title, size=14), text(0, 34, f"{verdict} (Z′ above 0.5 is)", colour=FAINT)]
    for tick in ticks(low, high):
        parts.append(line(across(tick), 44, across(tick), height - 34))
        parts.append(text(across(tick), height - 20, number(tick), anchor="middle", colour=FAINT))
    parts.append(
        text((left + _WIDTH) / 2, height - 4, "score: 0 the negative, 1 the positive controls' mean", anchor="middle")
    )
    rng = derive_rng(0, "strip", separation.plate + separation.setting + separation.compound)
    for y, (_, name, colour), rows, middle, bar in zip((62, 96), kinds, wells, middles, bars, strict=True):
        parts.append(text(left - 10, y + 4, name if len(name) < 15 else name[:14] + "…", anchor="end"))
        parts.append(line(across(middle - bar), y, across(middle + bar), y, colour=colour, width=3))
        parts.append(line(across(middle), y - 9, across(middle), y + 9, colour=colour, width=3))
        for row, jitter in zip(rows.tolist(), rng.uniform(-8, 8, len(rows)), strict=True):
            parts.append(_dot(across(scores[row]), y + jitter, colour, ids[row]))
    return drawing(_WIDTH, height, parts, label=title)


def dose_curve(response: Response, untreated: Sequence[float], *, unit: str, on_plate: bool = True) -> str:
    """Response against dose, with the negative controls (`untreated`) at no dose, the curve and its half response."""
    dose, answer = np.array(response.dose), np.array(response.response)
    tested = np.log10(dose)
    low, high = tested.min() - 0.15, tested.max() + 0.15
    none = low - 0.12 * (high - low)  # where wells without a dose stand
    everything = np.concatenate([answer, np.asarray(untreated, float)])
    bottom, top = everything.min(), everything.max()
    room = 0.08 * (top - bottom or 1.0)
    bottom, top = bottom - room, top + room

    x = scale(none - 0.04 * (high - low), high, _LEFT, _WIDTH - _RIGHT)
    y = scale(bottom, top, _HEIGHT - _BOTTOM, _TOP)
    caption = f"Spearman {response.spearman:.2f}"
    if response.curve is not None:
        interval = " to ".join(number(end) for end in response.curve.interval)
        caption += f", EC50 {number(response.curve.ec50)} {unit} (95 %: {interval})"
    else:
        caption += f"; no curve: {response.why_no_curve}"
    parts = [text(0, 16, _named(response, on_plate), size=14), text(0, 33, caption, colour=FAINT)]
    for tick in ticks(bottom, top):
        parts += [
            line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick)),
            text(_LEFT - 8, y(tick) + 4, number(tick), anchor="end", colour=FAINT),
        ]
    for decade in range(int(np.ceil(low)), int(np.floor(high)) + 1):
        parts.append(line(x(decade), _HEIGHT - _BOTTOM, x(decade), _HEIGHT - _BOTTOM + 5, colour=INK))
        parts.append(text(x(decade), _HEIGHT - _BOTTOM + 19, number(10.0**decade), anchor="middle", colour=FAINT))
    parts.append(line(_LEFT, _HEIGHT - _BOTTOM, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, colour=INK))
    parts.append(text(x(none), _HEIGHT - _BOTTOM + 19, "0", anchor="middle", colour=FAINT))
    parts.append(text((_LEFT + _WIDTH) / 2, _HEIGHT - 8, f"dose{f', {unit}' if unit else ''}", anchor="middle"))
    label = {"score": "score, 0 negative to 1 positive", "distance": "distance from controls"}.get(
        response.measured_on, response.measured_on
    )
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(f'<g transform="rotate(-90 14 {middle:.0f})">{text(14, middle, label, anchor="middle")}</g>')
    if response.curve is not None:
        ends = [np.clip(np.log10(end), low, high) for end in response.curve.interval]
        parts.append(
            f'<rect x="{x(ends[0]):.1f}" y="{_TOP}" width="{max(1.0, x(ends[1]) - x(ends[0])):.1f}" '
            f'height="{_HEIGHT - _BOTTOM - _TOP:.1f}" fill="{_GREEN}" opacity="0.12"/>'
        )
        at = np.linspace(low, high, 80)
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(at, response.curve.at(10**at), strict=True))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{_GREEN}" stroke-width="2.5"/>')
        half = x(np.log10(response.curve.ec50))
        parts.append(line(half, _TOP, half, _HEIGHT - _BOTTOM, colour=_GREEN, dash="4 4"))
        parts.append(text(half + 5, _TOP + 11, "EC50"))
    rng = derive_rng(0, "dose", response.plate + response.setting + response.compound)
    for value, jitter in zip(untreated, rng.uniform(-7, 7, len(untreated)), strict=True):
        parts.append(f'<circle cx="{x(none) + jitter:.1f}" cy="{y(value):.1f}" r="4" fill="{_BLUE}" opacity="0.75"/>')
    for at_dose, value, ident in zip(tested, answer, response.wells_at, strict=True):
        parts.append(_dot(x(at_dose), y(value), INK, ident))
    parts.append(line(_LEFT, _TOP, _LEFT, _HEIGHT - _BOTTOM, colour=GRID))
    return drawing(_WIDTH, _HEIGHT, parts, label=f"{response.compound}: response against dose; {caption}")


def embedding_drawing(embedding: Embedding, ids: list[str]) -> str:
    """The wells as dots; the page colours them by what the reader chooses."""
    width, height, margin = 620.0, 520.0, 44.0
    low, high = embedding.places.min(axis=0), embedding.places.max(axis=0)
    shares = (embedding.places - low) / np.where(high > low, high - low, 1.0)
    x, y = scale(0, 1, margin + 14, width - 22), scale(0, 1, height - margin - 14, 22)
    parts = [
        line(margin, height - margin, width - 8, height - margin, colour=GRID),
        line(margin, 8, margin, height - margin, colour=GRID),
        text((margin + width) / 2, height - 14, embedding.axes[0], anchor="middle", colour=FAINT),
        f'<g transform="rotate(-90 18 {height / 2:.0f})">'
        f"{text(18, height / 2, embedding.axes[1], anchor='middle', colour=FAINT)}</g>",
    ]
    radius = 6.0 if len(ids) < 500 else 3.5
    look = f'r="{radius}" fill="{OTHER}" fill-opacity="0.85" stroke="{PAPER}"'
    for ident, (across, up) in zip(ids, shares, strict=True):
        parts.append(f'<circle cx="{x(across):.1f}" cy="{y(up):.1f}" {look} {well_mark(ident)}/>')
    return drawing(width, height, parts, label=f"Wells by their profiles: {embedding.method}")


def _named(one: Separation | Response, on_plate: bool) -> str:
    return f"{one.compound} on {group_name(one.plate, one.setting)}" if on_plate else one.compound


def _dot(x: float, y: float, colour: str, ident: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}" fill-opacity="0.7" {well_mark(ident)}/>'
