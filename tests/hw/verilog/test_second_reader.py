"""Emitted Verilog as slang reads it: no error, and every warning explained."""

from __future__ import annotations

import pytest

from hw.named_configs import BASE, CONFIGS, MINI, TINY
from hw.parts.technology import Technology
from hw.verilog.description import TOP
from tests.hw.verilog.emitted import ALL_PARTS, verilog_of
from tests.hw.verilog.second_reader import LANGUAGES, WAIVERS, Remark, remarks

FORMS = [(config, Technology.PORTABLE) for config in (MINI, TINY, BASE)] + [(ALL_PARTS, Technology.XILINX)]
LONG_FORMS = [(config, technology) for config in CONFIGS.values() for technology in Technology]


def read(folder, config, technology, language) -> list[Remark]:
    path = folder / f"{config.name}.v"
    path.write_text(verilog_of(config, technology))
    return remarks(path, language)


def unexplained(found: list[Remark]) -> set[Remark]:
    return {remark for remark in found if not any(waiver.covers(remark) for waiver in WAIVERS)}


def test_every_warning_is_explained_and_every_explanation_is_of_one(tmp_path):
    for language in LANGUAGES:
        found = [remark for form in FORMS for remark in read(tmp_path, *form, language)]
        assert unexplained(found) == set()
        assert [waiver.option for waiver in WAIVERS if not any(waiver.covers(remark) for remark in found)] == []


@pytest.mark.long
@pytest.mark.parametrize(("config", "technology"), LONG_FORMS, ids=lambda value: value.name.lower())
def test_every_configuration_is_read_without_error(config, technology, tmp_path):
    for language in LANGUAGES:
        assert unexplained(read(tmp_path, config, technology, language)) == set()


@pytest.mark.parametrize(
    ("body", "option"),
    [
        ("assign q = d[4:0];", "width-trunc"),
        ("assign q = $signed(d[3:0]) + d;", "arith-op-mismatch"),
        ("wire open; assign q = {3'd0, open};", "undriven-net"),
        ("assign q = d[9:6];", "range-oob"),
        ("RAM32M16 ram (.WCLK(clk), .DOA(q[1:0]));", "unconnected-input-port"),
        ("RAM32M16 ram (.WCLK(clk), .WE(clk), .DOZ(q));", "error"),
        ("nothing of (.clk(clk));", "error"),
        ("assign q = absent;", "error"),
    ],
)
def test_what_is_not_waived_is_reported(body, option, tmp_path):
    path = tmp_path / "bad.v"
    path.write_text(f"module {TOP}(input clk, input [7:0] d, output [3:0] q);\n{body}\nendmodule\n")
    assert option in {remark.option for remark in unexplained(remarks(path, "1364-2005"))}
