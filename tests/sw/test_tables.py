"""Tables lose nothing, however narrow the terminal is, and wrap nothing where there is room."""

from __future__ import annotations

import io

import pytest

from sw.plain_console import PlainConsole
from sw.tables import compact_table

NAMES = ("block10.attention", "an artifact whose name is long.spikeloom", "head")


def printed(width):
    table = compact_table("layer", "cycles\nin RTL", "waits for", texts=1, title="Per image")
    for number, name in enumerate(NAMES):
        table.add_row(name, f"{10 ** (3 * number + 2):,}", "load 3,626, attention 1,756, data 1,097, weights 112")
    stream = io.StringIO()
    PlainConsole(file=stream, width=width).print(table)
    return stream.getvalue().splitlines()


def letters(lines):
    return sorted("".join(lines).replace("─", "").replace(" ", ""))


@pytest.mark.parametrize("width", [30, 60, 80])
def test_nothing_is_cut_where_columns_are_few(width):
    lines = printed(width)
    assert max(map(len, lines)) <= width
    assert letters(lines) == letters(printed(10_000))


def test_every_row_is_a_line_where_there_is_room():
    lines = printed(10_000)
    assert [line.split("  ")[0] for line in lines[-3:]] == list(NAMES)


def test_numbers_end_at_the_right_under_headings_of_several_lines():
    lines = printed(10_000)
    ends = {
        line.index(number) + len(number)
        for line, number in zip(lines[-3:], ("100", "100,000", "100,000,000"), strict=True)
    }
    assert ends == {next(line.index("in RTL") for line in lines if "in RTL" in line) + len("in RTL")}
