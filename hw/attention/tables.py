"""Tables of subset sums of K^T V, filled row by row and looked up by the spikes of Q."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.attention.geometry import TABLE_CHANNELS, AttentionGeometry
from hw.attention.job import job_layout
from hw.config import HardwareConfig
from hw.parts.delay import delayed
from hw.parts.dual_port import dual_port_memory


class SubsetTables(wiring.Component):
    """For every 4 channels of K^T V the sums of all 16 subsets, for a set of columns and each time step.

    With channel r of a table the number of sums doubles: the sum of a subset with it is the sum of the same subset
    without it plus the row of channel r. The sums of the table at work are kept in LUT RAM beside, so that the block
    RAM is free for look-ups of the set before. Entry 0, no channel, is never written and remains 0.

    Row r of a table takes ``2**r`` cycles, from the one after `row_valid`; no row may come meanwhile.

    A cycle looks up `attention_tables` tables per time step: of two, channels ``8 * step`` to ``8 * step + 7``.

    No word is read in the cycle in which it is written: a half is written only before `filled`, read only after it,
    and written again only when its last look-up is past. (The LUT RAM is read without a clock.)

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    begin : In(1), job : In(job_layout(config))
        A job begins, with the first half.
    row_valid : In(1), row : In
        The next row of K^T V, as in `KeyValueCounts`, channel by channel, set by set.
    filled : Out(1)
        A set's tables are complete from the next cycle on. Sets alternate between two halves.
    look_up : In(timesteps), half : In(timesteps)
        Read enable and the half that is read.
    step : In(range(steps))
        Which channels are summed.
    spikes : In(ArrayLayout(step_channels, timesteps))
        Their spikes of Q.
    entries : Out(ArrayLayout(ArrayLayout(ArrayLayout(unsigned(entry_bits), columns), tables), timesteps))
        Sums, `lookup_latency` cycles later.
    """

    lookup_latency = 2
    """Cycles from `spikes` to `entries`: block RAM and its output register."""

    filled_latency = 1
    """Cycles from the last sum of a set's last row to `filled`."""

    def __init__(self, config: HardwareConfig):
        self._config = config
        self._geometry = geometry = AttentionGeometry(config)
        counts = data.ArrayLayout(unsigned(config.attention_planes), config.attention_columns)
        entries = data.ArrayLayout(unsigned(geometry.entry_bits), config.attention_columns)
        super().__init__(
            {
                "begin": In(1),
                "job": In(job_layout(config)),
                "row_valid": In(1),
                "row": In(data.ArrayLayout(counts, config.timesteps)),
                "filled": Out(1),
                "look_up": In(unsigned(config.timesteps)),
                "half": In(unsigned(config.timesteps)),
                "step": In(range(geometry.steps)),
                "spikes": In(data.ArrayLayout(unsigned(geometry.step_channels), config.timesteps)),
                "entries": Out(data.ArrayLayout(data.ArrayLayout(entries, config.attention_tables), config.timesteps)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, geometry = self._config, self._geometry
        columns, timesteps, tables = config.attention_columns, config.timesteps, config.attention_tables
        set_bits = columns * geometry.entry_bits

        channel = Signal(geometry.channel_bits)
        half = Signal()
        adding = Signal()
        subset = Signal(TABLE_CHANNELS)
        last_subset = Signal(TABLE_CHANNELS)
        place = channel[: exact_log2(TABLE_CHANNELS)]
        with m.If(self.row_valid):
            m.d.sync += [adding.eq(1), subset.eq(0)]
        with m.Elif(subset == last_subset):
            m.d.sync += adding.eq(0)
        with m.Else():
            m.d.sync += subset.eq(subset + 1)
        row_done = Signal()
        set_done = Signal()
        m.d.comb += [
            last_subset.eq((1 << place) - 1),
            row_done.eq(adding & (subset == last_subset)),
            set_done.eq(row_done & (channel == self.job.last_channel)),
        ]
        with m.If(row_done):
            m.d.sync += channel.eq(channel + 1)
        with m.If(set_done):
            m.d.sync += [channel.eq(0), half.eq(~half)]
        with m.If(self.begin):
            m.d.sync += half.eq(0)

        m.submodules.subsets = work = memory.Memory(shape=unsigned(timesteps * set_bits), depth=16, init=[])
        without = work.read_port(domain="comb")
        with_row = work.write_port()
        sums = Signal(timesteps * set_bits, reset_less=True)
        for t in range(timesteps):
            for column in range(columns):
                index = t * columns + column
                old = without.data.word_select(index, geometry.entry_bits)
                m.d.sync += sums.word_select(index, geometry.entry_bits).eq(self.row[t][column] + old)
        step_bits = len(self.step)
        write = Signal(tables)
        address = Signal(TABLE_CHANNELS + step_bits + 1, reset_less=True)
        written_place = Signal(TABLE_CHANNELS)
        quad = channel[exact_log2(TABLE_CHANNELS) :]
        m.d.comb += [without.addr.eq(subset), written_place.eq(subset | 1 << place)]
        quad_step = Signal(step_bits)
        table = Signal(range(tables))
        m.d.comb += [quad_step.eq(quad >> exact_log2(tables)), table.eq(quad[: exact_log2(tables)])]
        m.d.sync += [
            write.eq(adding << table),
            address.eq(Cat(written_place, quad_step, half)),
            self.filled.eq(set_done),
        ]
        m.d.comb += [
            with_row.addr.eq(address[:TABLE_CHANNELS]),
            with_row.data.eq(sums),
            with_row.en.eq(write.any()),
        ]
        for t in range(timesteps):
            for table in range(tables):
                read_port, write_port = dual_port_memory(
                    m, name=f"step{t}_table{table}", width=set_bits, depth=1 << len(address), block=True
                )
                nibble = self.spikes[t].word_select(table, TABLE_CHANNELS)
                word = delayed(m, read_port.data, self.lookup_latency - 1, name=f"step{t}_table{table}_entries")
                m.d.comb += [
                    write_port.addr.eq(address),
                    write_port.data.eq(sums.word_select(t, set_bits)),
                    write_port.en.eq(write[table]),
                    read_port.addr.eq(Cat(nibble, self.step, self.half[t])),
                    read_port.en.eq(self.look_up[t]),
                    self.entries[t][table].as_value().eq(word),
                ]
        return m
