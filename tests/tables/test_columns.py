"""Names of columns: ours, on disk, and those of other tools."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytoimagenet_hf.tables.columns import column_of, fact_of, feature_names, pack_names, unpack_names


@pytest.mark.parametrize(
    ("column", "fact"),
    [
        ("Metadata_Plate", "plate"),
        ("Metadata_well", "well"),
        ("Image_Metadata_Well_DAPI", "well"),
        ("Metadata_Plate_Map_Name", "Plate_Map_Name"),
        ("Metadata_broad_sample", "broad_sample"),
        ("ImageNumber", "imagenumber"),
        ("Image_FileName_OrigDNA", "image_filename_origdna"),
        ("id", "id"),
        ("Cells_AreaShape_Area", None),
        ("Image_dna_b0_0003", None),
        ("Image_Intensity_Mean_DNA", None),
    ],
)
def test_columns_of_other_tools_are_told_apart(column, fact):
    assert fact_of(column) == fact


@given(st.text(st.characters(codec="ascii", categories=("Ll", "Lu", "Nd")), min_size=1).filter(str.islower))
def test_facts_come_back_from_their_columns(name):
    assert fact_of(column_of(name)) == name


def test_names_of_features_say_stain_model_and_place():
    names = feature_names(["ER+RNA", "dna"], 4, model="/data/runs/B0 large/best")
    assert names == (
        "Image_er-rna_b0-large-best_0000",
        "Image_er-rna_b0-large-best_0001",
        "Image_dna_b0-large-best_0000",
        "Image_dna_b0-large-best_0001",
    )


@given(st.lists(st.sampled_from(["a", "b_0000", "b_0001", "b_0003", "c_0000", "_0000", "Area"]), unique=True))
def test_packed_names_come_back(names):
    assert list(unpack_names(pack_names(names))) == names
