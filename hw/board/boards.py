"""The boards that have a name: what is on them, and what is built for them."""

from __future__ import annotations

from dataclasses import dataclass

from hw.board.link_protocol import NAME_BYTES
from hw.board.uart import DIVISOR_BITS, SHORTEST_BIT
from hw.user_text import check_name


@dataclass(frozen=True, kw_only=True)
class Board:
    """An FPGA board with a serial link to the host.

    Attributes
    ----------
    name : str
        At most 16 characters; what the board says of itself.
    title : str
        The board in words.
    platform : str
        Its class in `amaranth-boards`, as ``module:class``.
    device : tuple of str
        What nextpnr calls the device: options.
    clock_hz : int
        Clock of accelerator, memory and link, made by a PLL from the board's own.
    baud : int
        Of the serial link.
    memory_bytes : int
        Block RAM for program, images and records.
    config : str
        Name of the accelerator's configuration, unless another one is asked for.
    lights : tuple of (str, int, str)
        LEDs for link, memory and error: resource, number and, in one of several colours, the colour.
    uart : tuple of (str, str), optional
        Pins of the connector ``io`` that receive and send, on a board without an adapter of its own.
    loader : str
        Command that loads a bitstream; its file is appended.

    Raises
    ------
    ValueError
        If the name is too long, or the clock is too slow or too fast for the baud rate.
    """

    name: str
    title: str
    platform: str
    device: tuple[str, ...]
    clock_hz: int
    baud: int
    memory_bytes: int
    config: str
    lights: tuple[tuple[str, int, str], ...]
    uart: tuple[str, str] | None = None
    loader: str

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.name) > NAME_BYTES:
            raise ValueError(f"name must have at most {NAME_BYTES} characters, not {self.name!r}")
        if (
            not SHORTEST_BIT <= self.divisor < 1 << DIVISOR_BITS
            or abs(self.divisor * self.baud / self.clock_hz - 1) > 0.01
        ):
            raise ValueError(f"baud must be within 1 % of a divisor of clock_hz = {self.clock_hz}, not {self.baud}")

    @property
    def divisor(self) -> int:
        """Cycles in a bit of the link."""
        return round(self.clock_hz / self.baud)


ULX3S_85F = Board(
    name="ulx3s_85f",
    title="ULX3S with an LFE5U-85F",
    platform="amaranth_boards.ulx3s:ULX3S_85F_Platform",
    device=("--85k", "--package", "CABGA381", "--speed", "6"),
    clock_hz=60_000_000,
    baud=1_000_000,
    memory_bytes=192 * 1024,
    config="tiny",
    lights=(("led", 0, ""), ("led", 1, ""), ("led", 2, "")),
    loader="openFPGALoader -b ulx3s",
)

ECPIX5_85F = Board(
    name="ecpix5_85f",
    title="ECPIX-5 with an LFE5UM5G-85F",
    platform="amaranth_boards.ecpix5:ECPIX585Platform",
    device=("--um5g-85k", "--package", "CABGA554", "--speed", "8"),
    clock_hz=60_000_000,
    baud=1_000_000,
    memory_bytes=192 * 1024,
    config="tiny",
    lights=(("rgb_led", 0, "g"), ("rgb_led", 0, "b"), ("rgb_led", 0, "r")),
    loader="openFPGALoader -b ecpix5",
)

ORANGECRAB_85F = Board(
    name="orangecrab_85f",
    title="OrangeCrab r0.2.1 with an LFE5U-85F",
    platform="amaranth_boards.orangecrab_r0_2:OrangeCrabR0_2_85FPlatform",
    device=("--85k", "--package", "CSFBGA285", "--speed", "8"),
    clock_hz=60_000_000,
    baud=1_000_000,
    memory_bytes=192 * 1024,
    config="tiny",
    lights=(("rgb_led", 0, "g"), ("rgb_led", 0, "b"), ("rgb_led", 0, "r")),
    uart=("0", "1"),
    loader="openFPGALoader -b orangeCrab",
)

BOARDS = {board.name: board for board in (ULX3S_85F, ECPIX5_85F, ORANGECRAB_85F)}
"""Boards by name."""
