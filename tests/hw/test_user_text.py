"""What users write is repeated in few characters, and names only what may be named."""

from __future__ import annotations

import doctest

import pytest

from hw import user_text
from hw.user_text import check_name, listed, quoted


def test_examples():
    assert doctest.testmod(user_text).failed == 0


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, 10**10000, -(10**10000), nested(10**5), {"a" * 999: [["b" * 999] * 9] * 9}, [10**5000], "\x1b[2J\n"],
    ids=["text", "number", "negative", "deep", "wide", "number inside", "control characters"],
)
def test_any_value_is_quoted_in_60_printable_characters(value):
    text = quoted(value)
    assert 0 < len(text) <= 60 and text.isprintable()


def test_lists_of_names_are_cut_and_counted():
    assert listed([f"layer{n}" for n in range(500)], 20) == "layer0, layer1 and 498 more"
    assert listed(["y" * 500, "z"], 12) == "yyyyyyyyy... and 1 more"
    assert listed(["\x1b[2J", "a\nb"]) == "\\x1b[2J, a\\nb"
    assert listed([]) == ""


@pytest.mark.parametrize("name", ["mine", "Tiny_8", "_", "large-wide", "x" * 48, "large", "medium", "small"])
def test_names(name):
    check_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../../../x", "/etc/x", "a/b", "a\\b", "8lanes", "-rf", "a b", "a\n", "x" * 49, "\u00fcber",
     "\u0661", "a*/ int evil; /*", "a\0b", "nul\ud800", None, 4, True, ["tiny"], {"a": 1}],
)  # fmt: skip
def test_names_wrong(name):
    with pytest.raises(
        ValueError, match=r"^name must be 1 to 48 letters, digits, '_' and '-', not a digit or '-' first"
    ):
        check_name(name)


@pytest.mark.parametrize("name", ["module", "reg", "always_ff", "interface", "int", "struct", "goto"])
def test_reserved_words_wrong(name):
    with pytest.raises(ValueError, match=f"^name must not be a reserved word of Verilog or C, not '{name}'; choose"):
        check_name(name)
