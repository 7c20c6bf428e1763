"""The weight array: subset-sum tables looked up by spikes, accumulated into partial sums, drained to the neurons."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import TABLE_INPUTS, WEIGHT_BITS, HardwareConfig
from hw.parts.carry_chain import add_or_subtract
from hw.parts.lut_ram import LutRam
from hw.parts.memory_attributes import WRITTEN_FIRST
from hw.parts.technology import Technology
from hw.parts.ternary_tree import ternary_levels, ternary_tree

TABLE_ENTRIES = 1 << TABLE_INPUTS
ENTRY_BITS = WEIGHT_BITS + 2
LARGEST_ENTRY = TABLE_INPUTS * ((1 << WEIGHT_BITS) - 1)
"""Of a table of unsigned weights; the tables of signed ones are shifted into the same range."""

ENTRY_OFFSET = TABLE_INPUTS << WEIGHT_BITS - 1
"""What is added to the entries of signed weights: the least sum becomes 0."""

DRAIN_BUFFERS = 4
"""Position tiles of completed sums that wait for the neurons, or are read by them."""

DRAIN_LATENCY = 3
"""Cycles from `drain_group` to `drain_sums`: the address's register, block RAM, its output register."""

BLOCK_ROW_BITS = 256
"""Rows of weights that are so wide are kept in block RAM: as LUT RAM they would take a LUT for two bits."""

BLOCK_SUMS_BITS = 2048
"""Sums of a position group that are so wide are kept in block RAM, however few groups there are."""

FILL_CYCLES = 1 + TABLE_ENTRIES
"""Cycles from the load of a slice into the table writer to `table_available`."""


def step_layout(config: HardwareConfig) -> data.StructLayout:
    """What the array does with one word of spikes.

    ``group`` is the address of the partial sums, ``first`` starts them at 0, ``double`` doubles them before adding
    (Horner's rule over bit-planes). ``final`` completes them: they go to buffer ``buffer`` of the drain memory. In a
    step that is ``unsigned`` the claimed table holds weights 0 to 15 (low halves), else -8 to 7. ``last_group`` frees
    the table, ``last_of_tile`` (with ``final``) completes the tile.
    """
    return data.StructLayout(
        {
            "valid": unsigned(1),
            "group": range(config.tile_groups),
            "buffer": range(DRAIN_BUFFERS),
            "first": unsigned(1),
            "double": unsigned(1),
            "final": unsigned(1),
            "unsigned": unsigned(1),
            "last_group": unsigned(1),
            "last_of_tile": unsigned(1),
        }
    )


def array_latency(config: HardwareConfig) -> int:
    """Cycles from a step to the write of its partial sums: the lookup and the adder tree's levels."""
    return 1 + ternary_levels(config.inputs // TABLE_INPUTS)


def done_latency(config: HardwareConfig) -> int:
    """Cycles from the last step of a tile to `tile_done`: its sums pass a register on their way to the block RAM."""
    return array_latency(config) + 1


class WeightArray(wiring.Component):
    """``outputs x lanes x inputs`` synaptic operations per cycle without multipliers.

    Four input channels share a table of the 16 subset sums of their 4-bit weights; four spikes address it. All lanes
    (positions and time steps) read the same table, so a weight is fetched once for all of them. Two banks: one is read
    while the other is filled from the next weight slice in Gray-code order, one addition per entry, 16 cycles.

    A weight slice is ``outputs x inputs`` weights in ``config.slice_beats`` beats, in the order in which the tables are
    filled: four rows, row k with the k-th weight of every table, output-major. A row is ``config.row_beats`` beats; if
    it is shorter than one, a beat has ``config.beat_rows`` equal parts with a row each. A partial sum is read, added to
    and written in one cycle (LUT RAM), so consecutive steps may hit the same group.

    Entries of signed weights are stored plus 32 (`ENTRY_OFFSET`), which makes them as unsigned as those of unsigned
    weights; the last node of the adder tree takes the offsets off again.

    A spike word given with its `step` in one cycle is accumulated ``array_latency(config)`` cycles later. Throughput is
    one word per cycle. A slice is loaded into the table writer the cycle after its last beat, if a bank is free; its
    table is available `FILL_CYCLES` later.

    Parameters
    ----------
    config : HardwareConfig
        Sizes; entries are 6 bits wide, sums ``accumulator_bits``.
    technology : Technology
        What LUT RAMs and three-input adders are made of.

    Members
    -------
    weights : In(stream of memory_bits)
        Weight slices in the order of use.
    unsigned_weights : In(1)
        With a beat: its weights are 0 to 15 instead of -8 to 7; the same for all beats of a slice.
    table_available : Out(1)
        A filled table waits to be claimed.
    claim : In(1)
        Claims it; its steps follow, the last one with `last_group`.
    step : In(step_layout(config)), spikes : In(group_bits)
        One word of spikes, ``[positions][timesteps][inputs]``.
    tile_done : Out(1)
        The tile's sums are in the drain buffer, readable from the next cycle on.
    drain_group : In, drain_buffer : In, drain_batch : In
        Position group, buffer and batch of `neurons` outputs read for the neurons.
    drain_sums : Out(ArrayLayout(signed(accumulator_bits), neurons * lanes))
        Those sums `DRAIN_LATENCY` cycles later, ``[neurons][positions][timesteps]``. Those of unsigned weights are
        unsigned numbers in the same bits.
    """

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        layout = step_layout(config)
        super().__init__(
            {
                "weights": In(stream.Signature(unsigned(config.memory_bits))),
                "unsigned_weights": In(1),
                "table_available": Out(1),
                "claim": In(1),
                "step": In(layout),
                "spikes": In(unsigned(config.group_bits)),
                "tile_done": Out(1),
                "drain_group": In(layout["group"].shape),
                "drain_buffer": In(layout["buffer"].shape),
                "drain_batch": In(range(config.outputs // config.neurons)),
                "drain_sums": Out(data.ArrayLayout(signed(config.accumulator_bits), config.neurons * config.lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        steps = [self.step]
        for cycle in range(1, array_latency(config) + 1):
            delayed = Signal(step_layout(config), name=f"step_{cycle}")
            m.d.sync += delayed.eq(steps[-1])
            steps.append(delayed)
        tables, read_bank = self._tables(m)
        totals = self._totals(m, tables, read_bank, steps)
        self._drain(m, self._accumulate(m, totals, steps[-1]), steps[-1])
        return m

    def _tables(self, m: Module) -> tuple[LutRam, Signal]:
        """Stage a slice of weights, then write every table's 16 subset sums, one entry a cycle."""
        config = self._config
        stage_unsigned = Signal(reset_less=True)
        hold_unsigned = Signal(reset_less=True)
        staged = Signal()
        stage_bank = Signal()
        filling = Signal()
        index = Signal(TABLE_INPUTS)
        fill_bank = Signal()
        read_bank = Signal()
        full = Signal(2)
        unclaimed = Signal(2)
        last_entry = Signal()
        load = Signal()
        release = Signal()
        free = Signal(init=1)
        still_full = Signal(2)
        m.d.comb += [
            last_entry.eq(filling & index.all()),
            load.eq(staged & free),
            still_full.eq(full & ~Mux(release, Cat(~read_bank, read_bank), 0)),
            self.weights.ready.eq(~staged | load),
            release.eq(self.step.valid & self.step.last_group),
        ]
        # Whether a fill may begin in the next cycle: it is a fill's last one or behind it, and the table filled next,
        # during a fill the other one, is free.
        m.d.sync += free.eq(~load & (~filling | index[1:].all()) & ~still_full.bit_select(fill_bank ^ filling, 1))
        with m.If(filling):
            m.d.sync += index.eq(index + 1)
        with m.If(last_entry):
            m.d.sync += [filling.eq(0), fill_bank.eq(~fill_bank), full.bit_select(fill_bank, 1).eq(1)]
        with m.If(load):
            m.d.sync += [filling.eq(1), stage_bank.eq(~stage_bank), staged.eq(0), hold_unsigned.eq(stage_unsigned)]
        with m.If(self.weights.valid & self.weights.ready):
            m.d.sync += stage_unsigned.eq(self.unsigned_weights)
        with m.If(release):
            m.d.sync += [read_bank.eq(~read_bank), full.bit_select(read_bank, 1).eq(0)]
        m.d.sync += [
            unclaimed.eq(unclaimed + last_entry - self.claim),
            self.table_available.eq(last_entry | Mux(self.claim, unclaimed == 2, unclaimed != 0)),
        ]

        # Registers that go to every table. Entry gray(index) is written while the one after it is computed: the input
        # that changes is the lowest set bit of index + 1, and it leaves the subset if the bit above that is set.
        following = Signal(TABLE_INPUTS)
        write_address = Signal(TABLE_INPUTS + 1)
        subtract = Signal()
        next_select = Signal(range(TABLE_INPUTS))
        m.d.comb += following.eq(Mux(filling, index + 1, 0))
        after = Signal(TABLE_INPUTS)
        m.d.comb += after.eq(following + 1)
        m.d.sync += [
            write_address.eq(Cat(following ^ following >> 1, fill_bank ^ last_entry)),
            subtract.eq(0),
        ]
        m.d.comb += next_select.eq(TABLE_INPUTS - 1)
        for bit in reversed(range(TABLE_INPUTS - 1)):
            with m.If(after[bit]):
                m.d.comb += next_select.eq(bit)
                m.d.sync += subtract.eq(after[bit + 1])
        weights = self._stage(m, load, staged, stage_bank, next_select)

        tables = LutRam(
            m,
            name="table",
            depth=2 * TABLE_ENTRIES,
            write_address=write_address,
            write_enable=filling,
            technology=self._technology,
        )
        for number in range(config.weight_row_bits // WEIGHT_BITS):
            weight = weights.word_select(number, WEIGHT_BITS)
            running = Signal(ENTRY_BITS, name=f"running_{number}", reset_less=True)
            sign = weight[-1] & ~hold_unsigned
            changed = Cat(weight, sign.replicate(ENTRY_BITS - WEIGHT_BITS))
            m.d.sync += running.eq(
                add_or_subtract(m, running, changed, subtract, name=f"entry_{number}", technology=self._technology)
            )
            with m.If(load):
                m.d.sync += running.eq(Mux(stage_unsigned, 0, ENTRY_OFFSET))
            tables.add(running)
        return tables, read_bank

    def _stage(self, m: Module, load: Value, staged: Signal, bank: Signal, select: Value) -> Value:
        """Keep two slices of weights; returns the row `select` of the one loaded last, a cycle later.

        The one that is staged lies in `bank`; the one that is loaded, in the cycle of its load already, in the other
        one. What is written and what is read are never in one bank: writes go to `bank`, but to the other one in the
        cycle of a load, reads the other way round.
        """
        config = self._config
        rows, row_beats = TABLE_INPUTS // config.beat_rows, config.row_beats
        row = Signal(range(max(2, rows)))
        beat = Signal(range(max(2, row_beats)))
        with m.If(self.weights.valid & self.weights.ready):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == row_beats - 1):
                m.d.sync += [beat.eq(0), row.eq(row + 1)]
                with m.If(row == rows - 1):
                    m.d.sync += [row.eq(0), staged.eq(1)]

        word_bits = config.memory_bits * row_beats
        attributes: dict[str, int | str] = {"no_rw_check": 1}
        if word_bits >= BLOCK_ROW_BITS:
            attributes["ram_style"] = "block"
        ram = memory.Memory(shape=unsigned(word_bits), depth=2 * rows, init=[], attrs=attributes)
        m.submodules.weights = ram
        write = ram.write_port(granularity=config.memory_bits)
        read = ram.read_port()
        row_bits, part_bits = exact_log2(rows), exact_log2(config.beat_rows)
        m.d.comb += [
            write.addr.eq(Cat(row[:row_bits], bank ^ load)),
            write.data.eq(self.weights.payload.replicate(row_beats)),
            write.en.eq(Mux(self.weights.valid & self.weights.ready, 1 << beat, 0)),
            read.addr.eq(Cat(select[part_bits:], ~(bank ^ load))),
        ]
        if not part_bits:
            return read.data
        part = Signal(part_bits)
        m.d.sync += part.eq(select[:part_bits])
        return read.data.word_select(part, word_bits // config.beat_rows)

    def _totals(self, m: Module, tables: LutRam, read_bank: Signal, steps: list) -> list[Signal]:
        """Look the spikes up and add the entries: signed sums ``[outputs][lanes]`` at ``steps[-1]``."""
        config = self._config
        groups = config.inputs // TABLE_INPUTS
        totals = []
        for output in range(config.outputs):
            for lane in range(config.lanes):
                name = f"{output}_{lane}"
                terms: list[Value] = []
                for group in range(groups):
                    four = self.spikes.word_select(lane * groups + group, TABLE_INPUTS)
                    entry = tables.read(output * groups + group, Cat(four, read_bank))
                    if groups == 1:
                        top, subtract = entry[-1], ~self.step.unsigned
                        entry = Cat(entry[:-1], top ^ subtract, ~top & subtract).as_signed()
                    value = Signal(entry.shape(), name=f"looked_up_{name}_{group}", reset_less=True)
                    m.d.sync += value.eq(entry)
                    terms.append(value)
                total = terms[0]
                if groups > 1:
                    total = ternary_tree(
                        m,
                        terms,
                        largest=LARGEST_ENTRY,
                        offset=groups * ENTRY_OFFSET,
                        subtract=~steps[-2].unsigned,
                        name=f"sum_{name}",
                        technology=self._technology,
                    )
                totals.append(total)
        tables.pack()
        return totals

    def _accumulate(self, m: Module, totals: list, step) -> list[Signal]:
        """Add the totals into the partial sums; return the new sums."""
        bits = self._config.accumulator_bits
        keep = Signal()
        m.d.comb += keep.eq(step.valid & ~step.final)
        partial = LutRam(
            m,
            name="partial",
            depth=self._config.tile_groups,
            write_address=step.group,
            write_enable=keep,
            single_port=True,
            technology=self._technology,
        )
        sums = []
        for number, total in enumerate(totals):
            new, old = Signal(bits, name=f"new_{number}"), Signal(bits, name=f"old_{number}")
            kept = partial.read(partial.add(new))
            m.d.comb += [
                old.eq(Mux(step.first, 0, Mux(step.double, kept << 1, kept))),
                # The register comes first: it feeds the carry chain, and `old` is part of the LUT in front of it.
                new.eq(total + old),
            ]
            sums.append(new)
        partial.pack()
        return sums

    def _drain(self, m: Module, sums: list[Signal], step) -> None:
        """Keep completed sums until the neurons have read them, a batch at a time.

        Written whole, read a batch at a time: block RAM has ports of different widths, so nothing selects the batch.
        """
        config = self._config
        batches = config.outputs // config.neurons
        batch_bits = len(sums) // batches * config.accumulator_bits
        select_bits = len(self.drain_batch)
        # A buffer is written before its `tile_done` and read after it until it is given back: never in one cycle.
        attributes: dict[str, int | str] = {WRITTEN_FIRST: 1, "no_rw_check": 1}
        if batches * batch_bits >= BLOCK_SUMS_BITS:
            attributes["ram_style"] = "block"
        depth = DRAIN_BUFFERS * config.tile_groups << select_bits
        ram = memory.Memory(shape=unsigned(batch_bits), depth=depth, init=[], attrs=attributes)
        m.submodules.drain = ram
        completed = Signal(batches * batch_bits, name="completed", reset_less=True)
        tile = Signal(range(DRAIN_BUFFERS * config.tile_groups))
        written = Signal()
        for batch in range(batches):
            write = ram.write_port()
            m.d.comb += [
                write.addr.eq(Cat(Const(batch, select_bits), tile)),
                write.data.eq(completed.word_select(batch, batch_bits)),
                write.en.eq(written),
            ]
        read = ram.read_port()
        m.d.sync += [
            completed.eq(Cat(*sums)),
            tile.eq(Cat(step.group, step.buffer)),
            written.eq(step.valid & step.final),
            self.tile_done.eq(step.valid & step.final & step.last_of_tile),
            # The register in front is for the wires to all block RAMs, the one behind is their own.
            read.addr.eq(Cat(self.drain_batch, self.drain_group, self.drain_buffer)),
            self.drain_sums.as_value().eq(read.data),
        ]
