"""BBBC021: mechanism of action of 103 treatments of MCF7 cells (Caie et al. 2010; annotation of Ljosa et al. 2013).

Features of images (or ready profiles of wells) are standardised and averaged per treatment; each treatment takes the
mechanism of its nearest neighbour, by cosine distance, among those of other compounds. The week is the batch.
"""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cytoimagenet_hf.benchmarks.base import (
    Array,
    Benchmark,
    LabelledRows,
    RowsBySet,
    Score,
    WellRows,
    column,
    ids_of,
    labelled,
)
from cytoimagenet_hf.benchmarks.nsc import BATCH_RULES, NscResult, nsc_accuracy, nscb_by_rule
from cytoimagenet_hf.benchmarks.recipes import BenchmarkRecipe
from cytoimagenet_hf.benchmarks.scaling import standardise, standardise_by_controls
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.files import inside
from cytoimagenet_hf.images import Image
from cytoimagenet_hf.profiles.shrinkage import group_means, standardise_by_shrunk_controls
from cytoimagenet_hf.tables import FeatureTable
from cytoimagenet_hf.tables.cells import explain_odd, parse_numbers
from cytoimagenet_hf.tables.tabular import read_table, require_filled
from cytoimagenet_hf.tables.wells import spell_wells

WHERE = (
    "download BBBC021_v1_image.csv, BBBC021_v1_moa.csv and the zips BBBC021_v1_images_<Week>_<plate>.zip from "
    "https://bbbc.broadinstitute.org/BBBC021 and unpack them so that <root>/<Week>/<Week_plate>/*.tif (or "
    "<root>/<Week_plate>/*.tif) stands beside the two tables"
)
_CHANNELS = ("DAPI", "Tubulin", "Actin")
_CONTROL = "DMSO"
_BY_CONTROLS = {"controls": standardise_by_controls, "controls-shrunk": standardise_by_shrunk_controls}
_PUBLISHED = "all"  # the scaler of the published code, whose result stands beside that of any other


def load(root: Path, recipe: BenchmarkRecipe, *, images: bool = True) -> list[Image]:
    """One image per annotated field of view; DMSO fields only when the recipe has a use for them."""
    fields = _annotated(root)
    if not wants_controls(recipe):
        fields = fields[fields["compound"] != _CONTROL]
    columns = [f"Image_{kind}_{stain}" for stain in _CHANNELS for kind in ("FileName", "PathName")]
    if absent := [name for name in columns if name not in fields]:
        raise InputError(f"{root / 'BBBC021_v1_image.csv'} has no column {', '.join(absent)}: {WHERE}")
    require_filled(fields, columns, root / "BBBC021_v1_image.csv")
    items, missing = [], []
    for field in fields.to_dict("records"):
        files = tuple(
            _locate(root, field[f"Image_PathName_{stain}"], field[f"Image_FileName_{stain}"]) for stain in _CHANNELS
        )
        missing += [file for file in files if images and not file.is_file()]
        name = f"{field['plate']}/{Path(field['Image_FileName_DAPI']).stem}"
        items.append(labelled(name, files, field["moa"], channels=BBBC021.channels, facts=_facts(field)))
    if missing:
        plates = sorted({file.parent.name for file in missing})
        raise InputError(
            f"{len(missing)} image files of {len(plates)} plates ({', '.join(plates[:3])} …) are missing, such as "
            f"{missing[0]}: {WHERE}"
        )
    return items


def profile_items(root: Path, recipe: BenchmarkRecipe, table: FeatureTable) -> list[Image]:
    """The annotated rows of a profile table with `plate` and `well`, as images without pixels.

    Compounds and mechanisms come from the tables of the download, never from the profiles.
    """
    if not {"plate", "well"} <= set(table.metadata.columns):
        raise InputError(
            f"profiles need plate and well (Metadata_Plate, Metadata_Well); found {list(table.metadata.columns)}"
        )
    joined = _with_annotation(root, table)
    unknown = joined[joined["_merge"] == "left_only"]
    if len(unknown):
        raise InputError(
            f"{len(unknown)} profile rows name wells that BBBC021_v1_image.csv lacks, such as plate "
            f"{unknown['plate'].iloc[0]!r}, well {unknown['well'].iloc[0]!r}: compare the spelling"
        )
    wells = joined[joined["moa"].notna()]
    if not wants_controls(recipe):
        wells = wells[wells["compound"] != _CONTROL]
    return [labelled(field["row_id"], (), field["moa"], facts=_facts(field)) for field in wells.to_dict("records")]


def unscored(root: Path, table: FeatureTable, items: Sequence[Image]) -> list[Image]:
    """Rows of ready profiles on plates of which no treatment is scored: their compounds have no mechanism."""
    if not {"plate", "well"} <= set(table.metadata.columns):
        return []
    scored = {item.metadata["plate"] for item in items if not _is_control(item)}
    joined = _with_annotation(root, table)
    wells = joined[~joined["plate"].isin(scored) & joined["compound"].notna()]
    return [labelled(field["row_id"], (), "", facts=_facts(field)) for field in wells.to_dict("records")]


def _with_annotation(root: Path, table: FeatureTable) -> pd.DataFrame:
    """What the image table knows of the well of every row of a profile table."""
    wells = _annotated(root, everything=True).groupby(["plate", "well"], as_index=False).first()
    rows = table.metadata[["plate", "well"]].assign(row_id=table.ids).astype(str)
    return rows.merge(wells, on=["plate", "well"], how="left", validate="many_to_one", indicator=True)


def wants_controls(recipe: BenchmarkRecipe) -> bool:
    """Whether DMSO rows have a part in what the recipe asks for."""
    return recipe.nsc_scaler not in ("none", "all") or recipe.postprocess != "none"


def score(features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe, seed: int) -> list[Score]:
    """NSC accuracy of treatments; NSCB, what the scaler saw and the published scaler's result in `details`."""
    scaler = _scaler(recipe)
    treated = [item for item in items if not _is_control(item)]
    values, seen = _scaled(features, items, scaler)
    result = _nsc(values, treated, recipe.nscb_rule)
    table = result.predictions
    batches = {"week": column(treated, "batch"), "plate": column(treated, "plate")}
    by_rule = {
        rule: {"nscb": nscb, "treatments": count}
        for rule, (nscb, count) in nscb_by_rule(values, **_names(treated), batches=batches).items()
    }
    scorable = ~table["treatment"].isin(result.unscorable_nscb)
    details = {
        "protocol": f"{len(table)} treatments of {table['compound'].nunique()} compounds, other compounds' neighbours",
        "rows": len(treated),
        "treatments": len(table),
        "compounds": int(table["compound"].nunique()),
        "classes": int(table["moa"].nunique()),
        "scaler": scaler,
        "scaler_rows": seen,
        "scaler_saw_controls": seen > 0 and scaler not in ("none", "all"),
        "postprocess": recipe.postprocess,
        "nscb": result.nscb,
        "nscb_rule": recipe.nscb_rule,
        "nscb_treatments": int(scorable.sum()),
        "nscb_by_rule": by_rule,
        "unscorable": list(result.unscorable),
        "unscorable_nscb": list(result.unscorable_nscb),
    }
    if recipe.postprocess == "none" and scaler != _PUBLISHED:
        published = _nsc(_scaled(features, items, _PUBLISHED)[0], treated, recipe.nscb_rule)
        details["published_scaler"] = {"scaler": _PUBLISHED, "nsc": published.nsc, "nscb": published.nscb}
    return [
        Score(
            "bbbc021",
            ids=table["treatment"].to_numpy(object),
            references=table["moa"].to_numpy(object),
            predictions=table["predicted"].to_numpy(object),
            clusters=table["compound"].to_numpy(object),
            cluster_name="compound",
            details=details,
        )
    ]


def rows(features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe) -> RowsBySet:
    """Mean profiles of treatments, each compound a group."""
    values, _ = _scaled(features, items, _scaler(recipe))
    treated = [item for item in items if not _is_control(item)]
    names = column(treated, "treatment")
    treatments, first, codes = np.unique(names.astype(str), return_index=True, return_inverse=True)
    chosen = [treated[row] for row in first]
    return {
        "bbbc021": LabelledRows(
            group_means(values, codes),
            treatments.astype(object),
            column(chosen, "label"),
            column(chosen, "compound"),
            "compound",
            batches=column(chosen, "batch"),
            batch_name="week",
        )
    }


def wells(features: FeatureTable, items: Sequence[Image], recipe: BenchmarkRecipe) -> WellRows:
    """Mean profiles of wells, DMSO wells among them."""
    if not any(_is_control(item) for item in items):
        raise InputError("replicate mAP ranks replicates among DMSO wells: ask for a scaler that takes them")
    values, _ = _scaled(features, items, _scaler(recipe), everything=True)
    keys = np.array([f"{item.metadata['plate']}/{item.metadata['well']}" for item in items])
    _, first, codes = np.unique(keys, return_index=True, return_inverse=True)
    chosen = [items[row] for row in first]
    return WellRows(
        group_means(values, codes),
        column(chosen, "treatment"),
        column(chosen, "compound"),
        column(chosen, "label"),
        column(chosen, "plate"),
        np.array([_is_control(item) for item in chosen]),
    )


def _is_control(item: Image) -> bool:
    return bool(item.metadata.get("compound") == _CONTROL)


def _scaler(recipe: BenchmarkRecipe) -> str:
    return recipe.nsc_scaler if recipe.postprocess == "none" else "none"


def _scaled(
    features: FeatureTable, items: Sequence[Image], scaler: str, *, everything: bool = False
) -> tuple[Array, int]:
    """Scaled features of the treated rows, or of all, and how many rows the scaler saw."""
    values = features.rows(ids_of(items)).values
    controls = np.array([_is_control(item) for item in items], dtype=bool)
    if scaler in _BY_CONTROLS:
        values = _BY_CONTROLS[scaler](values, plates=column(items, "plate"), controls=controls)
        seen = int(controls.sum())
    elif scaler == "all-with-controls":
        if not controls.any():
            raise InputError("no DMSO rows are there to be scaled with: scale by all, or add their features")
        values, seen = standardise(values), len(values)
    elif scaler == "all":
        values, seen = standardise(values, fitted_on=values[~controls]), int((~controls).sum())
    else:
        seen = 0
    return (values if everything else values[~controls]), seen


def _nsc(values: Array, treated: Sequence[Image], rule: str) -> NscResult:
    batch, same = BATCH_RULES[rule]
    return nsc_accuracy(
        values,
        **_names(treated),
        batches=column(treated, "batch" if batch == "week" else "plate"),
        same_batch=same,
    )


def _names(treated: Sequence[Image]) -> dict[str, Any]:
    facts = {"treatments": "treatment", "compounds": "compound", "moas": "label"}
    return {name: column(treated, fact) for name, fact in facts.items()}


BBBC021 = Benchmark(
    name="bbbc021",
    title="BBBC021 (mechanism of action, NSC)",
    channels=("nucleus", "microtubules", "actin"),
    where=WHERE,
    protocol="1-NN by cosine distance among treatment profiles of other compounds",
    load=load,
    score=score,
    profile_items=profile_items,
    rows=rows,
    wells=wells,
    is_control=_is_control,
    unscored=unscored,
)


def _annotated(root: Path, *, everything: bool = False) -> pd.DataFrame:
    """The image table joined with the mechanisms, on the compound and the concentration as a number."""
    place = ("Image_Metadata_Plate_DAPI", "Image_Metadata_Well_DAPI")
    images = _read(root, "BBBC021_v1_image.csv", (*place, "Image_Metadata_Compound", "Image_Metadata_Concentration"))
    moa = _read(root, "BBBC021_v1_moa.csv", ("compound", "concentration", "moa"))
    require_filled(images, place, root / "BBBC021_v1_image.csv")
    images = images.rename(
        columns={
            "Image_Metadata_Compound": "compound",
            "Image_Metadata_Plate_DAPI": "plate",
            "Image_Metadata_Well_DAPI": "well",
        }
    )
    if "well" in images:
        images["well"] = spell_wells(images["well"])  # as feature tables spell them
    # The mechanism table prints six decimals, the image table as many as it needs.
    images["dose"] = images["Image_Metadata_Concentration"].round(6)
    moa["dose"] = moa["concentration"].round(6)
    twice = moa[moa.duplicated(["compound", "dose"], keep=False)]
    if len(twice):
        raise InputError(f"BBBC021_v1_moa.csv has {len(twice)} rows for the same treatment: {twice.iloc[0].to_dict()}")
    fields = images.merge(
        moa[["compound", "dose", "moa"]], on=["compound", "dose"], how="left", validate="many_to_one"
    )
    if not fields["moa"].notna().any():
        raise InputError(
            "no row of BBBC021_v1_image.csv has a mechanism in BBBC021_v1_moa.csv: the tables do not match"
        )
    return fields if everything else fields[fields["moa"].notna()]


def _read(root: Path, name: str, columns: Sequence[str]) -> pd.DataFrame:
    file = next((path for path in (root / name, root / f"{name}.gz") if path.is_file()), None)
    if file is None:
        raise InputError(f"{root / name} is missing: {WHERE}")
    table = read_table(file, required=columns)
    doses = next(name for name in columns if name.lower().endswith("concentration"))
    numbers = parse_numbers(pa.chunked_array([pa.array(table[doses], pa.large_string(), from_pandas=True)]))
    if numbers.odd.any():
        raise InputError(f"{file}: {explain_odd(table[doses], numbers, doses)}")
    return table.assign(**{doses: numbers.values})


def _locate(root: Path, folder: str, filename: str) -> Path:
    nested = inside(root, f"{folder}/{filename}")
    flat = inside(root, f"{Path(folder).name}/{filename}")
    return flat if not nested.is_file() and flat.is_file() else nested


def _facts(field: Mapping[Hashable, Any]) -> dict[str, str]:
    plate, compound = str(field["plate"]), str(field["compound"])
    return {
        "plate": plate,
        "well": str(field["well"]),
        "batch": plate.split("_")[0],
        "compound": compound,
        "treatment": f"{compound} at {field['dose']:g}",
    }
