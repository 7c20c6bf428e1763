"""`spikeloom formal`: proves that the accelerator keeps the rules of AXI at its ports."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click
from rich.table import Table

from hw.named_configs import MINI
from spikeloom.commands.common import ConfigType, console, hold, progress_console, shown
from sw.checkout import BUILD
from sw.claims import claimed, using
from sw.tables import compact_table

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from sim.formal.prove import Finding

FOLDER = BUILD / "formal"
CONFIGS = (MINI, dataclasses.replace(MINI, name="mini-128", memory_bits=128))
"""What is proven unless something else is asked for: the outside of every configuration, with beats of each width."""


@click.command()
@click.option(
    "--config", "configs", type=ConfigType(), multiple=True, metavar="NAME|FILE.json",
    help="Hardware configuration; may be given several times.  [default: mini with beats of 64 and of 128 bits]",
)  # fmt: skip
def formal(configs: tuple[HardwareConfig, ...]) -> int:
    """Prove the AXI rules of both ports for the emitted Verilog, by induction.

    The rules are in sim/axi_rules, what they are and what is assumed in docs/deploy.md. The core is cut out: they hold
    whatever it does. Exit code 1 if one does not hold; its name and a waveform of the failure are printed.
    """
    from sim.formal.prove import prove
    from sim.runner import emitted_verilog
    from sim.verilator.verilate import BUILD_FOLDER

    hold(claimed(FOLDER, progress_console.print))
    found: list[tuple[HardwareConfig, Finding]] = []
    for config in configs or CONFIGS:
        with progress_console.status(f"{config.name}: Yosys and Yices"), using(BUILD_FOLDER):
            verilog = emitted_verilog(config, BUILD_FOLDER)
            found += [(config, finding) for finding in prove(verilog, config.memory_bits, FOLDER / config.name)]
    console.print(table(found))
    wrong = [(config, finding) for config, finding in found if not finding.holds]
    for config, finding in wrong:
        console.print(f"{config.name}, {finding.port}: {finding.result}: {', '.join(finding.failed)}")
        if finding.trace is not None:
            console.print(shown(finding.trace))
    return int(bool(wrong))


def table(found: list[tuple[HardwareConfig, Finding]]) -> Table:
    """What was proven."""
    rows = compact_table("configuration", "beat", "port", "properties", "depth", "result", "seconds")
    for config, finding in found:
        rows.add_row(
            config.name, f"{config.memory_bits} bits", finding.port, f"{finding.count} {finding.what}",
            str(finding.depth), finding.result, f"{finding.seconds:.1f}",
        )  # fmt: skip
    return rows
