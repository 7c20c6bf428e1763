# amaranth: UnusedElaboratable=no
# A component made to ask for its latency is not elaborated.
"""The accelerator behind its bus adapters: the block diagram of docs/architecture.md in one file."""

from __future__ import annotations

import functools

from amaranth.hdl import Module, Mux, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.array.walker import Walker
from hw.array.weight_array import WeightArray
from hw.attention.attention import Attention
from hw.config import HardwareConfig
from hw.counters import Counters
from hw.engine_events import EngineEvents
from hw.external.memory_port import MEMORY_ADDRESS_BITS, MemoryPort
from hw.external.read_arbiter import ReadArbiter
from hw.host.registers import COUNTER_SLOTS, ErrorCause
from hw.links import (
    ARRAY_STEPS,
    ATTENTION_JOB,
    DISPATCH_EVENTS,
    DRAIN_READ,
    FIRED_BATCHES,
    LAYER_READS,
    LAYER_START,
    LAYER_WALK,
    LOAD_JOB,
    WALKER_EVENTS,
    WEIGHTS,
    link,
)
from hw.memory.image_load import ImageLoad
from hw.memory.spike_memory import WRITE_LATENCY, SpikeMemory
from hw.neurons.head import LOGIT_BITS, Head
from hw.neurons.neurons import Neurons
from hw.parts.technology import Technology
from hw.program.dispatcher import Dispatcher
from hw.program.fetch import LENGTH_BITS
from hw.program.reader import ProgramReader
from hw.run_control import RunControl
from hw.trace_points import (
    add_trace_points,
    logit_points,
    piece_points,
    residual_points,
    spike_points,
    token_points,
)
from hw.writeback.writeback import Writeback, writeback_latency

ATTENTION_FIELDS = {
    "head_channels": "head_channels",
    "chunks": "tiles",
    "groups": "groups",
    "threshold": "attention_threshold",
    "token_buffer": "token_buffer",
    "query_base": "source_base",
    "query_stride": "slice_step",
    "output_base": "destination_base",
    "output_stride": "destination_slice_stride",
    "time_chunks": "time_chunks",
    "no_leak": "no_leak",
}
"""What the attention engine takes from which field of its descriptor; the last two only where it has such a member."""


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
    advances : Out(1)
        A cycle ago a descriptor was taken, the neurons were through with a position tile, or attention with its job: so
        many times at most as the program has descriptors and tiles, whatever they say.
    counter_address : In, counter_data : Out(32)
        Reads the counters of a layer, two cycles of latency.
    """

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        super().__init__(
            {
                "start": In(1),
                "program": In(MEMORY_ADDRESS_BITS),
                "program_beats": In(LENGTH_BITS),
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
                "advances": Out(1),
                "counter_address": In(range(config.max_layers * COUNTER_SLOTS)),
                "counter_data": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, technology = self._config, self._technology
        m.submodules.run_control = RunControl()
        m.submodules.program_reader = ProgramReader(config)
        m.submodules.read_arbiter = ReadArbiter(config.memory_bits, 2)
        m.submodules.dispatcher = Dispatcher(config, written_latency(config))
        m.submodules.image_load = ImageLoad(config)
        m.submodules.walker = Walker(config)
        m.submodules.weight_array = WeightArray(config, technology=technology)
        m.submodules.neurons = Neurons(config, technology=technology)
        m.submodules.writeback = Writeback(config)
        m.submodules.head = Head(config)
        m.submodules.attention = Attention(config, technology=technology)
        m.submodules.spikes = SpikeMemory(config, config.spike_words, technology=technology)
        # The residual stream is read by the walker and, to be added to, behind the neurons: a copy for each.
        m.submodules.residual = SpikeMemory(config, config.residual_words, technology=technology)
        m.submodules.residual_copy = SpikeMemory(config, config.residual_words, technology=technology)
        m.submodules.engine_events = EngineEvents(config)
        m.submodules.counters = Counters(config)
        self._read_program(m)
        self._dispatch(m)
        self._compute(m)
        self._read_spikes(m)
        self._write_spikes(m)
        self._count(m)
        self._trace(m)
        return m

    def _read_program(self, m: Module) -> None:
        """External memory to the program's reader and to the load of the image, and what ends the program."""
        part = m.submodules
        connect(m, part.read_arbiter.memory, flipped(self.memory))
        connect(m, part.image_load.memory, part.read_arbiter.ports[0])
        connect(m, part.program_reader.memory, part.read_arbiter.ports[1])
        m.d.comb += [
            part.program_reader.start.eq(self.start),
            part.program_reader.address.eq(self.program),
            part.program_reader.length.eq(self.program_beats),
            part.image_load.base.eq(self.image),
            part.run_control.start.eq(self.start),
            part.run_control.ended.eq(part.dispatcher.ended),
            part.run_control.failed.eq(part.program_reader.failed),
            part.run_control.cause.eq(part.program_reader.error),
            part.run_control.reader_idle.eq(part.program_reader.idle),
            part.run_control.intact.eq(part.program_reader.intact),
            self.busy.eq(part.run_control.busy),
            self.done.eq(part.run_control.done),
            self.error.eq(part.run_control.error),
            self.descriptors.eq(part.dispatcher.descriptors),
        ]

    def _dispatch(self, m: Module) -> None:
        """Descriptors to the engines, each of which has that of its own layer."""
        part = m.submodules
        dispatcher, reader, attention = part.dispatcher, part.program_reader, part.attention
        connect(m, reader.descriptor, dispatcher.descriptor)
        link(m, LOAD_JOB, dispatcher.load, part.image_load)
        link(m, LAYER_WALK, dispatcher.walker, part.walker)
        link(m, LAYER_START, dispatcher.neurons, part.neurons, part.writeback)
        link(m, LAYER_READS, part.neurons, dispatcher.reads)
        link(m, ATTENTION_JOB, dispatcher.attention, attention)
        m.d.comb += [
            dispatcher.reset_job.eq(self.start),
            part.image_load.descriptor.eq(reader.descriptor.payload),
            *(
                getattr(attention, member).eq(dispatcher.attention_job[field])
                for member, field in ATTENTION_FIELDS.items()
                if member in attention.signature.members
            ),
        ]

    def _compute(self, m: Module) -> None:
        """Weights and spikes into the array, sums into the neurons, spikes back or sums to the head, K and V on."""
        part = m.submodules
        reader, neurons, head = part.program_reader, part.neurons, part.head
        connect(m, reader.parameters, neurons.parameters)
        link(m, WEIGHTS, reader, part.weight_array)
        link(m, ARRAY_STEPS, part.walker, part.weight_array)
        link(m, DRAIN_READ, neurons, part.weight_array)
        link(m, FIRED_BATCHES, neurons, part.writeback)
        connect(m, part.writeback.token_write, part.attention.token_write)
        m.d.comb += [
            reader.output_tile_drained.eq(neurons.output_tile_drained),
            part.walker.buffers_freed.eq(neurons.buffers_freed),
            head.sums.eq(neurons.sums),
            head.biases.eq(neurons.biases),
            head.batch.eq(neurons.sums_batch),
            head.host_index.eq(self.logit_index),
            self.logit.eq(head.host_logit),
            self.prediction.eq(head.prediction),
        ]

    def _read_spikes(self, m: Module) -> None:
        """Reads of the on-chip memories. Attention reads Q while the array reads the residual stream."""
        part = m.submodules
        walker, attention, writeback = part.walker, part.attention, part.writeback
        spikes, residual, residual_copy = part.spikes, part.residual, part.residual_copy
        m.d.comb += [
            walker.read_data.eq(Mux(walker.from_residual, residual.read_data, spikes.read_data)),
            attention.read_data.eq(spikes.read_data),
            writeback.residual_read_data.eq(residual_copy.read_data),
            spikes.reads.eq(Mux(attention.busy, attention.read.replicate(self._config.positions), walker.spike_reads)),
            residual.reads.eq(walker.residual_reads),
            residual_copy.reads.eq(writeback.residual_read.replicate(self._config.positions)),
        ]
        for bank, address in enumerate(walker.read_addresses):
            m.d.comb += [
                spikes.read_addresses[bank].eq(Mux(attention.busy, attention.read_address, address)),
                residual.read_addresses[bank].eq(address),
                residual_copy.read_addresses[bank].eq(writeback.residual_read_address),
            ]

    def _write_spikes(self, m: Module) -> None:
        """Writes into the on-chip memories: the neurons' first, for they cannot wait; load and attention can."""
        part = m.submodules
        image_load, attention, writeback = part.image_load, part.attention, part.writeback
        written = writeback.spike_write
        # A load may run beside the layer before its own; attention never beside a load.
        with m.If(written.valid):
            self._write(m, part.spikes.write, written)
        with m.Elif(~image_load.done):
            self._write(m, part.spikes.write, image_load.write)
        with m.Else():
            self._write(m, part.spikes.write, attention.write)
        for copy in (part.residual, part.residual_copy):
            self._write(m, copy.write, writeback.residual_write)
        m.d.comb += [image_load.write_ready.eq(~written.valid), attention.write_ready.eq(~written.valid)]

    @staticmethod
    def _write(m: Module, port, source) -> None:
        """Hand a write on to a port whose address may be narrower."""
        m.d.comb += [getattr(port, member).eq(getattr(source, member)) for member in port.signature.members]

    def _count(self, m: Module) -> None:
        """Events of the engines to the counters, and the counters to the host."""
        part = m.submodules
        events, counters, attention = part.engine_events, part.counters, part.attention
        descriptor = part.program_reader.descriptor
        taken = descriptor.valid & descriptor.ready
        m.d.sync += self.advances.eq(taken | part.neurons.buffers_freed.any() | attention.done)
        link(m, WALKER_EVENTS, part.walker, events)
        link(m, DISPATCH_EVENTS, part.dispatcher, events)
        link(m, FIRED_BATCHES, part.neurons, events)
        connect(m, events.counted, counters.events)
        m.d.comb += [
            events.running.eq(part.run_control.running),
            events.attention_start.eq(attention.start),
            events.attention_job_layer.eq(part.dispatcher.attention_job.layer),
            events.attention_busy.eq(attention.busy),
            events.attention_fired.eq(attention.fired),
            counters.clear.eq(self.start),
            counters.finish.eq(part.dispatcher.ended),
            counters.host_address.eq(self.counter_address),
            self.counter_data.eq(counters.host_data),
            self.cycles.eq(counters.total),
        ]

    def _trace(self, m: Module) -> None:
        """What a testbench compares with the golden model."""
        config, part = self._config, m.submodules
        attention_layer: Value = part.engine_events.counted.attention_layer
        add_trace_points(
            m,
            {
                **piece_points(config, part.writeback),
                **spike_points(config, part.spikes, part.writeback, part.attention, attention_layer),
                **residual_points(config, part.residual, part.writeback),
                **token_points(config, part.writeback),
                **logit_points(part.head, part.dispatcher),
            },
        )
