"""Takes finished partial sums through the neurons, a few output channels per cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .config import HardwareConfig
from .delay import delayed
from .isa import ADDRESS_BITS, DESCRIPTOR, Destination
from .lif import Lif, lif_latency
from .trees import tree_levels, tree_sum
from .weight_array import step_layout
from .weight_fetch import ParameterWrite

CHANNEL_BITS = 14
"""Width of an output channel's number."""

TILE_BITS = 12
"""Width of a position tile's number."""


def batch_layout(config: HardwareConfig) -> data.StructLayout:
    """What travels beside one batch: `neurons` output channels of one position group.

    ``sub`` is the batch's place in its word of `inputs` channels, ``word_end`` completes that word, ``address`` is its
    word address without the destination's base, ``tile_address`` that of the output tile's first word;
    ``first_group`` and ``last_group`` frame a position tile, ``lanes`` marks the lanes that are real positions.
    """
    return data.StructLayout(
        {
            "valid": unsigned(1),
            "sub": range(max(2, config.inputs // config.neurons)),
            "word_end": unsigned(1),
            "address": unsigned(ADDRESS_BITS),
            "tile_address": unsigned(ADDRESS_BITS),
            "channel": unsigned(CHANNEL_BITS),
            "tile": unsigned(TILE_BITS),
            "first_group": unsigned(1),
            "last_group": unsigned(1),
            "lanes": unsigned(config.positions),
        }
    )


SUM_LATENCY = 1
"""Cycles from a read of partial sums to `Neurons.sums`."""


def neurons_latency(config: HardwareConfig) -> int:
    """Cycles from a read of partial sums to `Neurons.spikes`: the read, joining lanes, the bias, the neuron."""
    return SUM_LATENCY + tree_levels(config.timesteps) + 1 + lif_latency(config.timesteps)


class Neurons(wiring.Component):
    """Reads partial sums in the background of the array, adds the bias, fires.

    Two orders, by destination. Words for the spike or residual memory are read position by position (group, word,
    batch), those for K, V and the logits channel by channel (batch, group). There is no back-pressure: what follows
    sets the pace. A word takes ``max(inputs / neurons, residual_planes_out)`` cycles, a channel batch ``groups +
    neurons`` cycles, the time its consumer needs.

    In an image layer each time-step lane holds the sum over its own bit-planes; they are shifted together and every
    time step gets the same current.

    `sums` leaves `SUM_LATENCY` cycles after the read, `spikes` ``neurons_latency(config)`` cycles after it.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR)
        The layer, held still until `done`.
    tile_done : In(1)
        From the array: another tile of sums is complete.
    drain_address, drain_batch : Out; drain_sums : In
        Read side of the partial sums, one cycle of latency.
    parameters : In(ParameterWrite)
        Bias and threshold, from the fetch.
    tile_drained, output_tile_drained : Out(1)
        Pulses: a buffer of sums is free; the parameters of an output tile are free.
    sums : Out(ArrayLayout(signed(accumulator_bits), neurons * lanes)), biases : Out, sums_batch : Out
        The raw sums with their biases, for the head.
    spikes : Out(neurons * lanes), batch : Out(batch_layout)
        ``[neurons][positions][timesteps]`` with what travels beside it.
    done : Out(1)
        High when every tile was read; the pipeline behind may still be busy.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        sums = data.ArrayLayout(signed(config.accumulator_bits), config.neurons * config.lanes)
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "tile_done": In(1),
                "drain_address": Out(step_layout(config)["address"].shape),
                "drain_batch": Out(range(config.outputs // config.neurons)),
                "drain_sums": In(sums),
                "parameters": In(ParameterWrite(config)),
                "tile_drained": Out(1),
                "output_tile_drained": Out(1),
                "sums": Out(sums),
                "biases": Out(data.ArrayLayout(signed(32), config.neurons)),
                "sums_batch": Out(batch_layout(config)),
                "spikes": Out(unsigned(config.neurons * config.lanes)),
                "batch": Out(batch_layout(config)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        batch, parameters = self._walk(m)

        at_sums = Signal.like(batch)
        m.d.sync += at_sums.eq(batch)
        m.d.comb += [self.sums_batch.eq(at_sums), self.sums.eq(self.drain_sums)]
        m.d.comb += [self.biases[n].eq(parameters[n][:32]) for n in range(config.neurons)]

        fire = Signal(config.neurons * config.lanes)
        for neuron in range(config.neurons):
            for position in range(config.positions):
                lanes = [
                    self.drain_sums[neuron * config.lanes + position * config.timesteps + t]
                    for t in range(config.timesteps)
                ]
                first = (neuron * config.positions + position) * config.timesteps
                self._neuron(m, f"{neuron}_{position}", lanes, parameters[neuron], fire[first : first + len(lanes)])

        here = delayed(m, at_sums.as_value(), neurons_latency(config) - SUM_LATENCY, name="batch")
        m.d.comb += self.batch.eq(here)
        steps = Signal(config.timesteps)
        m.d.comb += steps.eq((1 << self.descriptor.timesteps) - 1)
        for neuron in range(config.neurons):
            for position in range(config.positions):
                index = neuron * config.positions + position
                real = self.batch.lanes[position].replicate(config.timesteps)
                m.d.comb += self.spikes.word_select(index, config.timesteps).eq(
                    fire.word_select(index, config.timesteps) & steps & real
                )
        return m

    def _walk(self, m: Module):
        """Order of the reads; returns the batch being read and its parameters, one cycle later."""
        config, d = self._config, self.descriptor
        batches_per_word = config.inputs // config.neurons
        pending, running, begin, last = Signal(2), Signal(), Signal(), Signal()
        tile, output_tile, buffer, parity = Signal.like(d.tiles), Signal.like(d.output_tiles), Signal(), Signal()
        channel_order, words, groups = Signal(), Signal.like(d.tile_words), Signal.like(d.tile_groups)
        last_tile, last_output_tile = Signal(), Signal()
        m.d.comb += [
            channel_order.eq(
                (d.destination == Destination.KEYS)
                | (d.destination == Destination.VALUES)
                | (d.destination == Destination.LOGITS)
            ),
            last_tile.eq(tile == d.tiles - 1),
            last_output_tile.eq(output_tile == d.output_tiles - 1),
            words.eq(Mux(last_output_tile, d.last_tile_words, d.tile_words)),
            groups.eq(Mux(last_tile, d.last_tile_groups, d.tile_groups)),
        ]

        group, word, sub = Signal.like(d.tile_groups), Signal.like(d.tile_words), Signal(range(batches_per_word))
        pace, beat = Signal.like(group), Signal(range(1 << len(group)))
        last_beat, last_group, last_word, last_sub = Signal(), Signal(), Signal(), Signal()
        valid, position_group = Signal(), Signal.like(group)
        m.d.comb += [last_group.eq(group == groups - 1), last_word.eq(word == words - 1)]
        with m.If(channel_order):
            # `beat` walks the groups and then the pause in which the batch's channels are written out.
            m.d.comb += [
                pace.eq(groups + config.neurons),
                group.eq(beat),
                valid.eq(running & (beat < groups)),
                last_sub.eq(sub == batches_per_word - 1),
                last.eq(running & last_beat & last_sub & last_word),
            ]
        with m.Else():
            m.d.comb += [
                pace.eq(batches_per_word),
                group.eq(position_group),
                valid.eq(running & (beat < batches_per_word)),
                last.eq(running & last_beat & last_word & last_group),
            ]
            with m.If((d.destination == Destination.RESIDUAL) & (d.residual_planes_out > batches_per_word)):
                m.d.comb += pace.eq(d.residual_planes_out)
        m.d.comb += last_beat.eq(beat == pace - 1)

        word_offset, tile_address, group_offset = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        with m.If(running):
            m.d.sync += beat.eq(Mux(last_beat, 0, beat + 1))
            with m.If(last_beat & channel_order):
                m.d.sync += sub.eq(Mux(last_sub, 0, sub + 1))
                with m.If(last_sub):
                    m.d.sync += word.eq(Mux(last_word, 0, word + 1))
            with m.Elif(last_beat):
                m.d.sync += [word.eq(word + 1), word_offset.eq(word_offset + d.destination_slice_stride)]
                with m.If(last_word):
                    m.d.sync += [
                        word.eq(0), word_offset.eq(0), position_group.eq(Mux(last_group, 0, position_group + 1)),
                    ]  # fmt: skip
        m.d.comb += begin.eq((pending != 0) & (~running | last))
        m.d.sync += pending.eq(pending + self.tile_done - begin)
        channel = Signal(CHANNEL_BITS)
        with m.If(last):
            m.d.sync += [
                running.eq(0), buffer.eq(~buffer), tile.eq(tile + 1), group_offset.eq(group_offset + d.tile_groups),
            ]  # fmt: skip
            with m.If(last_tile):
                m.d.sync += [
                    tile.eq(0),
                    group_offset.eq(0),
                    output_tile.eq(output_tile + 1),
                    parity.eq(~parity),
                    channel.eq(channel + config.outputs),
                    tile_address.eq(tile_address + word_offset + d.destination_slice_stride),
                ]
        with m.If(begin):
            m.d.sync += running.eq(1)
        busy = Signal()
        with m.If(last & last_tile & last_output_tile):
            m.d.sync += busy.eq(0)
        with m.If(self.start):
            m.d.sync += [
                busy.eq(1), tile.eq(0), output_tile.eq(0), parity.eq(0), channel.eq(0), tile_address.eq(0),
            ]  # fmt: skip

        select = Signal(range(config.outputs // config.neurons))
        m.d.comb += [
            select.eq(word * batches_per_word + Mux(channel_order, sub, beat)),
            self.drain_address.eq(Cat(group[: (config.tile_groups - 1).bit_length()], buffer)),
            self.drain_batch.eq(select),
            self.tile_drained.eq(last),
            self.output_tile_drained.eq(last & last_tile),
            self.done.eq(~busy & ~self.start),
        ]

        batch = Signal(batch_layout(config))
        at = Signal.like(d.groups)
        m.d.comb += [
            at.eq(group_offset + group),
            batch.valid.eq(valid),
            batch.sub.eq(beat),
            batch.word_end.eq(beat == batches_per_word - 1),
            batch.address.eq(tile_address + word_offset + at),
            batch.tile_address.eq(tile_address),
            batch.channel.eq(channel + select * config.neurons),
            batch.tile.eq(tile),
            batch.first_group.eq(group == 0),
            batch.last_group.eq(last_group),
        ]
        for lane in range(config.positions):
            m.d.comb += batch.lanes[lane].eq(at * config.positions + lane < d.positions)

        # Bias and threshold of the batch, in two buffers that alternate with the output tiles. The top address bit is
        # the buffer, also where an output tile is no power of two.
        m.submodules.parameters = ram = memory.Memory(
            shape=unsigned(64 * config.neurons), depth=2 << len(select), init=[]
        )
        read, write = ram.read_port(), ram.write_port(granularity=64)
        index_bits = (config.neurons - 1).bit_length()
        m.d.comb += [
            read.addr.eq(Cat(select, parity)),
            write.addr.eq(self.parameters.index[index_bits:]),
            write.data.eq(self.parameters.data.replicate(config.neurons)),
            write.en.eq(Mux(self.parameters.valid, 1 << self.parameters.index[:index_bits], 0)),
        ]
        return batch, [read.data.word_select(n, 64) for n in range(config.neurons)]

    def _neuron(self, m: Module, name: str, lanes: list, parameters, spikes) -> None:
        """One output channel at one position: currents from the lanes' sums, then the neuron."""
        config, d = self._config, self.descriptor
        bits = config.accumulator_bits
        joining = tree_levels(config.timesteps)
        joined, _ = tree_sum(
            m, [lane << t * config.image_passes for t, lane in enumerate(lanes)],
            name=f"joined_{name}", registered=True, width=bits,
        )  # fmt: skip
        bias = delayed(m, parameters[:32], joining, name=f"bias_{name}")
        threshold = delayed(m, parameters[32 : 32 + config.membrane_bits], joining + 1, name=f"threshold_{name}")
        m.submodules[f"lif_{name}"] = lif = Lif(config.timesteps, config.current_bits)
        m.d.comb += [lif.threshold.eq(threshold.as_signed()), spikes.eq(lif.spikes)]
        for t, lane in enumerate(lanes):
            alone = delayed(m, lane, joining, name=f"lane_{name}_{t}")
            current = Signal(signed(config.current_bits), name=f"current_{name}_{t}")
            total = Signal(signed(bits), name=f"total_{name}_{t}")
            m.d.comb += total.eq(Mux(d.image, joined, alone))
            m.d.sync += current.eq((total << config.bias_fraction_bits) + bias.as_signed())
            m.d.comb += lif.current[t].eq(current)
