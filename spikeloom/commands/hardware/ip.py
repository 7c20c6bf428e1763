"""`spikeloom ip`: the accelerator as an IP core for Vivado, PYNQ, FuseSoC and bare-metal C."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spikeloom.commands.common import config_option, console, progress_console, shown, technology_option
from sw.checkout import BUILD
from sw.outputs import OUTPUT_FOLDER

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from hw.parts.technology import Technology


@click.command()
@config_option()
@click.option(
    "--out", "--output", "out", type=OUTPUT_FOLDER, metavar="DIR", help="Folder to write.  [default: build/ip/<config>]"
)
@technology_option(default="xilinx")
def ip(config: HardwareConfig, out: Path | None, technology: Technology) -> None:
    """Write the accelerator as an IP core: a folder for Vivado, PYNQ, FuseSoC and bare-metal C.

    It holds Verilog, packaging script, constraints, block design and bitstream scripts for KV260, ZCU104 and PYNQ-Z2, a
    PYNQ notebook, a FuseSoC core file, and register map and driver in C. See docs/deploy.md.
    """
    from sw.folders import check_replaceable, write_folder
    from sw.ip.boards import BOARDS
    from sw.ip.package import ip_files

    out = out or BUILD / "ip" / config.name
    check_replaceable(out)
    with progress_console.status(f"writing {config.name}: {config.sops_per_cycle} operations per cycle"):
        files = ip_files(config, technology)
        write_folder(out, files)
    console.print(f"{shown(out)}: {len(files)} files")
    for board in BOARDS:
        console.print(f"{board.title}: vivado -mode batch -source {shown(out / 'boards' / f'{board.name}.tcl')}")
