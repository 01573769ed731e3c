"""The road from features to profiles as one plan: which steps, in which order, and what came out of them.

Order: aggregate, annotate, normalise, select, then sphere or TVN.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cytoimagenet_hf.core.boundary import reading
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.jsontext import read_json_file
from cytoimagenet_hf.options.profile import DEFAULT_BY, ProfilePlan
from cytoimagenet_hf.tables.features import FeatureTable
from cytoimagenet_hf.tables.h5ad import write_h5ad
from cytoimagenet_hf.tables.reading import write_features
from cytoimagenet_hf.tables.vocabulary import TIMES, read_header

from .aggregate import aggregate
from .cells import filter_cells, require_cells
from .conditions import column_named
from .plate_map import annotate, read_plate_map
from .profile import normalize, select, sphere
from .screening import Screen, judge_screen, lost_by_selection
from .sphering import choose_epsilon
from .steps import profile_name
from .tvn import tvn
from .well_facts import WellFacts, well_facts

_LEAST = 3  # wells that a batch is normalised on
REJECTED = "_rejected.json"
"""In a folder of features: what extraction left out."""
ENDINGS = (".parquet", ".csv", ".csv.gz", ".h5ad")


@dataclass(frozen=True)
class Profiles:
    """Profiles with a row per cell, image, site or well, facts of the rows, and the screen judged (None for cells)."""

    table: FeatureTable
    facts: WellFacts
    screen: Screen | None

    def record(self) -> dict[str, Any]:
        """For JSON: counts, steps, how columns were read, and the screen."""
        plates = self.table.metadata["plate"].nunique() if "plate" in self.table.metadata else 1
        roles = {role or "unknown": int((self.facts.role == role).sum()) for role in sorted(set(self.facts.role))}
        return {
            "name": profile_name(self.table),
            "rows": len(self.table),
            "features": len(self.table.names),
            "plates": int(plates),
            "roles": roles,
            "columns": self.facts.columns,
            "columns_not_used": list(self.facts.unused),
            "treatment": list(self.facts.conditions.equal_in),
            "judged_apart_by": list(self.facts.conditions.settings),
            "notes": list(self.facts.notes),
            "steps": self.table.about["steps"],
            "screen": self.screen.record() if self.screen else None,
        }


def make_profiles(table: FeatureTable, plan: ProfilePlan) -> Profiles:
    """Follow a plan with features of cells, images or sites.

    Raises:
        InputError: what a step refuses; controls are needed and none are known.
    """
    plate_map = None
    if plan.metadata is not None:
        plate_map = read_plate_map(plan.metadata, barcodes=plan.barcodes, sheet=plan.sheet, encoding=plan.encoding)
    cells = "cell" in table.metadata
    table = filter_cells(table, border=plan.drop_border, area=plan.cell_area)
    table = aggregate(table, level=plan.level, operation=plan.operation)
    if plan.min_cells is not None:
        table = require_cells(table, plan.min_cells, cells=cells)
    if plate_map is not None:
        table = annotate(table, plate_map)
    facts = well_facts(
        table,
        controls=plan.controls,
        control_column=plan.control_column,
        compound_column=plan.compound_column,
        dose_column=plan.dose_column,
        dose_unit=plan.dose_unit,
        treatment=_listed(plan.treatment),
    )
    needed = [name for name, asked in (("--on controls", plan.on == "controls"), ("--tvn", plan.tvn)) if asked]
    if needed and not facts.negative.any():
        columns = ", ".join(map(str, table.metadata)) or "nothing"
        hints = "".join(f"; {note}" for note in facts.notes if "--controls" in note)
        raise InputError(
            f"{' and '.join(needed)} need negative controls, and none are known: give a plate map with roles "
            f"(--metadata), or a query (--controls); known of the rows: {columns}{hints}"
        )
    reference = facts.negative if plan.on == "controls" else None
    by, notes = _batches(plan, table, facts)
    facts = replace(facts, notes=(*facts.notes, *notes))
    if plan.normalize is not None:
        table = normalize(table, method=plan.normalize, controls=reference, by=by, drop_constant=plan.drop_constant)
    whole = table
    if plan.select:
        table = select(table, correlation=plan.correlation)
    kept = table
    if plan.sphere:
        sphere_by = None if plan.sphere_by is None else _columns(table, plan.sphere_by)
        epsilon, chosen = _epsilon(plan, table, facts)
        table = sphere(
            table, controls=reference, by=sphere_by, epsilon=epsilon, chosen=chosen, drop_constant=plan.drop_constant
        )
    if plan.tvn:
        table = tvn(table, facts.negative, by=by, components=plan.components, drop_constant=plan.drop_constant)
    if plan.level == "cell":
        return Profiles(table, facts, None)
    screen = judge_screen(table, facts)
    if plan.level != "well":
        counted = f"Z', SSMD and dose responses count rows by {plan.level}, several of a well: wells are fewer"
        screen = replace(screen, notes=(counted, *screen.notes))
    if plan.select:
        after = screen if kept is table else judge_screen(kept, facts)
        lost = lost_by_selection(judge_screen(whole, facts), after)
        screen = replace(screen, notes=(*lost, *screen.notes))
    return Profiles(table, facts, screen)


def _listed(text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"{text!r} names no columns: write them with commas, such as plate,cell_line")
    return names


def _columns(table: FeatureTable, text: str) -> list[str]:
    return list(dict.fromkeys(column_named(table.metadata, name) for name in _listed(text) or ()))


def _batches(plan: ProfilePlan, table: FeatureTable, facts: WellFacts) -> tuple[list[str] | None, list[str]]:
    """Columns of the batches that are normalised apart, and what is to be said of them."""
    metadata = table.metadata
    if plan.by is None or plan.by == DEFAULT_BY:
        columns = [] if plan.by is None or "plate" not in metadata else ["plate"]
    else:
        columns = _columns(table, plan.by)
    times = [str(name) for name in metadata if read_header(str(name)).term in TIMES and name not in columns]
    times = [name for name in times if metadata[name].nunique() > 1]
    if plan.by == DEFAULT_BY:
        reference = facts.negative if plan.on == "controls" else np.ones(len(table), bool)
        for name in times:
            batches = metadata[[*columns, name]].astype(str).agg("\x1f".join, axis=1)
            enough = batches[reference].value_counts().reindex(batches.unique(), fill_value=0).min() >= _LEAST
            if enough and not metadata[name].isna().any():
                columns.append(name)
    others = [name for name in dict.fromkeys([*facts.conditions.settings, *times]) if name not in columns]
    groups = metadata.groupby(columns or np.zeros(len(metadata)))
    together = [name for name in others if (groups[name].nunique() > 1).any()]
    apart = f"apart by {', '.join(columns)}" if columns else "all together"
    notes = []
    if together and (plan.normalize is not None or plan.tvn or plan.sphere):
        notes.append(
            f"wells are normalised {apart}, and wells that differ in {', '.join(together)} on one scale: "
            f"--by {','.join([*columns, *together])} normalises these apart, too"
        )
    return columns or None, notes


def _epsilon(plan: ProfilePlan, table: FeatureTable, facts: WellFacts) -> tuple[float, str]:
    if plan.sphere_epsilon is not None:
        return plan.sphere_epsilon, ""
    if "plate" not in table.metadata or not facts.negative.any():
        raise InputError("an epsilon is chosen by replicates on other plates among negative controls: name it instead")
    used = facts.negative | np.isin(facts.role, ("treatment", "positive"))
    wells, alike = table.take(np.flatnonzero(used)), facts.conditions.alike[used]
    plates = wells.metadata["plate"].astype(str).to_numpy()
    epsilon, precision_of = choose_epsilon(wells, facts.negative[used], alike, plates)
    candidates = ", ".join(f"{name}: {value:.3f}" for name, value in precision_of.items())
    return epsilon, f"replicate mAP on these plates ({candidates})"


def read_rejected(path: str | Path) -> dict[str, str]:
    """Images that an extraction left out: id → reason; none where the features are a single file."""
    listed = Path(path) / REJECTED
    if not listed.is_file():
        return {}
    with reading(listed, kind="a list of rejections"):
        content = read_json_file(listed)
    if not isinstance(content, list) or not all(
        isinstance(one, dict) and {"id", "reason"} <= one.keys() for one in content
    ):
        raise InputError(f"{listed} is damaged (it holds no list of rejections): run the same extraction again")
    return {str(one["id"]): str(one["reason"]) for one in content}


def check_output(path: str | Path) -> Path:
    """The path, if profiles can be written under its ending."""
    path = Path(path)
    if not path.name.endswith(ENDINGS):
        raise InputError(f"{path}: profiles are written as {', '.join(ENDINGS)}")
    return path


def write_profiles(table: FeatureTable, path: str | Path) -> None:
    """Write profiles by the ending of the file: Parquet, CSV or AnnData."""
    path = check_output(path)
    if path.suffix == ".h5ad":
        write_h5ad(table, path)
    else:
        write_features(table, path)
