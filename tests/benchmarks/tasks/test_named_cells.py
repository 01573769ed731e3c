"""Single cells with the group in the file name, on tiny folders laid out as the three repositories are."""

import numpy as np
import pytest
from PIL import Image as Picture

from cytoimagenet_hf.benchmarks import BENCHMARKS, RECIPES
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import make_table

RECIPE = RECIPES["corrected"]
MITOCHECK = "6.single_cell_images/mitocheck_single_cell_sample_images"
NUCLEUS = "PL{plate}--ex2005_07_06--sp2005_04_12--tt19--c5___P00365_01___T00064___X0746___Y0848____img.png"


def picture(path, gray=9):
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(np.full((8, 8), gray, np.uint8)).save(path)


def groups(items):
    return {item.id: item.metadata["group"] for item in items}


def test_a_nucleus_of_mitocheck_belongs_to_its_plate(tmp_path):
    for label in ("Large", "Hole"):
        for plate in ("LT0017_19", "LT0023_04"):
            picture(tmp_path / MITOCHECK / label / NUCLEUS.format(plate=plate))
    picture(tmp_path / MITOCHECK / "Large" / "thumbnail.png")
    task = BENCHMARKS["mitocheck"]
    items = task.load(tmp_path, RECIPE)
    assert groups(items) == {
        f"{label}/{NUCLEUS.format(plate=plate)}": plate
        for label in ("Hole", "Large")
        for plate in ("LT0017_19", "LT0023_04")
    }
    assert [item.id for item in task.load(tmp_path / "6.single_cell_images", RECIPE)] == [item.id for item in items]
    plates = [float(item.metadata["group"] == "LT0023_04") for item in items]
    table = make_table([item.id for item in items], np.array([[plate] for plate in plates]))
    (score,) = task.score(table, items, RECIPE, 0, k=1)
    assert (score.name, score.cluster_name, score.details["k"]) == ("mitocheck", "plate", 1)


def test_mirrored_copies_and_apoptosis_of_cellcognition_are_left_out(tmp_path):
    folder = tmp_path / "H2b_aTub_MD20x_exp911" / "classifier" / "mc64"
    for name in ("P0037_T00020_X0456_Y0115", "P0037_T00021_X0456_Y0115", "P0037_T00205_X1_Y2"):
        picture(folder / "meta" / f"{name}__img.png")
        picture(folder / "meta" / f"{name}__img.pnglr_img.png")
        picture(folder / "apo" / f"{name}__img.png")
    items = BENCHMARKS["cellcognition"].load(tmp_path, RECIPE)
    assert groups(items) == {
        "meta/P0037_T00020_X0456_Y0115__img.png": "frames from 0",
        "meta/P0037_T00021_X0456_Y0115__img.png": "frames from 21",
        "meta/P0037_T00205_X1_Y2__img.png": "frames from 189",
    }


def test_cells_of_hep2_lie_in_sixths_of_the_numbers_of_their_class(tmp_path):
    for number in range(1, 19):
        label, part = ("Golgi", "tra") if number > 12 else ("NuMem", ("tra", "val", "tes")[number % 3])
        picture(tmp_path / "dataset" / part / label / f"{number:05d}.png")
    blocks = groups(BENCHMARKS["hep2"].load(tmp_path, RECIPE))
    assert {int(name[-9:-4]): int(block[-1]) for name, block in blocks.items()} == {
        **{number: (number - 1) // 2 for number in range(1, 13)},
        **{number: number - 13 for number in range(13, 19)},
    }


@pytest.mark.parametrize("name", ["mitocheck", "cellcognition", "hep2"])
def test_a_folder_of_something_else_says_what_to_get(tmp_path, name):
    with pytest.raises(InputError, match=r"has no class folders .* clone https://github.com/"):
        BENCHMARKS[name].load(tmp_path, RECIPE)
    place = tmp_path / "dataset/tra/Golgi", tmp_path / MITOCHECK / "Hole", tmp_path / "H2b_aTub_MD20x_exp911"
    for folder in (*place[:2], place[2] / "classifier" / "mc64" / "meta"):
        folder.mkdir(parents=True)
    with pytest.raises(InputError, match="have no file of the form"):
        BENCHMARKS[name].load(tmp_path, RECIPE)
