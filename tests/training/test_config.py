import pytest
import yaml

from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.training import RECIPES, TrainConfig
from tests.running import call, refused, training_call

PLACES = ("--dataset", "d", "--output", "o")


def test_published_is_the_papers_training() -> None:
    config = TrainConfig.from_dict({"recipe": "published"})
    assert (config.optimizer, config.learning_rate, config.batch_size, config.epochs) == ("adam", 1e-3, 64, 24)
    assert (config.rotation, config.image_size, config.flip, config.label_smoothing) == (360, 224, False, 0)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_survives_yaml(recipe: str) -> None:
    config = TrainConfig.from_dict({"recipe": recipe, "subset": ["actin", "yeast"], "model_config": {"depth": 2}})
    assert TrainConfig.from_dict(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config


def test_command_line_beats_yaml_beats_recipe(tmp_path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("recipe: modern\nepochs: 7\nlearning_rate: 0.5\n")
    config, options = training_call(*PLACES, "--config", str(file), "--epochs", "3", "--no-flip", "--resume")
    assert (config.epochs, config.learning_rate, config.optimizer, config.flip) == (3, 0.5, "adamw", False)
    assert options == {"resume": True, "as_json": False}


def test_options_take_underscores_as_scripts_of_huggingface_do() -> None:
    config, _ = training_call(*PLACES, "--image_size", "32", "--batch_size=4", "--no_flip", "--subset", "toy_20")
    assert (config.image_size, config.batch_size, config.flip, config.subset) == (32, 4, False, ("toy_20",))


def test_lists_and_pairs_on_the_command_line() -> None:
    lists = ("--subset", "actin", "yeast", "--trackers", "--model-config", "width_coefficient=0.5", "image_size=64")
    config, options = training_call(*PLACES, *lists)
    assert config.subset == ("actin", "yeast")
    assert config.trackers == ()
    assert config.model_config == {"width_coefficient": 0.5, "image_size": 64}
    assert not options["resume"]


def test_missing_places_and_files_are_named(tmp_path) -> None:
    with pytest.raises(InputError, match="--output is missing"):
        training_call("--dataset", "d")
    with pytest.raises(InputError, match="no such file"):
        training_call(*PLACES, "--config", str(tmp_path / "none.yaml"))
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(InputError, match="option: value"):
        training_call(*PLACES, "--config", str(tmp_path / "list.yaml"))
    (tmp_path / "run.yaml").write_text("epoch: 1\n")
    with pytest.raises(InputError, match=r"--config \S+run.yaml: there is no field 'epoch'\. Did you mean epochs\?$"):
        training_call(*PLACES, "--config", str(tmp_path / "run.yaml"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--targets", "label"), ("No such option: --targets", "(see scripts/train.py --help)")),
        (("--cache", "tape"), ("cache is 'tape'; choose one of none, disk, ram, device",)),
        (("--epochs",), ("'--epochs' requires an argument",)),
        (("--model-config", "0.1"), ("takes KEY=VALUE, not '0.1'",)),
    ],
)
def test_a_wrong_option_is_said_in_one_line(arguments, words) -> None:
    refused(call("train", *PLACES, *arguments), *words)


def test_differences_leave_out_what_cannot_change_the_weights() -> None:
    before = TrainConfig(dataset="a", output="x", cache="ram", workers=1, seed=1)
    after = TrainConfig(dataset="b", output="y", cache="none", workers=8, seed=2, subset=("actin",))
    assert after.differences(before.to_dict()) == ["subset: ['full'] → ['actin']", "seed: 1 → 2"]
