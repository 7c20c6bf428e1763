"""What the neurons read of a tile of sums, cycle by cycle."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.neurons.membranes import membrane_words
from hw.neurons.read_pace import ReadPace
from hw.neurons.read_plan import tile_lengths
from hw.neurons.tile_walk import tile_layout


def read_layout(config: HardwareConfig) -> data.StructLayout:
    """What is read in a cycle, and what ends with it.

    ``valid``: there is a read (of two halves, the second one). ``first``: it is the first one of its beat (see
    `ReadPace`). ``beat_end``, ``word_end``, ``tile_end``: it is the last one of its beat, of a word, of its tile.
    ``group``: word of sums in the tile; ``lane``: of an image's word the time-step lane that is a position group of its
    own; ``select``: batch of the output tile. ``time_chunk``: its time chunk, ``next_time_chunk`` and
    ``last_time_chunk``: the one that follows in its layer, and whether it is the last.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "first": 1,
            "beat_end": 1,
            "word_end": 1,
            "tile_end": 1,
            "group": range(config.tile_groups),
            "lane": range(max(2, config.timesteps)),
            "select": range(config.outputs // config.neurons),
            "time_chunk": range(max(2, config.time_chunks)),
            "next_time_chunk": range(max(2, config.time_chunks)),
            "last_time_chunk": 1,
        }
    )


class ReadWalk(wiring.Component):
    """Walks the sums of a tile in one of two orders, at the pace of `ReadPace`.

    Words for the spike or residual memory: position group, (in an image layer the time-step lane that is a position
    group of its own,) piece, batch. K, V and logits: batch, position group.

    In a machine of several time chunks a position group has a word for each of them, side by side. Words are read in
    their order; in an image layer, where one sum serves all time steps, every position group is read once per chunk.
    For K, V and logits the order is batch, chunk, position group.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    descriptor : In(DESCRIPTOR)
        The layer.
    wide, channel_order, time_chunks, lengths, last_lengths : In
        Its `ReadPlan`.
    reading : In(1), tile : In(tile_layout(config))
        Whether a tile is read, and which one.
    half : Out(1)
        The second half of a read.
    read : Out(read_layout(config))
        The read.
    membrane : Out
        Only with several time chunks. Where the read's membranes are kept.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        carry = {"membrane": Out(range(membrane_words(config)))} if config.time_chunks > 1 else {}
        super().__init__(
            {
                "descriptor": In(DESCRIPTOR),
                "wide": In(1),
                "channel_order": In(1),
                "time_chunks": In(range(max(2, config.time_chunks + 1))),
                "lengths": In(tile_lengths(config)),
                "last_lengths": In(tile_lengths(config)),
                "reading": In(1),
                "tile": In(tile_layout(config)),
                "half": Out(1),
                "read": Out(read_layout(config)),
                **carry,
            }
        )

    def elaborate(self, platform):
        m = Module()
        tile, read, image = self.tile, self.read, self.descriptor.image
        lengths = self._lengths_of(m, tile.last, "lengths_of_tile")
        next_lengths = self._lengths_of(m, Mux(read.tile_end, tile.next_last, tile.last), "lengths_of_next")
        m.submodules.pace = pace = ReadPace(self._config)
        m.d.comb += [
            pace.reading.eq(self.reading),
            pace.wide.eq(self.wide),
            pace.lengths.eq(lengths),
            pace.next_lengths.eq(next_lengths),
            self.half.eq(pace.half),
            read.valid.eq(pace.read),
            read.first.eq(pace.first),
            read.beat_end.eq(pace.last),
        ]
        pieces = Signal.like(self.descriptor.tile_pieces, name="pieces")
        m.d.comb += pieces.eq(Mux(tile.last_output_tile, self.descriptor.last_tile_pieces, self.descriptor.tile_pieces))
        # From the inside outwards, each count going on where the one within it ends.
        piece_end = read.beat_end & ~self.channel_order
        last_piece = self._count_pieces(m, pieces, piece_end)
        m.d.comb += read.word_end.eq(piece_end & last_piece)
        self._count_time_chunks(m, Mux(self.channel_order, read.beat_end, read.word_end))
        # A sum of the image serves every chunk.
        last_of_lane = last_piece & (read.last_time_chunk | ~image)
        lane_end = piece_end & last_of_lane
        last_lane = self._count_lanes(m, lane_end)
        last_group = self._count_groups(m, lane_end & last_lane, lengths, next_lengths)
        last_batch = self._count_batches(m, pieces)
        m.d.comb += read.tile_end.eq(
            read.beat_end
            & Mux(self.channel_order, read.last_time_chunk & last_batch, last_of_lane & last_lane & last_group)
        )
        if self._config.time_chunks > 1:
            m.d.comb += self.membrane.eq(Mux(self.channel_order, pace.number, read.select))
        return m

    def _lengths_of(self, m: Module, last: Value, name: str) -> data.View:
        """Lengths of an output tile's last position tile, or of another one."""
        lengths = Signal(tile_lengths(self._config), name=name)
        m.d.comb += lengths.eq(Mux(last, self.last_lengths.as_value(), self.lengths.as_value()))
        return lengths

    def _count_pieces(self, m: Module, pieces: Signal, piece_end: Value) -> Value:
        """Pieces of a word; whether it is the last one."""
        if self._config.tile_pieces == 1:
            return Const(1)
        piece = Signal(range(self._config.tile_pieces))
        last = Signal(name="last_piece")
        m.d.comb += last.eq(piece + 1 == pieces)
        with m.If(piece_end):
            m.d.sync += piece.eq(Mux(last, 0, piece + 1))
        return last

    def _count_time_chunks(self, m: Module, chunk_end: Value) -> None:
        """Time chunks of a position group or, in channel order, of a batch."""
        read = self.read
        if self._config.time_chunks == 1:
            m.d.comb += read.last_time_chunk.eq(1)
            return
        chunk = Signal.like(read.time_chunk, name="time_chunk")
        m.d.comb += [
            read.time_chunk.eq(chunk),
            read.last_time_chunk.eq(chunk == self.time_chunks - 1),
            read.next_time_chunk.eq(Mux(read.last_time_chunk, 0, chunk + 1)),
        ]
        with m.If(chunk_end):
            m.d.sync += chunk.eq(read.next_time_chunk)

    def _count_lanes(self, m: Module, lane_end: Value) -> Value:
        """Position groups of an image's word of sums; whether it is the last one."""
        if self._config.timesteps == 1:
            return Const(1)
        lane = Signal.like(self.read.lane)
        last = Signal(name="last_lane")
        m.d.comb += [
            self.read.lane.eq(lane),
            last.eq(~self.descriptor.image | (lane == self._config.timesteps - 1)),
        ]
        with m.If(lane_end):
            m.d.sync += lane.eq(Mux(last, 0, lane + 1))
        return last

    def _count_groups(self, m: Module, word_read: Value, lengths: data.View, next_lengths: data.View) -> Value:
        """Words of sums in the tile; whether it is the last one.

        In channel order a word is read in every read, and of the words of a group the one of the time chunk.
        """
        read, in_channel_order = self.read, self.channel_order
        group = Signal.like(read.group)
        following = Signal(len(group) + 1, name="next_group")
        last = Signal(name="last_group")
        m.d.comb += [
            read.group.eq(group),
            following.eq(group + Mux(in_channel_order, self.time_chunks, 1)),
        ]
        with m.If(Mux(in_channel_order, read.valid, word_read)):
            m.d.sync += [group.eq(following), last.eq(following == lengths.last_group)]
        beat_end = in_channel_order & read.beat_end
        with m.If(~self.reading | read.tile_end | beat_end):
            m.d.sync += [group.eq(Mux(beat_end, read.next_time_chunk, 0)), last.eq(next_lengths.one_group)]
        return last

    def _count_batches(self, m: Module, pieces: Signal) -> Value:
        """Batches of the output tile, counted in both orders; whether it is the last one."""
        config, read = self._config, self.read
        batches = config.outputs // config.neurons
        select = Signal.like(read.select)
        following = Signal(len(select) + 1, name="next_select")
        last = Signal(name="last_batch")
        m.d.comb += [
            read.select.eq(select),
            following.eq(select + 1),
            last.eq(following == (pieces * (config.piece // config.neurons) if config.tile_pieces > 1 else batches)),
        ]
        with m.If(Mux(self.channel_order, read.beat_end & read.last_time_chunk, read.valid)):
            m.d.sync += select.eq(following)
        with m.If(read.tile_end | read.word_end):
            m.d.sync += select.eq(0)
        return last
