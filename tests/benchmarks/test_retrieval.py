"""Ready profiles: recall at every level of restriction, with an answer that can be spelled out."""

import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.benchmarks import RECIPES
from cytoimagenet_hf.benchmarks.retrieval import CPJUMP1, MORPHOHELM, enrichment, recall_at_1
from cytoimagenet_hf.benchmarks.suite import Suite, run_suite
from cytoimagenet_hf.core.errors import InputError


def _record(task, folder, **options):
    return run_suite(Suite(tasks=((task, folder),), recipe=RECIPES["corrected"], **options)).record


def _wells():
    """Compounds a, b and c in two sources of two batches; values are angles on a circle."""
    rows, angles = [], []
    for source, batch, plate, offset in (("s1", "b1", "p1", 0), ("s1", "b2", "p2", 20), ("s2", "b3", "p3", 180)):
        for place, compound in enumerate(["JCP_a", "JCP_b", "JCP_c", "JCP2022_033924"]):
            rows.append([source, batch, plate, f"A0{place + 1}", compound])
            angles.append(offset + 60 * place)
    radians = np.deg2rad(np.array(angles, float))
    columns = ["Metadata_Source", "Metadata_Batch", "Metadata_Plate", "Metadata_Well", "Metadata_JCP2022"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(PC_0=np.cos(radians), PC_1=np.sin(radians))


def test_levels_of_morphohelm(tmp_path):
    folder = tmp_path / "cpg-tgt2"
    folder.mkdir()
    _wells().to_parquet(folder / "dino_normalized.parquet")
    _wells().assign(PC_1=0.0).to_parquet(folder / "flat_normalized.parquet")
    record = _record(MORPHOHELM, folder)
    found = {score.set: score for score in record.scores if score.entry == "dino"}
    # Source 1: batches 20 degrees apart, compounds 60: the other batch is nearest. Source 2 is turned by 180 degrees:
    # a lies at 180, where p1 has nothing nearer than c (120), so it is always wrong across sources.
    assert {name: round(score.value, 4) for name, score in found.items()} == {
        "morphohelm/cpg-tgt2 · NR recall@1": round(6 / 9, 4),
        "morphohelm/cpg-tgt2 · NSB recall@1": round(6 / 9, 4),
        "morphohelm/cpg-tgt2 · NSS recall@1": 0.0,
    }
    assert all(score.cluster == "perturbation" and score.n == 9 for score in found.values())
    assert record.names("model") == ["dino", "flat"]
    assert len(record.comparisons) == 3


def test_layout_needs_a_match_at_another_place(tmp_path):
    frame = _wells()
    frame.loc[4, "Metadata_Well"] = "H12"  # a of the second batch stands elsewhere: its two mates can find it
    frame.to_parquet(tmp_path / "net_normalized.parquet")
    record = _record(MORPHOHELM, tmp_path)
    layout = next(score for score in record.scores if "NSL" in score.set)
    assert layout.n == 3
    assert layout.details["without_match"] == 6


def test_plates_of_cpjump1_are_put_together_and_targets_are_enriched(tmp_path):
    rng = np.random.default_rng(0)
    for plate in ("BR1", "BR2", "BR3"):
        rows = []
        for well in range(24):
            target = f"t{well // 2}"
            values = 5 * np.eye(12)[well // 2] + 0.01 * rng.normal(size=12) + 0.3 * np.eye(12)[(well + 3) % 12]
            rows.append([plate, f"A{well + 1:02d}", f"c{well:02d}", target, *values])
        columns = ["Metadata_Plate", "Metadata_Well", "Metadata_pert_iname", "Metadata_target"]
        frame = pd.DataFrame(rows, columns=[*columns, *(f"Cells_{n}" for n in range(12))])
        frame.assign(**{f"Nuclei_{plate}": 1.0}).to_csv(tmp_path / f"{plate}_normalized.csv.gz", index=False)
    record = _record(CPJUMP1, tmp_path)
    values = {score.set: score.value for score in record.scores}
    assert values["cpjump1 · NSB recall@1"] == 1.0
    assert values["cpjump1 · target enrichment"] == 1.0
    assert record.scores[0].entry == "normalized"
    (make,) = CPJUMP1.ready(tmp_path).values()
    assert make().about["features_that_plates_lack"] == ["Nuclei_BR1", "Nuclei_BR2", "Nuclei_BR3"]


def test_negative_controls_take_the_plate_out_and_are_not_scored(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for plate in range(3):  # in a folder each, as the repository has them
        for well in range(10):
            name = "DMSO" if well > 3 else "known toxin" if well == 3 else f"c{well}"
            kind = "negcon" if name == "DMSO" else "poscon" if name == "known toxin" else ""
            values = (name[0] == "c") * 9 * np.eye(3)[well % 3] + rng.normal(size=3)
            rows.append([f"BR{plate}", f"A{well + 1:02d}", name, kind, *values])
    columns = ["Metadata_Plate", "Metadata_Well", "Metadata_pert_iname", "Metadata_control_type"]
    frame = pd.DataFrame(rows, columns=[*columns, "Cells_0", "Cells_1", "Cells_2"])
    shifts = {plate: 50 * np.eye(3)[number] for number, plate in enumerate(("BR0", "BR1", "BR2"))}
    for plate, rows in frame.groupby("Metadata_Plate"):
        (tmp_path / plate).mkdir()
        rows = rows.assign(**{f"Cells_{n}": rows[f"Cells_{n}"] + shifts[plate][n] for n in range(3)})
        rows.to_csv(tmp_path / plate / f"{plate}_normalized.csv.gz", index=False)
    record = _record(CPJUMP1, tmp_path, postprocess=("none", "controls"))
    scores = {score.entry: score for score in record.scores if "NSB" in score.set}
    assert {name: score.n for name, score in scores.items()} == {"normalized": 9, "normalized [controls]": 9}
    assert scores["normalized"].value < scores["normalized [controls]"].value == 1.0


def test_profiles_that_name_nothing_are_refused(tmp_path):
    _wells().drop(columns="Metadata_JCP2022").to_parquet(tmp_path / "net_normalized.parquet")
    with pytest.raises(InputError, match="name no perturbation"):
        _record(MORPHOHELM, tmp_path)
    with pytest.raises(InputError, match="has none: get a folder"):
        _record(MORPHOHELM, tmp_path / "absent")


def test_recall_and_enrichment_by_hand():
    values = np.array([[1, 0], [1, 0.1], [0, 1], [0.2, 1], [1, 0.05]], float)
    names = np.array(["x", "x", "y", "y", "z"], object)
    alone = np.arange(5)
    # x0's nearest is z, x1's is z, the two y find each other, z has no partner.
    assert recall_at_1(values, names=names, excluded=alone).tolist()[:4] == [0, 0, 1, 1]
    assert np.isnan(recall_at_1(values, names=names, excluded=alone)[4])
    # With the batches of x0 and z equal, z may not be x0's neighbour any more.
    batches = np.array([0, 1, 2, 3, 0])
    assert recall_at_1(values, names=names, excluded=batches)[0] == 1
    # y2: its one nearest of four candidates is y3: cells 1, 0, 0, 3 → (1.5 · 3.5) / (0.5 · 0.5) = 21
    ratios, ps = enrichment(values, names=names, excluded=alone)
    assert ratios[2] == pytest.approx(21.0)
    assert np.isnan(ratios[4])
    assert np.isnan(ps[4])
