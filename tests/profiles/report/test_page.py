"""The page of a plate: what it says, that it asks nothing of a server, and its pieces by hand."""

import io
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pandas as pd
import pytest

from cytoimagenet_hf.core.colours import CATEGORIES
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.core.seeding import derive_rng
from cytoimagenet_hf.images import find_images
from cytoimagenet_hf.options.profile import ProfilePlan
from cytoimagenet_hf.profiles.embedding import embed
from cytoimagenet_hf.profiles.plan import make_profiles
from cytoimagenet_hf.profiles.report import write_figure, write_report
from cytoimagenet_hf.profiles.report.colouring import colourings
from cytoimagenet_hf.profiles.report.findings import explained_variance, position_findings
from cytoimagenet_hf.profiles.report.heatmap import plate_heatmap, plate_shape
from cytoimagenet_hf.profiles.report.montage import make_montage
from cytoimagenet_hf.profiles.report.replicates import replicate_scores
from cytoimagenet_hf.profiles.report.svg import number, ticks
from cytoimagenet_hf.tables.features import FeatureTable

EVIL = '</script><script>alert("x")</script>'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One plate of 24 wells and two stains, each field a gray of its own."""
    root = tmp_path_factory.mktemp("images") / "p0"
    root.mkdir()
    for place in range(24):
        well = f"{'AB'[place // 12]}{place % 12 + 1:02d}"
        for channel in (1, 2):
            picture = np.full((48, 60), 10 * channel + place, np.uint8)
            picture[:8] = 200
            assert cv2.imwrite(str(root / f"{well}_s1_w{channel}.png"), picture)
    return root.parent


def profiles_of(plates=1, compound="drug", missing=None):
    rng = derive_rng(0, "report")
    rows, values = [], []
    for plate in range(plates):
        for place in range(24):
            role = "negative" if place < 6 else "positive" if place < 10 else "treatment"
            dose = 0.0 if place < 6 else 100.0 if place < 10 else float(3.0 ** ((place - 10) % 7))
            effect = 0.0 if place < 6 else dose / (dose + 9)
            well = f"{'AB'[place // 12]}{place % 12 + 1:02d}"
            rows.append((f"p{plate}", well, role, "" if place < 6 else compound, dose))
            values.append(effect * np.arange(6) + 0.1 * rng.normal(size=6) + 0.2 * plate)
    facts = pd.DataFrame(rows, columns=["plate", "well", "role", "compound", "dose"])
    ids = np.array([f"{row[0]}/{row[1]}" for row in rows], dtype=object)
    names = tuple(f"Image_dna_b0_{place:04d}" for place in range(6))
    kept = np.array([row[1] != missing for row in rows])
    table = FeatureTable(ids, np.array(values), facts, names).take(np.flatnonzero(kept))
    return make_profiles(table, ProfilePlan(dose_unit="uM"))


def images_in(folder, stains="1=dna,2=er"):
    return find_images(folder, pattern="{plate}/{well}_s{site}_w{c}.png", stains=stains)


def written(profiles, folder, **options):
    """The text of the page, and what `write_report` says of it."""
    said = write_report(profiles, folder / "plate.html", **options)
    return (folder / "plate.html").read_text(encoding="utf-8"), said


def with_facts(table, facts):
    return FeatureTable(table.ids, table.values, facts, table.names)


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    rejected = {"p0/B12/1": "truncated file"}
    place = tmp_path_factory.mktemp("report")
    return written(profiles_of(missing="B12"), place, images=images_in(folder), rejected=rejected)


def test_the_page_says_what_was_measured(page):
    html, said = page
    profiles = profiles_of(missing="B12")
    assert f"{profiles.screen.separations[0].z_prime:.2f}" in html
    assert f"{profiles.screen.responses[0].spearman:.2f}" in html
    assert "EC50" in html
    assert all(f'data-id="p0/{well}"' in html for well in ("A01", "B11"))
    assert 'data-id="p0/B12"' not in html
    assert "B12: no features" in html
    assert "truncated file" in html
    assert all(sentence.split(":")[0] in html for sentence in said["sentences"])
    assert said["bytes"] == len(html.encode())
    assert said["replicates"]


def test_the_page_is_one_file(page):
    html, _ = page
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:)[^"']""", html)
    assert "http" not in html.replace("http-equiv", "")
    assert "@import" not in html
    assert "url(" not in html.replace("url(${pictures[id]})", "")
    assert html.count("data:image/jpeg;base64,") == 23
    assert len(html) < 1_000_000


def test_names_of_compounds_cannot_leave_their_place(tmp_path):
    html, _ = written(profiles_of(compound=EVIL), tmp_path)
    assert EVIL not in html
    assert html.count("<script>") == 1


def test_several_plates_can_be_chosen(tmp_path):
    html, said = written(profiles_of(plates=2), tmp_path)
    assert "<option>p1</option>" in html
    assert any(sentence.startswith("Batch: the plate explains") for sentence in said["sentences"])


def test_a_plate_without_controls_has_a_page(tmp_path):
    table = profiles_of().table
    bare = with_facts(table, table.metadata.drop(columns=["role", "compound", "dose"]))
    html, _ = written(make_profiles(bare, ProfilePlan()), tmp_path)
    assert "no negative controls are known" in html
    assert "Dose response" not in html


def test_the_figure_is_one_valid_drawing(tmp_path):
    from xml.etree import ElementTree

    write_figure(profiles_of(compound="a & b"), tmp_path / "plate.svg")
    root = ElementTree.parse(tmp_path / "plate.svg").getroot()
    inner = [one for one in root if one.tag.endswith("svg")]
    assert len(inner) == 3  # heat map, controls, doses
    assert "a & b: Z′" in " ".join(root.itertext())
    with pytest.raises(InputError, match=r"written as \.svg"):
        write_figure(profiles_of(), tmp_path / "plate.png")


def test_what_has_no_wells_is_refused(tmp_path):
    profiles = profiles_of()
    with pytest.raises(InputError, match=r"written as \.html"):
        write_report(profiles, tmp_path / "plate.pdf")
    with pytest.raises(InputError, match="--level well"):
        write_report(type(profiles)(profiles.table, profiles.facts, None), tmp_path / "plate.html")


def test_every_time_point_is_drawn_and_spoken_of_for_itself(tmp_path):
    once = profiles_of().table
    later = FeatureTable(
        np.array([f"{ident}/2" for ident in once.ids], object), once.values + 5, once.metadata.assign(t=2), once.names
    )
    facts = pd.concat([once.metadata.assign(t=1), later.metadata], ignore_index=True)
    both = np.concatenate([once.values, later.values])
    table = FeatureTable(np.concatenate([once.ids, later.ids]), both, facts, once.names)
    profiles = make_profiles(table, ProfilePlan(dose_unit="uM"))
    assert [(one.plate, one.setting, one.negatives) for one in profiles.screen.separations] == [
        ("p0", "t 1", 6),
        ("p0", "t 2", 6),
    ]
    page, said = written(profiles, tmp_path)
    assert page.count("<option>p0, t ") == 2
    assert "drug on p0, t 2" in page
    assert "<b>24</b>" in page or ">24<" in page  # wells, not rows
    assert [one[:10] for one in said["sentences"]][::4] == ["t 1: Edge:", "t 2: Edge:"]
    assert all("t)" in one or "one plate" in one for one in said["sentences"])


def test_rows_that_share_a_well_and_a_time_are_refused(tmp_path):
    profiles = profiles_of()
    table = with_facts(profiles.table, profiles.table.metadata.assign(well="A01"))
    with pytest.raises(InputError, match="several rows share a well and a time point"):
        write_report(replace(profiles, table=table), tmp_path / "plate.html")


def test_sentences_name_what_equal_wells_agree_in_and_what_was_left_out():
    table = profiles_of(plates=2).table
    facts = table.metadata.assign(serum=["10", "2"] * 24, notes=[f"n{row}" for row in range(48)])
    made = make_profiles(with_facts(table, facts), ProfilePlan(dose_unit="uM"))
    sentences = position_findings(made.table, made.facts)
    assert all("(equal in compound and dose, whatever their serum)" in one for one in sentences)
    assert any("serum" in note for note in made.facts.notes)


def test_pictures_are_small_and_intensities_native(folder):
    images = images_in(folder)
    found = make_montage(images, {("p0", "A01"): "one", ("p0", "A02"): "two"})
    assert set(found.pictures) == {"one", "two"}
    assert found.intensity["dna"]["one"] == pytest.approx((8 * 200 + 40 * 10) / 48)
    assert found.intensity["er"]["two"] == pytest.approx((8 * 200 + 40 * 21) / 48)
    assert found.colours == {"dna": "green", "er": "magenta"}
    with pytest.raises(InputError, match="no image belongs"):
        make_montage(images, {("q", "A01"): "one"})


def test_unreadable_fields_are_counted(folder, tmp_path):
    for image in images_in(folder)[:2]:
        for name in image.planes[0]:
            copy = tmp_path / "p0" / Path(name.path).name
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(Path(name.path).read_bytes())
    (tmp_path / "p0" / "A01_s1_w1.png").write_bytes(b"\x89PNG broken")
    found = make_montage(images_in(tmp_path, "1=dna"), {("p0", "A01"): "one", ("p0", "A02"): "two"})
    assert len(found.failures) == 1
    assert set(found.pictures) == {"two"}


def test_rows_that_differ_are_found_and_chance_is_not():
    rng = derive_rng(1, "rows")
    labels, groups = ["a", "b"] * 20, [str(place // 4) for place in range(40)]
    x = rng.normal(size=(40, 8))
    part, chance, p_value, used = explained_variance(x, labels, within=groups, seed=0)
    assert (used, p_value > 0.01) == (40, True)
    assert part == pytest.approx(chance, abs=0.03)
    x[::2] += 2
    assert explained_variance(x, labels, within=groups, seed=0)[0] > 0.4
    assert explained_variance(x, labels, within=groups, seed=0)[2] == pytest.approx(0.001)
    assert np.isnan(explained_variance(x, ["a"] * 40, within=groups, seed=0)[0])


def test_replicates_that_are_alike_have_full_precision():
    found = replicate_scores(profiles_of().table, profiles_of().facts, null_size=200)
    assert found[0].precision == pytest.approx(1.0)


def test_colours_are_at_most_six():
    profiles = profiles_of()
    many = profiles.facts.compound.copy()
    many[:] = [f"c{place % 12}" for place in range(len(many))]
    facts = replace(profiles.facts, compound=many)
    by_name = {one.name: one for one in colourings(profiles.table, facts, profiles.screen.distance)}
    assert len(set(by_name["compound"].colours) & set(CATEGORIES)) <= 6
    assert by_name["compound"].legend[-1][0].endswith("others")
    assert {"role", "compound", "dose (µM)", "row", "column", "distance from controls"} == set(by_name)


def test_wells_that_are_alike_are_mapped_near_each_other():
    groups = np.repeat(np.eye(3), 20, axis=0) + 0.05 * derive_rng(3, "groups").normal(size=(60, 3))
    found = embed(groups, seed=0)
    assert (found.axes, found.method) == (("t-SNE 1", "t-SNE 2"), "t-SNE, perplexity 20, seed 0")
    centres = found.places.reshape(3, 20, 2).mean(axis=1)
    spread = found.places.reshape(3, 20, 2).std(axis=1).max()
    assert min(np.linalg.norm(centres[a] - centres[b]) for a, b in ((0, 1), (0, 2), (1, 2))) > 2 * spread


def test_few_wells_are_mapped_by_components():
    assert embed(derive_rng(2, "few").normal(size=(5, 9)), seed=0).method == "principal components"
    assert embed(np.ones((3, 2)), seed=0).places.shape == (3, 2)


@pytest.mark.parametrize(
    ("well", "shape"), [("D06", (4, 6)), ("F08", (6, 8)), ("H12", (8, 12)), ("P24", (16, 24)), ("AF48", (32, 48))]
)
def test_plates_of_every_size_are_drawn(well, shape):
    assert plate_shape([well]) == shape
    drawing = plate_heatmap({well: ("id", 1.0, "negative")}, title="t", legend="l", limits=(0, 2))
    assert drawing.count("<rect") == shape[0] * shape[1] + 40  # and the steps of the legend


def test_ticks_and_numbers():
    assert ticks(-0.2, 1.1) == [-0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert number(-1e-17) == "0"


def test_a_plate_is_as_large_as_it_is_said_to_be():
    assert plate_shape(["A01"], size=384) == (16, 24)
    with pytest.raises(InputError, match="a plate of 24 wells has no well A07"):
        plate_shape(["A07"], size=24)
    with pytest.raises(InputError, match="choose from 24, 48, 96, 384, 1536"):
        plate_shape(["A01"], size=100)


def test_hits_are_ordered_by_distance_and_downloaded_as_csv(tmp_path):
    profiles = profiles_of()
    html, said = written(profiles, tmp_path)
    hits = said["hits"]
    assert sorted(well for hit in hits for well in hit["wells"]) == [
        f"p0/{'AB'[place // 12]}{place % 12 + 1:02d}" for place in range(6, 24)
    ]
    distances = [hit["distance"] for hit in hits]
    assert distances == sorted(distances, reverse=True)
    rows = dict(zip(profiles.table.ids, profiles.screen.distance, strict=True))
    assert hits[0]["distance"] == pytest.approx(np.median([rows[well] for well in hits[0]["wells"]]))
    address = re.search(r'href="data:text/csv;charset=utf-8,([^"]+)"', html)[1]
    table = pd.read_csv(io.StringIO(unquote(address).removeprefix("\ufeff")))
    assert table["treatment"].tolist() == [hit["treatment"] for hit in hits]
    assert table["distance"].tolist() == pytest.approx(distances)
    assert table["wells"].sum() == 18


def test_fields_are_written_whole_on_request(folder, tmp_path):
    html, _ = written(profiles_of(), tmp_path, images=images_in(folder), full_size=True)
    fields = sorted((tmp_path / "plate_fields").iterdir())
    assert len(fields) == 24
    assert cv2.imread(str(fields[0])).shape == (48, 60, 3)
    assert all(f"plate_fields/{file.name}" in html for file in fields)


def test_drawn_images_are_called_simulated(tmp_path):
    profiles = profiles_of()
    assert "Simulated" not in written(profiles, tmp_path)[0]
    drawn = replace(profiles, table=replace(profiles.table, about=profiles.table.about | {"simulated": True}))
    assert "Simulated: these images are drawn" in written(drawn, tmp_path)[0]
    write_figure(drawn, tmp_path / "drawn.svg")
    assert ">Simulated<" in (tmp_path / "drawn.svg").read_text(encoding="utf-8")
