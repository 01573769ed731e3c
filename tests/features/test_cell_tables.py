"""Tables of cells: CellProfiler's measurements beside a network's features, one row per cell, in one pass."""

import importlib
import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import tifffile

from cytoimagenet_hf.cli import main
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.features.folder import extract_to_folder
from cytoimagenet_hf.images import find_cells, look
from cytoimagenet_hf.networks import load_encoder
from cytoimagenet_hf.networks.kinds import cp_measure
from cytoimagenet_hf.networks.kinds.cp_measure import CellMeasures
from cytoimagenet_hf.options.extraction import Extraction
from cytoimagenet_hf.tables.reading import read_features
from tests.tiny_encoder import tiny_encoder

PATTERN = "{plate}_{well}_s{site}_{c}.tif"
GROUPS = "cp_measure:shape,intensity,correlation"
SETTINGS = Extraction(shard_size=3, workers=2)


@pytest.fixture
def plate(tmp_path):
    """Wells A01 and A02, channels dna and er, three cells with a nucleus each."""
    pytest.importorskip("cp_measure")
    rng = np.random.default_rng(5)
    (tmp_path / "plate").mkdir()
    (tmp_path / "masks").mkdir()
    rows, columns = np.mgrid[:60, :80]
    for well in ("A01", "A02"):
        cells, nuclei = np.zeros((2, 60, 80), np.uint16)
        for number, (y, x) in enumerate([(15, 15), (40, 30), (30, 60)], 1):
            away = (rows - y) ** 2 + 1.3 * (columns - x) ** 2
            cells[away < 130], nuclei[away < 45] = number, 10 * number
        for channel in ("dna", "er"):
            pixels = rng.integers(1000, 60000, (60, 80)).astype(np.uint16)
            tifffile.imwrite(tmp_path / "plate" / f"p_{well}_s1_{channel}.tif", pixels)
        tifffile.imwrite(tmp_path / "masks" / f"p_{well}_1_Cells.tif", cells)
        tifffile.imwrite(tmp_path / "masks" / f"p_{well}_1_Nuclei.tif", nuclei)
    return tmp_path


def cells_of(plate):
    return find_cells(look(plate / "plate", pattern=PATTERN), plate / "masks", size=16).images


def test_cp_measure_absent_is_one_line(monkeypatch) -> None:
    def missing(name: str) -> str:
        raise cp_measure.PackageNotFoundError(name)

    monkeypatch.setattr(cp_measure, "version", missing)
    with pytest.raises(InputError, match=r"pip install .*classical"):
        load_encoder("cp_measure")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("cp_measure:colour", {}, "no group colour"), ("cp_measure", {"size": 64}, "takes no size")],
)
def test_choices_that_measurements_do_not_have(name, options, message) -> None:
    pytest.importorskip("cp_measure")
    with pytest.raises(InputError, match=message):
        load_encoder(name, **options)


def test_numbers_are_those_of_the_package(plate) -> None:
    package = importlib.import_module("cp_measure.featurizer")
    images = cells_of(plate)
    measures = load_encoder("cp_measure:all")
    assert isinstance(measures, CellMeasures)
    named = measures.names(images[0].channels, ["Cells", "Nuclei"])
    with np.errstate(all="ignore"):
        config = package.make_featurizer_config(["a", "b"], objects=["Nuclei"], legacy=True, correlation_costes=False)
        pixels = np.stack(images[1].field()) / 65535
        nuclei = tifffile.imread(plate / "masks" / "p_A01_1_Nuclei.tif").astype(int)
        data, columns, rows = package.featurize(pixels[None], nuclei[None, None], config)
    expected = dict(zip(columns, data[[label for _, _, label in rows].index(20)], strict=True))
    (unit,) = load_encoder("cp_measure").units_of(images[1])
    ours = dict(
        zip(load_encoder("cp_measure").names(images[0].channels, ["Cells", "Nuclei"]), unit[0, 0], strict=True)
    )
    pairs = {
        "AreaShape_Area": "Area",
        "AreaShape_Zernike_4_2": "Zernike_4_2",
        "Intensity_MeanIntensity_ER": "Intensity_MeanIntensity__b",
        "Intensity_LowerQuartileIntensity_DNA": "Intensity_LowerQuartileIntensity__a",
        "Texture_Contrast_ER_3_02_256": "Contrast_3_02_256__b",
        "Granularity_3_DNA": "Granularity_3__a",
        "RadialDistribution_FracAtD_ER_2of4": "RadialDistribution_FracAtD_2of4__b",
        "RadialDistribution_ZernikeMagnitude_DNA_3_1": "RadialDistribution_ZernikeMagnitude_3_1__a",
        "Correlation_Correlation_DNA_ER": "Correlation_Pearson__a__b",
        "Correlation_Manders_DNA_ER": "Correlation_Manders_1__a__b",
        "Correlation_Manders_ER_DNA": "Correlation_Manders_2__a__b",
    }
    for column, theirs in pairs.items():
        assert ours[f"Nuclei_{column}"] == pytest.approx(expected[theirs], rel=1e-6), column
    assert "Nuclei_Correlation_Costes_DNA_ER" in named
    assert not any("Location" in name or "Center" in name for name in named)
    assert len(set(named)) == len(named)


def test_a_network_and_measurements_are_one_table(plate) -> None:
    images = cells_of(plate)
    models = [tiny_encoder(), load_encoder(GROUPS)]
    summary = extract_to_folder(models, images, plate / "both", settings=SETTINGS)
    both = read_features(plate / "both")
    assert (summary.kept, summary.shards, summary.rejected) == (6, 2, ())
    for number, model in enumerate(models):
        extract_to_folder(model, images, plate / f"alone{number}", settings=SETTINGS)
    alone = [read_features(plate / f"alone{number}") for number in range(2)]
    assert both.names == (*alone[0].names, *alone[1].names)
    np.testing.assert_allclose(both.values, np.concatenate([table.values for table in alone], axis=1), rtol=1e-5)
    areas = both.values[:, both.names.index("Cells_AreaShape_Area")]
    assert areas.tolist() == both.metadata["cell_area"].tolist()
    assert [part["model"] for part in both.about["joined"]] == ["tiny", GROUPS]


def test_an_interrupted_table_is_continued_with_the_same_bytes(plate) -> None:
    images, models = cells_of(plate), [tiny_encoder(), load_encoder(GROUPS)]
    extract_to_folder(models, images, plate / "out", settings=SETTINGS)
    before = {file.name: file.read_bytes() for file in (plate / "out").glob("features-*")}
    (plate / "out" / "features-00001-of-00002.parquet").unlink()
    assert extract_to_folder(models, images, plate / "out", settings=SETTINGS).shards_made_now == 1
    assert {file.name: file.read_bytes() for file in (plate / "out").glob("features-*")} == before
    with pytest.raises(InputError, match="holds another extraction"):
        extract_to_folder(models[::-1], images, plate / "out", settings=SETTINGS)


def test_one_pixel_cells_are_recorded(plate) -> None:
    mask = tifffile.imread(plate / "masks" / "p_A01_1_Cells.tif")
    mask[2, 70] = 7
    nuclei = tifffile.imread(plate / "masks" / "p_A01_1_Nuclei.tif")
    nuclei[2, 70] = 70
    tifffile.imwrite(plate / "masks" / "p_A01_1_Cells.tif", mask)
    tifffile.imwrite(plate / "masks" / "p_A01_1_Nuclei.tif", nuclei)
    summary = extract_to_folder(load_encoder(GROUPS), cells_of(plate), plate / "out", settings=SETTINGS)
    assert summary.kept == 6
    ((name, reason),) = [(image.id, image.reason) for image in summary.rejected]
    assert name == "p/A01/1/7"
    assert "measurements are not defined for it, such as Cells_" in reason


def test_a_cell_without_a_partner_is_recorded_though_its_field_is_measured(plate) -> None:
    nuclei = tifffile.imread(plate / "masks" / "p_A01_1_Nuclei.tif")
    tifffile.imwrite(plate / "masks" / "p_A01_1_Nuclei.tif", np.where(nuclei == 20, 0, nuclei))
    summary = extract_to_folder(load_encoder(GROUPS), cells_of(plate), plate / "out", settings=SETTINGS)
    ((name, reason),) = [(image.id, image.reason) for image in summary.rejected]
    assert (name, reason) == ("p/A01/1/2", "no object of Nuclei overlaps it")


def test_fields_without_masks_cannot_be_measured(plate) -> None:
    images = look(plate / "plate", pattern=PATTERN).images
    with pytest.raises(InputError, match="give label images"):
        extract_to_folder(load_encoder(GROUPS), images, plate / "out", settings=SETTINGS)


def test_masks_of_another_size_are_recorded(plate) -> None:
    for kind in ("Cells", "Nuclei"):
        file = plate / "masks" / f"p_A02_1_{kind}.tif"
        tifffile.imwrite(file, tifffile.imread(file)[:50])
    summary = extract_to_folder(load_encoder(GROUPS), cells_of(plate), plate / "out", settings=SETTINGS)
    assert summary.kept == 3
    assert {image.reason for image in summary.rejected} == {"the image is 60 x 80 and its label image 50 x 80"}


def test_the_command_and_the_profiles(plate, capsys) -> None:
    place = partial(str.format, str(plate) + "/{}")
    options = ["--pattern", PATTERN, "--cells", place("masks"), "--json"]
    assert main(["extract", place("plate"), *options, "--model", GROUPS, "--output", place("cells")]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 6
    chosen = ["--drop-border", "--cell-area", "300:", "--min-cells", "2", "--json"]
    assert main(["profile", place("cells"), "--output", place("wells.csv"), *chosen]) == 0
    summary = json.loads(capsys.readouterr().out)
    pycytominer = pytest.importorskip("pycytominer")
    for level, rows in (("cell", 6), ("site", 2), ("well", 2)):
        assert main(["profile", place("cells"), "--level", level, "--output", place(f"{level}.parquet")]) == 0
        assert len(pd.read_parquet(place(f"{level}.parquet"))) == rows
    cells, wells = (pd.read_parquet(place(f"{level}.parquet")) for level in ("cell", "well"))
    means = pycytominer.aggregate(cells, strata=["Metadata_Plate", "Metadata_Well"], operation="mean")
    medians = wells[[name for name in means if name in wells and not name.startswith("Metadata_")]]
    np.testing.assert_allclose(medians, means[medians.columns], rtol=1e-5)
    assert len(medians.columns) > 100
    page = plate / "wells.html"
    assert main(["profile", place("cells"), "--output", place("w.csv"), "--report", str(page)]) == 0
    assert page.read_text().count('<svg class="cell"') == 6
    capsys.readouterr()
    filtered, _, counted = summary["steps"]
    assert (filtered["left_out"], filtered["rows_in"], counted["rows_out"]) == ({"border": 0, "area": 0}, 6, 2)
    assert main(["profile", place("cells"), "--output", place("w.csv"), "--min-cells", "4"]) == 2
    assert "no row has 4 cells" in capsys.readouterr().err
    twice = ["--model", GROUPS, "--model", GROUPS, "--output", place("twice")]
    assert main(["extract", place("plate"), *options, *twice]) == 2
    assert not (plate / "twice").exists()
