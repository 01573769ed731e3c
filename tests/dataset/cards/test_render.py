import pytest
import yaml

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.cards import CardSource, DatasetFacts, ModelFacts, SplitFiles, dataset_card, model_card
from cytoimagenet_hf.dataset.schema import dataset_features

SPLITS = [SplitFiles("train", ("data/train-*",), 9, 900), SplitFiles("validation", ("data/validation-*",), 1, 100)]
SOURCE = CardSource(
    dir_name="bbbc013", name="a|b", database="BBBC", licence="cc-by-3.0", link="l", citation="c", images=10
)


def header(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_the_header_holds_classes_sizes_and_a_subset_with_files_of_its_own():
    toy = [SplitFiles("train", ("toy_20/train-*",), 4, 400)]
    facts = DatasetFacts(dataset_features(["actin", "mine", "yeast"]), SPLITS, subset_splits={"toy_20": toy})
    card = dataset_card(facts)
    content = header(card)
    infos = {info["config_name"]: info for info in content["dataset_info"]}
    info = infos["default"]  # the classes of the others stand in their files
    assert "features" not in infos["toy_20"]
    assert [split["num_examples"] for split in infos["toy_20"]["splits"]] == [4]
    label = next(feature for feature in info["features"] if feature["name"] == "label")
    assert label["dtype"]["class_label"]["names"] == {"0": "actin", "1": "mine", "2": "yeast"}
    assert [split["num_examples"] for split in info["splits"]] == [9, 1]
    configs = {entry["config_name"]: entry for entry in content["configs"]}
    assert configs["toy_20"]["data_files"] == [{"split": "train", "path": ["toy_20/train-*"]}]
    assert "2 of the author's 20 classes" in card
    assert (content["license"], content["license_name"]) == ("other", "by-source")


def test_one_licence_is_named_and_tables_survive_pipes():
    card = dataset_card(DatasetFacts(dataset_features(["a"]), SPLITS, sources=[SOURCE]))
    assert header(card)["license"] == "cc-by-3.0"
    assert "license_name" not in header(card)
    assert "a\\|b" in card


def test_a_card_says_what_the_data_is_first_and_how_it_was_made_last():
    summary = {"rows_in": 9, "kept": 9, "rejected": {}, "recipe": {"name": "corrected"}, "details": {}}
    facts = DatasetFacts(
        dataset_features(["a"]),
        SPLITS,
        sources=[SOURCE],
        statistics={"images_by_category": {"gene": 10}},
        summaries={"render": summary},
    )
    card = dataset_card(facts)
    order = [
        "Images by category",
        "Load",
        "Splits",
        "Columns",
        "Sources and licences",
        "Intended use",
        "How it was made",
    ]
    places = [card.index(f"## {title}") for title in [*order, "Citation"]]
    assert places == sorted(places)


def test_a_model_card_carries_its_scores_as_a_model_index():
    score = {
        "task": "bbbc021",
        "metric": "NSC accuracy",
        "value": 0.83498,
        "low": 0.76,
        "high": 0.9,
        "method": "concat",
    }
    facts = ModelFacts("me/b0", "EfficientNet-B0", {"resample": 2}, datasets=["me/cytoimagenet"], benchmarks=[score])
    card = model_card(facts)
    assert header(card)["datasets"] == ["me/cytoimagenet"]
    assert header(card)["license_name"] == "by-training-images"
    metric = header(card)["model-index"][0]["results"][0]["metrics"][0]
    assert (metric["name"], metric["value"]) == ("NSC accuracy", 0.835)


def test_percentages_are_refused_as_scores():
    score = {"task": "bbbc021", "metric": "NSC", "value": 83.5, "low": 76, "high": 90, "method": "concat"}
    with pytest.raises(InputError, match=r"fractions in \[0, 1\]"):
        model_card(ModelFacts("m", "a", {}, benchmarks=[score]))
