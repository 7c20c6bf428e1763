"""The boards that `spikeloom run` knows, and how each is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hw.board.boards import BOARDS as SERIAL
from sw.errors import UserError

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from sw.driver.bus import Bus

SIMULATION = "simulation"
"""The board that is none: the accelerator's Verilog in Verilator."""

SERIAL_BOARDS = tuple(SERIAL)
"""Boards whose bitstream has the serial link."""

LINUX_BOARDS = ("kv260", "zcu104", "pynq_z2")
"""Boards that this runs on themselves."""

BOARDS = (SIMULATION, *SERIAL_BOARDS, *LINUX_BOARDS)


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a board is reached; what is None was not said.

    Attributes
    ----------
    port : str, optional
        Serial port.
    baud : int
        Its speed.
    bitstream : Path, optional
        ``.bit`` with its ``.hwh``, loaded by PYNQ.
    uio : str, optional
        UIO device of a loaded bitstream.
    buffer : str
        The u-dma-buf beside it.
    """

    port: str | None = None
    baud: int
    bitstream: Path | None = None
    uio: str | None = None
    buffer: str = "udmabuf0"


def check_way(board: str, way: Way) -> None:
    """Refuse ways that do not lead to a board, or none or several of them.

    Raises
    ------
    UserError
        Naming the option to give.
    """
    given = [name for name in ("port", "bitstream", "uio") if getattr(way, name) is not None]
    wanted = {**dict.fromkeys(SERIAL_BOARDS, ("port",)), **dict.fromkeys(LINUX_BOARDS, ("bitstream", "uio"))}
    ways = wanted.get(board, ())
    if [name for name in given if name not in ways] or (ways and len(given) != 1):
        options = " or ".join(f"--{name}" for name in ways) or "none of --port, --bitstream, --uio"
        shown = ", ".join(f"--{name}" for name in given) or "no way"
        raise UserError(f"{board} was given {shown}, it takes {'one: ' if ways else ''}{options}")


def open_board(board: str, way: Way, config: HardwareConfig | None) -> Bus:
    """Reach a board.

    Parameters
    ----------
    board : str
        One of `BOARDS`.
    way : Way
        As `check_way` accepts it.
    config : HardwareConfig, optional
        Configuration to simulate.

    Raises
    ------
    UserError
        If it cannot be reached.
    """
    if way.port is not None:
        from sw.driver.serial_bus import open_serial

        return open_serial(way.port, way.baud)
    if way.bitstream is not None:
        from sw.driver.pynq_bus import open_pynq

        return open_pynq(way.bitstream)
    if way.uio is not None:
        from sw.driver.uio_bus import open_uio

        return open_uio(way.uio, way.buffer)
    from sim.simulated_board import open_simulation

    assert config is not None
    return open_simulation(config)
