"""Two plates from files to doses: the real BBBC013 and its simulated neighbour of the demo.

Settings of the extraction are compared on the real plate, each with the networks of several demos. Of both plates what
the README's picture needs is kept, as numbers per well.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.features import extract_features
from cytoimagenet_hf.images import Image, find_images
from cytoimagenet_hf.networks import load_encoder
from cytoimagenet_hf.networks.pooling import EXTRACTION
from cytoimagenet_hf.options.profile import ProfilePlan
from cytoimagenet_hf.profiles.plan import Profiles, make_profiles
from cytoimagenet_hf.tables import FeatureTable

PATTERN = "Channel{c}-{_}-{row}-{column}.tif"
STAINS = {"1": "gfp", "2": "draq5"}
PLATEMAP = "platemap_long_nM.csv"
DEFAULT, POOLED = "the default", "`--pooling last --no-pixels`, what the network pools"
SETTINGS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "`--pooling early --no-pixels`": {"pixels": False},
    POOLED: {"pooling": "last", "pixels": False},
    "the same, `--normalize plate`": {"pooling": "last", "pixels": False, "normalize": "plate"},
    "the same, `--normalize none`": {"pooling": "last", "pixels": False, "normalize": "none"},
    "`--pooling blocks --no-pixels`": {"pooling": "blocks", "pixels": False},
}
"""What is said of a setting → options of the extraction, beside those that the network itself asks for."""
# An untrained network has features that are the same for every control.
_SCALED: dict[str, Any] = {"normalize": "standardize", "on": "controls", "drop_constant": True}
_PLANS: dict[str, dict[str, Any]] = {
    f"{DEFAULT}, and `profile --select`": {**_SCALED, "select": True},
    f"{DEFAULT}, and TVN instead of `profile --normalize`": {"tvn": True, "drop_constant": True},
}


def run(
    plate: Annotated[Path, typer.Argument(help="Folder of BBBC013's images, its plate map beside it.")],
    demos: Annotated[list[Path], typer.Argument(help="Folders of finished demos with different seeds.")],
    backend: Annotated[str, typer.Option(help="torch, onnxruntime or openvino: equal within 1e-5.")] = "torch",
) -> dict[str, Any]:
    """Z', and the rank correlation with the dose, of the demos' networks on a real plate, by setting.

    Example: python scripts/bench.py screen BBBC013_v1_images_bmp demo demo-1 demo-2
    """
    platemap = plate.parent / PLATEMAP
    networks, untrained = [demo / "model" for demo in demos], [demo / "random-1" for demo in demos]
    neighbour = demos[0] / "plate"
    for needed in (plate, platemap, *networks, *untrained, neighbour / "imagexpress"):
        if not needed.exists():
            raise InputError(f"{needed} is not there: give the folder of BBBC013's images and those of finished demos")
    images = find_images(plate, pattern=PATTERN, stains=STAINS)

    def profiled(table: FeatureTable, **steps: Any) -> Profiles:
        return make_profiles(table, ProfilePlan(metadata=platemap, dose_unit="nM", **(steps or _SCALED)))

    def extracted(folders: list[Path], **options: Any) -> list[FeatureTable]:
        return [_features(folder, images, backend, **options) for folder in folders]

    made = {setting: extracted(networks, **options) for setting, options in SETTINGS.items()}
    kept = made[DEFAULT]
    rows = [_row(setting, [profiled(table) for table in tables]) for setting, tables in made.items()]
    rows[1:1] = [
        *(_row(says, [profiled(table, **steps) for table in kept]) for says, steps in _PLANS.items()),
        _row("the pixel statistics of the default alone, without a network", [profiled(_pixels_of(kept[0]))]),
    ]
    for says, options in ((DEFAULT, EXTRACTION), (POOLED, SETTINGS[POOLED])):
        rows.append(_row(f"untrained: {says}", [profiled(table) for table in extracted(untrained, **options)]))
    drawn = find_images(neighbour / "imagexpress")
    steps = ProfilePlan(metadata=neighbour / "platemap.csv", **_SCALED)
    simulated = make_profiles(_features(networks[0], drawn, backend), steps)
    return {
        "table": rows,
        "plates": {
            "real": _plate(profiled(kept[0])),
            "simulated": _plate(simulated),
        },
        "notes": [
            f"{len(images)} wells of BBBC013, one field of two channels each; each well is placed by controls other "
            "than itself",
            f"the mean of {len(networks)} networks, each of a demo with another seed, and the lowest and highest Z' "
            "of one of them",
            "with eight negative and four positive wells Z' is uncertain by about 0.1",
        ],
    }


def _features(model: Path, images: list[Image], backend: str, **options: Any) -> FeatureTable:
    return extract_features(load_encoder(str(model), **options), images, backend=backend, workers=2)


def _pixels_of(table: FeatureTable) -> FeatureTable:
    """The columns that come from pixels alone."""
    columns = [place for place, name in enumerate(table.names) if "_pixels_" in name]
    return replace(table, values=table.values[:, columns], names=tuple(table.names[place] for place in columns))


def _row(setting: str, of_networks: list[Profiles]) -> dict[str, Any]:
    """The mean over networks, and the lowest and highest Z' of one of them."""
    screens = [profiles.screen for profiles in of_networks if profiles.screen is not None]
    if len(screens) < len(of_networks):
        raise InputError("the plate map names no controls")
    row: dict[str, Any] = {"features": setting}
    for compound in (one.compound for one in screens[0].separations):
        primes = [one.z_prime for screen in screens for one in screen.separations if one.compound == compound]
        row |= {
            f"Z' {compound}": float(np.mean(primes)),
            f"Z' {compound}, lowest": min(primes),
            f"Z' {compound}, highest": max(primes),
        }
    for compound in (one.compound for one in screens[0].separations):
        ranks = [one.spearman for screen in screens for one in screen.responses if one.compound == compound]
        row[f"Spearman {compound}"] = float(np.mean(ranks))
    return row


def _plate(profiles: Profiles) -> dict[str, Any]:
    """What the picture shows of one plate: what is in its wells, and responses to the dose."""
    screen = profiles.screen
    if screen is None:
        raise InputError("the plate map names no controls")
    wells = [str(well) for well in profiles.table.metadata["well"]]
    return {
        "wells": [
            {
                "well": well,
                "role": str(role),
                "compound": str(compound),
                "dose": None if not np.isfinite(dose) else float(dose),
            }
            for well, role, compound, dose in zip(
                wells, profiles.facts.role, profiles.facts.compound, profiles.facts.dose, strict=True
            )
        ],
        "unit": screen.unit,
        "z_prime": {one.compound: one.z_prime for one in screen.separations},
        "responses": [
            {
                "compound": one.compound,
                "spearman": one.spearman,
                "dose": list(one.dose),
                "response": [round(value, 4) for value in one.response],
                "untreated": [round(float(v), 4) for v in screen.scores[one.compound][profiles.facts.negative]],
                "curve": None
                if one.curve is None
                else {name: getattr(one.curve, name) for name in ("bottom", "top", "ec50", "slope")},
            }
            for one in screen.responses
        ],
    }
