"""Cards of models, rendered from the files beside the weights."""

import json

import pytest
import yaml

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.cards.facts import add_scores, card_facts, write_model_card
from cytoimagenet_hf.scoring.results import EntryRecord, ResultsRecord
from tests.dataset.cards.records import score

CONFIG = {
    "architectures": ["EfficientNetModel"],
    "model_type": "efficientnet",
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
    "training_sources": ["bbbc013", "idr0072"],
}
PROCESSOR = {"method": "concat-norm", "resample": 2, "rescale_factor": 0.5, "image_mean": [0.0], "size": None}


RECORD = ResultsRecord(
    {},
    {},
    (EntryRecord("Mine", "model", {"method": "concat-norm"}), EntryRecord("Random", "model")),
    (
        score("Mine", 0.75, set="bbbc021 NSC", cluster="compound", groups=3, cluster_interval=(0.6, 0.8)),
        score("Mine", 0.5, set="coos7 test 1", wilson=(0.1, 0.9)),
        score("Random", 0.25, set="coos7 test 1"),
    ),
).to_json()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "b0"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


def test_a_card_says_where_extraction_takes_other_features_than_the_network_pools(folder):
    write_model_card(folder)
    assert "load_encoder" not in (folder / "README.md").read_text()
    extraction = {"pooling": "early", "pixels": True, "normalize": "gain"}
    written(folder, "config.json", CONFIG | {"extraction": extraction})
    write_model_card(folder)
    text = (folder / "README.md").read_text()
    assert "(`pooling` early, `pixels` true, `normalize` gain); `--pooling last --no-pixels`" in text
    assert 'load_encoder("b0").encode(' in text


def written(folder, name, content):
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def test_a_card_tells_architecture_preprocessing_sources_and_what_they_share_with_benchmarks(folder):
    card = write_model_card(folder).read_text()
    assert "# b0\n\nEfficientNet-B0 for features" in card
    assert "| resample | bilinear |" in card
    assert "2 sources: bbbc013, idr0072." in card
    assert "| coos7 | idr0072 | laboratory |" in card
    assert "size" not in card_facts(folder).preprocessing


def test_the_same_files_give_the_same_card(folder):
    first = write_model_card(folder).read_text()
    assert write_model_card(folder).read_text() == first


def test_a_training_run_brings_its_numbers_figures_and_what_it_never_learnt(folder):
    facts = {
        "config": "epochs: 3",
        "metrics": {"accuracy": 0.25, "epochs": 3},
        "per_category": [{"category": "compound", "classes": 2, "top1": 0.5, "never": 1}],
        "never_predicted": [f"drug {number}" for number in range(41)],
    }
    written(folder, "training.json", facts)
    (folder / "curves.png").write_bytes(b"a picture")
    card = write_model_card(folder, name="me/b0").read_text()
    for line in (
        "| accuracy | 0.2500 |",
        "| compound | 2 | 0.5000 | 1 |",
        "](curves.png)",
        "drug 39, and 1 more",
        "epochs: 3",
        '"me/b0"',
    ):
        assert line in card
    assert "categories.png" not in card


def test_scores_of_a_benchmark_become_a_model_index_with_the_interval_by_group(folder, tmp_path):
    results = written(tmp_path, "results.json", RECORD)
    scores = add_scores(folder, results, entry="Mine")
    assert [(entry["task"], entry["low"], entry["high"]) for entry in scores] == [
        ("bbbc021 NSC", 0.6, 0.8),
        ("coos7 test 1", 0.1, 0.9),
    ]
    card = write_model_card(folder).read_text()
    assert "| bbbc021 NSC | concat-norm | kNN accuracy | 0.7500 | 0.6000 to 0.8000 |" in card
    index = yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"]
    assert [result["metrics"][0]["value"] for result in index] == [0.75, 0.5]


def test_a_fusion_has_the_sources_of_all_its_backbones_or_none_is_known(folder):
    other = CONFIG | {"training_sources": ["kag_hpa"]}
    fusion = {"architectures": ["CytoFusionModel"], "model_type": "cyto-fusion", "backbones": [CONFIG, other]}
    written(folder, "config.json", fusion)
    facts = card_facts(folder)
    assert facts.training_sources == ["bbbc013", "idr0072", "kag_hpa"]
    assert facts.architecture == "CytoFusionModel of EfficientNet-B0 and EfficientNet-B0"
    del other["training_sources"]
    written(folder, "config.json", fusion)
    assert card_facts(folder).training_sources is None
    assert "not declared" in write_model_card(folder).read_text()


def test_converted_weights_say_what_they_are_and_their_name_says_nothing(folder):
    written(folder, "config.json", {key: value for key, value in CONFIG.items() if key != "training_sources"})
    written(folder, "conversion.json", {"weights": "efficientnetb0_weights-notop.h5", "sha256": "0123456789abcdef0"})
    facts = card_facts(folder, name="me/cytoimagenet-b0")
    assert facts.training_sources is None
    assert "SHA-256 `0123456789abcdef…`" in facts.origin


@pytest.mark.parametrize(
    ("content", "entry", "message"),
    [
        (RECORD, None, "choose one of Mine, Random"),
        (RECORD, "Yours", "no entry 'Yours'"),
        ([], None, "is not a results record"),
    ],
)
def test_results_that_do_not_tell_are_refused(folder, tmp_path, content, entry, message):
    with pytest.raises(InputError, match=message):
        add_scores(folder, written(tmp_path, "results.json", content), entry=entry)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        write_model_card(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not readable JSON"):
        write_model_card(tmp_path)


def test_a_note_stands_on_top_however_often_the_card_is_rendered(folder):
    (folder / "NOTE.md").write_text("> Read this first.\n")
    for _ in range(2):
        assert "# b0\n\n> Read this first.\n\nEfficientNet-B0 for" in write_model_card(folder).read_text()


def test_what_was_fine_tuned_stands_in_the_header_with_its_revision_in_the_text(folder):
    assert "base_model" not in write_model_card(folder).read_text()
    written(folder, "training.json", {"base_model": {"repo": "google/efficientnet-b0", "revision": "abc123"}} | RUN)
    card = write_model_card(folder).read_text()
    header = yaml.safe_load(card.split("---\n")[1])
    assert (header["base_model"], header["base_model_relation"]) == (["google/efficientnet-b0"], "finetune")
    assert "Fine-tuned from [google/efficientnet-b0]" in card
    assert "at revision `abc123`." in card
    assert "https://huggingface.co/google/efficientnet-b0" in (folder / "LICENSE.md").read_text()


def test_the_licence_that_the_header_links_to_stands_beside_the_card(folder):
    header = yaml.safe_load(write_model_card(folder).read_text().split("---\n")[1])
    text = (folder / header["license_link"]).read_text()
    assert "under the licences of each: bbbc013, idr0072." in text


RUN = {"config": "epochs: 3", "metrics": {"accuracy": 0.25}, "per_category": [], "never_predicted": []}
