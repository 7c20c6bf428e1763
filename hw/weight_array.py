"""The weight array: subset-sum tables looked up by spikes, accumulated into partial sums."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import MEMORY_BEAT_BITS, TABLE_INPUTS, HardwareConfig
from .spike_memory import address_bits
from .trees import tree_levels, tree_sum

TABLE_ENTRIES = 1 << TABLE_INPUTS


def step_layout(config: HardwareConfig) -> data.StructLayout:
    """What the array does with one word of spikes.

    ``address`` is the partial sums' address (buffer and position group), ``first`` starts a sum, ``double`` doubles it
    before adding (Horner's rule over bit-planes), ``negative`` subtracts in the top time-step lane (sign plane of the
    image), ``last_group`` frees the table, ``last_of_tile`` completes the tile's sums.
    """
    return data.StructLayout(
        {
            "valid": unsigned(1),
            "address": unsigned(address_bits(2 * config.tile_groups)),
            "first": unsigned(1),
            "double": unsigned(1),
            "negative": unsigned(1),
            "last_group": unsigned(1),
            "last_of_tile": unsigned(1),
        }
    )


FILL_CYCLES = 1 + TABLE_ENTRIES
"""Cycles from the load of a slice into the table writer to `table_available`."""


def array_latency(config: HardwareConfig) -> int:
    """Cycles from a step to the write of its partial sums: the lookup and the adder tree's levels."""
    return 1 + tree_levels(config.inputs // TABLE_INPUTS)


class WeightArray(wiring.Component):
    """``outputs x lanes x inputs`` synaptic operations per cycle without multipliers.

    Four input channels share a table of the 16 subset sums of their weights; four spikes address it. All lanes
    (positions and time steps) read the same table, so a weight is fetched once for all of them. Two banks: one is read
    while the other is filled from the next weight slice in Gray-code order, one addition per entry, 16 cycles.

    A weight slice is ``outputs x inputs`` weights, output-major, packed in ``weight_slice_beats`` beats. A partial sum
    is read, added to and written in one cycle (LUT RAM), so consecutive steps may hit the same address.

    A spike word given with its `step` in one cycle is accumulated ``array_latency(config)`` cycles later. Throughput is
    one word per cycle. A slice is loaded into the table writer the cycle after its last beat, if a bank is free; its
    table is available `FILL_CYCLES` later.

    Parameters
    ----------
    config : HardwareConfig
        Sizes; entries are ``weight_bits + 2`` wide, sums ``accumulator_bits``.

    Members
    -------
    weights : In(stream of 64-bit beats)
        Weight slices in the order of use.
    table_available : Out(1)
        A filled table waits to be claimed.
    claim : In(1)
        Claims it; its steps follow, the last one with `last_group`.
    step : In(step_layout(config)), spikes : In(group_bits)
        One word of spikes, ``[positions][timesteps][inputs]``.
    tile_done : Out(1)
        The tile's sums are complete; readable from the next cycle.
    drain_address : In, drain_batch : In
        Address and batch of `neurons` outputs read for the neurons.
    drain_sums : Out(ArrayLayout(signed(accumulator_bits), neurons * lanes))
        Those sums one cycle later, ``[neurons][positions][timesteps]``.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        layout = step_layout(config)
        super().__init__(
            {
                "weights": In(stream.Signature(unsigned(MEMORY_BEAT_BITS))),
                "table_available": Out(1),
                "claim": In(1),
                "step": In(layout),
                "spikes": In(unsigned(config.group_bits)),
                "tile_done": Out(1),
                "drain_address": In(layout["address"].shape),
                "drain_batch": In(range(config.outputs // config.neurons)),
                "drain_sums": Out(data.ArrayLayout(signed(config.accumulator_bits), config.neurons * config.lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, lanes = self._config, self._config.lanes
        groups = config.inputs // TABLE_INPUTS
        read_bank, tables = self._tables(m, groups)

        step = self.step
        for _ in range(array_latency(config)):
            delayed = Signal(step_layout(config), name="step_delayed")
            m.d.sync += delayed.eq(step)
            step = delayed
        m.d.comb += self.tile_done.eq(step.valid & step.last_of_tile)

        sums: list[list[Signal]] = []
        for output in range(config.outputs):
            sums.append([])
            for lane in range(lanes):
                looked_up = []
                for group in range(groups):
                    read = tables[output][group].read_port(domain="comb")
                    four = self.spikes.word_select(lane * groups + group, TABLE_INPUTS)
                    m.d.comb += read.addr.eq(Cat(four, read_bank))
                    value = Signal(signed(config.weight_bits + 2), name=f"looked_up_{output}_{lane}_{group}")
                    m.d.sync += value.eq(read.data)
                    looked_up.append(value)
                total, _ = tree_sum(m, looked_up, name=f"sum_{output}_{lane}", registered=True)
                top_lane = lane % config.timesteps == config.timesteps - 1
                sums[-1].append(self._accumulate(m, f"{output}_{lane}", step, total, can_subtract=top_lane))
        self._drain(m, sums)
        return m

    def _tables(self, m: Module, groups: int) -> tuple[Signal, list[list[memory.Memory]]]:
        """Stage a slice of weights, then write every table's 16 subset sums, one entry a cycle."""
        config = self._config
        beats, slice_bits = config.weight_slice_beats, config.outputs * config.inputs * config.weight_bits
        stage, hold = Signal(slice_bits), Signal(slice_bits)
        staged = Signal(range(beats + 1))
        filling, index, fill_bank, read_bank = Signal(), Signal(TABLE_INPUTS), Signal(), Signal()
        full, unclaimed = Signal(2), Signal(2)
        last_entry = Signal()
        load = Signal()
        m.d.comb += [
            last_entry.eq(filling & index.all()),
            # The table filled next: behind a running fill it is the other bank.
            load.eq((staged == beats) & (~filling | last_entry) & ~full.bit_select(fill_bank ^ filling, 1)),
            self.weights.ready.eq((staged != beats) | load),
        ]
        with m.If(self.weights.valid & self.weights.ready):
            m.d.sync += [
                stage.eq(Cat(stage, self.weights.payload)[MEMORY_BEAT_BITS:]),
                staged.eq(Mux(load, 1, staged + 1)),
            ]
        with m.Elif(load):
            m.d.sync += staged.eq(0)
        with m.If(filling):
            m.d.sync += index.eq(index + 1)
        with m.If(last_entry):
            m.d.sync += [filling.eq(0), fill_bank.eq(~fill_bank), full.bit_select(fill_bank, 1).eq(1)]
        with m.If(load):
            m.d.sync += [filling.eq(1), hold.eq(stage)]
        release = Signal()
        m.d.comb += release.eq(self.step.valid & self.step.last_group)
        with m.If(release):
            m.d.sync += [read_bank.eq(~read_bank), full.bit_select(read_bank, 1).eq(0)]
        m.d.sync += unclaimed.eq(unclaimed + last_entry - self.claim)
        m.d.comb += self.table_available.eq(unclaimed != 0)

        gray, changed, added = Signal(TABLE_INPUTS), Signal(range(TABLE_INPUTS)), Signal()
        m.d.comb += gray.eq(index ^ (index >> 1))
        # The lowest set bit of the index is the input that changes; the last assignment wins, so it comes last.
        for bit in reversed(range(TABLE_INPUTS)):
            with m.If(index[bit]):
                m.d.comb += changed.eq(bit)
        m.d.comb += added.eq(gray.bit_select(changed, 1))

        tables: list[list[memory.Memory]] = []
        for output in range(config.outputs):
            tables.append([])
            for group in range(groups):
                table = memory.Memory(shape=signed(config.weight_bits + 2), depth=2 * TABLE_ENTRIES, init=[])
                m.submodules[f"table_{output}_{group}"] = table
                tables[-1].append(table)
                write = table.write_port()
                four = hold.word_select(output * groups + group, TABLE_INPUTS * config.weight_bits)
                weight = Signal(signed(config.weight_bits), name=f"weight_{output}_{group}")
                running = Signal(signed(config.weight_bits + 2), name=f"running_{output}_{group}")
                entry = Signal(signed(config.weight_bits + 2), name=f"entry_{output}_{group}")
                m.d.comb += [
                    weight.eq(four.word_select(changed, config.weight_bits)),
                    entry.eq(Mux(index == 0, 0, Mux(added, running + weight, running - weight))),
                    write.addr.eq(Cat(gray, fill_bank)),
                    write.data.eq(entry),
                    write.en.eq(filling),
                ]
                m.d.sync += running.eq(entry)
        return read_bank, tables

    def _accumulate(self, m: Module, name: str, step, total: Signal, *, can_subtract: bool):
        """Add `total` into one lane's partial sums; return the drain port's data."""
        bits = self._config.accumulator_bits
        sums = memory.Memory(shape=signed(bits), depth=2 * self._config.tile_groups, init=[])
        m.submodules[f"sums_{name}"] = sums
        read, drain, write = sums.read_port(domain="comb"), sums.read_port(domain="comb"), sums.write_port()
        old = Signal(signed(bits), name=f"old_{name}")
        m.d.comb += [
            old.eq(Mux(step.first, 0, Mux(step.double, read.data << 1, read.data))),
            read.addr.eq(step.address),
            write.addr.eq(step.address),
            write.data.eq(Mux(step.negative, old - total, old + total) if can_subtract else old + total),
            write.en.eq(step.valid),
            drain.addr.eq(self.drain_address),
        ]
        return drain.data

    def _drain(self, m: Module, sums: list[list[Signal]]) -> None:
        """Select `neurons` outputs of all lanes for the neurons."""
        neurons, lanes = self._config.neurons, self._config.lanes
        with m.Switch(self.drain_batch):
            for batch in range(self._config.outputs // neurons):
                with m.Case(batch):
                    for neuron in range(neurons):
                        for lane in range(lanes):
                            m.d.sync += self.drain_sums[neuron * lanes + lane].eq(sums[batch * neurons + neuron][lane])
