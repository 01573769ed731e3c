"""Label rules on spelled-out cells, and vocabulary files that must be refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.vocabulary import Label, load_vocabulary, plain
from cytoimagenet_hf.core.errors import InputError

RULES = load_vocabulary()


@pytest.mark.parametrize(
    ("category", "value", "text"),
    [
        ("organism", "Homo sapiens", "human"),
        ("organism", "Danio rerio", "danio rerio"),  # unknown organisms stay as they are
        ("cell_type", " U-2  OS ", "u2os"),
        ("cell_type", "white blood cell (B-cell)", "white blood cell"),
        ("cell_visible", ("Nuclei", "ER", "nucleus"), "nucleus|er"),
        ("cell_visible", "Golgi apparatus|plasma membrane", "golgi|cell membrane"),
        ("cell_visible", "TKL kinase", "kinase"),
        ("gene", "VAMP5", "vamp5 targeted"),
        ("gene", "rab5 targeted", "rab5 targeted"),
        ("gene", "PGK-GFP", "pgk-gfp targeted"),
        ("compound", "Trichostatin *A*", "trichostatin -- a --"),
        ("compound", "22_cGAMP", "22_cgamp"),
        ("compound", "voltage-gated / blocker", "voltage-gated / blocker"),
        ("phenotype", "Telophase ", "telophase"),
        ("microscopy", "confocal (?)", "confocal"),
        ("compound", "none", None),
        ("gene", "NaN", None),
        ("sirna", "", None),
        ("sirna", None, None),
        ("phenotype", ("", "dead"), "dead"),
    ],
)
def test_labels(category, value, text):
    assert RULES.label(category, value).text == text


@pytest.mark.parametrize(
    ("category", "value", "expected"),
    [
        ("compound", "DMSO", Label("dmso", "negative")),
        ("compound", "Dimethyl Sulfoxide", Label("dmso", "negative")),
        ("phenotype", "DMSO", Label(None, "negative")),  # a treatment, no phenotype
        ("sirna", "EMPTY", Label(None, "untreated")),
        ("sirna", "UNTREATED", Label(None, "untreated")),
        ("gene", "empty", Label(None, "untreated")),
        ("compound", "tamoxifen", Label("tamoxifen", None)),
    ],
)
def test_controls_are_marked(category, value, expected):
    assert RULES.label(category, value) == expected


@pytest.mark.parametrize(
    ("stated", "kind"),
    [
        ("negative_control", "negative"),
        ("mock", "negative"),
        ("Positive control (PLK1)", "positive"),
        ("empty well", "untreated"),
        ("treatment", None),
        ("", None),
        (None, None),
    ],
)
def test_stated_controls(stated, kind):
    assert RULES.control(stated) == kind


@given(st.text(max_size=20))
def test_labels_are_final(text):
    """A label that went through the rules once is not changed by going through them again."""
    for category in ("cell_type", "cell_visible", "compound", "gene"):
        label = RULES.label(category, text).text
        assert label is None or RULES.label(category, label).text == label
        assert label is None or label == plain(label)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('[merge.cell_type]\n"a" = { to = "b", seen = "x" }\n"b" = { to = "c", seen = "x" }', "not a final label"),
        ('[merge.cell_type]\n"a" = { to = "b", seen = "x" }\n"a" = { to = "c", seen = "x" }', "cannot read"),
        ('[merge.cell_type]\n"a" = { to = "b" }', "where it was seen"),
        ('[merge.cell_type]\n"U2-OS" = { to = "u2os", seen = "x" }', "can never match"),
        ('[merge.cell_type]\n"a" = { to = "B", seen = "x" }', "not a final label"),
        ('[merge.cells]\n"a" = { to = "b", seen = "x" }', "not a column"),
        ('[control.compound]\n"dmso" = { kind = "bad", seen = "x" }', "needs a kind"),
    ],
)
def test_bad_vocabularies(tmp_path, content, complaint):
    path = tmp_path / "vocabulary.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=complaint):
        load_vocabulary(path)
