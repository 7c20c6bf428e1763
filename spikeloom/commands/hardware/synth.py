"""`spikeloom synth`: what configurations take on an FPGA, counted by Yosys, in total and by module."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from spikeloom.commands.common import configs_option, console, hold, progress_console, shown
from sw.checkout import BUILD, ROOT
from sw.claims import claimed
from sw.synthesis.baseline import ALLOWED_GROWTH, compare, update
from sw.synthesis.cells import FAMILIES, RESOURCES, luts
from sw.synthesis.report import merge, read_entries, synthesis_entry
from sw.tables import compact_table

if TYPE_CHECKING:
    from hw.config import HardwareConfig

OUT = BUILD / "synth.json"
BASELINE = ROOT / "docs" / "synth-baseline.json"
LOGS = BUILD / "synth"


@click.command()
@configs_option("tiny", "base")
@click.option(
    "--family", type=click.Choice([*FAMILIES, "both"]), default="both", show_default=True, help="FPGA family."
)
@click.option("--update-baseline", is_flag=True, help="Make the figures the committed ones.")
def synth(configs: tuple[HardwareConfig, ...], family: str, update_baseline: bool) -> int:
    """Synthesise with Yosys and count what it takes, in total and by module.

    Latches, asynchronous resets, combinational loops, undriven nets and paths from input to output without a register
    are refused. Counts are of mapped cells before
    placement; how they are made is in docs/synthesis.md. Uses the Yosys of the Python package (its version is pinned,
    so figures compare): minutes. Exit code 1 if a total grew by more than 2 % over the committed baseline.
    """
    hold(claimed(LOGS, progress_console.print))
    grown = False
    for config in configs:
        for name in FAMILIES if family == "both" else (family,):
            with progress_console.status(f"{config.name} for {FAMILIES[name].title}: Yosys"):
                entry = synthesis_entry(config, name, LOGS)
            merge(OUT, config.name, name, entry)
            console.print(resource_table(config.name, name, entry))
            if update_baseline:
                update(BASELINE, config.name, name, entry)
            else:
                grown |= _compare(config, name, entry)
    console.print(shown(OUT))
    if update_baseline:
        console.print(shown(BASELINE))
    return int(grown)


def resource_table(config: str, family: str, entry: Mapping[str, Any]) -> Table:
    """Parts and total of an entry of ``build/synth.json``."""
    used = [name for name in RESOURCES if entry["resources"][name]]
    none = "".join(f", no {RESOURCES[name]}" for name in RESOURCES if name not in used)
    title = (
        f"{config} on {FAMILIES[family].title}, {entry['sops_per_cycle']:,} operations per cycle; block RAMs of "
        f"{entry['bram_kbit']} Kbit{none}"
    )
    headings = ("part", *(RESOURCES[name] for name in used), "LUTs per operation")
    table = compact_table(*(heading.replace(" ", "\n") for heading in headings), title=title)
    rows = [*entry["parts"].items(), ("total", entry["resources"])]
    for part, counts in rows:
        if part == "total":
            table.add_section()
        relative = luts(counts) / entry["sops_per_cycle"]
        table.add_row(part, *(f"{counts[name]:,.10g}" for name in used), f"{relative:.2f}")
    return table


def _compare(config: HardwareConfig, family: str, entry: Mapping[str, Any], baseline: Path | None = None) -> bool:
    """Say how an entry differs from the committed one; whether a total grew too much."""
    from hw.named_configs import CONFIGS

    if CONFIGS.get(config.name) != config:
        return False  # a configuration of the user's has no committed figures, even if it borrows a name
    where = f"{config.name}, {family}"
    found = compare(read_entries(baseline or BASELINE), config.name, family, entry)
    refresh = f"spikeloom synth --config {config.name} --family {family} --update-baseline"
    if found.skipped:
        console.print(f"{where}: not compared, {found.skipped}; to make one: {refresh}")
    elif not found.differences:
        console.print(f"{where}: every total as in the baseline")
    else:
        console.print(f"{where}: " + ", ".join(map(str, found.differences)))
    if found.grown:
        names = ", ".join(RESOURCES[difference.resource] for difference in found.grown)
        console.print(f"{where}: {names} grew by more than {ALLOWED_GROWTH:.0%}; if that is meant: {refresh}")
    return bool(found.grown)
