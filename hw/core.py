# amaranth: UnusedElaboratable=no
# A component made to ask for its latency is not elaborated.
"""The accelerator behind its bus adapters: the block diagram of docs/architecture.md in one file."""

from __future__ import annotations

import functools

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.array.walker import Walker
from hw.array.weight_array import WeightArray
from hw.attention.attention import Attention
from hw.config import HardwareConfig
from hw.counters import Counters
from hw.descriptor import ADDRESS_BITS, Destination
from hw.external.memory_port import MEMORY_ADDRESS_BITS, MemoryPort
from hw.external.read_arbiter import ReadArbiter
from hw.host.registers import COUNTER_SLOTS, ErrorCause
from hw.memory.image_load import ImageLoad
from hw.memory.spike_memory import WRITE_LATENCY, SpikeMemory
from hw.neurons.head import LOGIT_BITS, Head
from hw.neurons.neurons import Neurons
from hw.parts.adder_tree import tree_sum
from hw.parts.technology import Technology
from hw.program.dispatcher import Dispatcher
from hw.program.reader import ProgramReader
from hw.writeback.writeback import Writeback, writeback_latency

FILING_CYCLES = 6 * COUNTER_SLOTS
"""Cycles from the last descriptor to `done`: the last counts are filed."""


@functools.cache
def written_latency(config: HardwareConfig) -> int:
    """Cycles from the neurons' last read of a layer to its last write, whatever its destination: an upper bound."""
    neurons, head = Neurons(config), Head(config)
    return max(
        neurons.latency + writeback_latency(config) + WRITE_LATENCY,
        neurons.sums_latency + head.latency + config.neurons,
    )


class Core(wiring.Component):
    """Runs a Spikformer image from a program in external memory.

    The program is one stream of descriptors, parameters and weights. Three engines work side by side: a load of the
    image, layers with weights (program reader, walker and array, neurons and writeback, each of which may be in
    another layer), and attention, head by head beside the next head's q, k and v. Spikes never leave the chip.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    technology : Technology
        What memories and arithmetic are made of.

    Members
    -------
    start : In(1)
        Begins a job; only while not `busy`.
    program : In(37), program_beats : In(32)
        Beat address and length of the program; sampled with `start`.
    image : In(37)
        Beat address of the packed image, which a program may load in parts. Stable while `busy`.
    memory : Out(MemoryPort)
        External memory, read only.
    busy, done : Out(1)
        A job runs; the last one has ended, and without an error all that it asked of the memory has come.
    error : Out(ErrorCause)
        Why it ended, if not by its END. After an error the core must be reset before the next job.
    descriptors : Out(16)
        Descriptors taken, the broken one not counted.
    prediction : Out(32), logit_index : In, logit : Out(signed(32))
        Outcome; a logit is read with one cycle of latency.
    cycles : Out(32)
        Cycles of the job.
    counter_address : In, counter_data : Out(32)
        Reads the counters of a layer, two cycles of latency.
    """

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        super().__init__(
            {
                "start": In(1),
                "program": In(MEMORY_ADDRESS_BITS),
                "program_beats": In(32),
                "image": In(MEMORY_ADDRESS_BITS),
                "memory": Out(MemoryPort(config.memory_bits)),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(ErrorCause),
                "descriptors": Out(16),
                "prediction": Out(32),
                "logit_index": In(range(config.max_classes)),
                "logit": Out(signed(LOGIT_BITS)),
                "cycles": Out(32),
                "counter_address": In(range(config.max_layers * COUNTER_SLOTS)),
                "counter_data": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, technology = self._config, self._technology
        m.submodules.program_reader = reader = ProgramReader(config)
        m.submodules.read_arbiter = arbiter = ReadArbiter(config.memory_bits, 2)
        m.submodules.dispatcher = dispatcher = Dispatcher(config, written_latency(config))
        m.submodules.image_load = image_load = ImageLoad(config)
        m.submodules.walker = walker = Walker(config)
        m.submodules.weight_array = array = WeightArray(config, technology=technology)
        m.submodules.neurons = neurons = Neurons(config, technology=technology)
        m.submodules.writeback = writeback = Writeback(config)
        m.submodules.head = head = Head(config)
        m.submodules.attention = attention = Attention(config, technology=technology)
        m.submodules.spikes = spikes = SpikeMemory(config, config.spike_words, technology=technology)
        # The residual stream is read by the walker and, to be added to, behind the neurons: a copy for each.
        m.submodules.residual = residual = SpikeMemory(config, config.residual_words, technology=technology)
        m.submodules.residual_copy = residual_copy = SpikeMemory(config, config.residual_words, technology=technology)
        m.submodules.counters = counters = Counters(config)

        # Program and memory.
        connect(m, arbiter.memory, flipped(self.memory))
        connect(m, image_load.memory, arbiter.ports[0])
        connect(m, reader.memory, arbiter.ports[1])
        connect(m, reader.descriptor, dispatcher.descriptor)
        m.d.comb += [
            reader.start.eq(self.start),
            reader.address.eq(self.program),
            reader.length.eq(self.program_beats),
            image_load.base.eq(self.image),
            image_load.start.eq(dispatcher.load_start),
            image_load.descriptor.eq(reader.descriptor.payload),
        ]
        self._run(m, reader, dispatcher)

        # Engines, each with the descriptor of its own layer.
        m.d.comb += [
            dispatcher.reset_job.eq(self.start),
            dispatcher.load_done.eq(image_load.done),
            dispatcher.walker_done.eq(walker.done),
            dispatcher.neurons_done.eq(neurons.done),
            dispatcher.layer_read.eq(neurons.layer_done),
            dispatcher.output_tile_read.eq(neurons.output_tile_drained),
            dispatcher.attention_busy.eq(attention.busy),
            dispatcher.attention_done.eq(attention.done),
            walker.start.eq(dispatcher.walker_start),
            walker.descriptor.eq(dispatcher.walker),
            walker.slices_written.eq(dispatcher.slices_written),
            walker.all_written.eq(dispatcher.all_written),
            neurons.start.eq(dispatcher.neurons_start),
            neurons.descriptor.eq(dispatcher.neurons),
            writeback.start.eq(dispatcher.neurons_start),
            writeback.descriptor.eq(dispatcher.neurons),
            attention.start.eq(dispatcher.attention_start),
        ]

        # Weights and spikes into the array, sums into the neurons, spikes back.
        connect(m, reader.weights, array.weights)
        connect(m, reader.parameters, neurons.parameters)
        m.d.comb += [
            array.unsigned_weights.eq(reader.unsigned_weights),
            reader.output_tile_drained.eq(neurons.output_tile_drained),
            walker.table_available.eq(array.table_available),
            walker.buffers_freed.eq(neurons.buffers_freed),
            array.claim.eq(walker.claim),
            array.step.eq(walker.step),
            array.spikes.eq(walker.spikes),
            array.drain_group.eq(neurons.drain_group),
            array.drain_buffer.eq(neurons.drain_buffer),
            array.drain_batch.eq(neurons.drain_batch),
            neurons.tile_done.eq(array.tile_done),
            neurons.drain_sums.eq(array.drain_sums),
            writeback.spikes.eq(neurons.spikes),
            writeback.batch.eq(neurons.batch),
            head.sums.eq(neurons.sums),
            head.biases.eq(neurons.biases),
            head.batch.eq(neurons.sums_batch),
            head.host_index.eq(self.logit_index),
            self.logit.eq(head.host_logit),
            self.prediction.eq(head.prediction),
        ]
        self._attend(m, dispatcher, attention, writeback)

        # On-chip memories. Attention reads Q while the array reads the residual stream.
        m.d.comb += [
            walker.read_data.eq(Mux(walker.from_residual, residual.read_data, spikes.read_data)),
            attention.read_data.eq(spikes.read_data),
            writeback.residual_read_data.eq(residual_copy.read_data),
        ]
        for bank in range(config.positions):
            m.d.comb += [
                spikes.read_addresses[bank].eq(
                    Mux(attention.busy, attention.read_address, walker.read_addresses[bank])
                ),
                residual.read_addresses[bank].eq(walker.read_addresses[bank]),
                residual_copy.read_addresses[bank].eq(writeback.residual_read_address),
            ]
        # A load may run beside the layer before its own; attention never beside a load.
        spike_writes = [
            (1, attention.write), (~image_load.done, image_load.write),
            (writeback.spike_write.valid, writeback.spike_write),
        ]  # fmt: skip
        self._join_writes(m, spikes.write, spike_writes)
        for copy in (residual, residual_copy):
            self._join_writes(m, copy.write, [(1, writeback.residual_write)])
        m.d.comb += [
            image_load.write_ready.eq(~writeback.spike_write.valid),
            attention.write_ready.eq(~writeback.spike_write.valid),
        ]

        self._count(m, counters, dispatcher, walker, attention, neurons)
        self._trace(m, dispatcher, writeback, attention, spikes, residual, head)
        return m

    def _run(self, m: Module, reader, dispatcher) -> None:
        """From start to END, or to an error."""
        filing = Signal(range(FILING_CYCLES + 1))
        running = Signal()
        with m.If(self.start):
            m.d.sync += [running.eq(1), self.done.eq(0), self.error.eq(0), filing.eq(0)]
        with m.Elif(running & reader.failed):
            m.d.sync += [running.eq(0), self.error.eq(reader.error), self.done.eq(1)]
        with m.Elif(running & dispatcher.ended):
            m.d.sync += [running.eq(0), filing.eq(FILING_CYCLES)]
        # Of a program shorter than its length, what follows it may still be on its way.
        with m.Elif((filing != 0) & ((filing != 1) | reader.idle)):
            m.d.sync += filing.eq(filing - 1)
            with m.If(filing == 1):
                m.d.sync += self.done.eq(1)
        m.d.comb += [self.busy.eq(running | (filing != 0)), self.descriptors.eq(dispatcher.descriptors)]
        self._running = running

    def _attend(self, m: Module, dispatcher, attention, writeback) -> None:
        """The attention engine's job and its K and V."""
        job = dispatcher.attention
        connect(m, writeback.token_write, attention.token_write)
        m.d.comb += [
            attention.head_channels.eq(job.head_channels),
            attention.chunks.eq(job.tiles),
            attention.groups.eq(job.groups),
            attention.threshold.eq(job.attention_threshold),
            attention.token_buffer.eq(job.token_buffer),
            attention.query_base.eq(job.source_base),
            attention.query_stride.eq(job.slice_step),
            attention.output_base.eq(job.destination_base),
            attention.output_stride.eq(job.destination_slice_stride),
        ]
        if self._config.time_chunks > 1:
            m.d.comb += attention.time_chunks.eq(job.time_chunks)

    @staticmethod
    def _join_writes(m: Module, port, sources: list) -> None:
        """One write port of the last source whose turn it is; the others wait."""
        for turn, source in sources:
            with m.If(turn):
                m.d.comb += [getattr(port, field).eq(getattr(source, field)) for field in port.signature.members]

    def _count(self, m: Module, counters, dispatcher, walker, attention, neurons) -> None:
        """Wire the counters to what they count."""
        attention_layer = Signal(8)
        with m.If(dispatcher.attention_start):
            m.d.sync += attention_layer.eq(dispatcher.attention.layer)
        fired = tree_sum(m, list(neurons.spikes), name="fired", registered=False)
        neuron_spikes = Signal(12)
        attention_spikes = Signal(12)
        neuron_layer = Signal(8)
        m.d.sync += [
            neuron_layer.eq(neurons.batch.layer),
            neuron_spikes.eq(Mux(neurons.batch.valid & (neurons.batch.destination != Destination.LOGITS), fired, 0)),
            attention_spikes.eq(attention.fired),
        ]
        m.d.comb += [
            counters.clear.eq(self.start),
            counters.finish.eq(dispatcher.ended),
            counters.busy.eq(self._running),
            counters.layer.eq(dispatcher.layer),
            counters.working.eq(walker.issuing),
            counters.stall_weights.eq(walker.stall_weights),
            counters.stall_drain.eq(walker.stall_drain | dispatcher.waits_neurons),
            counters.stall_data.eq(walker.stall_data),
            counters.stall_attention.eq(dispatcher.waits_attention),
            counters.stall_load.eq(dispatcher.waits_load),
            counters.neuron_layer.eq(neuron_layer),
            counters.neuron_spikes.eq(neuron_spikes),
            counters.attention_layer.eq(attention_layer),
            counters.attention_working.eq(attention.busy),
            counters.attention_spikes.eq(attention_spikes),
            self.cycles.eq(counters.total),
            counters.host_address.eq(self.counter_address),
            self.counter_data.eq(counters.host_data),
        ]
        self._attention_layer = attention_layer

    def _trace(self, m: Module, dispatcher, writeback, attention, spikes, residual, head) -> None:
        """Named signals that a testbench observes; nothing reads them, so synthesis drops them."""
        config, token = self._config, writeback.token_write
        chunk = token.chunk
        if config.time_chunks > 1:
            chunk = Cat(token.chunk, token.time_chunk)
        # A load writes under the number 0.
        spike_layer = Mux(attention.write.valid, self._attention_layer, 0)
        points = {
            "neuron_valid": (writeback.piece_valid, 1),
            "neuron_layer": (writeback.layer, 8),
            "neuron_data": (writeback.piece_spikes, config.lanes * config.piece),
            "spike_valid": (spikes.write.valid, 1),
            "spike_layer": (Mux(writeback.spike_write.valid, writeback.spike_layer, spike_layer), 8),
            "spike_address": (spikes.write.address, ADDRESS_BITS),
            "spike_banks": (spikes.write.banks, config.positions),
            "spike_pieces": (spikes.write.pieces, config.word_pieces),
            "spike_data": (spikes.write.data, config.group_bits),
            "residual_valid": (residual.write.valid, 1),
            "residual_layer": (writeback.residual_layer, 8),
            "residual_address": (residual.write.address, ADDRESS_BITS),
            "residual_banks": (residual.write.banks, config.positions),
            "residual_pieces": (residual.write.pieces, config.word_pieces),
            "residual_data": (residual.write.data, config.group_bits),
            "token_valid": (token.valid, 1),
            "token_layer": (writeback.token_layer, 8),
            "token_value": (token.is_value, 1),
            "token_channel": (token.channel, 12),
            "token_chunk": (chunk, 8),
            "token_data": (token.data, config.timesteps * config.chunk_tokens),
            "logit_valid": (head.valid, 1),
            "logit_layer": (dispatcher.neurons.layer, 8),
            "logit_index": (head.index, 8),
            "logit_data": (head.logit, 32),
        }
        for name, (value, width) in points.items():
            m.d.comb += Signal(unsigned(width), name=f"trace_{name}").eq(value)
