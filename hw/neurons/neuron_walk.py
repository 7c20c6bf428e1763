"""The order in which the neurons read finished sums, and what travels beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.array.weight_array import DRAIN_BUFFERS
from hw.config import WEIGHT_BITS, HardwareConfig
from hw.descriptor import DESCRIPTOR, Destination
from hw.neurons.batch import batch_layout
from hw.neurons.membranes import membrane_words
from hw.parts.delay import delayed

CHANNEL_ORDER = (Destination.KEYS, Destination.VALUES, Destination.LOGITS)
"""Destinations that are read channel by channel."""

BESIDE_ATTENTION = 2
"""Fewest cycles of a piece that may be written to the spike memory beside attention, whose write it holds for one."""


def drain_cycles(config: HardwareConfig, fields: Mapping[str, int], groups: int, pieces: int) -> int:
    """Cycles in which the neurons read one position tile of one output tile.

    Parameters
    ----------
    config : HardwareConfig
    fields : mapping
        The layer's descriptor; what is missing is 0.
    groups, pieces : int
        Words of sums and pieces of the tile.
    """
    reads = config.piece // config.neurons
    destination = Destination(fields.get("destination", 0))
    halves, pace = 1 + fields.get("wide", 0), fields.get("pace", 0)
    chunks = max(1, fields.get("time_chunks", 0))
    if destination in CHANNEL_ORDER:
        return pieces * reads * chunks * max(groups // chunks, config.neurons, pace) * halves
    behind = 0
    if destination == Destination.RESIDUAL:
        behind = fields.get("residual_planes_out", 0)
    elif destination == Destination.SPIKES and fields.get("overlaps"):
        behind = BESIDE_ATTENTION // halves
    words = groups * config.timesteps * chunks if fields.get("image") else groups
    return words * pieces * max(reads, behind, pace) * halves


@dataclass(frozen=True, eq=False)
class _Chunks:
    """Time chunk of the read and of what follows it, whether it is the last one, and how many a layer has."""

    index: Signal
    following: Signal
    last: Signal
    count: Value


class NeuronWalk(wiring.Component):
    """Walks a layer's tiles of sums, batch by batch, as soon as they are complete.

    Two orders, by destination. Words for the spike or residual memory: position group, (in an image layer the
    time-step lane that is a position group of its own,) piece, batch; a piece takes the time of
    ``max(piece / neurons, residual_planes_out)`` reads, in a layer that overlaps at least `BESIDE_ATTENTION` cycles. K,
    V and logits: batch, position group; a batch takes the time of ``max(groups, neurons)`` reads. So much time is
    between the ends of any two of them, and what is behind the neurons needs it: a pause comes in front of the reads,
    for the ones before may have had none. In a layer of 8-bit weights a read takes two cycles, one for each half;
    otherwise one.

    In a machine of several time chunks a position group has a word for each of them, side by side. Words are read in
    their order; in an image layer, where one sum serves all time steps, every position group is read once per chunk.
    For K, V and logits the order is batch, chunk, position group, and the time is that of a batch and chunk. It, or the
    time of a piece, is at least ``pace`` reads, so that membranes are back when they are wanted (see `Membranes`).

    The first read of a tile is made 2 cycles after its `tile_done` (the later one, of two halves), or 3 cycles after
    `start`, or one cycle after the last read of the tile before, whichever is latest; the last one
    ``drain_cycles(...) - 1`` cycles later, with `buffers_freed`, `output_tile_drained` and `layer_done`. `done` is high
    from the next cycle on.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR)
        A layer; `start` only while `done`.
    tile_done : In(1)
        A drain buffer is full; they are filled in turn, whatever the layer.
    group : Out, buffer : Out(2), select : Out
        The read: position group, drain buffer, batch within the output tile.
    parity : Out(1)
        Parameter buffer of the batch.
    wide, image : Out(1), sub : Out
        Of the read: its layer has 8-bit weights, is an image layer; the time-step lane that is its position group.
    batch : Out(batch_layout(config))
        Belongs to the read of one cycle ago, of two halves to the second one.
    membrane : Out
        Only with several time chunks. Where the batch's membranes are kept.
    buffers_freed : Out(2)
        Drain buffers that are free from the next cycle on.
    output_tile_drained, layer_done : Out(1)
        Pulses with the last read of an output tile, of a layer.
    done : Out(1)
        No layer is being read.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        carry = {"membrane": Out(range(membrane_words(config)))} if config.time_chunks > 1 else {}
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "tile_done": In(1),
                "group": Out(range(config.tile_groups)),
                "buffer": Out(range(DRAIN_BUFFERS)),
                "select": Out(range(config.outputs // config.neurons)),
                "parity": Out(1),
                "wide": Out(1),
                "image": Out(1),
                "sub": Out(range(max(2, config.timesteps))),
                "batch": Out(batch_layout(config)),
                "buffers_freed": Out(2),
                "output_tile_drained": Out(1),
                "layer_done": Out(1),
                "done": Out(1),
                **carry,
            }
        )

    def elaborate(self, platform):
        m = Module()
        d = self.descriptor
        # Of this cycle's read; the next one's addresses are made a cycle late, which leaves time to know its end.
        self._batch = batch = Signal(batch_layout(self._config))
        self._channel_order = Signal()
        self._last_output_tile = Signal()
        m.d.sync += self._channel_order.eq(_is_one_of(d.destination, CHANNEL_ORDER))
        m.d.comb += [
            batch.layer.eq(d.layer),
            batch.destination.eq(d.destination),
            batch.token_buffer.eq(d.token_buffer),
            batch.pool.eq(d.pool),
        ]
        self._chunks = self._count_chunks(m)
        # The last cycle of a read, and of a tile. A register says that a count is at its end; for that it must be known
        # whether the next tile is the last one.
        tick = Signal()
        last = Signal()
        last_tile = Signal()
        next_last_tile = Signal()
        running = self._follow_tiles(m, tick, last, last_tile, next_last_tile)
        end_of_tile = Mux(last, next_last_tile, last_tile)
        reading, beat_end, word_end = self._follow_reads(m, running, tick, last, last_tile, end_of_tile)
        self._follow_channels(m)
        self._follow_positions(m, reading, beat_end, word_end, last)
        for field, _ in batch.shape():
            if field in ("slice_address", "piece"):
                continue
            value = Value.cast(batch[field])
            m.d.comb += self.batch[field].eq(delayed(m, value, 1, name=f"batch_{field}", reset=field == "valid"))
        self._follow_addresses(m, beat_end, word_end)
        return m

    def _count_chunks(self, m: Module) -> _Chunks | None:
        """The time chunk of the read and, by it, the time steps in use; None in a machine of a single one."""
        most, d, batch = self._config.time_chunks, self.descriptor, self._batch
        steps = (1 << d.timesteps) - 1
        if most == 1:
            m.d.comb += batch.steps.eq(steps)
            return None
        index = Signal(range(most))
        following = Signal(range(most))
        last = Signal()
        count = d.time_chunks[: most.bit_length()]
        m.d.comb += [
            last.eq(index == count - 1),
            following.eq(Mux(last, 0, index + 1)),
            batch.time_chunk.eq(index),
            batch.steps.eq(Mux(last, steps, ~0)),
        ]
        return _Chunks(index, following, last, count)

    def _follow_tiles(
        self, m: Module, tick: Signal, last: Signal, last_tile: Signal, next_last_tile: Signal
    ) -> Signal:  # fmt: skip
        """Output tiles and position tiles, and when to begin the next one; returns whether one is being read."""
        config, d, batch = self._config, self.descriptor, self._batch
        has_wide = config.weight_bits > WEIGHT_BITS
        pending = Signal(range(DRAIN_BUFFERS + 1))
        enough = Signal()
        begin = Signal()
        busy = Signal()
        running = Signal()
        half = Signal()
        buffers = Signal(2)
        tiles_left = Signal.like(d.tiles)
        output_tiles_left = Signal.like(d.output_tiles)
        # Of the layer; its derived lengths are in their registers.
        one_tile = Signal()
        prepared = Signal()
        m.d.sync += [one_tile.eq(d.tiles == 1), prepared.eq(busy)]
        first_buffer = Signal.like(self.buffer)
        chunk = Signal.like(batch.chunk)
        first_tile = Signal(init=1)
        m.d.comb += [
            self.wide.eq(d.wide if has_wide else 0),
            self.image.eq(d.image),
            buffers.eq(Mux(self.wide, 2, 1)),
            enough.eq(Mux(self.wide, pending >= 2, pending != 0)),
            begin.eq(busy & prepared & enough & (~running | (last & ~self.layer_done))),
            tick.eq(running & (half | ~self.wide)),
            self.buffer.eq(first_buffer + half),
            next_last_tile.eq(Mux(last_tile, one_tile, tiles_left == 2)),
            self.buffers_freed.eq(Mux(last, buffers, 0)),
            self.output_tile_drained.eq(last & last_tile),
            self.layer_done.eq(last & last_tile & self._last_output_tile),
            self.done.eq(~busy & ~self.start),
            batch.chunk.eq(chunk),
            batch.first_tile.eq(first_tile & (self._chunks.index == 0) if self._chunks else first_tile),
            batch.last_tile.eq(last_tile & self._chunks.last if self._chunks else last_tile),
        ]
        m.d.sync += pending.eq(pending + self.tile_done - Mux(begin, buffers, 0))
        if has_wide:
            m.d.sync += half.eq(running & self.wide & ~half)
        with m.If(begin):
            m.d.sync += running.eq(1)
        with m.Elif(last):
            m.d.sync += running.eq(0)
        with m.If(last):
            m.d.sync += [
                first_buffer.eq(first_buffer + buffers), last_tile.eq(next_last_tile), first_tile.eq(last_tile),
                tiles_left.eq(Mux(last_tile, d.tiles, tiles_left - 1)), chunk.eq(Mux(last_tile, 0, chunk + 1)),
            ]  # fmt: skip
        with m.If(self.output_tile_drained):
            m.d.sync += [
                self.parity.eq(~self.parity), output_tiles_left.eq(output_tiles_left - 1),
                self._last_output_tile.eq(output_tiles_left == 2),
            ]  # fmt: skip
        with m.If(self.layer_done):
            m.d.sync += busy.eq(0)
        with m.If(self.start):
            m.d.sync += [
                busy.eq(1), output_tiles_left.eq(d.output_tiles), self._last_output_tile.eq(d.output_tiles == 1),
                last_tile.eq(d.tiles == 1), tiles_left.eq(d.tiles),
            ]  # fmt: skip
        return running

    def _follow_reads(
        self, m: Module, running: Signal, tick: Signal, last: Signal, last_tile: Signal, end_of_tile: Value
    ) -> tuple[Value, ...]:  # fmt: skip
        """Reads of a tile; returns whether there is one, the ends of a piece or batch and of a position group."""
        config, d, batch = self._config, self.descriptor, self._batch
        reads = config.piece // config.neurons
        batches = config.outputs // config.neurons
        chunks = self._chunks
        # Ticks that a piece or a batch takes at least, less one.
        least = Signal.like(d.pace if chunks else d.residual_planes_out)
        beside: Value | int = 0
        if reads < BESIDE_ATTENTION:  # a read more; of 8-bit weights one is two cycles already
            beside = (d.destination == Destination.SPIKES) & d.overlaps & ~self.wide
        least_words = Mux(d.destination == Destination.RESIDUAL, d.residual_planes_out - 1, beside)
        behind = Mux(_is_one_of(d.destination, CHANNEL_ORDER), config.neurons - 1, least_words)
        if chunks:
            behind = Mux(behind + 1 < d.pace, d.pace - 1, behind)
        m.d.sync += least.eq(behind)
        tiles = [self._lengths(m, kind, least) for kind in ("", "last_")]
        now, then = (
            data.View(tiles[0].shape(), Mux(end, tiles[1].as_value(), tiles[0].as_value()))
            for end in (last_tile, end_of_tile)
        )
        pieces = Signal.like(d.tile_pieces)
        m.d.comb += pieces.eq(Mux(self._last_output_tile, d.last_tile_pieces, d.tile_pieces))

        # A piece or a batch of channels takes a number of ticks, of which the last ones read.
        beat = Signal.like(now.last_beat)
        next_beat = Signal.like(now.last_beat)
        at_end = Signal()
        at_first = Signal()
        beyond_first = Signal()
        leads = Signal()
        beat_end = Signal()
        reading = Signal()
        m.d.comb += [
            next_beat.eq(beat + 1),
            leads.eq(next_beat == now.lead),
            beat_end.eq(tick & at_end),
            reading.eq(tick & (at_first | beyond_first)),
            batch.first.eq(at_first),
            batch.last.eq(beat_end),
        ]
        with m.If(tick):
            m.d.sync += [
                beat.eq(next_beat), at_end.eq(next_beat == now.last_beat), at_first.eq(leads),
                beyond_first.eq(beyond_first | at_first),
            ]  # fmt: skip
        with m.If(~running | beat_end):
            m.d.sync += [beat.eq(0), at_end.eq(then.one_beat), at_first.eq(then.at_once), beyond_first.eq(0)]

        # Words: pieces of a position group, and the position groups of an image's word of sums.
        next_group = Signal(len(self.group) + 1)
        last_piece = Const(1)
        last_sub = Const(1)
        group_end = Signal()
        piece_end = beat_end & ~self._channel_order
        if config.tile_pieces > 1:
            piece = Signal(range(config.tile_pieces))
            last_piece = Signal()
            m.d.comb += last_piece.eq(piece + 1 == pieces)
            with m.If(piece_end):
                m.d.sync += piece.eq(Mux(last_piece, 0, piece + 1))
        word_end = piece_end & last_piece
        last_chunk, last_of_sub = Const(1), last_piece
        if chunks:
            # A sum of the image serves every chunk.
            last_chunk, last_of_sub = chunks.last, last_piece & (chunks.last | ~d.image)
            m.d.comb += self.membrane.eq(Mux(self._channel_order, beat - now.lead, self.select))
            with m.If(Mux(self._channel_order, beat_end, word_end)):
                m.d.sync += chunks.index.eq(chunks.following)
        sub_end, channel_end = piece_end & last_of_sub, beat_end & last_chunk
        if config.timesteps > 1:
            last_sub = Signal()
            m.d.comb += last_sub.eq(~d.image | (self.sub == config.timesteps - 1))
            with m.If(sub_end):
                m.d.sync += self.sub.eq(Mux(last_sub, 0, self.sub + 1))
        # The position group: in channel order the read's number, or where it lies among the words of all chunks.
        group_step, first_group = 1, 0
        if chunks:
            group_step = Mux(self._channel_order, chunks.count, 1)
            first_group = Mux(self._channel_order & beat_end, chunks.following, 0)
        m.d.comb += next_group.eq(self.group + group_step)
        with m.If(Mux(self._channel_order, reading, sub_end & last_sub)):
            m.d.sync += [self.group.eq(next_group), group_end.eq(next_group == now.last_group)]
        with m.If(~running | last | (self._channel_order & beat_end)):
            m.d.sync += [self.group.eq(first_group), group_end.eq(then.one_group)]

        # Which batch: counted in both orders.
        next_select = Signal(len(self.select) + 1)
        last_batch = Signal()
        m.d.comb += [
            next_select.eq(self.select + 1),
            last_batch.eq(next_select == (pieces * reads if config.tile_pieces > 1 else batches)),
            last.eq(beat_end & Mux(self._channel_order, last_chunk & last_batch, last_of_sub & last_sub & group_end)),
        ]
        with m.If(Mux(self._channel_order, channel_end, reading)):
            m.d.sync += self.select.eq(next_select)
        with m.If(last | word_end):
            m.d.sync += self.select.eq(0)
        return reading, beat_end, word_end

    def _lengths(self, m: Module, kind: str, least: Value) -> data.View:
        """Lengths of one kind of tiles, from the third cycle of a layer on; `least` ticks, less one."""
        config, name = self._config, f"{kind}tile_groups"
        groups = self.descriptor[name]
        reads = config.piece // config.neurons
        longest = range(1 + max(config.tile_groups, reads, 1 << len(least)))
        lengths = Signal(
            data.StructLayout({
                "last_beat": longest, "one_beat": 1, "lead": longest, "at_once": 1,
                "last_group": groups.shape(), "one_group": 1,
            }),
            name=f"{name}_lengths",
        )  # fmt: skip
        wanted, short = Signal(longest, name=f"{name}_wanted"), Signal(name=f"{name}_short")
        of_channel = self.descriptor[f"{kind}chunk_groups"] - 1 if self._chunks else lengths.last_group
        m.d.comb += [
            wanted.eq(Mux(self._channel_order, of_channel, reads - 1)),  # less one
            short.eq(wanted < least),
        ]
        m.d.sync += [
            lengths.last_group.eq(groups - 1), lengths.one_group.eq(groups == 1),
            lengths.last_beat.eq(Mux(short, least, wanted)), lengths.one_beat.eq(~short & (wanted == 0)),
            lengths.lead.eq(Mux(short, least - wanted, 0)), lengths.at_once.eq(~short),
        ]  # fmt: skip
        return lengths

    def _follow_addresses(self, m: Module, beat_end: Value, word_end: Value) -> None:
        """Where the pieces belong: a cycle late, like the batch that leaves."""
        config, d, batch = self._config, self.descriptor, self.batch
        late = (self.start, self.output_tile_drained, beat_end, word_end)
        names = ("late_start", "late_drained", "late_beat_end", "late_word_end")
        start, drained, beat_end, word_end = (
            delayed(m, value, 1, name=name, reset=True) for value, name in zip(late, names, strict=True)
        )
        address = Signal.like(batch.slice_address)
        above = Signal.like(batch.slice_address)
        m.d.comb += [above.eq(address + d.destination_slice_stride), batch.slice_address.eq(address)]
        if config.tile_pieces > 1:
            # Every position group begins with the output tile's first slice again.
            first_slice = Signal.like(address)
            with m.If(drained):
                m.d.sync += [first_slice.eq(above), address.eq(above)]
            with m.Elif(word_end):
                m.d.sync += address.eq(first_slice)
            with m.Elif(beat_end):
                m.d.sync += address.eq(above)
            with m.If(start):
                m.d.sync += [first_slice.eq(d.destination_base), address.eq(d.destination_base)]
        else:
            piece = Signal.like(batch.piece)
            last_piece = piece == config.word_pieces - 1
            m.d.comb += batch.piece.eq(piece)
            with m.If(drained):
                m.d.sync += piece.eq(Mux(last_piece, 0, piece + 1))
                with m.If(last_piece):
                    m.d.sync += address.eq(above)
            with m.If(start):
                m.d.sync += [piece.eq(0), address.eq(d.destination_base)]

    def _follow_channels(self, m: Module) -> None:
        """The number of the batch's first channel."""
        config, batch = self._config, self._batch
        batches = config.outputs // config.neurons
        first_batch = Signal(len(batch.channel) - exact_log2(config.neurons))
        with m.If(self.output_tile_drained):
            m.d.sync += first_batch.eq(first_batch + batches)
        with m.If(self.start):
            m.d.sync += first_batch.eq(0)
        # Where an output tile is a power of two, the sum is none.
        aligned = batches & (batches - 1) == 0
        number = first_batch | self.select if aligned else first_batch + self.select
        m.d.comb += batch.channel.eq(number << exact_log2(config.neurons))

    def _follow_positions(self, m: Module, reading: Value, beat_end: Value, word_end: Value, last: Signal) -> None:
        """Position group of the batch, and which of its lanes are positions."""
        config, d, batch = self._config, self.descriptor, self._batch
        lane_bits = exact_log2(config.positions)
        groups = DESCRIPTOR["groups"].shape
        at = Signal(groups)
        following = Signal(groups)
        tile_start = Signal(groups)
        partial = Signal()
        beyond = Signal()
        first_partial = d.positions >> lane_bits
        channel_step, partial_end, restart = reading, word_end & partial, tile_start
        if self._chunks:
            # Words, not groups, are counted: a tile's last one is followed by the next tile's first one.
            channel_step = Mux(reading, Mux(last, 1, self._chunks.count), 0)
            partial_end = word_end & partial & self._chunks.last
            restart = tile_start + self._chunks.following
        m.d.comb += [
            following.eq(at + Mux(self._channel_order, channel_step, word_end)),
            partial.eq(at >= first_partial if self._chunks else at == first_partial),
            batch.position_group.eq(at),
            # The last word of an image's sums may hold whole groups that are none.
            batch.valid.eq(reading & batch.lanes.any()),
        ]
        for lane in range(config.positions):
            m.d.comb += batch.lanes[lane].eq(~beyond & (~partial | (lane < d.positions[:lane_bits])))
        m.d.sync += at.eq(following)
        with m.If(partial_end):
            m.d.sync += beyond.eq(1)
        with m.If(beat_end & self._channel_order):
            m.d.sync += at.eq(restart)
        with m.If(last):
            m.d.sync += [at.eq(following), tile_start.eq(following), beyond.eq(0)]
        with m.If(self.output_tile_drained):
            m.d.sync += [at.eq(0), tile_start.eq(0)]


def _is_one_of(value: Value, choices: tuple[Destination, ...]) -> Value:
    """Whether a destination is one of several."""
    return Cat(value == choice for choice in choices).any()
