"""The report as one HTML file: everything it shows is inside it, and opening it asks nothing of any server."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
import pandas as pd

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import json_text, write_text
from cytoimagenet_hf.core.simulated import SENTENCE
from cytoimagenet_hf.core.versions import project_version
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.profiles.conditions import frame_columns
from cytoimagenet_hf.profiles.embedding import embed
from cytoimagenet_hf.profiles.plan import Profiles
from cytoimagenet_hf.profiles.screening import Response, Screen, Separation, group_name
from cytoimagenet_hf.tables.features import FeatureTable

from .cells import make_cell_sheet, places_of
from .colouring import colourings
from .curves import embedding_drawing
from .drawings import control_drawings, counted_as, dose_drawings, frames_of, plate_drawings, plates_of
from .findings import position_findings
from .heatmap import plate_shape
from .montage import make_montage
from .replicates import Hit, ReplicateScore, hit_list, hits_as_csv, precision_drawing, replicate_scores
from .svg import number


def write_report(
    profiles: Profiles,
    path: str | Path,
    *,
    images: Sequence[Image] = (),
    cells: tuple[FeatureTable, Sequence[Image]] | None = None,
    rejected: Mapping[str, str] | None = None,
    seed: int = 0,
    plate_size: int | None = None,
    full_size: bool = False,
) -> dict[str, Any]:
    """Write the page.

    Args:
        profiles: of wells.
        path: `.html`.
        images: fields of view, for pictures and intensities; without them the page says how to have them.
        cells: features of single cells, and the cells as images, for pictures of typical and extreme ones.
        rejected: id → reason of the images that extraction left out.
        seed: of the map and of the permutations.
        plate_size: wells of the plate, 24 to 1536; by default the smallest plate that has all wells.
        full_size: also write each field at its full size, into a folder `<page>_fields` that the page opens from.

    Returns:
        What the page says that the profiles do not: replicates' precision, hits, sentences, bytes.
    """
    path = Path(path)
    screen = check_report(profiles, path, plate_size=plate_size)
    table, facts = profiles.table, profiles.facts
    plates, frames = plates_of(table), frames_of(table)
    wells = [str(well) for well in table.metadata["well"]]
    ids = [str(ident) for ident in table.ids]
    montage = None
    if images:
        moments = frame_columns(table)
        values = table.metadata[moments].map(str).to_numpy().tolist()
        ids_at = {(*place, *at): ident for place, at, ident in zip(places_of(table), values, ids, strict=True)}
        folder = path.with_name(f"{path.stem}_fields") if full_size else None
        montage = make_montage(images, ids_at, moments=moments, full=folder)
    absent = _missing(profiles, set(plates), list(rejected or {}))
    missing = {frame: absent[plate] for frame, plate in zip(frames, plates, strict=True)}
    heatmaps = plate_drawings(profiles, montage, missing, plate_size=plate_size)
    embedding = embed(table.values, seed=seed)
    precision = replicate_scores(table, facts, seed=seed)
    sentences = position_findings(table, facts, seed=seed, plate_size=plate_size)
    hits = hit_list(profiles, precision)
    counted = counted_as(profiles)
    sheet = None if cells is None else make_cell_sheet(*cells, _wells_of_treatments(profiles, hits))
    content = {
        "simulated": SENTENCE if table.about.get("simulated") else "",
        "made_by": _made_by(table),
        "hits": [_hit_cells(hit) for hit in hits],
        "hits_csv": "data:text/csv;charset=utf-8," + quote("\ufeff" + hits_as_csv(hits, counted)),
        "csv_name": f"{path.stem}-hits.csv",
        "counted": counted,
        "title": f"{plates[0]}" if len(set(plates)) == 1 else f"{len(set(plates))} plates",
        "record": json.loads(json_text(profiles.record())),
        "cards": _cards(profiles, len(set(plates)), len({*zip(plates, wells, strict=True)})),
        "plates": list(dict.fromkeys(frames)),
        "heatmaps": heatmaps,
        "shape": plate_shape([*wells, *(name for names in missing.values() for name in names)], size=plate_size),
        "strips": control_drawings(profiles),
        "curves": dose_drawings(profiles),
        "map": embedding_drawing(embedding, ids),
        "map_method": embedding.method,
        "colourings": [
            {"name": one.name, "colours": dict(zip(ids, one.colours, strict=True)), "legend": one.legend}
            for one in colourings(table, facts, screen.distance)
        ],
        "precision": precision_drawing(precision) if precision else None,
        "precision_note": _precision_note(precision, table),
        "sentences": sentences + list(screen.notes) + list(facts.notes),
        "montage": montage,
        "cells": sheet,
        "wells": _wells(profiles, frames, wells, ids),
        "rejected": list((rejected or {}).items()),
        "missing": {plate: names for plate, names in missing.items() if names},
    }
    source = (files("cytoimagenet_hf.profiles.report") / "page.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.policies["json.dumps_kwargs"] = {}  # facts in the order they are given
    html = environment.from_string(source).render(content)
    write_text(path, html)
    return {
        "bytes": len(html.encode()),
        "replicates": [asdict(score) for score in precision],
        "hits": [{name: _or_none(value) for name, value in asdict(hit).items()} for hit in hits],
        "sentences": sentences,
        "map": embedding.method,
    }


def _wells_of_treatments(profiles: Profiles, hits: Sequence[Hit]) -> dict[str, list[tuple[str, str]]]:
    """Treatment → (plate, well) of its wells, in the order of the hit list; the negative controls first."""
    places = places_of(profiles.table)
    by_id = dict(zip(map(str, profiles.table.ids), places, strict=True))
    controls = [place for place, negative in zip(places, profiles.facts.negative, strict=True) if negative]
    treatments = {"negative controls": controls} if controls else {}
    treatments |= {hit.treatment: [by_id[ident] for ident in hit.wells] for hit in hits}
    return treatments or {"all wells": places}


def _made_by(table: FeatureTable) -> dict[str, str]:
    """Network, its fingerprint, this program's version and the day, as far as they are known."""
    model = str(table.about.get("model", ""))
    made = {
        "model": model.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] if Path(model).is_absolute() else model,
        "fingerprint": str(table.about.get("model_fingerprint", "")),
        "cytoimagenet-hf": project_version(),
        "page made": datetime.now(UTC).date().isoformat(),
    }
    return {name: value for name, value in made.items() if value}


def _or_none(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and np.isnan(value) else value


def _hit_cells(hit: Hit) -> dict[str, Any]:
    """A row of the hit list: what is shown, and the number that it sorts by; None where it is not known."""
    numbers = {
        "distance": (hit.distance, f"{hit.distance:.2f}"),
        "precision": (hit.precision, f"{hit.precision:.2f}"),
        "p": (hit.p_value, number(hit.p_value)),
        "counted": (hit.counted, f"{hit.counted:,.0f}"),
    }
    cells = {
        name: None if np.isnan(value) else {"value": value, "text": shown} for name, (value, shown) in numbers.items()
    }
    return {"treatment": hit.treatment, "ids": hit.wells, "cells": cells}


def check_report(profiles: Profiles, path: Path, *, plate_size: int | None = None) -> Screen:
    """The screen that a report draws, if it can be written.

    Raises:
        InputError: another ending than .html, profiles without wells, several rows of one well, or a plate that has
            no such wells.
    """
    if path.suffix not in (".html", ".htm"):
        raise InputError(f"{path}: a report is written as .html")
    table = profiles.table
    if profiles.screen is None or "well" not in table.metadata or "site" in table.metadata:
        raise InputError("a report shows wells: profile with --level well")
    if len({*zip(frames_of(table), map(str, table.metadata["well"]), strict=True)}) < len(table.ids):
        raise InputError("several rows share a well and a time point: a report shows one row of each; aggregate them")
    plate_shape([str(well) for well in table.metadata["well"]], size=plate_size)
    return profiles.screen


def _missing(profiles: Profiles, plates: set[str], rejected: Sequence[str]) -> dict[str, list[str]]:
    """Wells without features that the plate map names, or all of whose images were rejected, by plate."""
    unused = [well for step in profiles.table.about["steps"] for well in step.get("map_wells_without_rows", [])]
    missing: dict[str, list[str]] = {plate: [] for plate in plates}
    for ident in unused:
        plate, _, well = str(ident).rpartition("/")
        for name in plates if not plate else [plate]:
            missing.setdefault(name, []).append(well)
    present = set(map(str, profiles.table.ids))
    for ident in rejected:
        plate, well = [*str(ident).split("/"), ""][:2]  # ids of fields begin with plate and well
        is_well = re.fullmatch(r"[A-Z]{1,2}\d{2}", well) is not None
        if is_well and plate in plates and f"{plate}/{well}" not in present and well not in missing[plate]:
            missing[plate].append(well)
    return missing


def _cards(profiles: Profiles, plates: int, wells: int) -> list[dict[str, str]]:
    cards = [
        {"value": f"{wells:,}", "label": f"wells on {plates} plate{'s' if plates > 1 else ''}"},
        {"value": f"{len(profiles.table.names):,}", "label": "features"},
    ]
    if (screen := profiles.screen) is None:
        return cards

    def group(row: Separation | Response) -> str:
        return f", {group_name(row.plate, row.setting)}" if len(screen.groups) > 1 else ""

    for controls in screen.separations[:4]:
        label = f"Z′ {controls.compound}{group(controls)}"
        kind = "good" if controls.z_prime > 0.5 else "poor"
        cards.append({"value": f"{controls.z_prime:.2f}", "label": label, "kind": kind})
    for response in screen.responses[:4]:
        label = f"Spearman with dose, {response.compound}{group(response)}"
        cards.append({"value": f"{response.spearman:.2f}", "label": label})
    return cards


def _precision_note(precision: Sequence[ReplicateScore], table: FeatureTable) -> str:
    if not precision:
        return "No replicate precision: it needs two negative control wells and treatments with two wells or more."
    good = sum(row.p_value < 0.05 for row in precision)
    note = f"Replicates of {good} of {len(precision)} treatments find each other beyond chance (corrected p < 0.05)."
    whitened = [step for step in table.about.get("steps", []) if step["step"] in ("sphere", "tvn")]
    if any(step.get("on") == "controls" or step["step"] == "tvn" for step in whitened):
        note += (
            " The profiles were whitened on the same controls, which makes other wells differ from them: p is a lower "
            "bound."
        )
    return note


def _wells(
    profiles: Profiles, plates: Sequence[str], wells: Sequence[str], ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    facts, screen = profiles.facts, profiles.screen
    wells_by_id: dict[str, dict[str, Any]] = {}
    for place, ident in enumerate(ids):
        of_well: dict[str, Any] = {
            "plate": plates[place],
            "well": wells[place],
            "role": str(facts.role[place]) or "unknown",
        }
        if facts.compound[place]:
            of_well["compound"] = str(facts.compound[place])
        if facts.conditions.setting[place]:
            of_well["setting"] = str(facts.conditions.setting[place])
        for name in facts.conditions.parts:
            if not pd.isna(value := profiles.table.metadata[name].iloc[place]):
                of_well[name] = str(value)
        if facts.dose[place] > 0:
            of_well["dose"] = f"{facts.dose[place]:g} {facts.unit}".strip()
        if screen is not None:
            if np.isfinite(screen.distance[place]):
                of_well["distance from controls"] = f"{screen.distance[place]:.2f}"
            for compound, scores in screen.scores.items():
                if np.isfinite(scores[place]):
                    of_well[f"score, {compound}"] = f"{scores[place]:.2f}"
        wells_by_id[ident] = of_well
    return wells_by_id
