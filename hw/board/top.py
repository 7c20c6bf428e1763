"""A board's top: clock, reset and pins around the system."""

from __future__ import annotations

from amaranth.build import Attrs, Pins, Resource, Subsignal
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer

from hw.board.boards import Board
from hw.board.pll import add_pll
from hw.board.system import SYSTEM

LEVELS = Attrs(IO_TYPE="LVCMOS33")
"""Of wires to an adapter."""


class BoardTop(Elaboratable):
    """Connects the system to a PLL and to the board's pins.

    The system comes as Verilog, the text that is simulated. It is in reset until the PLL has locked.

    Parameters
    ----------
    board : Board
    verilog : str
        See `hw.board.system.system_verilog`.
    """

    def __init__(self, board: Board, verilog: str):
        self._board, self._verilog = board, verilog

    def elaborate(self, platform):
        m = Module()
        board = self._board
        platform.add_file(f"{SYSTEM}.v", self._verilog)

        m.domains.sync = sync = ClockDomain("sync")
        m.submodules.clock = clock = io.Buffer("i", platform.request(platform.default_clk, dir="-"))
        locked = add_pll(m, clock.i, int(platform.default_clk_frequency), sync.clk, board.clock_hz)
        m.submodules.reset = FFSynchronizer(~locked, sync.rst, init=1)

        if board.uart is not None:
            receives, sends = (
                Subsignal(name, Pins(pin, dir=direction, conn=("io", 0)))
                for name, direction, pin in zip(("rx", "tx"), ("i", "o"), board.uart, strict=True)
            )
            platform.add_resources([Resource("uart", 0, receives, sends, LEVELS)])
        wires = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", wires.rx)
        m.submodules.tx = tx = io.Buffer("o", wires.tx)
        lights = Signal(3)
        pins = {key: platform.request(*key, dir="-") for key in dict.fromkeys(light[:2] for light in board.lights)}
        for index, (resource, number, colour) in enumerate(board.lights):
            pin = pins[resource, number]
            m.submodules[f"light_{index}"] = light = io.Buffer("o", getattr(pin, colour) if colour else pin)
            m.d.comb += light.o.eq(lights[index])
        m.submodules.system = Instance(
            SYSTEM,
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_rx=rx.i,
            o_tx=tx.o,
            i_divisor=board.divisor,
            o_alive=lights[0],
            o_busy=lights[1],
            o_error=lights[2],
        )
        return m
