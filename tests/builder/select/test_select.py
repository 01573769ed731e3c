import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.recipe import RECIPES, Recipe, load
from builder.select import select, select_labels
from builder.select.candidates import file_names, index_column, index_columns, rank_candidates
from builder.select.choice import Outcome, choose, strata_columns
from builder.select.fields import frame_fields, labels_by_rule, read_fields
from builder.sources.filter import SourceFilter
from cytoimagenet_hf.core.errors import InputError
from cytoimagenet_hf.dataset.schema import CATEGORIES, REJECTION_SCHEMA, SELECTION_SCHEMA
from tests.builder.select.published_select import count_candidates, downsample, find_free, published_select
from tests.builder.tiny_builds import write_annotations

pytestmark = pytest.mark.filterwarnings("ignore:This pattern is interpreted")  # the pandas program, by design

LABELS = ["rab5", "rab5a", "dmso", "a.b", "axb", "brd-1", "u2os", "(+)-jq1", "5-ht(1a)", "c++", "actin"]
SMALL = {"min_fields": "4", "max_fields": "12"}


def frame(rows: int, seed: int, *, labels=LABELS, unknown: float = 0.3) -> pd.DataFrame:
    """A table with all label columns, several labels in some cells, and two sources."""
    rng = np.random.default_rng(seed)
    table = {"idx": [f"src{n % 2}-{n:05d}" for n in range(rows)], "dir_name": [f"src{n % 2}" for n in range(rows)]}
    for category in CATEGORIES:
        cells = ["|".join(rng.choice(labels, rng.integers(1, 3), replace=False)) for _ in range(rows)]
        table[category] = np.where(rng.random(rows) < unknown, None, np.array(cells, object))
    return pd.DataFrame(table, dtype=object)


def outcomes_of(table: pd.DataFrame, recipe: str) -> dict[tuple[str, str], Outcome]:
    """What became of each candidate, by column and label."""
    choice = choose(frame_fields(table, [*CATEGORIES, "dir_name"]), load(recipe, SMALL), seed=0)
    return {(outcome.category, outcome.label): outcome for outcome in choice.outcomes}


def single(rows: dict[str, int], category: str = "compound", **columns) -> pd.DataFrame:
    """A table with one label column: label → number of rows."""
    cells = [label for label, number in rows.items() for _ in range(number)]
    table = pd.DataFrame({"idx": [f"s-{n:05d}" for n in range(len(cells))], "dir_name": "s"}, dtype=object)
    return table.assign(**(dict.fromkeys(CATEGORIES) | {category: cells} | columns))


# The rules, against the published program in pandas.


@settings(max_examples=12, deadline=None)
@given(st.integers(60, 200), st.integers(0, 10_000))
def test_published_rules_step_by_step_as_the_pandas_program(rows, seed):
    """Each label finds the rows the program would find in the same state, and takes as many as it would take."""
    table = frame(rows, seed)
    recipe = load("published", SMALL | {"repeated_label": "overwrite", "presample_above": "40"})
    fields = frame_fields(table, [*CATEGORIES, "dir_name"])
    choice = choose(fields, recipe, seed=seed)
    expected = count_candidates(table, threshold=4)
    assert [(o.rows, o.category, o.label) for o in choice.outcomes] == [
        (row.rows, row.category, row.label) for row in expected.itertuples()
    ]
    idx = fields.idx.to_pylist()
    used: dict[str, str] = {}
    for number, outcome in enumerate(choice.outcomes):
        free = find_free(table, outcome.category, outcome.label, used)
        chosen = [idx[row] for row in np.flatnonzero(choice.taken_by == number)]
        if free is None:
            assert outcome.reason == "invalid_pattern"
            assert chosen == []
            continue
        assert outcome.free == len(free)
        assert set(chosen) <= set(free["idx"])
        if len(free) < 4:
            assert (outcome.reason, chosen) == ("label_too_small", [])
        else:
            sizes = {
                len(downsample(free, outcome.category, np.random.default_rng(draw), wanted=12, presample=40))
                for draw in range(3)
            }
            assert outcome.chosen == len(chosen) <= 12
            if len(free) <= 40:  # beyond, the first draw decides which groups are left to the second
                assert {len(chosen)} == sizes
        used.update(dict.fromkeys(chosen, outcome.label))


@settings(max_examples=15, deadline=None)
@given(st.integers(60, 200), st.integers(0, 10_000))
def test_published_labels_and_rows_equal_the_pandas_program_where_nothing_is_drawn(rows, seed):
    table = frame(rows, seed)
    recipe = load("published", {"min_fields": "4", "max_fields": "500", "presample_above": "0"})
    choice = choose(frame_fields(table, [*CATEGORIES, "dir_name"]), recipe, seed=0)
    program = list(published_select(table, np.random.default_rng(0), threshold=4, wanted=500))
    idx = np.array(sorted(table["idx"]), object)
    ours = [(o.category, o.label, o.free, idx[choice.taken_by == n].tolist()) for n, o in enumerate(choice.outcomes)]
    assert ours == [(t.category, t.label, t.free, sorted(t.chosen)) for t in program]


def test_a_label_is_found_inside_others_by_the_published_rule_and_as_a_token_by_the_corrected_one():
    table = single({"rab5": 5, "rab5a": 6, "rab7|rab5": 2})
    published = select_labels(table, load("published", SMALL), seed=0)
    corrected = select_labels(table, load("corrected", SMALL), seed=0)
    # Six rows hold rab5a and seven rab5: rab5a is taken first under both rules, rab5 finds what is left.
    assert published["label"].value_counts().to_dict() == {"rab5": 7, "rab5a": 6}
    assert corrected["label"].value_counts().to_dict() == {"rab5": 7, "rab5a": 6}
    table = single({"rab5": 5, "rab5a": 6})
    assert select_labels(table, load("published", SMALL), seed=0)["label"].value_counts().to_dict() == {"rab5": 11}
    assert select_labels(table, load("corrected", SMALL), seed=0)["label"].value_counts().to_dict() == {
        "rab5": 5,
        "rab5a": 6,
    }


def test_labels_that_are_no_plain_text_to_a_regular_expression():
    table = single({"a.b": 4, "axb": 5, "(+)-jq1": 6, "c++": 7, "5-ht(1a)": 8})
    corrected = select_labels(table, load("corrected", SMALL), seed=0)
    assert corrected["label"].value_counts().to_dict() == {"a.b": 4, "axb": 5, "(+)-jq1": 6, "c++": 7, "5-ht(1a)": 8}
    outcomes = {label: outcome for (_, label), outcome in outcomes_of(table, "published").items()}
    assert (outcomes["a.b"].chosen, outcomes["axb"].reason) == (9, "label_too_small")  # the dot took axb's rows
    assert outcomes["(+)-jq1"].reason == "invalid_pattern"
    # "5-ht(1a)" as an expression means "5-ht1a", which no row holds.
    assert (outcomes["5-ht(1a)"].reason, outcomes["5-ht(1a)"].free) == ("label_too_small", 0)


def test_labels_with_a_slash_or_a_star_are_lost_by_the_published_rule_with_their_rows():
    table = single({"calr/kdel": 5, "actin": 6})
    assert set(select_labels(table, load("published", SMALL), seed=0)["label"]) == {"actin"}
    assert set(select_labels(table, load("corrected", SMALL), seed=0)["label"]) == {"actin", "calr/kdel"}


def test_one_spelling_in_two_columns_is_one_class():
    table = single({"kinase": 6, "dmso": 5})
    table["phenotype"] = ["kinase"] * 4 + [None] * 2 + ["kinase"] * 4 + [None]
    corrected = outcomes_of(table, "corrected")
    assert corrected["compound", "kinase"].reason == "other_column"
    assert corrected["phenotype", "kinase"].reason is None
    published = outcomes_of(table, "published")
    assert published["compound", "kinase"].reason is None or published["phenotype", "kinase"].reason is None
    for recipe in RECIPES:
        chosen = select_labels(table, load(recipe, SMALL), seed=0)
        assert chosen[chosen.label == "kinase"]["category"].nunique() == 1


def test_an_overwritten_class_keeps_its_rows_taken():
    table = single({"kinase": 5, "dmso": 7}, phenotype=[None] * 5 + ["kinase"] * 6 + [None])
    fields = frame_fields(table, [*CATEGORIES, "dir_name"])
    choice = choose(fields, load("published", SMALL), seed=0)
    reasons = {(o.category, o.label): (o.chosen, o.reason) for o in choice.outcomes}
    assert reasons == {
        ("compound", "kinase"): (5, "overwritten"),
        ("phenotype", "kinase"): (6, None),
        ("compound", "dmso"): (0, "label_too_small"),
    }
    assert choice.kept.tolist() == [False] * 5 + [True] * 6 + [False]


# The corrected rule's own promises.


def test_every_stratum_is_represented_and_the_size_is_exact():
    table = single({"dmso": 1000}, cell_type=["a549"] * 940 + ["hela"] * 57 + ["u2os"] * 2 + [None])
    only_dmso = {"min_fields": "941", "max_fields": "100"}
    cell_type = table.set_index("idx")["cell_type"].fillna("unknown")
    chosen = select_labels(table, load("corrected", only_dmso), seed=0)
    # One each, then 96 seats over 939 + 56 + 1 + 0 remaining rows: quotas 90.5, 5.4 and 0.1.
    spread = cell_type[chosen["idx"]].value_counts().to_dict()
    assert spread == {"a549": 92, "hela": 6, "u2os": 1, "unknown": 1}
    published = select_labels(table, load("published", only_dmso | {"presample_above": "0"}), seed=0)
    assert cell_type[published["idx"]].value_counts().to_dict() == {"a549": 94, "hela": 6}  # L3


def test_a_large_label_is_sampled_twice_by_the_published_rule_and_stays_exact():
    cells = np.repeat(["a", "b", "c"], [1500, 1490, 10]).tolist()
    table = single({"dmso": 3000}, cell_type=cells)
    recipe = load("published", {"min_fields": "2000", "max_fields": "100", "presample_above": "1000"})
    chosen = select_labels(table, recipe, seed=0)
    assert len(chosen) == 100
    # 3 of 10 rows of c are left to the second sample, of which a tenth rounds to none.
    assert set(table.set_index("idx").loc[chosen["idx"], "cell_type"]) == {"a", "b"}


def test_a_label_is_never_stratified_by_its_own_column_nor_by_the_other_of_sirna_and_compound():
    recipe = Recipe()
    assert "compound" not in strata_columns("compound", recipe)
    assert "sirna" not in strata_columns("compound", recipe)
    assert "compound" not in strata_columns("sirna", recipe)
    assert strata_columns("gene", recipe) == list(recipe.strata)
    assert {"sirna", "compound"} <= set(strata_columns("organism", recipe))


@pytest.mark.parametrize("recipe", ["published", "corrected"])
def test_rows_in_another_order_give_the_same_selection_and_another_seed_another(recipe):
    table = frame(300, 1)
    rules = load(recipe, SMALL)
    chosen = select_labels(table, rules, seed=0)
    shuffled = table.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(chosen, select_labels(shuffled, rules, seed=0))
    assert not chosen.equals(select_labels(table, rules, seed=1))
    assert chosen["idx"].is_monotonic_increasing
    assert chosen["idx"].is_unique


def test_ties_of_equal_counts_go_by_category_and_label():
    table = single({"b": 5, "a": 5, "c": 4})
    ranked = rank_candidates(index_columns(frame_fields(table, [*CATEGORIES])), load("corrected", SMALL))
    assert [candidate.label for candidate in ranked] == ["c", "a", "b"]


# The index.


@pytest.mark.parametrize(
    "pattern", ["rab5", "b5", "a.b", "c+", "^rab", "b$", "r[^x]b", r"\d", "(?=ra)r", "z*", "x|5", ""]
)
def test_the_index_finds_what_a_scan_finds(pattern):
    cells = sorted({"rab5", "rab5a", "a.b", "axb", "c++", "b", "rab7|rab5", "x\ty"})
    codes = np.array([5, 0, -1, 3, 3, 2, 7, 1, 4, 6, -1, 0], np.int32)
    index = index_column(codes, cells)
    scanned = [row for row, code in enumerate(codes) if code >= 0 and re.search(pattern, cells[code])]
    assert index.matching(pattern).tolist() == scanned


def test_a_pattern_that_is_no_expression_is_said_by_none():
    index = index_column(np.array([0], np.int32), ["(+)"])
    assert index.matching("(+)") is None
    assert index.matching("a{99999999999999999999}") is None


def test_a_token_twice_in_one_cell_counts_once():
    index = index_column(np.array([0, 0], np.int32), ["a|a|b||"])
    assert (index.count("a"), index.carrying("a").tolist()) == (2, [0, 1])
    assert set(index.tokens) == {"a", "b"}


def test_labels_that_share_a_file_name_are_refused():
    assert file_names(["a/b", "c*"]) == {"a/b": "a-b", "c*": "c-"}
    with pytest.raises(InputError, match="'a-b' and 'a/b' would both be stored as 'a-b'"):
        file_names(["a/b", "a-b"])
    with pytest.raises(InputError, match="merge or rename one of them"):
        select_labels(single({"a/b": 5, "a-b": 5}), load("corrected", SMALL), seed=0)


# Input at the boundary.


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table.drop(columns="gene"), r"no column \['gene'\]"),
        (lambda table: table.assign(idx="same"), "idx 'same' and .* others occur twice"),
        (lambda table: table.assign(idx=[None, *table["idx"][1:]]), "1 rows have no idx"),
        (lambda table: table.iloc[:0], "has no rows"),
        (lambda table: table.assign(gene=[["a"]] * len(table)), "column 'gene' must hold text"),
        (lambda table: table.assign(gene="a\nb"), "line break"),
    ],
)
def test_an_unusable_table_is_refused_with_its_reason(change, says):
    with pytest.raises(InputError, match=says):
        select_labels(change(frame(20, 0)), load("corrected", SMALL), seed=0)


def test_no_label_large_enough_gives_an_empty_frame():
    chosen = select_labels(single({"a": 2, "b": 1}), load("corrected", SMALL), seed=0)
    assert chosen.columns.tolist() == ["idx", "label", "category"]
    assert len(chosen) == 0


# The stage.


@pytest.mark.parametrize("recipe", ["published", "corrected"])
def test_the_stage_writes_what_select_labels_returns_and_its_counts_reconcile(tmp_path, recipe):
    table = frame(300, 2)
    write_annotations(tmp_path, table, licence="cc0")
    rules = load(recipe, SMALL)
    summary = select(tmp_path, recipe=rules, seed=0)
    selection = pq.read_table(tmp_path / "selection.parquet")
    rejected = pq.read_table(tmp_path / "select.rejected.parquet")
    assert selection.schema.equals(SELECTION_SCHEMA)
    assert rejected.schema.equals(REJECTION_SCHEMA)
    expected = select_labels(table, rules, seed=0)
    assert selection.to_pylist() == expected.to_dict("records")
    assert set(selection["idx"].to_pylist()) | set(rejected["idx"].to_pylist()) == set(table["idx"])
    assert selection.num_rows + rejected.num_rows == 300 == summary.rows_in
    assert rejected["reason"].to_pandas().value_counts().to_dict() == summary.rejected
    assert rejected["idx"].to_pylist() == sorted(rejected["idx"].to_pylist())
    written = json.loads((tmp_path / "select.summary.json").read_text())
    assert written["recipe"]["name"] == rules.name
    assert written["seed"] == 0
    for source in ("src0", "src1"):
        counts = dict(written["by_source"][source])
        assert counts.pop("in") == 150 == sum(counts.values())
    assert {label: c["chosen"] for label, c in written["details"]["labels"].items()} == expected[
        "label"
    ].value_counts().to_dict()


def test_rejections_say_why_and_which_label_came_nearest(tmp_path):
    table = single({"dmso": 20, "rare": 2}, phenotype=["x"] * 3 + [None] * 19)
    write_annotations(tmp_path, table, licence="cc0")
    summary = select(tmp_path, recipe=load("corrected", SMALL), seed=0)
    assert summary.rejected == {"no_candidate_label": 2, "over_quota": 8}
    rows = pq.read_table(tmp_path / "select.rejected.parquet").to_pylist()
    assert {(row["reason"], row["detail"]) for row in rows} == {("over_quota", "dmso"), ("no_candidate_label", None)}
    assert {row["stage"] for row in rows} == {"select"}


def test_a_label_whose_rows_were_taken_before_it_is_said_to_be_too_small(tmp_path):
    # "human" has six rows, five of which "dmso" takes first; the one left is too few.
    table = single({"dmso": 5, "other": 1}, organism="human")
    write_annotations(tmp_path, table, licence="cc0")
    summary = select(tmp_path, recipe=load("corrected", SMALL | {"assignment": "in turn"}), seed=0)
    assert summary.rejected == {"label_too_small": 1}
    assert summary.details["dropped_labels"] == [
        {"category": "organism", "label": "human", "rows": 6, "free": 1, "chosen": 0, "reason": "label_too_small"}
    ]


def test_sources_licences_and_benchmarks_are_left_out_before_labels_are_counted(tmp_path):
    table = pd.concat(
        [single({"dmso": 6}).assign(idx=[f"{name}-{n}" for n in range(6)], dir_name=name, licence=licence)
         for name, licence in [("a", "cc-by-4.0"), ("b", "cc-by-nc-4.0"), ("bbbc021", "cc0"), ("c", "cc0")]],
        ignore_index=True,
    )  # fmt: skip
    write_annotations(tmp_path, table)
    rules = load("corrected", {"min_fields": "4"})
    kept = select(tmp_path, recipe=rules, seed=0)
    assert (kept.kept, kept.rejected) == (18, {"held_out": 6})
    assert kept.by_source["bbbc021"] == {"in": 6, "kept": 0, "held_out": 6}
    kept = select(tmp_path, recipe=rules, seed=0, sources=SourceFilter(licences=["cc0", "cc-by"]))
    assert (kept.kept, kept.rejected) == (12, {"held_out": 6, "licence_left_out": 6})
    kept = select(tmp_path, recipe=rules, seed=0, sources=SourceFilter(only=["a", "b"], exclude=["b"]))
    assert (kept.kept, kept.rejected) == (6, {"held_out": 6, "source_left_out": 12})
    with pytest.raises(InputError, match=r"no source \['d'\].*holds \['a', 'b', 'bbbc021', 'c'\]"):
        select(tmp_path, recipe=rules, seed=0, sources=SourceFilter(exclude=["d"]))
    kept = select(tmp_path, recipe=replace(rules, held_out=()), seed=0)
    assert kept.kept == 24


def test_a_missing_broken_or_barren_annotation_table_stops_the_stage_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="annotate` into this folder first"):
        select(tmp_path, recipe=Recipe(), seed=0)
    (tmp_path / "annotations.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="cannot be read"):
        select(tmp_path, recipe=Recipe(), seed=0)
    pq.write_table(pa.table({"idx": ["a"]}), tmp_path / "annotations.parquet")
    with pytest.raises(InputError, match=r"no column \['organism'"):
        select(tmp_path, recipe=Recipe(), seed=0)
    write_annotations(tmp_path, single({"a": 9}), licence="cc0")
    with pytest.raises(InputError, match="no label has 287 fields of view among 9"):
        select(tmp_path, recipe=Recipe(), seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["annotations.parquet"]


def test_equal_input_gives_equal_bytes_whatever_the_order_of_rows_in_the_file(tmp_path):
    outputs = []
    for name, table in (("a", frame(300, 5)), ("b", frame(300, 5).sample(frac=1, random_state=1))):
        folder = tmp_path / name
        folder.mkdir()
        write_annotations(folder, table, licence="cc0")
        select(folder, recipe=load("corrected", SMALL), seed=0)
        outputs.append([(folder / f).read_bytes() for f in ("selection.parquet", "select.rejected.parquet")])
    assert outputs[0] == outputs[1]


def test_codes_are_alphabetical_whatever_the_row_groups(tmp_path):
    table = frame(200, 6)
    write_annotations(tmp_path, table.sample(frac=1, random_state=0), licence="cc0")
    fields = read_fields(tmp_path / "annotations.parquet", ["compound", "dir_name"])
    expected = table.sort_values("idx")["compound"].tolist()
    assert [fields.values["compound"][c] if c >= 0 else None for c in fields.codes["compound"]] == expected
    assert fields.values["compound"] == sorted(set(table["compound"].dropna()))


def test_a_licence_nobody_has_is_refused_and_not_taken_for_an_empty_table(tmp_path):
    write_annotations(tmp_path, single({"dmso": 6}), licence="cc0")
    with pytest.raises(InputError, match=r"gpl-3\.0: no such licence; known are cc-by, cc-by-3\.0.*cc0"):
        select(tmp_path, recipe=load("corrected", SMALL), seed=0, sources=SourceFilter(licences=["cc0", "gpl-3.0"]))


# Cells that are not a label for certain (L7).


@pytest.mark.parametrize(
    ("recipe", "labels"),
    [
        ("corrected", {"a549": 4, "mcf7": 4, "yeast": 4}),
        ("published", {"a549": 8, "mcf7": 8, "yeast": 4, "human": 4, "mouse": 4}),
    ],
)
def test_a_list_of_what_may_be_there_is_a_label_as_published_alone(recipe, labels):
    lines = single({"mcf7": 4, "a549": 4}, "cell_type", dir_name="bbbc014", published="cell_type=mcf7|a549")
    lists = single({"human/mouse": 4, "yeast": 4}, "organism", dir_name="bbbc038")
    lists["uncertain"] = ["organism"] * 4 + [None] * 4
    table = pd.concat([lines, lists.assign(idx=[f"t-{n}" for n in range(8)])], ignore_index=True)
    rules = load(recipe, {"min_fields": "4", "holdings": ""})
    fields = labels_by_rule(
        frame_fields(table, [*CATEGORIES, "dir_name", "uncertain", "published"]), rules.uncertain_labels
    )
    ranked = rank_candidates(index_columns(fields), rules)
    assert {candidate.label: candidate.rows for candidate in ranked} == labels
    chosen = select_labels(table, rules, seed=0)
    assert set(chosen["label"]) <= set(labels)


def test_ids_have_no_limit_of_32_bit_offsets(tmp_path):
    table = pa.table({name: pa.array(["a", "b"]) for name in ("idx", "compound", "dir_name")})
    pq.write_table(table, tmp_path / "annotations.parquet")
    fields = read_fields(tmp_path / "annotations.parquet", ["compound", "dir_name"])
    assert fields.idx.type == pa.large_string()
    assert fields.idx.to_pylist() == ["a", "b"]
