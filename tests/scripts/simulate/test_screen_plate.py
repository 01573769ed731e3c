"""The simulated plate: equal in every layout, mapped, and with effects that pixels show."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.images import find_images
from scripts.simulate import simulate_plate
from scripts.simulate.screen_plate import plate_wells


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    root = tmp_path_factory.mktemp("plate")
    return root, simulate_plate(root, size="tiny", seed=3)


def test_the_map_names_controls_and_doses(plate) -> None:
    root, _ = plate
    rows = pd.read_csv(root / "platemap.csv")
    assert Counter(rows["role"]) == {"negative_control": 16, "positive_control": 8, "treatment": 72}
    doses = rows[rows["role"] == "treatment"].groupby("compound")["concentration_um"].nunique()
    assert doses.to_dict() == {"etoposide": 9, "jasplakinolide": 9}
    assert [well.well for well in plate_wells()] == list(rows["well"])


def test_every_layout_holds_the_same_plate(plate) -> None:
    _, written = plate
    first, *others = (find_images(source) for source in written.values())
    assert len(first) == 96
    assert first[0].channels == ("dna", "tubulin", "actin")
    for images in others:
        assert [(image.id, image.channels, image.metadata) for image in images] == [
            (image.id, image.channels, image.metadata) for image in first
        ]
        for own, expected in zip(images[::31], first[::31], strict=True):
            np.testing.assert_array_equal(own.read(), expected.read())


def test_effects_grow_with_the_dose(plate) -> None:
    _, written = plate
    wells = {well.well: well for well in plate_wells()}
    sharpness: dict[float, list[float]] = {}
    for image in find_images(written["phenix"]):
        well = wells[image.metadata["well"]]
        if image.metadata["well"] < "E":
            actin = image.read()[2].astype(float)
            sharpness.setdefault(well.strength, []).append(float(np.abs(np.diff(actin)).mean() / actin.std()))
    low, high = (
        np.mean([value for strength in chosen for value in sharpness[strength]]) for chosen in halves(sharpness)
    )
    assert high < low - 2 * np.std(sharpness[0.0])  # broad bundles instead of fine fibres


def halves(by_strength: dict[float, list[float]]) -> tuple[list[float], list[float]]:
    """The weak and the full strengths."""
    return [s for s in by_strength if s < 0.1], [s for s in by_strength if s > 0.9]


def test_seeds_decide(plate, tmp_path) -> None:
    again, other = (simulate_plate(tmp_path / str(seed), seed=seed, layouts=["omezarr"])["omezarr"] for seed in (3, 4))
    first, same, different = (find_images(source)[0].read()[0] for source in (plate[1]["omezarr"], again, other))
    np.testing.assert_array_equal(first, same)
    assert (first != different).any()
    with pytest.raises(InputError, match="no plate layout czi"):
        simulate_plate(tmp_path, seed=0, layouts=["czi"])
