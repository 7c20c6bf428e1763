"""Completed sums on their way from the array to the neurons."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hw.array.step import DRAIN_BUFFERS, step_layout
from hw.config import HardwareConfig
from hw.parts.delay import delayed
from hw.parts.dual_port import WRITTEN_FIRST, never_meet
from hw.parts.technology import Technology
from hw.parts.wide_write_ram import PARTS, wide_write_ram

BLOCK_BITS = 1 << 17
"""Buffers of so many bits are kept in block RAM, however few words they have for its depth."""


class DrainBuffers(wiring.Component):
    """Keeps completed sums, a buffer for each position tile, until the neurons have read them, a batch at a time.

    Written whole, read a batch at a time: block RAM has ports of different widths, so nothing selects the batch.

    One position group is written and one batch read per cycle, never of one buffer: it is written before its
    `tile_done` and read after it until it is given back.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    technology : Technology
        UltraScale+ has block RAM whose ports are told their widths.

    Members
    -------
    step : In(step_layout(config)), sums : In(ArrayLayout(signed(accumulator_bits), outputs * lanes))
        From the partial sums; kept in a final step.
    tile_done : Out(1)
        The tile's sums are in their buffer, readable from the next cycle on: `done_latency` cycles after its last step.
    read : In(1), group : In, buffer : In, batch : In
        Whether something is read: position group, buffer and batch of `neurons` outputs.
    batch_sums : Out(ArrayLayout(signed(accumulator_bits), neurons * lanes))
        Those sums `latency` cycles later, ``[neurons][positions][timesteps]``.
    """

    latency = 3
    """Cycles from `read` to `batch_sums`: address register, block RAM, its output register."""

    done_latency = 0
    """Cycles from the last `step` of a tile to `tile_done`: its sums are written as they come."""

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        layout = step_layout(config)
        sums = signed(config.accumulator_bits)
        super().__init__(
            {
                "step": In(layout),
                "sums": In(data.ArrayLayout(sums, config.outputs * config.lanes)),
                "tile_done": Out(1),
                "read": In(1),
                "group": In(layout["group"].shape),
                "buffer": In(layout["buffer"].shape),
                "batch": In(range(config.outputs // config.neurons)),
                "batch_sums": Out(data.ArrayLayout(sums, config.neurons * config.lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        step = self.step
        written = Signal()
        m.d.comb += [written.eq(step.valid & step.final), self.tile_done.eq(written & step.last_of_tile)]
        place = Cat(step.group, step.buffer)
        read = Signal()
        address = Signal(len(self.batch) + len(place))
        m.d.sync += [
            # These registers are for the wires to all block RAMs, the one behind is their own.
            read.eq(self.read),
            address.eq(Cat(self.batch, self.group, self.buffer)),
        ]
        never_meet(
            m, name="drain", read=read, read_address=address[len(self.batch) :], write=written, write_address=place
        )
        if self._technology is Technology.XILINX and self._in_block_ram and self._batches in PARTS:
            word = wide_write_ram(
                m, name="drain", parts=self._batches, read=read, read_address=address, write=written,
                write_address=place, write_data=self.sums.as_value(),
            )  # fmt: skip
        else:
            word = delayed(m, self._memory(m, read, address, written, place), 1, name="batch_word")
        m.d.comb += self.batch_sums.as_value().eq(word)
        return m

    @property
    def _batches(self) -> int:
        return self._config.outputs // self._config.neurons

    @property
    def _groups(self) -> int:
        """Position groups of all buffers."""
        return DRAIN_BUFFERS * self._config.tile_groups

    @property
    def _in_block_ram(self) -> bool:
        return self._groups * len(self.sums.as_value()) >= BLOCK_BITS

    def _memory(self, m: Module, read: Value, address: Value, written: Value, place: Value) -> Value:
        """A word for each batch of each group of each buffer; all batches of a group are written at once."""
        attributes: dict[str, int | str] = {WRITTEN_FIRST: 1, "no_rw_check": 1}
        if self._in_block_ram:
            attributes["ram_style"] = "block"
        batch_bits = len(self.batch_sums.as_value())
        m.submodules.drain = ram = memory.Memory(
            shape=unsigned(batch_bits), depth=self._groups << len(self.batch), init=[], attrs=attributes
        )
        for batch in range(self._batches):
            write_port = ram.write_port()
            m.d.comb += [
                write_port.addr.eq(Cat(Const(batch, len(self.batch)), place)),
                write_port.data.eq(self.sums.as_value().word_select(batch, batch_bits)),
                write_port.en.eq(written),
            ]
        read_port = ram.read_port()
        m.d.comb += [read_port.addr.eq(address), read_port.en.eq(read)]
        return read_port.data
