"""Two plates from files to doses: the real BBBC013 and its simulated neighbour of the demo.

Settings of the extraction are compared on the real plate. Of both plates what the README's picture needs is kept, as
numbers per well: no pixel of the real plate.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from cytoimagenet_hf.embedding import embed
from cytoimagenet_hf.encoders import load_encoder
from cytoimagenet_hf.errors import InputError
from cytoimagenet_hf.features import FeatureTable, extract_features
from cytoimagenet_hf.features.profile_plan import ProfilePlan, Profiles, make_profiles
from cytoimagenet_hf.images import Image, find_images

PATTERN = "Channel{c}-{_}-{row}-{column}.tif"
STAINS = {"1": "gfp", "2": "draq5"}
PLATEMAP = "platemap_long_nM.csv"
_POOLED: dict[str, Any] = {"pooling": "last", "pixels": False}  # what the network pools, nothing beside it
SETTINGS: dict[str, dict[str, Any]] = {
    "each image's percentiles (`image`)": {"normalize": "image", **_POOLED},
    "the plate's percentiles (`plate`)": {"normalize": "plate", **_POOLED},
    "nothing (`none`)": {"normalize": "none", **_POOLED},
    "`image`, `--pooling gem`": {"normalize": "image", "pooling": "gem", "pixels": False},
    "`image`, `--pooling blocks`": {"normalize": "image", "pooling": "blocks", "pixels": False},
    "the default: `gain`, `--pooling early --pixels`": {"normalize": "gain", "pooling": "early", "pixels": True},
}
# An untrained network has features that are the same for every control.
_SCALED: dict[str, Any] = {"normalize": "standardize", "on": "controls", "drop_constant": True}


def run(
    plate: Annotated[Path, typer.Argument(help="Folder of BBBC013's images, its plate map beside it.")],
    demo: Annotated[Path, typer.Argument(help="Folder of a finished demo.")],
    backend: Annotated[str, typer.Option(help="torch, onnxruntime or openvino: equal within 1e-5.")] = "torch",
) -> dict[str, Any]:
    """Z', and the rank correlation with the dose, of the demo's network on a real plate, by setting.

    Example: python scripts/bench.py screen BBBC013_v1_images_bmp demo
    """
    platemap = plate.parent / PLATEMAP
    for needed in (plate, platemap, demo / "model", demo / "random-1", demo / "plate" / "imagexpress"):
        if not needed.exists():
            raise InputError(f"{needed} is not there: give the folder of BBBC013's images and that of a finished demo")
    images = find_images(plate, pattern=PATTERN, stains=STAINS)
    plan = ProfilePlan(metadata=platemap, dose_unit="nM", **_SCALED)
    made: dict[str, tuple[FeatureTable, Profiles]] = {}
    for setting, options in SETTINGS.items():
        table = _features(demo / "model", images, backend, **options)
        made[setting] = table, make_profiles(table, plan)
    features, first = next(iter(made.values()))
    rows = [_row(setting, profiles) for setting, (_, profiles) in made.items()]
    corrected = ProfilePlan(metadata=platemap, dose_unit="nM", tvn=True, drop_constant=True)
    rows.insert(3, _row("`image`, and TVN instead of `--normalize`", make_profiles(features, corrected)))
    untrained = make_profiles(_features(demo / "random-1", images, backend, normalize="image"), plan)
    rows.append(_row("`image`, an untrained network of the same shape (`demo/random-1`)", untrained))
    neighbour = find_images(demo / "plate" / "imagexpress")
    simulated = make_profiles(
        _features(demo / "model", neighbour, backend, normalize="image"),
        ProfilePlan(metadata=demo / "plate" / "platemap.csv", **_SCALED),
    )
    return {
        "table": rows,
        "plates": {
            "real": _plate(first, images, channel="gfp"),
            "simulated": _plate(simulated, neighbour, channel="actin"),
        },
        "notes": [
            f"{len(images)} wells of BBBC013, one field of two channels each; each well is placed by controls other "
            "than itself",
            "with eight negative and four positive wells Z' is uncertain by about 0.1",
        ],
    }


def _features(model: Path, images: list[Image], backend: str, **options: Any) -> FeatureTable:
    return extract_features(load_encoder(str(model), **options), images, backend=backend, workers=2)


def _row(setting: str, profiles: Profiles) -> dict[str, Any]:
    screen = profiles.screen
    if screen is None:
        raise InputError("the plate map names no controls")
    separations = {f"Z' {one.compound}": one.z_prime for one in screen.separations}
    return {
        "pixels scaled by": setting,
        **separations,
        **{f"Spearman {one.compound}": one.spearman for one in screen.responses},
    }


def _plate(profiles: Profiles, images: list[Image], *, channel: str) -> dict[str, Any]:
    """What the picture shows of one plate: raw brightness, the map of the features, responses to the dose."""
    screen = profiles.screen
    if screen is None:
        raise InputError("the plate map names no controls")
    brightness = {
        image.metadata["well"]: float(np.mean(image.read()[image.channels.index(channel)])) for image in images
    }
    wells = [str(well) for well in profiles.table.metadata["well"]]
    places = embed(profiles.table.values, seed=0)
    return {
        "channel": channel,
        "map": places.method,
        "wells": [
            {
                "well": well,
                "role": str(role),
                "compound": str(compound),
                "dose": None if not np.isfinite(dose) else float(dose),
                "brightness": round(brightness[well], 2),
                "place": [round(float(value), 3) for value in place],
            }
            for well, role, compound, dose, place in zip(
                wells, profiles.facts.role, profiles.facts.compound, profiles.facts.dose, places.places, strict=True
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
