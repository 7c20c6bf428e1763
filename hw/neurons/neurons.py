# amaranth: UnusedElaboratable=no
# A component made to ask for its latency is not elaborated.
"""Takes finished sums through the neurons, a few output channels per cycle."""

from __future__ import annotations

import itertools

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.array.drain_buffers import DrainBuffers
from hw.array.step import DRAIN_BUFFERS
from hw.config import WEIGHT_BITS, HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.neurons.batch import batch_layout, delay_batch
from hw.neurons.lif import Lif
from hw.neurons.membranes import Membranes
from hw.neurons.neuron_walk import NeuronWalk
from hw.neurons.parameter_buffer import BIAS_BITS, ParameterBuffer
from hw.neurons.parameter_write import ParameterWrite
from hw.parts.delay import delayed, delayed_view
from hw.parts.technology import Technology
from hw.pool.max_pool import MaxPool

CHOICE_LATENCY = 1
"""Cycles from `Neurons.sums` to a neuron's currents: the choice among the sums of the lanes."""


class Neurons(wiring.Component):
    """Reads finished sums beside the array's work, adds the bias, fires.

    `NeuronWalk` says which sums are read when. There is no back-pressure: what follows gets the time it needs.

    In an image layer the time-step lanes hold positions. The walk reads every word of sums once for each of them, and
    all time steps get the current of that lane.

    Sums of 8-bit weights come as two halves: the high one, then the low one, which is unsigned but in image layers.

    In a machine of several time chunks a neuron starts from the membrane that it had after the chunk before, see
    `Membranes`.

    In a machine with `pool_before` the largest sums of a layer's windows can take the place of its sums, in the lanes
    of the first position, see `MaxPool`.

    `sums` leaves `sums_latency` cycles after the read, `spikes` `latency` cycles after it.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    technology : Technology
        What the neurons' arithmetic is made of.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR)
        A layer. The descriptor holds still until the next `start`, which may come as soon as `done` is high; what is
        then still on its way carries what it needs in its batch.
    tile_done : In(1)
        From the array: the next drain buffer is full, even one of a layer that has not been started.
    drain_read, drain_group, drain_buffer, drain_batch : Out; drain_sums : In
        Read side of the drain buffers, `DrainBuffers.latency` cycles.
    parameters : In(ParameterWrite)
        Bias and threshold.
    buffers_freed : Out(2)
        Number of drain buffers that are free from the next cycle on.
    output_tile_drained, layer_done : Out(1)
        Pulses with the last read of an output tile, whose parameters may be replaced from the next cycle on; of a
        layer.
    done : Out(1)
        High when every tile was read; the pipeline behind may still be busy.
    sums : Out(ArrayLayout(signed(sum_bits), neurons * lanes)), biases : Out, sums_batch : Out(batch_layout)
        The sums with their biases, for the head.
    spikes : Out(neurons * lanes), batch : Out(batch_layout)
        ``[neurons][positions][timesteps]`` with what travels beside it.
    """

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "tile_done": In(1),
                "drain_read": Out(1),
                "drain_group": Out(range(config.tile_groups)),
                "drain_buffer": Out(range(DRAIN_BUFFERS)),
                "drain_batch": Out(range(config.outputs // config.neurons)),
                "drain_sums": In(data.ArrayLayout(signed(config.accumulator_bits), config.neurons * config.lanes)),
                "parameters": In(ParameterWrite(config)),
                "buffers_freed": Out(2),
                "output_tile_drained": Out(1),
                "layer_done": Out(1),
                "done": Out(1),
                "sums": Out(data.ArrayLayout(signed(config.sum_bits), config.neurons * config.lanes)),
                "biases": Out(data.ArrayLayout(signed(BIAS_BITS), config.neurons)),
                "sums_batch": Out(batch_layout(config)),
                "spikes": Out(unsigned(config.neurons * config.lanes)),
                "batch": Out(batch_layout(config)),
            }
        )

    @property
    def sums_latency(self) -> int:
        """Cycles from a read (of two halves, the second) to `sums`: the drain buffer, joining the halves."""
        return DrainBuffers.latency + (self._config.weight_bits > WEIGHT_BITS)

    @property
    def latency(self) -> int:
        """Cycles from a read (of two halves, the second) to `spikes`: sums, currents, the neuron."""
        return self.sums_latency + self._current_latency + self._new_neuron().latency

    @property
    def _current_latency(self) -> int:
        """Cycles from `sums` to the neurons' currents: the choice among them, the pool if there is one."""
        return CHOICE_LATENCY + (MaxPool(self._config).latency if self._config.pool_before else 0)

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.walk = walk = NeuronWalk(config)
        m.d.comb += [
            walk.start.eq(self.start),
            walk.descriptor.eq(self.descriptor),
            walk.tile_done.eq(self.tile_done),
            self.drain_read.eq(walk.reading),
            self.drain_group.eq(walk.group),
            self.drain_buffer.eq(walk.buffer),
            self.drain_batch.eq(walk.select),
            self.buffers_freed.eq(walk.buffers_freed),
            self.output_tile_drained.eq(walk.output_tile_drained),
            self.layer_done.eq(walk.layer_done),
            self.done.eq(walk.done),
        ]
        m.submodules.parameters = parameters = ParameterBuffer(config, self.sums_latency)
        connect(m, flipped(self.parameters), parameters.write)
        m.d.comb += [
            parameters.select.eq(walk.select),
            parameters.parity.eq(walk.parity),
            self.biases.eq(parameters.biases),
        ]
        delay_batch(m, walk.batch, self.sums_batch, self.sums_latency - walk.batch_latency, name="sums_batch")
        delay_batch(m, self.sums_batch, self.batch, self.latency - self.sums_latency, name="batch")
        self._join_halves(m, walk)
        currents = self._choose_sums(m, walk)
        if config.pool_before:
            currents = self._pool(m, walk, currents)

        lifs = []
        late = self._current_latency
        for neuron in range(config.neurons):
            threshold = delayed(m, parameters.thresholds[neuron], late, name=f"threshold_{neuron}")
            bias = delayed(m, parameters.biases[neuron][: config.current_bits], late, name=f"bias_{neuron}")
            for position in range(config.positions):
                first = (neuron * config.positions + position) * config.timesteps
                m.submodules[f"lif_{neuron}_{position}"] = lif = self._new_neuron()
                lifs.append(lif)
                real = self.batch.lanes[position].replicate(config.timesteps)
                m.d.comb += [
                    lif.bias.eq(bias),
                    lif.threshold.eq(threshold),
                    *(lif.sums[t].eq(currents[first + t]) for t in range(config.timesteps)),
                    self.spikes[first : first + config.timesteps].eq(lif.spikes & self.batch.steps & real),
                ]
        if config.if_neurons:
            # The descriptor is the next layer's while the last sets are still under way.
            no_leak = delayed(m, self.descriptor.no_leak, self.sums_latency + late, name="no_leak")
            m.d.comb += [lif.no_leak.eq(no_leak) for lif in lifs]
        if config.time_chunks > 1:
            self._carry(m, walk, lifs)
        return m

    def _carry(self, m: Module, walk: NeuronWalk, lifs: list[Lif]) -> None:
        """Membranes from one time chunk to the next."""
        config = self._config
        m.submodules.carry = carry = Membranes(config)
        ahead = self.sums_latency + self._current_latency - carry.latency  # membranes meet the currents
        read = delayed(m, walk.membrane, ahead, name="membrane_read")
        fresh = delayed(m, walk.batch.time_chunk == 0, ahead - walk.batch_latency, name="membrane_fresh")
        m.d.comb += [
            carry.read_index.eq(read),
            carry.fresh.eq(fresh),
            carry.write.eq(self.batch.valid),
            carry.write_index.eq(delayed(m, read, carry.latency + lifs[0].latency, name="membrane_written")),
            carry.membranes.eq(Cat(lif.membrane for lif in lifs)),
        ]
        for number, lif in enumerate(lifs):
            m.d.comb += lif.carried.eq(carry.carried.word_select(number, config.carried_bits))

    def _join_halves(self, m: Module, walk: NeuronWalk) -> None:
        """The two halves of 8-bit weights become one sum; others pass."""
        config = self._config
        if config.weight_bits == WEIGHT_BITS:
            m.d.comb += self.sums.eq(self.drain_sums)
            return
        wide = delayed(m, walk.wide, DrainBuffers.latency, name="wide")
        signed_half = delayed(m, walk.image | ~walk.wide, DrainBuffers.latency, name="signed_half")
        for lane in range(config.neurons * config.lanes):
            half = self.drain_sums[lane]
            high = Signal(signed(config.accumulator_bits), name=f"high_{lane}", reset_less=True)
            total = Signal(signed(config.sum_bits), name=f"total_{lane}", reset_less=True)
            low = Cat(half.as_unsigned(), half[-1] & signed_half).as_signed()
            m.d.sync += [high.eq(Mux(wide, half, 0)), total.eq(low + (high << WEIGHT_BITS))]
            m.d.comb += self.sums[lane].eq(total)

    def _choose_sums(self, m: Module, walk: NeuronWalk) -> list[Signal]:
        """For every time step the sum of the lane that is its current: its own, in an image layer the one read."""
        config = self._config
        chosen = []
        for t in range(config.timesteps):
            lane = delayed(m, Mux(walk.image, walk.lane, t), self.sums_latency - 1, name=f"lane{t}")
            choice = Signal(walk.lane.shape(), name=f"lane_of_step{t}", reset_less=True)
            m.d.sync += choice.eq(lane)
            chosen.append(choice)
        currents = []
        for neuron, position in itertools.product(range(config.neurons), range(config.positions)):
            first = (neuron * config.positions + position) * config.timesteps
            for t, choice in enumerate(chosen):
                current = Signal(signed(config.sum_bits), name=f"sum_{neuron}_{position}_{t}", reset_less=True)
                with m.Switch(choice):
                    for lane in range(config.timesteps):
                        with m.Case(lane):
                            m.d.sync += current.eq(self.sums[first + lane])
                currents.append(current)
        return currents

    def _pool(self, m: Module, walk: NeuronWalk, sums: list[Signal]) -> data.View:
        """The largest sums of the windows, in layers that pool them."""
        m.submodules.pool = pool = MaxPool(self._config, technology=self._technology)
        window = delayed_view(m, walk.window, self.sums_latency + CHOICE_LATENCY, name="window", reset=("valid",))
        m.d.comb += [pool.window.eq(window), pool.sums.as_value().eq(Cat(sums))]
        return pool.currents

    def _new_neuron(self) -> Lif:
        config = self._config
        return Lif(
            config.timesteps,
            config.sum_bits,
            config.bias_fraction_bits,
            carried_fraction_bits=config.max_timesteps - config.timesteps,
            if_neurons=config.if_neurons,
            technology=self._technology,
        )
