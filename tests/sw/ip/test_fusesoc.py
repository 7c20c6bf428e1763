"""FuseSoC finds the core, resolves its targets, and lints them with Verilator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hw.host.registers import VERSION
from hw.named_configs import MINI
from sim.verilator.toolchain import find_toolchain
from sw.folders import write_folder
from sw.ip.package import core_name

CORE = f"spikeloom:spikeloom:{core_name(MINI)}:{VERSION}.0.0"


def fusesoc(library: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run FuseSoC away from the user's own settings."""
    toolchain, home = find_toolchain(), library.parent / "home"
    environment = {
        **os.environ, **toolchain.environment, "HOME": str(home), "XDG_CONFIG_HOME": str(home),
        "XDG_DATA_HOME": str(home), "XDG_CACHE_HOME": str(home),
        "PATH": os.pathsep.join((str(toolchain.verilator.parent), os.environ["PATH"])),
    }  # fmt: skip
    program = "import sys; from fusesoc.main import main; sys.argv[0] = 'fusesoc'; main()"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", program, "--cores-root", str(library), *arguments],
        cwd=library.parent, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def library(files, tmp_path) -> Path:
    write_folder(tmp_path / "library" / "spikeloom", files)
    return tmp_path / "library"


def test_the_core_is_found_with_its_targets(library):
    found = fusesoc(library, "core", "show", CORE)
    assert found.returncode == 0, found.stderr
    for target in ("default", "xilinx", "lint", "lint_xilinx"):
        assert target in found.stdout


@pytest.mark.parametrize("target", ["lint", "lint_xilinx"])
def test_the_core_lints(library, target):
    found = fusesoc(library, "run", f"--target={target}", CORE)
    assert found.returncode == 0, found.stdout + found.stderr


SMALL = "module spikeloom(input aclk, output reg q = 0);\n  always @(posedge aclk) q <= 1;\nendmodule\n"
"""Has one warning, which is waived; instead of the accelerator, which takes seconds."""


def test_a_warning_without_a_waiver_fails_the_lint(library):
    (library / "spikeloom" / "hdl" / "portable" / f"{MINI.name}.v").write_text(SMALL)
    assert fusesoc(library, "run", "--target=lint", CORE).returncode == 0
    waivers = library / "spikeloom" / "lint" / "lint.vlt"
    waivers.write_text(waivers.read_text().replace("lint_off -rule PROCASSINIT", ""))
    found = fusesoc(library, "run", "--target=lint", CORE)
    assert found.returncode != 0 and "Warning-PROCASSINIT" in found.stdout + found.stderr


def test_another_core_may_depend_on_it(library):
    (library / "soc.core").write_text(
        f"CAPI=2:\nname: example:soc:top:1.0.0\nfilesets:\n  rtl:\n    depend: ['{CORE}']\n"
        "targets:\n  default:\n    flow: lint\n    flow_options: {tool: verilator}\n    toplevel: spikeloom\n"
        "    filesets: [rtl]\n"
    )
    found = fusesoc(library, "run", "--setup", "--work-root", str(library.parent / "work"), "example:soc:top")
    assert found.returncode == 0, found.stdout + found.stderr
    (command,) = (library.parent / "work").glob("*.vc")
    sources = [line for line in command.read_text().splitlines() if line.endswith(".v")]
    assert len(sources) == 1 and sources[0].endswith(f"hdl/portable/{MINI.name}.v")
