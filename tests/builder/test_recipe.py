from dataclasses import fields, replace

import pytest

from builder.recipe import RECIPES, Recipe, as_dict, load
from cytoimagenet_hf.core.errors import InputError


def test_the_two_recipes_differ_where_the_original_was_wrong_and_nowhere_else():
    published, corrected = RECIPES["published"], RECIPES["corrected"]
    differing = {
        rule.name for rule in fields(Recipe) if getattr(published, rule.name) != getattr(corrected, rule.name)
    }
    assert differing == {
        *("name", "label_match", "odd_labels", "repeated_label", "allocation", "strata", "presample_above", "low"),
        *("read_depth", "rgb", "missing_channels", "full_decode", "reject_uniform", "replace_single"),
        *("black_margins", "min_crop_contrast", "assignment", "holdings"),
        *("duplicate_conflict", "split_scheme", "uncertain_labels"),
    }


def test_every_field_names_its_rule_and_meaning_and_every_fault_of_the_curation_is_covered():
    rules = [rule for rule in fields(Recipe) if rule.name != "name"]
    assert len(rules) > 25
    for rule in rules:
        assert rule.metadata["meaning"], rule.name
        assert rule.metadata["row"], rule.name
    covered = {rule.metadata["row"] for rule in rules}
    assert {"L1", "L2", "L3", "L5", "L6", "L7", "I1", "I2", "I3", "I4", "I5", "I6", "S1", "H1"} <= covered


def test_overrides_take_the_type_of_their_field_and_are_spelled_in_the_name():
    recipe = load(
        "published",
        {
            "min_fields": "4",
            "low": "1",
            "full_decode": "true",
            "rgb": "mean",
            "strata": "organism, cell_type",
            "crop_scales": "[0.5, 0.25]",
            "crops_wanted": "[[10, 1], [0, 4]]",
            "held_out": "",
        },
    )
    assert (recipe.min_fields, recipe.low, recipe.full_decode, recipe.rgb) == (4, 1.0, True, "mean")
    assert isinstance(recipe.low, float)
    assert recipe.strata == ("organism", "cell_type")
    assert recipe.crop_scales == (0.5, 0.25)
    assert recipe.crops_wanted == ((10, 1), (0, 4))
    assert recipe.held_out == ()
    assert recipe.name.startswith("published+crop_scales=")
    assert recipe.label_match == "regex"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("min_field", "4", r"no field 'min_field'\. Did you mean min_fields\?"),
        ("min_fields", "four", "write it like min_fields=287"),
        ("min_fields", "true", "wrong type"),
        ("min_fields", "4.5", "wrong type"),
        ("min_fields", "0", "must be at least 1"),
        ("full_decode", "1", "wrong type"),
        ("rgb", "average", "choose one of unit-bytes, mean"),
        ("low", "99.95", "need 0 <= low < high <= 100"),
        ("crop_scales", "[0.75]", r"must lie in \(0, 0.5\]"),
        ("crops_wanted", "[[0, 4], [10, 1]]", "must fall"),
        ("crops_wanted", "[[10, 1]]", "must fall from the largest class size to 0"),
        ("crops_wanted", "[[0, 5]]", "four windows"),
        ("crops_wanted", "[[0, true]]", "wrong type"),
        ("validation_fraction", "1", r"must lie in \(0, 1\)"),
        ("presample_above", "10", "below max_fields=1000"),
        ("strata", "colour", r"names \['colour'\]"),
        ("strata", "[", "cannot read"),
    ],
)
def test_a_wrong_override_says_what_would_be_right(name, value, says):
    with pytest.raises(InputError, match=says):
        load("corrected", {name: value})


def test_a_recipe_survives_its_own_yaml(tmp_path):
    import yaml

    mine = replace(RECIPES["published"], min_fields=3, name="mine")
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(as_dict(mine)))
    assert load(str(path)) == mine


def test_a_yaml_recipe_starts_from_its_base_and_takes_overrides(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text("base: published\nmin_fields: 5\n")
    recipe = load(str(path), {"max_images": "7"})
    assert recipe == replace(RECIPES["published"], min_fields=5, max_images=7, name="small+max_images=7")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("- a\n- b\n", "must be a mapping"),
        ("base: mine\n", "base is 'mine'"),
        ("min_fields: [\n", "not valid YAML"),
        ("min_feilds: 3\n", "no field 'min_feilds'"),
    ],
)
def test_a_wrong_yaml_recipe_is_refused(tmp_path, content, says):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=says):
        load(str(path))


def test_an_unknown_recipe_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"neither one of published, corrected nor a \.yaml file"):
        load("corected")
    with pytest.raises(InputError, match=r"nor a \.yaml file that exists"):
        load(str(tmp_path / "absent.yaml"))
