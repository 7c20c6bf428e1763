"""`spikeloom bitstream`: a board's bitstream with open tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from hw.board.boards import BOARDS, Board
from spikeloom.commands.common import ConfigType, Decorator, console, hold, progress_console, shown
from sw.checkout import BUILD
from sw.claims import claimed
from sw.errors import UserError
from sw.synthesis.bitstream import SHOWN, build_bitstream
from sw.synthesis.report import merge
from sw.tables import compact_table

if TYPE_CHECKING:
    from hw.config import HardwareConfig

FOLDER = BUILD / "bitstream"
OUT = FOLDER / "bitstream.json"


def board_option() -> Decorator:
    """The option ``--board``."""
    return click.option(
        "--board", default="ulx3s_85f", show_default=True, metavar="NAME", help=f"Board: {', '.join(BOARDS)}."
    )


def chosen_board(name: str, config: HardwareConfig | None) -> tuple[Board, HardwareConfig]:
    """A board by its name, and the configuration that it gets.

    Raises
    ------
    UserError
        If there is no such board.
    """
    from hw.named_configs import CONFIGS
    from hw.user_text import quoted

    if name not in BOARDS:
        raise UserError(f"unknown board {quoted(name)}; choose one of {', '.join(BOARDS)}")
    return BOARDS[name], config or CONFIGS[BOARDS[name].config]


@click.command()
@board_option()
@click.option(
    "--config", type=ConfigType(), metavar="NAME|FILE.json", help="Hardware configuration.  [default: the board's]"
)
@click.option(
    "--seeds", type=click.IntRange(1), default=4, show_default=True,
    help="Placements to try; the first that meets the clock is taken.",
)  # fmt: skip
def bitstream(board: str, config: HardwareConfig | None, seeds: int) -> int:
    """Build a board's bitstream: Yosys, nextpnr-ecp5 and ecppack, pinned as Python packages.

    Ends with the bitstream, what it takes of the device, and the command that loads it. Exit code 1 if no placement
    meets the board's clock; there is no bitstream then.
    """
    chosen, config = chosen_board(board, config)
    hold(claimed(FOLDER, progress_console.print))
    entry = build_bitstream(chosen, config, seeds, FOLDER, progress_console.status)
    merge(OUT, board, config.name, entry)
    console.print(utilisation_table(f"{config.name} on {chosen.title}", entry))
    tried = ", ".join(f"{seed}: {mhz:.1f}" for seed, mhz in entry["seeds"].items())
    console.print(f"clock {entry['clock_mhz']:.1f} MHz, reached {entry['fmax_mhz']:.1f} MHz (by seed {tried})")
    if entry["bitstream"] is None:
        console.print("timing not met, no bitstream: try more --seeds, or a smaller --config")
        return 1
    path = FOLDER / entry["bitstream"]
    console.print(f"timing met; {shown(path)}: {path.stat().st_size:,} bytes in {entry['seconds']} s; to load it:")
    console.print(f"{chosen.loader} {shown(path)}")
    return 0


def utilisation_table(title: str, entry: Mapping[str, Any]) -> Table:
    """What a bitstream takes of its device."""
    table = compact_table("resource", "used", "of", "%", title=title)
    for cell, (used, available) in entry["utilisation"].items():
        table.add_row(SHOWN[cell], f"{used:,}", f"{available:,}", f"{100 * used / available:.0f}")
    return table
