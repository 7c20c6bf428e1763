"""Writes the neurons' spikes where the layer wants them: spike memory, residual, K and V, pooled or not."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from hw.attention.token_write import TokenWrite
from hw.config import HardwareConfig
from hw.descriptor import ADDRESS_BITS, DESCRIPTOR, Destination
from hw.memory.spike_memory import SpikeWrite, from_piece_on
from hw.neurons.batch import batch_layout
from hw.parts.delay import delayed
from hw.parts.small_multiple import multiple
from hw.pool.or_pool import OrPool
from hw.writeback.pool_writer import PoolWriter, pool_latency
from hw.writeback.residual_adder import ResidualAdder
from hw.writeback.token_vectors import TokenVectors, tokens_latency

PIECE_LATENCY = 1
"""Cycles from a piece's last batch to the piece."""

CHOICE_LATENCY = 1
"""Cycles from a piece or a pooled position to its write to the spike memory, and to the residual adder."""


def writeback_latency(config: HardwareConfig) -> int:
    """Cycles from the last batch to the last write of a layer, whatever its destination: an upper bound."""
    behind_choice = PIECE_LATENCY + CHOICE_LATENCY + max(pool_latency(config), ResidualAdder.latency)
    return max(behind_choice, tokens_latency(config))


class Writeback(wiring.Component):
    """Collects batches of spikes into pieces and writes them.

    A piece is complete with its last batch; it goes to the spike memory as it is, or position by position through the
    pool, or as the one position that it is if its layer pooled before the neurons, or joins the residual. K and V
    become words of tokens, see `TokenVectors`.

    What is written where travels in the batch, so layers may follow each other without a pause; only behind a layer
    that pools or writes the residual the next one must not start before the last write.

    The last write leaves at most ``writeback_latency(config)`` cycles after the last batch.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR)
        The layer that the neurons read, of which pool and residual take their settings.
    spikes : In(neurons * lanes), batch : In(batch_layout)
        From the neurons.
    piece_valid : Out(1), piece : Out(lanes * piece), layer : Out(8)
        A complete piece, before the pool (for observation).
    spike_write : Out(SpikeWrite), residual_write : Out(SpikeWrite)
        Towards the memories.
    residual_read : Out(1), residual_read_address : Out(20), residual_read_data : In(group_bits)
        Residual memory, one cycle of latency.
    token_write : Out(TokenWrite)
        Towards the attention engine.
    spike_layer, residual_layer, token_layer : Out(8)
        Layers of the writes (for observation).
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        self._layout = layout = batch_layout(config)
        layer = layout["layer"].shape
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "spikes": In(unsigned(config.neurons * config.lanes)),
                "batch": In(layout),
                "piece_valid": Out(1),
                "piece_spikes": Out(unsigned(config.lanes * config.piece)),
                "layer": Out(layer),
                "spike_write": Out(SpikeWrite(config, ADDRESS_BITS)),
                "spike_layer": Out(layer),
                "residual_write": Out(SpikeWrite(config, ADDRESS_BITS)),
                "residual_layer": Out(layer),
                "residual_read": Out(1),
                "residual_read_address": Out(ADDRESS_BITS),
                "residual_read_data": In(unsigned(config.group_bits)),
                "token_write": Out(TokenWrite(config)),
                "token_layer": Out(layer),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, d = self._config, self.descriptor
        m.submodules.tokens = tokens = TokenVectors(config)
        m.submodules.pool = pool = PoolWriter(config)
        m.submodules.adder = adder = ResidualAdder(config)
        connect(m, tokens.write, flipped(self.token_write))
        m.d.comb += [
            tokens.spikes.eq(self.spikes),
            tokens.batch.eq(self.batch),
            self.token_layer.eq(tokens.layer),
        ]

        to_spikes, to_residual, starts_residual, pooled, about = self._collect(m)
        pieces = delayed(m, _one_hot(about.piece, config.word_pieces), CHOICE_LATENCY, name="pieces")
        m.d.comb += [
            self.layer.eq(about.layer),
            pool.start.eq(self.start),
            pool.descriptor.eq(d),
            pool.piece_valid.eq(to_spikes & pooled),
            pool.piece.eq(self.piece_spikes),
        ]
        spikes = self._write_spikes(m, to_spikes & ~pooled, about, pool)

        # The residual memory has the layout of the spike memory, from its first word on.
        base = Signal.like(about.slice_address, name="destination_base", reset_less=True)
        m.d.sync += base.eq(d.destination_base)
        address = Signal.like(base)
        m.d.comb += [
            address.eq(self.spike_write.address - base),
            adder.valid.eq(delayed(m, to_residual, CHOICE_LATENCY, name="to_residual", reset=True)),
            adder.address.eq(address),
            adder.spikes.eq(spikes),
            adder.pieces.eq(pieces),
            adder.mode.eq(d.residual_mode),
            adder.planes_in.eq(d.residual_planes_in),
            adder.planes_out.eq(d.residual_planes_out),
            adder.plane_stride.eq(d.residual_plane_stride),
            adder.read_data.eq(self.residual_read_data),
            self.residual_read.eq(adder.read),
            self.residual_read_address.eq(adder.read_address),
            self.residual_layer.eq(self.spike_layer),
        ]
        write = self.residual_write
        with m.If(delayed(m, starts_residual, CHOICE_LATENCY, name="starts_residual")):
            m.d.comb += [
                write.valid.eq(self.spike_write.valid),
                write.address.eq(address),
                write.banks.eq(self.spike_write.banks),
                write.pieces.eq(self.spike_write.pieces),
                write.data.eq(self.spike_write.data),
            ]
        with m.Else():
            connect(m, adder.write, flipped(write))
        return m

    def _collect(self, m: Module) -> tuple[Value, Value, Value, Value, data.View]:
        """Batches to pieces ``[positions][timesteps][piece]``; returns what is to become of a piece."""
        config, batch = self._config, self.batch
        about = Signal(self._layout, reset_less=True)
        for lane in range(config.lanes):
            fresh = Cat(self.spikes[neuron * config.lanes + lane] for neuron in range(config.neurons))
            channels = self.piece_spikes[lane * config.piece : (lane + 1) * config.piece]
            with m.If(batch.valid):
                m.d.sync += channels.eq(Cat(channels[config.neurons :], fresh))
        valid = Signal()
        spikes = Signal()
        residual = Signal()
        ends = batch.valid & batch.last
        starts = batch.destination == Destination.SPIKES_AND_RESIDUAL
        to_spikes = (batch.destination == Destination.SPIKES) | starts
        to_residual = batch.destination == Destination.RESIDUAL
        m.d.sync += [
            valid.eq(ends & (to_spikes | to_residual)),
            spikes.eq(ends & to_spikes),
            residual.eq(ends & to_residual),
        ]
        starts_residual = Signal(reset_less=True)
        with m.If(ends):
            m.d.sync += [about.eq(batch), starts_residual.eq(starts)]
        m.d.comb += self.piece_valid.eq(valid)
        pooled = about.pool & ~about.pool_before if config.pool_before else about.pool
        return spikes, residual, starts_residual, pooled, about

    def _write_spikes(self, m: Module, valid: Value, about: data.View, pool: PoolWriter) -> Value:
        """A piece of all positions, or a pooled position, a cycle later; returns its spikes as they are written."""
        config, write = self._config, self.spike_write
        lane_bits = exact_log2(config.positions)
        late = {
            field: delayed(m, Value.cast(about[field]), OrPool.latency, name=f"pooled_{field}")
            for field in ("slice_address", "piece", "layer", *(("time_chunk",) if config.time_chunks > 1 else ()))
        }
        pooled_word = multiple(
            m, pool.position >> lane_bits, self.descriptor.time_chunks, config.time_chunks, name="pooled_word"
        )
        slice_address = Signal.like(about.slice_address)
        group = Signal.like(about.slice_address)
        piece = Signal.like(about.piece)
        spikes = Signal.like(self.piece_spikes)
        banks = Signal.like(write.banks)
        layer = Signal.like(self.spike_layer)
        m.d.comb += [
            group.eq(about.position_group),
            slice_address.eq(about.slice_address),
            piece.eq(about.piece),
            spikes.eq(self.piece_spikes),
            banks.eq((1 << config.positions) - 1),
            layer.eq(about.layer),
        ]
        if config.pool_before:
            with m.If(about.pool_before):
                m.d.comb += [
                    spikes.eq(self.piece_spikes[: len(pool.spikes)].replicate(config.positions)),
                    banks.eq(_one_hot(about.bank, config.positions)),
                ]
        with m.If(pool.valid):
            m.d.comb += [
                group.eq(pooled_word + late["time_chunk"] if config.time_chunks > 1 else pooled_word),
                slice_address.eq(late["slice_address"]),
                piece.eq(late["piece"]),
                spikes.eq(pool.spikes.replicate(config.positions)),
                banks.eq(_one_hot(pool.position[:lane_bits], config.positions)),
                layer.eq(late["layer"]),
            ]
        # A register between the choice and the memories, whose ports are many and far apart.
        written = delayed(m, spikes, CHOICE_LATENCY, name="written")
        m.d.comb += [
            write.valid.eq(delayed(m, valid | pool.valid, CHOICE_LATENCY, name="write_valid", reset=True)),
            write.address.eq(
                delayed(m, (slice_address + group)[: len(slice_address)], CHOICE_LATENCY, name="write_address")
            ),
            write.pieces.eq(
                delayed(m, from_piece_on(_one_hot(piece, config.word_pieces)), CHOICE_LATENCY, name="write_pieces")
            ),
            write.banks.eq(delayed(m, banks, CHOICE_LATENCY, name="write_banks")),
            self.spike_layer.eq(delayed(m, layer, CHOICE_LATENCY, name="write_layer")),
        ]
        for lane in range(config.lanes):
            channels = written.word_select(lane, config.piece)
            m.d.comb += write.data.word_select(lane, config.inputs).eq(channels.replicate(config.word_pieces))
        return written


def _one_hot(number: Value, choices: int) -> Value:
    """A mask of one of `choices` bits."""
    return 1 << number if choices > 1 else Value.cast(1)
