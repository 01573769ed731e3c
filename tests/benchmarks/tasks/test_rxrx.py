"""RxRx1-WILDS by experiments, RxRx3-core by annotated gene pairs: simulated tables of their shape."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Picture

from cytoimagenet_hf.benchmarks import RECIPES, load_recipe
from cytoimagenet_hf.benchmarks.suite import Suite, run_suite
from cytoimagenet_hf.benchmarks.tasks.rxrx1 import RXRX1
from cytoimagenet_hf.benchmarks.tasks.rxrx3 import RXRX3
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.tables import make_table

RECIPE = RECIPES["corrected"]


def test_rxrx1_divides_by_site_and_experiment(tmp_path):
    rows = []
    for experiment, dataset in (("HEPG2-01", "train"), ("HEPG2-02", "test")):
        for well, sirna in (("B02", 7), ("B03", 9)):
            for site in (1, 2):
                rows.append([experiment, 1, well, site, sirna, dataset])
                path = tmp_path / "images" / experiment / "Plate1" / f"{well}_s{site}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Picture.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    columns = ["experiment", "plate", "well", "site", "sirna_id", "dataset"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "metadata.csv", index=False)
    items = RXRX1.load(tmp_path, RECIPE)
    assert [item.metadata["split"] for item in items] == ["train", "id_test"] * 2 + ["test"] * 4
    # The same wells are known again; in the other experiment everything looks like siRNA 7.
    values = np.array([[0.0], [0.0], [9.0], [9.0], [1.0], [1.0], [1.0], [1.0]])
    scores = RXRX1.score(make_table([item.id for item in items], values), items, RECIPE, 0)
    assert {score.name: score.correct.mean() for score in scores} == {"rxrx1/id_test": 1.0, "rxrx1/test": 0.5}
    assert scores[1].clusters.tolist() == ["HEPG2-02"] * 4
    (tmp_path / "images" / "HEPG2-01" / "Plate1" / "B02_s1.png").unlink()
    with pytest.raises(InputError, match=r"B02_s1\.png is missing"):
        RXRX1.load(tmp_path, RECIPE)
    rows[2][4] = None
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "metadata.csv", index=False)
    with pytest.raises(InputError, match="1 rows have no sirna_id, row 3 first"):
        RXRX1.load(tmp_path, RECIPE, images=False)


@pytest.fixture
def rxrx3(tmp_path):
    """Two plates of forty genes and eight empty wells; genes g00 and g01, g02 and g03 … look alike two by two."""
    rng = np.random.default_rng(0)
    rows, values = [], []
    directions = rng.normal(size=(20, 8)) * 6
    for plate in (1, 2):
        offset = 100.0 * plate
        for well in range(48):
            gene = f"g{well:02d}" if well < 40 else "EMPTY_control"
            effect = directions[well // 2] if well < 40 else 0.0
            rows.append([f"gene-001_{plate}_{well}", "gene-001", plate, gene, gene, "CRISPR"])
            values.append(offset + effect + 0.1 * rng.normal(size=8))
    rows.append(["compound-1", "compound-001", 1, None, "aspirin", "COMPOUND"])
    values.append(np.zeros(8))
    columns = ["well_id", "experiment_name", "plate", "gene", "treatment", "perturbation_type"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "metadata_rxrx3_core.csv", index=False)
    table = pd.DataFrame(np.array(values), columns=[f"feature_{place}" for place in range(8)])
    table.insert(0, "well_id", [row[0] for row in rows])
    table.to_parquet(tmp_path / "OpenPhenom_rxrx3_core_embeddings.parquet")
    pairs = [[f"g{2 * n + 1:02d}", f"g{2 * n:02d}"] for n in range(20)] + [["g00", "elsewhere"], ["g00", "g01"]]
    pd.DataFrame(pairs, columns=["entity1", "entity2"]).to_csv(tmp_path / "CORUM.csv", index=False)
    return tmp_path


def test_rxrx3_finds_annotated_pairs_in_the_ends_of_all_cosines(rxrx3):
    suite = Suite(tasks=((RXRX3, rxrx3),), recipe=RECIPE)
    record = run_suite(suite).record
    (score,) = record.scores
    assert (score.entry, score.set, score.measure) == ("OpenPhenom", "rxrx3-core · CORUM", "recall of pairs")
    assert score.n == 20  # each pair once, unknown genes left out
    assert score.value == 1.0
    assert score.details["postprocess"] == "tvn"
    assert (score.cluster, score.groups) == ("first gene", 20)


def test_rxrx3_of_features_that_know_nothing_is_near_chance(rxrx3):
    items = RXRX3.load(rxrx3, RECIPE)
    assert len(items) == 96  # no compounds
    rng = np.random.default_rng(1)
    table = make_table([item.id for item in items], rng.normal(size=(96, 8)))
    (score,) = RXRX3.score(table, items, RECIPE, 0, root=rxrx3)
    assert score.outcomes.mean() <= 0.3
    (rxrx3 / "CORUM.csv").unlink()
    with pytest.raises(InputError, match="no table of gene pairs"):
        RXRX3.score(table, items, RECIPE, 0, root=rxrx3)


def test_networks_are_not_run_where_there_are_no_images(rxrx3):
    lines = []
    (rxrx3 / "OpenPhenom_rxrx3_core_embeddings.parquet").unlink()
    with pytest.raises(InputError, match="scored from ready features"):
        run_suite(Suite(tasks=((RXRX3, rxrx3),), models=("random:0",), recipe=RECIPE), report=lines.append)
    assert any("models and baselines are not run" in line for line in lines)


def test_a_plate_without_empty_wells_is_refused(rxrx3):
    file = rxrx3 / "metadata_rxrx3_core.csv"
    table = pd.read_csv(file)
    table[~((table["gene"] == "EMPTY_control") & (table["plate"] == 2))].to_csv(file, index=False)
    with pytest.raises(InputError, match="fewer than 3 control wells"):
        run_suite(Suite(tasks=((RXRX3, rxrx3),), recipe=load_recipe("corrected")))
