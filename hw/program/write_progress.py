"""When what the neurons have read is written."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR


class WriteProgress(wiring.Component):
    """Knows what of a layer has been written from when the neurons read it, `written_latency` cycles before.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    written_latency : int
        Cycles from a read of the neurons to the last write of what it has given, an upper bound.

    Members
    -------
    clear : In(1)
        Nothing is on its way, and no slice counts, from the next cycle on.
    output_tile_read, layer_read : In(1)
        Pulses: the neurons made the last read of an output tile, of a layer.
    layer_written : Out(1)
        Pulse: the layer is written.
    slices : Out(10)
        Complete word slices of the layer that is being written.
    """

    def __init__(self, config: HardwareConfig, written_latency: int):
        self._config, self._written_latency = config, written_latency
        super().__init__(
            {
                "clear": In(1),
                "output_tile_read": In(1),
                "layer_read": In(1),
                "layer_written": Out(1),
                "slices": Out(DESCRIPTOR["slices"].shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        # A bit for every cycle on the way.
        tiles = Signal(self._written_latency)
        layers = Signal(self._written_latency)
        slice_bits = exact_log2(config.word_pieces)
        pieces = Signal(len(self.slices) + slice_bits, reset_less=True)
        with m.If(self.clear):
            m.d.sync += [tiles.eq(0), layers.eq(0), pieces.eq(0)]
        with m.Else():
            m.d.sync += [tiles.eq(Cat(self.output_tile_read, tiles)), layers.eq(Cat(self.layer_read, layers))]
            with m.If(self.layer_written):
                m.d.sync += pieces.eq(0)
            with m.Elif(tiles[-1]):
                m.d.sync += pieces.eq(pieces + config.tile_pieces)
        m.d.comb += [self.layer_written.eq(layers[-1]), self.slices.eq(pieces >> slice_bits)]
        return m
