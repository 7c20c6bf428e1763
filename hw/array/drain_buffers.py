"""Completed sums on their way from the array to the neurons."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hw.array.step import DRAIN_BUFFERS, step_layout
from hw.config import HardwareConfig
from hw.parts.dual_port import WRITTEN_FIRST, never_meet

BLOCK_SUMS_BITS = 2048
"""Sums of a position group that are so wide are kept in block RAM, however few groups there are."""


class DrainBuffers(wiring.Component):
    """Keeps completed sums, a buffer for each position tile, until the neurons have read them, a batch at a time.

    Written whole, read a batch at a time: block RAM has ports of different widths, so nothing selects the batch.

    One position group is written and one batch read per cycle, never of one buffer: it is written before its
    `tile_done` and read after it until it is given back.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

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

    def __init__(self, config: HardwareConfig):
        self._config = config
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
        ram = self._memory()
        m.submodules.drain = ram
        written, place = self._write(m, ram)
        read = ram.read_port()
        never_meet(
            m, name="drain", read=read.en, read_address=read.addr[len(self.batch) :], write=written, write_address=place
        )
        m.d.sync += [
            # The register in front is for the wires to all block RAMs, the one behind is their own.
            read.en.eq(self.read),
            read.addr.eq(Cat(self.batch, self.group, self.buffer)),
            self.batch_sums.as_value().eq(read.data),
        ]
        return m

    def _memory(self) -> memory.Memory:
        """A word for each batch of each group of each buffer."""
        attributes: dict[str, int | str] = {WRITTEN_FIRST: 1, "no_rw_check": 1}
        if len(self.sums.as_value()) >= BLOCK_SUMS_BITS:
            attributes["ram_style"] = "block"
        depth = DRAIN_BUFFERS * self._config.tile_groups << len(self.batch)
        return memory.Memory(shape=unsigned(len(self.batch_sums.as_value())), depth=depth, init=[], attrs=attributes)

    def _write(self, m: Module, ram: memory.Memory) -> tuple[Value, Value]:
        """Write all batches of a group at once; returns whether, and the group's place."""
        step = self.step
        completed = self.sums.as_value()
        place = Cat(step.group, step.buffer)
        written = Signal()
        m.d.comb += [written.eq(step.valid & step.final), self.tile_done.eq(written & step.last_of_tile)]
        batch_bits = len(self.batch_sums.as_value())
        for batch in range(self._config.outputs // self._config.neurons):
            write = ram.write_port()
            m.d.comb += [
                write.addr.eq(Cat(Const(batch, len(self.batch)), place)),
                write.data.eq(completed.word_select(batch, batch_bits)),
                write.en.eq(written),
            ]
        return written, place
