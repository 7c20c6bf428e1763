"""`spikeloom ip`: a folder, written whole or not at all, with nobody else's files lost."""

from __future__ import annotations

import pytest

from hw.parts.technology import Technology
from spikeloom import cli
from sw.errors import UserError
from sw.folders import MANIFEST


@pytest.fixture
def asked(monkeypatch):
    """Leave the emission out; what it was asked for."""
    calls = []

    def ip_files(config, technology):
        calls.append((config.name, technology))
        return {"README.md": "text\n", "boards/kv260.tcl": "# script\n"}

    monkeypatch.setattr("sw.ip.package.ip_files", ip_files)
    return calls


def test_the_folder_is_written_and_the_next_step_said(asked, tmp_path, capsys):
    out = tmp_path / "core"
    for option in ("--output", "--out"):
        assert cli.run(["ip", "--config", "mini", option, str(out)]) == 0
    assert {path.name for path in out.rglob("*")} == {MANIFEST, "README.md", "boards", "kv260.tcl"}
    shown = capsys.readouterr().out
    assert f"{out}: 2 files" in shown and f"KV260: vivado -mode batch -source {out}/boards/kv260.tcl" in shown
    assert asked == [("mini", Technology.XILINX)] * 2


def test_the_form_of_the_verilog_can_be_chosen(asked, tmp_path):
    assert cli.run(["ip", "--config", "mini", "--technology", "portable", "--out", str(tmp_path / "core")]) == 0
    assert asked == [("mini", Technology.PORTABLE)]


def test_what_vivado_has_built_is_not_deleted(asked, tmp_path, capsys):
    out = tmp_path / "core"
    assert cli.run(["ip", "--config", "mini", "--out", str(out)]) == 0
    (out / "pynq").mkdir()
    (out / "pynq" / "spikeloom.bit").write_text("hours")
    assert cli.run(["ip", "--config", "mini", "--out", str(out)]) == cli.EXIT_MENDABLE
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"spikeloom: {out} holds pynq/spikeloom.bit, which was not written by this command: move or")
    assert len(asked) == 1 and (out / "pynq" / "spikeloom.bit").read_text() == "hours"


def test_a_failure_leaves_nothing(monkeypatch, tmp_path, capsys):
    def ip_files(config, technology):
        raise UserError("no")

    monkeypatch.setattr("sw.ip.package.ip_files", ip_files)
    assert cli.run(["ip", "--config", "mini", "--out", str(tmp_path / "new" / "core")]) == cli.EXIT_MENDABLE
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "giant"], "unknown configuration 'giant'; choose one of mini"),
        (["--technology", "asic"], "'asic' is not one of 'portable', 'xilinx'"),
        (["--out", "pyproject.toml"], "it is a file; name a folder"),
        (["--out", "hw"], "hw holds __init__.py, which was not written by this command"),
    ],
)
def test_wrong(arguments, message, asked, capsys, monkeypatch):
    monkeypatch.chdir(cli.ROOT)
    assert cli.run(["ip", *arguments]) == cli.EXIT_MENDABLE
    assert message in capsys.readouterr().err and not asked
