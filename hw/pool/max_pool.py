"""Max-pooling of currents before the neurons: 3x3, stride 2, padding 1, of sums as they are read."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.config import HardwareConfig
from hw.parts.carry_chain import at_least
from hw.parts.delay import delayed, delayed_view
from hw.parts.dual_port import dual_port_memory
from hw.parts.technology import Technology
from hw.pool.max_pool_walk import MAX_POOL_WORDS, window_layout

ROW_LATENCY = 3
"""Cycles from the read of an open row to the first one in which its word may be read again: a register behind the read,
one in front of the write."""


class MaxPool(wiring.Component):
    """The largest sum of each 3x3 window, per channel and time step; exists only where a configuration asks for it.

    Currents are ``alpha * (sum + bias)`` with ``alpha > 0`` per channel, so the largest sum is the largest current. A
    window lies like those of `hw.pool.or_pool.OrPool`, and is folded like them, first along x, then along y: an even
    column or row joins the window that is open, an odd one completes it and opens the next. Sets of two columns hold an
    even and an odd one.

    The open columns are one set of sums per batch and time chunk (LUT RAM), the open rows one per pooled column, batch
    and time chunk (block RAM). Nothing is cleared: what is first in its row or column opens a window afresh.

    The result is in the lanes of position 0, those of other positions and of layers that do not pool pass. All of it
    leaves `latency` cycles later, one set per cycle, without back-pressure.

    The row memory's read and write never meet in one word if the same place of two rows is read at least `ROW_LATENCY`
    cycles apart: a map of two columns needs as many batches, any other one half of them; the compiler sees to that.

    Parameters
    ----------
    config : HardwareConfig
        Sizes; `positions` is 1 or 2.
    technology : Technology
        What the comparators are made of.

    Members
    -------
    window : In(window_layout(config))
        What the sums are.
    sums : In(ArrayLayout(signed(sum_bits), neurons * lanes))
        ``[neurons][positions][timesteps]``.
    currents : Out(ArrayLayout(signed(sum_bits), neurons * lanes))
        The same, of `latency` cycles ago, or the largest of the windows that they complete.
    """

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        sums = data.ArrayLayout(signed(config.sum_bits), config.neurons * config.lanes)
        super().__init__({"window": In(window_layout(config)), "sums": In(sums), "currents": Out(sums)})

    @property
    def latency(self) -> int:
        """Cycles from `sums` to `currents`: the larger one of two columns if there are two, then columns, then rows."""
        return self._config.positions + 1

    def elaborate(self, platform):
        m = Module()
        config = self._config
        # Lanes of a channel and a position, one number.
        width = config.timesteps * config.sum_bits
        sums = [self.sums.as_value().word_select(i, width) for i in range(config.neurons * config.positions)]
        window, value = self.window, Cat(sums[:: config.positions])
        opened = value
        if config.positions == 2:
            even, opened = value, Cat(sums[1::2])
            value = self._register(m, self._larger(m, even, opened, "pair"), "pair")
            opened, window = self._register(m, opened, "odd"), self._late(m, window, "pair_window")
        joined = self._fold_columns(m, window, value, opened)
        pooled = self._fold_rows(m, window, joined)
        for i, lanes in enumerate(sums):
            current = self.currents.as_value().word_select(i, width)
            early = delayed(m, lanes, self.latency - 1, name=f"sums_{i}")
            if i % config.positions == 0:
                which = delayed(m, self.window.pooled, self.latency - 1, name=f"pooled_{i}")
                early = Mux(which, pooled.word_select(i // config.positions, width), early)
            m.d.comb += current.eq(self._register(m, early, f"current_{i}"))
        return m

    def _fold_columns(self, m: Module, window: data.View, value: Value, opened: Value) -> Signal:
        """The largest of a window's columns so far, a cycle later; `opened` begins the next window at its end."""
        config = self._config
        batches = config.outputs // config.neurons
        m.submodules.open_columns = ram = memory.Memory(
            shape=unsigned(len(value)), depth=max(2, config.time_chunks << ceil_log2(batches)), init=[]
        )
        read = ram.read_port(domain="comb")
        write = ram.write_port()
        address = Cat(window.select[: ceil_log2(batches)], window.time_chunk)[: len(read.addr)]
        joined = Signal(len(value))
        m.d.comb += [
            read.addr.eq(address),
            joined.eq(Mux(window.first_column, value, self._larger(m, value, read.data, "column"))),
            write.addr.eq(address),
            write.data.eq(Mux(window.odd_column, opened, joined)),
            write.en.eq(window.valid),
        ]
        return self._register(m, joined, "joined")

    def _fold_rows(self, m: Module, window: data.View, joined: Signal) -> Value:
        """The largest of a window's rows, in the cycle of `joined`, which comes a cycle after its `window`."""
        config = self._config
        select_bits = ceil_log2(config.outputs // config.neurons)
        read, write = dual_port_memory(m, name="open_rows", width=len(joined), depth=MAX_POOL_WORDS << select_bits)
        late = self._late(m, window, "late_row_window")
        address = Cat(window.select[:select_bits], window.word)
        complete = window.valid & window.odd_column
        largest = Mux(late.first_row, joined, self._larger(m, joined, read.data, "row"))
        m.d.comb += [
            read.addr.eq(address),
            read.en.eq(complete & ~window.first_row),
            write.addr.eq(delayed(m, address, 2, name="row_written")),
            write.en.eq(delayed(m, complete, 2, name="row_write", reset=True)),
            write.data.eq(self._register(m, Mux(late.odd_row, joined, largest), "open_row")),
        ]
        return largest

    def _larger(self, m: Module, left: Value, right: Value, name: str) -> Value:
        """The larger one of every two sums."""
        width, larger = self._config.sum_bits, []
        for i in range(len(left) // width):
            a, b = left.word_select(i, width), right.word_select(i, width)
            larger.append(Mux(at_least(m, a, b, name=f"{name}_{i}", technology=self._technology), a, b))
        return Cat(larger)

    def _late(self, m: Module, window: data.View, name: str) -> data.View:
        return delayed_view(m, window, 1, name=name, reset=("valid",))

    def _register(self, m: Module, value: Value, name: str) -> Signal:
        register = Signal(len(value), name=name, reset_less=True)
        m.d.sync += register.eq(value)
        return register
