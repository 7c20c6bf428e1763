"""Writes the neurons' spikes where the layer wants them: spike memory, residual, K and V, pooled or not."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .attention_memory import TokenWrite
from .config import HardwareConfig
from .delay import delayed
from .isa import ADDRESS_BITS, DESCRIPTOR, MAX_RESIDUAL_PLANES, Destination
from .neurons import CHANNEL_BITS, TILE_BITS, batch_layout
from .or_pool import OrPool
from .residual_adder import ResidualAdder
from .spike_memory import SpikeWrite

MAX_POOL_SIDE = 256
"""Largest side of a feature map before a pool."""


def writeback_latency(config: HardwareConfig) -> int:
    """Cycles from the last batch to the last write of a layer, whatever its destination: an upper bound."""
    word = 1
    # The clamp writes a cycle later than two planes, still before the last of the most planes.
    return word + max(config.positions + OrPool.latency, ResidualAdder.latency(MAX_RESIDUAL_PLANES), config.neurons)


class Writeback(wiring.Component):
    """Collects batches of spikes into words and writes them.

    A word of `inputs` channels is complete every ``inputs / neurons`` batches; it goes to the spike memory as it is,
    or lane by lane through the pool, or joins the residual. For K and V the batches of a channel, one position
    group each, are shifted into token vectors, written one channel per cycle after the tile's last group.

    The last write leaves at most ``writeback_latency(config)`` cycles after the last batch.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR)
        The layer.
    spikes : In(neurons * lanes), batch : In(batch_layout)
        From the neurons.
    word_valid : Out(1), word : Out(group_bits)
        A complete word, before the pool (for observation).
    spike_write : Out(SpikeWrite), residual_write : Out(SpikeWrite)
        Towards the memories.
    residual_read_address : Out(20), residual_read_data : In(group_bits)
        Residual memory, one cycle of latency.
    token_write : Out(TokenWrite)
        Towards the attention engine. A tile of ``g`` groups fills the top ``g * positions`` bits of each time step, the
        last group on top; the rest is zero. K and V agree, which is all that a popcount over the tokens needs.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "spikes": In(unsigned(config.neurons * config.lanes)),
                "batch": In(batch_layout(config)),
                "word_valid": Out(1),
                "word": Out(unsigned(config.group_bits)),
                "spike_write": Out(SpikeWrite(config, ADDRESS_BITS)),
                "residual_write": Out(SpikeWrite(config, ADDRESS_BITS)),
                "residual_read_address": Out(ADDRESS_BITS),
                "residual_read_data": In(unsigned(config.group_bits)),
                "token_write": Out(TokenWrite(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, d = self._config, self.descriptor
        address, tile_address = self._collect(m)
        to_tokens, to_residual, starts_residual = Signal(), Signal(), Signal()
        m.d.comb += [
            to_tokens.eq((d.destination == Destination.KEYS) | (d.destination == Destination.VALUES)),
            to_residual.eq(d.destination == Destination.RESIDUAL),
            starts_residual.eq(d.destination == Destination.SPIKES_AND_RESIDUAL),
        ]
        to_spikes = Signal()
        m.d.comb += to_spikes.eq((d.destination == Destination.SPIKES) | starts_residual)

        m.submodules.adder = adder = ResidualAdder(config)
        m.d.comb += [
            adder.valid.eq(self.word_valid & to_residual),
            adder.address.eq(d.residual_base + address),
            adder.spikes.eq(self.word),
            adder.mode.eq(d.residual_mode),
            adder.planes_in.eq(d.residual_planes_in),
            adder.planes_out.eq(d.residual_planes_out),
            adder.plane_stride.eq(d.residual_plane_stride),
            self.residual_read_address.eq(adder.read_address),
            adder.read_data.eq(self.residual_read_data),
        ]

        pooled_write = self._pooled(m, to_spikes & d.pool, tile_address)
        with m.If(d.pool):
            m.d.comb += [
                self.spike_write.valid.eq(pooled_write.valid),
                self.spike_write.address.eq(d.destination_base + pooled_write.address),
                self.spike_write.banks.eq(pooled_write.banks),
                self.spike_write.data.eq(pooled_write.data),
            ]
        with m.Else():
            m.d.comb += [
                self.spike_write.valid.eq(self.word_valid & to_spikes),
                self.spike_write.address.eq(d.destination_base + address),
                self.spike_write.banks.eq((1 << config.positions) - 1),
                self.spike_write.data.eq(self.word),
            ]
        with m.If(to_residual):
            m.d.comb += [
                self.residual_write.valid.eq(adder.write.valid),
                self.residual_write.address.eq(adder.write.address),
                self.residual_write.banks.eq(adder.write.banks),
                self.residual_write.data.eq(adder.write.data),
            ]
        with m.Else():
            m.d.comb += [
                self.residual_write.valid.eq(self.spike_write.valid & starts_residual),
                self.residual_write.address.eq(self.spike_write.address - d.destination_base + d.residual_base),
                self.residual_write.banks.eq(self.spike_write.banks),
                self.residual_write.data.eq(self.spike_write.data),
            ]
        self._tokens(m, to_tokens)
        return m

    def _collect(self, m: Module):
        """Batches to words ``[positions][timesteps][inputs]``; returns the word's addresses."""
        config, batch = self._config, self.batch
        word = Signal(config.group_bits)
        to_words = Signal()
        d = self.descriptor
        m.d.comb += to_words.eq(
            (d.destination == Destination.SPIKES)
            | (d.destination == Destination.SPIKES_AND_RESIDUAL)
            | (d.destination == Destination.RESIDUAL)
        )
        address, tile_address = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        with m.If(batch.valid):
            with m.Switch(batch.sub):
                for sub in range(config.inputs // config.neurons):
                    with m.Case(sub):
                        for lane in range(config.lanes):
                            for neuron in range(config.neurons):
                                bit = lane * config.inputs + sub * config.neurons + neuron
                                m.d.sync += word[bit].eq(self.spikes[neuron * config.lanes + lane])
            m.d.sync += [address.eq(batch.address), tile_address.eq(batch.tile_address)]
        m.d.sync += self.word_valid.eq(batch.valid & batch.word_end & to_words)
        m.d.comb += self.word.eq(word)
        return address, tile_address

    def _pooled(self, m: Module, active, tile_address: Signal):
        """Lane by lane through the pool."""
        config, d = self._config, self.descriptor
        width = config.group_bits // config.positions
        m.submodules.pool = pool = OrPool(
            width, max_width=MAX_POOL_SIDE, lanes=config.positions, max_words=config.outputs // config.inputs
        )
        lane, waiting = Signal(range(max(2, config.positions))), Signal()
        words, held = Signal(config.group_bits), Signal(config.group_bits)
        # Lane 0 goes in the word's own cycle, the others from a copy: the next word may follow at once.
        m.d.comb += words.eq(self.word)
        if config.positions > 1:
            with m.If(waiting):
                m.d.comb += words.eq(held)
                m.d.sync += lane.eq(lane + 1)
                with m.If(lane == config.positions - 1):
                    m.d.sync += waiting.eq(0)
            with m.If(self.word_valid & active):
                m.d.sync += [waiting.eq(1), held.eq(self.word), lane.eq(1)]
        feeding = Signal()
        here = Signal.like(lane)
        m.d.comb += [
            feeding.eq((self.word_valid & active) | waiting),
            here.eq(Mux(waiting, lane, 0)),
            pool.clear.eq(self.start),
            pool.height.eq(d.height),
            pool.width.eq(d.width),
            pool.words.eq(d.tile_words),
            pool.input.valid.eq(feeding),
            pool.input.payload.eq(words.word_select(here, width)),
            pool.output.ready.eq(1),
        ]
        # The tile of the word in the pool: held with its first lane, then as late as the pool's output.
        tile = Signal(ADDRESS_BITS)
        tile_held = Signal(ADDRESS_BITS)
        m.d.comb += tile.eq(Mux(waiting, tile_held, tile_address))
        m.d.sync += tile_held.eq(tile)
        write = SpikeWrite(config, ADDRESS_BITS).create()
        position = pool.output.payload.position
        lane_bits = (config.positions - 1).bit_length()
        m.d.comb += [
            write.valid.eq(pool.output.valid),
            write.address.eq(
                delayed(m, tile, pool.latency, name="pooled_tile")
                + pool.output.payload.word * d.destination_slice_stride
                + (position >> lane_bits)
            ),
            write.banks.eq(1 << position[:lane_bits] if lane_bits else 1),
            write.data.eq(pool.output.payload.spikes.replicate(config.positions)),
        ]
        return write

    def _tokens(self, m: Module, active) -> None:
        """Shift position groups into one token vector per channel; write them after the tile's last group."""
        config, batch = self._config, self.batch
        tokens, positions = config.chunk_tokens, config.positions
        vectors = Signal(data.ArrayLayout(data.ArrayLayout(unsigned(tokens), config.timesteps), config.neurons))
        index, writing = Signal(range(max(2, config.neurons))), Signal()
        channel, chunk = Signal(CHANNEL_BITS), Signal(TILE_BITS)
        with m.If(active & batch.valid):
            for neuron in range(config.neurons):
                for t in range(config.timesteps):
                    vector = vectors[neuron][t]
                    fresh = Cat(self.spikes[neuron * config.lanes + p * config.timesteps + t] for p in range(positions))
                    m.d.sync += vector.eq(Cat(Mux(batch.first_group, 0, vector)[positions:], fresh))
        with m.If(writing):
            m.d.sync += index.eq(index + 1)
            with m.If(index == config.neurons - 1):
                m.d.sync += writing.eq(0)
        with m.If(active & batch.valid & batch.last_group):
            m.d.sync += [writing.eq(1), index.eq(0), channel.eq(batch.channel), chunk.eq(batch.tile)]
        write = self.token_write
        m.d.comb += [
            write.valid.eq(writing),
            write.is_value.eq(self.descriptor.destination == Destination.VALUES),
            write.channel.eq(channel + index),
            write.chunk.eq(chunk),
        ]
        with m.Switch(index):
            for neuron in range(config.neurons):
                with m.Case(neuron):
                    m.d.comb += write.data.eq(vectors[neuron].as_value())
