"""What a board's FPGA holds besides clock and pins: accelerator, memory, serial link. Simulated as it is built."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from hw.accelerator import AxiAccelerator
from hw.board.block_memory import BlockMemory
from hw.board.boards import Board
from hw.board.link import Link
from hw.board.link_protocol import NAME_BYTES, PROTOCOL_VERSION, Identity
from hw.board.uart import DIVISOR_BITS, UartReceiver, UartTransmitter
from hw.board.word_port import AxiLiteMaster
from hw.config import HardwareConfig
from hw.verilog.emit import emit_component

SYSTEM = "board_system"
"""Name of the system's module in Verilog."""

LIGHT_TICK_BITS = 22
"""A light stays on for two to three periods of a counter of this width: a sixth of a second at 60 MHz."""

MEMORY_ADDRESS = 0
"""Byte address of the memory, as the accelerator uses it."""


class BoardSystem(wiring.Component):
    """An accelerator that a host reaches through two wires.

    Parameters
    ----------
    board : Board
        Memory, clock and name.
    config : HardwareConfig
        Of the accelerator.

    Members
    -------
    rx : In(1), tx : Out(1)
        The link's wires.
    divisor : In(12)
        Cycles in a bit of the link.
    alive, busy, error : Out(1)
        Lights: a request has come, memory is being read by the accelerator, a frame was dropped.
    """

    def __init__(self, board: Board, config: HardwareConfig):
        self._board, self._config = board, config
        super().__init__(
            {
                "rx": In(1),
                "tx": Out(1, init=1),
                "divisor": In(DIVISOR_BITS),
                "alive": Out(1),
                "busy": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        board, config = self._board, self._config
        m.submodules.accelerator = accelerator = AxiAccelerator(config)
        m.submodules.memory = memory = BlockMemory(config.memory_bits, board.memory_bytes)
        m.submodules.registers = registers = AxiLiteMaster()
        m.submodules.link = link = Link(board.memory_bytes)
        m.submodules.receiver = receiver = UartReceiver()
        m.submodules.transmitter = transmitter = UartTransmitter()
        connect(m, accelerator.m_axi_mem, memory.axi)
        connect(m, registers.axi, accelerator.s_axi_ctrl)
        connect(m, link.registers, registers.port)
        connect(m, link.memory, memory.port)
        connect(m, link.output, transmitter.input)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            receiver.divisor.eq(self.divisor),
            link.data.eq(receiver.data),
            link.valid.eq(receiver.valid),
            link.error.eq(receiver.error),
            transmitter.divisor.eq(self.divisor),
            self.tx.eq(transmitter.tx),
        ]

        bad_frames = Signal(32)
        m.d.sync += bad_frames.eq(bad_frames + link.bad_frame)
        name = board.name.encode().ljust(NAME_BYTES, b"\0")
        identity = {
            Identity.PROTOCOL: PROTOCOL_VERSION,
            Identity.CONFIG: config.fingerprint,
            Identity.CLOCK_HZ: board.clock_hz,
            Identity.MEMORY_ADDRESS: MEMORY_ADDRESS,
            Identity.MEMORY_BYTES: board.memory_bytes,
            Identity.BAD_FRAMES: bad_frames,
            **{
                Identity.NAME + word: int.from_bytes(name[4 * word : 4 * word + 4], "little")
                for word in range(NAME_BYTES // 4)
            },
        }
        m.d.comb += link.identity.done.eq(link.identity.request)
        with m.Switch(link.identity.address[2:]):
            for word, content in identity.items():
                with m.Case(word):
                    m.d.comb += link.identity.read_data.eq(content)

        tick = Signal(LIGHT_TICK_BITS)
        m.d.sync += tick.eq(tick + 1)
        for light, event in (
            (self.alive, link.frame), (self.busy, accelerator.m_axi_mem.rvalid), (self.error, link.bad_frame),
        ):  # fmt: skip
            left = Signal(2, name=f"{light.name}_left")
            m.d.comb += light.eq(left != 0)
            with m.If(event):
                m.d.sync += left.eq(3)
            with m.Elif((tick == 0) & (left != 0)):
                m.d.sync += left.eq(left - 1)
        return m


def system_verilog(board: Board, config: HardwareConfig) -> str:
    """Verilog of a system, with `SYSTEM` as its top module: what is simulated and what is synthesised."""
    return emit_component(BoardSystem(board, config), SYSTEM)
