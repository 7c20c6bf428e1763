"""The whole accelerator: the block diagram of docs/architecture.md in one file."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .attention import Attention
from .config import HardwareConfig
from .counters import Counters
from .head import Head, head_latency
from .image_load import ImageLoad
from .isa import ADDRESS_BITS, Destination, Opcode
from .memory_port import MemoryPort
from .neurons import SUM_LATENCY, Neurons, neurons_latency
from .register_file import RegisterBus, RegisterFile
from .sequencer import Sequencer
from .spike_memory import SpikeMemory
from .trees import tree_sum
from .walker import Walker
from .weight_array import WeightArray
from .weight_fetch import WeightFetch
from .writeback import Writeback, writeback_latency


def flush_cycles(config: HardwareConfig) -> int:
    """Cycles a layer waits after its last read of partial sums for its last write."""
    return max(neurons_latency(config) + writeback_latency(config), SUM_LATENCY + head_latency(config) + config.neurons)


class Accelerator(wiring.Component):
    """Runs a Spikformer image by image from a program in external memory.

    Layers run one after the other. Within a layer weights stream in, tables fill, sums accumulate and neurons fire at
    the same time; spikes never leave the chip.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    registers : In(RegisterBus)
        The host's bus, see `hw.registers`.
    memory : Out(MemoryPort)
        External memory: program, weights, images.
    done : Out(1)
        High from the end of a job to the start of the next.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__({"registers": In(RegisterBus()), "memory": Out(MemoryPort()), "done": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.register_file = registers = RegisterFile(config)
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.image_load = image_load = ImageLoad(config)
        m.submodules.weight_fetch = fetch = WeightFetch(config)
        m.submodules.walker = walker = Walker(config)
        m.submodules.weight_array = array = WeightArray(config)
        m.submodules.neurons = neurons = Neurons(config)
        m.submodules.writeback = writeback = Writeback(config)
        m.submodules.head = head = Head(config)
        m.submodules.attention = attention = Attention(config)
        m.submodules.spikes = spikes = SpikeMemory(config, config.spike_words)
        m.submodules.residual = residual = SpikeMemory(config, config.residual_words)
        m.submodules.counters = counters = Counters(config)
        d = sequencer.descriptor

        # Control.
        connect(m, flipped(self.registers), registers.bus)
        flushed = self._flush(m, neurons)
        m.d.comb += [
            sequencer.start.eq(registers.start),
            sequencer.program.eq(registers.program),
            image_load.start.eq(sequencer.load),
            attention.start.eq(sequencer.attention),
            sequencer.load_done.eq(image_load.done),
            sequencer.weights_done.eq(neurons.done & flushed),
            sequencer.attention_done.eq(~attention.busy),
            self.done.eq(sequencer.done),
            registers.busy.eq(sequencer.busy),
            registers.done.eq(sequencer.done),
            registers.error.eq(sequencer.error),
            registers.layers.eq(sequencer.layer),
        ]
        for engine in (fetch, walker, neurons, writeback):
            m.d.comb += engine.start.eq(sequencer.weights)
        for engine in (image_load, fetch, walker, neurons, writeback):
            m.d.comb += engine.descriptor.eq(d)

        # External memory belongs to one engine at a time.
        m.d.comb += [image_load.base.eq(registers.image), fetch.base.eq(registers.program)]
        self._share_memory(m, [
            (sequencer.fetching, sequencer.memory),
            (d.opcode == Opcode.LOAD, image_load.memory),
            (d.opcode == Opcode.WEIGHTS, fetch.memory),
        ])  # fmt: skip

        # Weights and spikes into the array, sums into the neurons, spikes back.
        connect(m, fetch.weights, array.weights)
        connect(m, fetch.parameters, neurons.parameters)
        m.d.comb += [
            walker.table_available.eq(array.table_available),
            array.claim.eq(walker.claim),
            array.step.eq(walker.step),
            array.spikes.eq(walker.spikes),
            neurons.tile_done.eq(array.tile_done),
            array.drain_address.eq(neurons.drain_address),
            array.drain_batch.eq(neurons.drain_batch),
            neurons.drain_sums.eq(array.drain_sums),
            walker.tile_drained.eq(neurons.tile_drained),
            fetch.output_tile_drained.eq(neurons.output_tile_drained),
            writeback.spikes.eq(neurons.spikes),
            writeback.batch.eq(neurons.batch),
            head.active.eq(d.destination == Destination.LOGITS),
            head.tiles.eq(d.tiles),
            head.sums.eq(neurons.sums),
            head.biases.eq(neurons.biases),
            head.batch.eq(neurons.sums_batch),
            head.host_index.eq(registers.logit_index),
            registers.logit.eq(head.host_logit),
            registers.prediction.eq(head.prediction),
        ]
        connect(m, writeback.token_write, attention.token_write)
        m.d.comb += [
            attention.heads.eq(d.heads),
            attention.head_channels.eq(d.head_channels),
            attention.chunks.eq(d.tiles),
            attention.groups.eq(d.groups),
            attention.planes.eq(d.attention_planes),
            attention.threshold.eq(d.attention_threshold),
            attention.query_base.eq(d.source_base),
            attention.query_stride.eq(d.source_slice_stride),
            attention.output_base.eq(d.destination_base),
            attention.output_stride.eq(d.destination_slice_stride),
        ]

        # On-chip memories: the residual is read either by the walker or, in a layer that adds to it, by the adder.
        adding, attending = Signal(), Signal()
        m.d.comb += [
            adding.eq(d.destination == Destination.RESIDUAL),
            attending.eq(d.opcode == Opcode.ATTENTION),
            walker.read_data.eq(Mux(d.source_residual, residual.read_data, spikes.read_data)),
            attention.read_data.eq(spikes.read_data),
            writeback.residual_read_data.eq(residual.read_data),
        ]
        for bank in range(config.positions):
            m.d.comb += [
                spikes.read_addresses[bank].eq(Mux(attending, attention.read_address, walker.read_addresses[bank])),
                residual.read_addresses[bank].eq(
                    Mux(adding, writeback.residual_read_address, walker.read_addresses[bank])
                ),
            ]
        self._join_writes(m, spikes.write, [image_load.write, writeback.spike_write, attention.write])
        self._join_writes(m, residual.write, [writeback.residual_write])

        self._count(m, counters, registers, sequencer, walker, image_load, attention, neurons)
        self._trace(m, sequencer, writeback, spikes, residual, head)
        return m

    def _flush(self, m: Module, neurons: Neurons) -> Value:
        """High when what the neurons read last has been written."""
        cycles = flush_cycles(self._config)
        left = Signal(range(cycles + 1))
        with m.If(~neurons.done):
            m.d.sync += left.eq(cycles)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return left == 0

    def _share_memory(self, m: Module, engines: list[tuple[Value, wiring.FlippedInterface]]) -> None:
        """Give the memory port to the first engine whose condition holds."""
        for condition, engine in reversed(engines):
            with m.If(condition):
                m.d.comb += [
                    self.memory.request.valid.eq(engine.request.valid),
                    self.memory.request.payload.eq(engine.request.payload),
                    self.memory.response.ready.eq(engine.response.ready),
                ]
        for i, (condition, engine) in enumerate(engines):
            chosen = condition
            for earlier, _ in engines[:i]:
                chosen = chosen & ~earlier
            m.d.comb += [
                engine.request.ready.eq(self.memory.request.ready & chosen),
                engine.response.valid.eq(self.memory.response.valid & chosen),
                engine.response.payload.eq(self.memory.response.payload),
            ]

    @staticmethod
    def _join_writes(m: Module, port, sources: list) -> None:
        """One write port for engines that never write at the same time."""
        for source in sources:
            with m.If(source.valid):
                m.d.comb += [
                    port.valid.eq(1),
                    port.address.eq(source.address),
                    port.banks.eq(source.banks),
                    port.data.eq(source.data),
                ]

    def _count(self, m, counters, registers, sequencer, walker, image_load, attention, neurons) -> None:
        """Wire the counters to what they count."""
        config, d = self._config, sequencer.descriptor
        fired, _ = tree_sum(m, list(neurons.spikes), name="fired", registered=False)
        word = config.group_bits // config.positions
        attended = Signal(word)
        for bank in range(config.positions):
            with m.If(attention.write.banks[bank]):
                m.d.comb += attended.eq(attention.write.data.word_select(bank, word))
        attention_fired, _ = tree_sum(m, list(attended), name="attention_fired", registered=False)
        spikes = Signal(12)
        with m.If(neurons.batch.valid & (d.destination != Destination.LOGITS)):
            m.d.sync += spikes.eq(fired)
        with m.Elif(attention.write.valid):
            m.d.sync += spikes.eq(attention_fired)
        with m.Else():
            m.d.sync += spikes.eq(0)
        m.d.comb += [
            counters.clear.eq(registers.start),
            counters.busy.eq(sequencer.busy),
            counters.layer_end.eq(sequencer.layer_end),
            counters.layer.eq(sequencer.layer),
            counters.working.eq(walker.issuing | image_load.write.valid | attention.busy),
            counters.stall_weights.eq(walker.stall_weights),
            counters.stall_drain.eq(walker.stall_drain),
            counters.spikes.eq(spikes),
            registers.cycles.eq(counters.total),
            counters.host_address.eq(registers.profile_address),
            registers.profile_data.eq(counters.host_data),
        ]

    def _trace(self, m, sequencer, writeback, spikes, residual, head) -> None:
        """Named signals that a testbench observes; nothing reads them, so synthesis drops them."""
        token = writeback.token_write
        points = {
            "layer": (sequencer.layer, 8),
            "neuron_valid": (writeback.word_valid, 1),
            "neuron_data": (writeback.word, self._config.group_bits),
            "spike_valid": (spikes.write.valid, 1),
            "spike_address": (spikes.write.address, ADDRESS_BITS),
            "spike_banks": (spikes.write.banks, self._config.positions),
            "spike_data": (spikes.write.data, self._config.group_bits),
            "residual_valid": (residual.write.valid, 1),
            "residual_address": (residual.write.address, ADDRESS_BITS),
            "residual_banks": (residual.write.banks, self._config.positions),
            "residual_data": (residual.write.data, self._config.group_bits),
            "token_valid": (token.valid, 1),
            "token_value": (token.is_value, 1),
            "token_channel": (token.channel, 12),
            "token_chunk": (token.chunk, 8),
            "token_data": (token.data, self._config.timesteps * self._config.chunk_tokens),
            "logit_valid": (head.valid, 1),
            "logit_index": (head.index, 8),
            "logit_data": (head.logit, 32),
        }
        for name, (value, width) in points.items():
            m.d.comb += Signal(unsigned(width), name=f"trace_{name}").eq(value)
