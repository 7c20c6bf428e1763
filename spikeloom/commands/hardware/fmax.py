"""`spikeloom fmax`: how fast a configuration is on an ECP5, placed and routed by nextpnr, and what limits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from spikeloom.commands.common import configs_option, console, hold, progress_console, shown
from sw.checkout import BUILD
from sw.claims import claimed
from sw.synthesis.place import TARGET_MHZ, measure_fmax
from sw.synthesis.report import merge
from sw.tables import compact_table

if TYPE_CHECKING:
    from hw.config import HardwareConfig

OUT = BUILD / "fmax.json"
LOGS = BUILD / "fmax"


@click.command()
@configs_option("mini")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Placements to try.")
@click.option("--target", type=float, default=TARGET_MHZ, show_default=True, help="MHz that the placer aims for.")
def fmax(configs: tuple[HardwareConfig, ...], seeds: int, target: float) -> None:
    """Place and route on an ECP5 (85k, speed grade 6) and report clock frequency and slowest paths.

    Minutes for mini, which has every part of the larger configurations; nextpnr does not place those in reasonable
    time. The frequency is that of the best seed and counts paths from register to register.
    """
    hold(claimed(LOGS, progress_console.print))
    for config in configs:
        entry = measure_fmax(config, seeds, target, LOGS, progress_console.status)
        merge(OUT, config.name, None, entry)
        tried = ", ".join(f"{seed}: {mhz:.1f}" for seed, mhz in entry["seeds"].items())
        console.print(f"{config.name} on ECP5: {entry['fmax_mhz']:.1f} MHz (by seed {tried})")
        console.print(path_table(entry))
    console.print(shown(OUT))


def path_table(entry: Mapping[str, Any]) -> Table:
    """Slowest paths of an entry."""
    table = compact_table("from, to, and the arithmetic on the way", "ns", "logic", "routing", "LUTs", "carry\nchains")
    for path in entry["paths"]:
        table.add_row(
            "\n".join((path["from"], path["to"], *(f"  {each}" for each in path["arithmetic"]))),
            f"{path['delay_ns']:.2f}", f"{path['logic_ns']:.2f}", f"{path['routing_ns']:.2f}", str(path["luts"]),
            str(path["carry_chains"]),
        )  # fmt: skip
    return table
