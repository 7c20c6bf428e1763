"""The rules at the ports are proven, and a proof of what breaks one fails with its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sim.formal.prove as prover
from hw.named_configs import MINI
from sim.formal.prove import PORTS, Finding, prove
from tests.hw.verilog.emitted import verilog_of

CTRL, MEM = PORTS

TOP = "spikeloom("
READER, WRITER, SLAVE = (f"\\spikeloom.{name} " for name in ("axi_memory", "result_writer.writer", "axi_lite"))
"""Modules, as they begin in Verilog."""

MUTATIONS = {
    "valid dropped": (READER, r"(  held <= )\w+;", r"\g<1>1'h0;", "read_request_stays"),
    "payload changed while waiting": (
        TOP, r"(m_axi_mem_araddr = {) (\w+),", r"\1 \2 ^ interrupt,", "read_request_stays",
    ),
    "valid in reset": (READER, r"(assign axi__arvalid = .*);", r"\1 | rst;", "nothing_offered_behind_reset"),
    "address between beats": (TOP, r"(m_axi_mem_araddr = { \w+, 3')h0", r"\1h4", "read_address_aligned"),
    "burst across a boundary": (TOP, r"(m_axi_mem_arlen = {) 2'h0, (\w+)", r"\1 1'h0, \2, 1'h1", "read_within_4_kb"),
    "narrow beats": (TOP, r"(m_axi_mem_arsize = 3')h3", r"\1h2", "read_of_whole_beats_in_order"),
    "a ninth read": (READER, r"under_way != 4'h8", r"under_way != 4'h9", "read_offered_where_there_is_room"),
    "last beat early": (WRITER, r"axi__wlast = beat == 3'h7", r"axi__wlast = beat == 3'h6", "wlast_on_the_last_beat"),
    "half a beat written": (TOP, r"(assign m_axi_mem_wstrb = )(.+);", r"\1(\2) & 8'h0f;", "beats_written_whole_or_not"),
    "answer without data": (SLAVE, r"has_address & has_data", r"has_address | has_data", "write_answered_once"),
    "answered twice": (
        SLAVE, r"(axi__bvalid <= )(\w+);", r"\1\2 | (axi__bvalid & has_data & ~rst);", "write_answered_once",
    ),
    "answer changed while waiting": (
        SLAVE, r"(axi__rdata <= )(\w+);", r"\1fsm_state == 2'h3 ? bus__read_data : \2;", "read_answer_stays",
    ),
    "read never answered": (SLAVE, r"(can_read = .*);", r"\1 & wrote_last;", "read_answered_in_time"),
}  # fmt: skip
"""What is done to the emitted Verilog: module, pattern, replacement, and the rule that this breaks."""


def mutated(module: str, pattern: str, replacement: str) -> str:
    """The accelerator with one place of one module replaced."""
    before, begin, rest = verilog_of(MINI).partition(f"\nmodule {module}")
    text, end, behind = rest.partition("\nendmodule\n")
    text, count = re.subn(pattern, replacement, text)
    assert count == 1, f"{count} places of {pattern}"
    return before + begin + text + end + behind


def rules(verilog: str, port, folder: Path) -> Finding:
    """What becomes of a port's rules; cases are not looked for."""
    return next(prove(verilog, MINI.memory_bits, folder, [port]))


@pytest.mark.long  # `make formal` is the same, and in .ci/run
def test_rules_are_proven_and_their_cases_reached(tmp_path):
    # Those of the host's port by tests/spikeloom/test_formal_command.py.
    proven, reached = prove(verilog_of(MINI), MINI.memory_bits, tmp_path, [MEM])
    assert proven.holds and proven.count > 30, proven
    assert reached.holds and reached.count > 5, reached


def test_no_smaller_bound_of_answers_holds(tmp_path, monkeypatch):
    *others, slave = prover.RULES
    text = slave.read_text()
    assert text.count("ANSWER_CYCLES = 9") == 1
    (tmp_path / slave.name).write_text(text.replace("ANSWER_CYCLES = 9", "ANSWER_CYCLES = 8"))
    monkeypatch.setattr(prover, "RULES", (*others, tmp_path / slave.name))
    found = rules(verilog_of(MINI), CTRL, tmp_path)
    assert not found.holds and set(found.failed) <= {"read_answered_in_time", "write_answered_in_time"}


QUICK = ("valid dropped", "last beat early", "answered twice")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in MUTATIONS]
)
def test_what_breaks_a_rule_is_found_and_named(tmp_path, name):
    module, pattern, replacement, rule = MUTATIONS[name]
    found = rules(mutated(module, pattern, replacement), CTRL if module == SLAVE else MEM, tmp_path)
    assert not found.holds
    assert rule in found.failed
    assert found.trace is not None and found.trace.is_file()
