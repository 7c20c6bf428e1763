"""`spikeloom verilog`: the accelerator as Verilog, with its description, linted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spikeloom.commands.common import config_option, console, hold, progress_console, shown, technology_option
from sw.checkout import BUILD
from sw.claims import claimed
from sw.errors import UserError
from sw.files import write_atomically
from sw.outputs import OUTPUT_FOLDER

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from hw.parts.technology import Technology


@click.command()
@config_option()
@click.option(
    "--out", type=OUTPUT_FOLDER, default=BUILD / "verilog", metavar="DIR",
    help="Folder for <config>.v, <config>.json and spikeloom.h.  [default: build/verilog]",
)  # fmt: skip
@technology_option()
@click.option("--lint/--no-lint", default=True, show_default=True, help="Check the result with Verilator.")
def verilog(config: HardwareConfig, out: Path, technology: Technology, lint: bool) -> None:
    """Write the accelerator's Verilog, its description and its C header, and lint it.

    The Verilog is self-contained and byte-identical from run to run. The JSON beside it holds parameters, ports,
    register map, descriptor layout and memory map; the header holds the register map.
    """
    from hw.verilog.emit import emit
    from hw.verilog.lint import lint_warnings
    from sim.verilator.toolchain import find_toolchain

    toolchain = find_toolchain() if lint else None
    hold(claimed(out, progress_console.print))
    with progress_console.status(f"writing {config.name}: {config.sops_per_cycle} operations per cycle"):
        texts = emit(config, technology=technology).files
        for name, text in texts.items():
            write_atomically(out / name, text)
    path, *others = (out / name for name in texts)
    console.print(f"{shown(path)}: {texts[path.name].count(chr(10)):,} lines")
    for other in others:
        console.print(shown(other))
    if toolchain is None:
        return
    with progress_console.status("linting"):
        found = lint_warnings(path, verilator=toolchain.verilator, environment=toolchain.environment)
    if found:
        for line in found:
            progress_console.print(line)
        raise UserError(f"Verilator warns about {shown(path)}, see above; explain it in hw/verilog/lint.vlt or mend")
    console.print("lint: clean (waivers and their reasons: hw/verilog/lint.vlt)")
