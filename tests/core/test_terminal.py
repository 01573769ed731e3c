"""Tables on narrow and wide terminals, and in pipes."""

import io

import pytest
from rich.console import Group
from rich.table import Table

from cytoimagenet_hf.core.terminal import Terminal


def table(columns=4):
    made = Table(*(f"network {number}" for number in range(columns)), title="accuracy, %")
    made.add_row(*["30.0 ± 11.6"] * columns)
    return made


def shown(*objects, width, terminal=True):
    file = io.StringIO()
    Terminal(file=file, width=width, force_terminal=terminal, color_system=None).print(*objects)
    return file.getvalue()


def test_a_table_that_fits_is_a_table():
    assert shown(table(), width=80).count("30.0 ± 11.6") == 4
    assert "│" in shown(table(), width=80)


def test_a_table_that_does_not_fit_is_shown_row_by_row_with_whole_cells():
    text = shown(table(6), width=60)
    assert text.count("30.0 ± 11.6") == 6
    assert "network 5: 30.0 ± 11.6" in text
    assert max(map(len, text.splitlines())) <= 60


def test_in_a_pipe_a_table_is_as_wide_as_its_content():
    text = shown(table(20), width=80, terminal=False)
    assert text.count("30.0 ± 11.6") == 20
    assert any(line.count("30.0 ± 11.6") == 20 for line in text.splitlines())


def test_tables_inside_groups_are_kept_whole_too():
    text = shown(Group("first", table(6)), "last", width=60)
    assert text.startswith("first")
    assert text.count("30.0 ± 11.6") == 6
    assert text.rstrip().endswith("last")


def test_sentences_may_wrap_between_words():
    made = Table("source", "to look at")
    made.add_row("bbbc022", "absent. Download the forty archives of this source, about 300 GB of images in all.")
    text = shown(made, width=50)
    assert "│" in text
    assert "bbbc022" in text
    for word in ("Download", "archives", "images"):
        assert word in text


@pytest.mark.parametrize("name", ["benzo[a]pyrene", "[raw]", "P [/b]", "[bold]x", "[/x]", ":pill:", "a\\[b]"])
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [30, 200])
def test_what_is_printed_is_shown_as_it_is(name, terminal, width):
    made = Table("compound", f"of {name}", title=f"title {name}", caption=f"caption {name}")
    made.add_row(name, "1.0")
    text = shown(made, f"note: {name}", width=width, terminal=terminal)
    assert text.count(name) == 5


def test_a_line_in_a_pipe_is_not_broken():
    line = "well " * 50
    assert shown(line, width=40, terminal=False).splitlines() == [line]


def test_an_object_that_knows_its_table_is_printed_as_that_table():
    class Summary:
        def __rich__(self):
            return table(20)

    text = shown(Summary(), width=80, terminal=False)
    assert any(line.count("30.0 ± 11.6") == 20 for line in text.splitlines())
