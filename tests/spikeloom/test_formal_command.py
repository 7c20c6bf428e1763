"""`spikeloom formal`: what it says, and what it ends with."""

from __future__ import annotations

import functools
import re

import pytest

import sim.formal.prove as prover
import sim.runner
from spikeloom import cli
from spikeloom.commands.hardware import formal
from tests.hw.verilog.emitted import verilog_of


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(formal, "FOLDER", tmp_path)
    # One port is enough to see what is said.
    monkeypatch.setattr(prover, "prove", functools.partial(prover.prove, ports=prover.PORTS[:1]))


def test_a_proof_is_a_row_and_code_0(capsys):
    assert cli.run(["formal", "--config", "mini"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^mini +64 bits +s_axi_ctrl +\d+ rules +14 +proven +\d+\.\d$", out, re.MULTILINE)
    assert re.search(r"^mini +64 bits +s_axi_ctrl +\d+ cases +40 +all reached +\d+\.\d$", out, re.MULTILINE)


def test_a_broken_rule_is_named_with_its_trace_and_code_1(capsys, monkeypatch, tmp_path):
    broken = verilog_of(formal.CONFIGS[0]).replace("has_address & has_data", "has_address | has_data")
    monkeypatch.setattr(sim.runner, "emitted_verilog", lambda *_: broken)
    assert cli.run(["formal", "--config", "mini"]) == cli.EXIT_DIFFERENT
    out = capsys.readouterr().out
    assert re.search(r"^mini, s_axi_ctrl: fails from power-up: .*\bwrite_answered_once\b", out, re.MULTILINE)
    assert str(next(tmp_path.rglob("power-up0.vcd"))) in out


def test_a_missing_solver_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(prover, "SOLVER", "no-such-solver")
    assert cli.run(["formal", "--config", "mini"]) == cli.EXIT_MENDABLE
    error = capsys.readouterr().err
    assert error.startswith("spikeloom: no-such-solver is not installed, but proofs need it: pip install")
    assert error.endswith("'.[formal]'\n") and error.count("\n") == 1
