"""Which tile of sums the neurons read, and when they may begin."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.array.step import DRAIN_BUFFERS
from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR


def tile_layout(config: HardwareConfig) -> data.StructLayout:
    """The tile of sums that is read: a position tile of an output tile.

    ``first`` and ``last``: it is the output tile's first or last position tile; ``next_last``: the one after it will be
    the last. ``last_output_tile``: it belongs to the layer's last output tile. ``chunk``: its number, as far as K and V
    need it. ``buffer`` (of two halves, the first one's) and ``parity``: where its sums and its parameters are.
    """
    return data.StructLayout(
        {
            "first": 1,
            "last": 1,
            "next_last": 1,
            "last_output_tile": 1,
            "chunk": range(max(2, config.token_chunks)),
            "buffer": range(DRAIN_BUFFERS),
            "parity": 1,
        }
    )


class TileWalk(wiring.Component):
    """Walks the tiles of sums of a layer, each as soon as it is complete: within an output tile its position tiles.

    A tile is read from the cycle after it begins until `tile_end`. It begins one cycle after its `tile_done` (the later
    one, of two halves), `plan_latency` cycles after `start`, or with the end of the tile before, whichever is latest.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    plan_latency : int
        Cycles from `start` until a tile may begin, at least 2: the layer's `ReadPlan` is there.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR), wide : In(1)
        A layer, and whether every tile of it takes two drain buffers; `start` only while `done`.
    tile_done : In(1)
        A drain buffer is full; they are filled in turn, whatever the layer.
    tile_end : In(1)
        The last read of the tile, in which all that follows is known.
    reading : Out(1), tile : Out(tile_layout(config))
        Whether a tile is read, and which one: between tiles, the next one.
    buffers_freed : Out(2)
        Drain buffers that are free from the next cycle on.
    output_tile_drained, layer_done : Out(1)
        Pulses with the last read of an output tile, of a layer.
    done : Out(1)
        No layer is being read.
    """

    def __init__(self, config: HardwareConfig, plan_latency: int):
        self._plan_latency = plan_latency
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "wide": In(1),
                "tile_done": In(1),
                "tile_end": In(1),
                "reading": Out(1),
                "tile": Out(tile_layout(config)),
                "buffers_freed": Out(2),
                "output_tile_drained": Out(1),
                "layer_done": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.output_tile_drained.eq(self.tile_end & self.tile.last),
            self.layer_done.eq(self.output_tile_drained & self.tile.last_output_tile),
        ]
        busy = self._follow_layer(m)
        self._follow_buffers(m, busy)
        self._count_tiles(m)
        self._count_output_tiles(m)
        return m

    def _follow_layer(self, m: Module) -> Signal:
        """Whether there is a layer: from the cycle after its start to its last read."""
        busy = Signal()
        m.d.comb += self.done.eq(~busy & ~self.start)
        with m.If(self.layer_done):
            m.d.sync += busy.eq(0)
        with m.If(self.start):
            m.d.sync += busy.eq(1)
        return busy

    def _follow_buffers(self, m: Module, busy: Signal) -> None:
        """Begin a tile when all of it is in the drain buffers, and free them with its end."""
        of_tile = Signal(2)
        full = Signal(range(DRAIN_BUFFERS + 1))
        complete = Signal()
        begin = Signal()
        planned = busy
        for cycle in range(2, self._plan_latency + 1):
            for_so_long = Signal(name=f"busy_for_{cycle}")
            m.d.sync += for_so_long.eq(planned & busy)
            planned = for_so_long
        m.d.comb += [
            of_tile.eq(Mux(self.wide, 2, 1)),
            complete.eq(Mux(self.wide, full >= 2, full != 0)),
            begin.eq(busy & planned & complete & (~self.reading | (self.tile_end & ~self.layer_done))),
            self.buffers_freed.eq(Mux(self.tile_end, of_tile, 0)),
        ]
        m.d.sync += full.eq(full + self.tile_done - Mux(begin, of_tile, 0))
        with m.If(begin):
            m.d.sync += self.reading.eq(1)
        with m.Elif(self.tile_end):
            m.d.sync += self.reading.eq(0)

        buffer = Signal.like(self.tile.buffer)
        m.d.comb += self.tile.buffer.eq(buffer)
        with m.If(self.tile_end):
            m.d.sync += buffer.eq(buffer + of_tile)

    def _count_tiles(self, m: Module) -> None:
        """The position tiles of an output tile. A register says that one is the last: a tile's end must not wait."""
        d = self.descriptor
        first = Signal(init=1)
        last = Signal()
        next_last = Signal()
        left = Signal.like(d.tiles, name="tiles_left")
        one_tile = Signal()
        chunk = Signal.like(self.tile.chunk)
        m.d.comb += [
            next_last.eq(Mux(last, one_tile, left == 2)),
            self.tile.first.eq(first),
            self.tile.last.eq(last),
            self.tile.next_last.eq(next_last),
            self.tile.chunk.eq(chunk),
        ]
        m.d.sync += one_tile.eq(d.tiles == 1)
        with m.If(self.tile_end):
            m.d.sync += [
                first.eq(last),
                last.eq(next_last),
                left.eq(Mux(last, d.tiles, left - 1)),
                chunk.eq(Mux(last, 0, chunk + 1)),
            ]
        with m.If(self.start):
            m.d.sync += [last.eq(d.tiles == 1), left.eq(d.tiles)]

    def _count_output_tiles(self, m: Module) -> None:
        """The output tiles of a layer, whose parameters are in two buffers in turn."""
        d = self.descriptor
        last = Signal(name="last_output_tile")
        left = Signal.like(d.output_tiles, name="output_tiles_left")
        parity = Signal()
        m.d.comb += [self.tile.last_output_tile.eq(last), self.tile.parity.eq(parity)]
        with m.If(self.output_tile_drained):
            m.d.sync += [parity.eq(~parity), left.eq(left - 1), last.eq(left == 2)]
        with m.If(self.start):
            m.d.sync += [left.eq(d.output_tiles), last.eq(d.output_tiles == 1)]
