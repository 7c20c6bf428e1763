"""Takes pieces through the OR-pool, position by position."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.parts.small_multiple import multiple
from hw.pool.or_pool import OrPool

MAX_POOL_SIDE = 256
"""Largest side of a feature map before a pool."""

MAX_POOLED = (MAX_POOL_SIDE // 2) ** 2


def pool_latency(config: HardwareConfig) -> int:
    """Cycles from a piece to its last pooled position: an upper bound."""
    return config.positions - 1 + OrPool.latency


class PoolWriter(wiring.Component):
    """Feeds a piece's positions to the OR-pool one after the other.

    A pooled position leaves `OrPool.latency` cycles after the input position that completes it, which is ``p`` cycles
    after the piece for lane ``p``. The next piece may come `positions` cycles after a piece, no sooner. To the pool,
    time chunks are further pieces of a position.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR)
        A layer that pools. Nothing of the one before may be under way.
    piece_valid : In(1), piece : In(lanes * piece)
        ``[positions][timesteps][piece]``, in the order of the neurons.
    valid : Out(1), spikes : Out(timesteps * piece)
        A pooled position of the piece.
    position : Out
        Its number.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "piece_valid": In(1),
                "piece": In(unsigned(config.lanes * config.piece)),
                "valid": Out(1),
                "spikes": Out(unsigned(config.timesteps * config.piece)),
                "position": Out(range(MAX_POOLED)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, d = self._config, self.descriptor
        width = config.timesteps * config.piece
        m.submodules.pool = pool = OrPool(
            width,
            max_width=MAX_POOL_SIDE,
            lanes=config.positions,
            max_words=config.tile_pieces * config.time_chunks,
        )
        # Lane 0 goes in the piece's own cycle, the others from a copy: the next piece is already being collected.
        feeding = Signal()
        position = Signal(width)
        m.d.comb += [feeding.eq(self.piece_valid), position.eq(self.piece)]
        if config.positions > 1:
            left = Signal(exact_log2(config.positions))
            held = Signal(len(self.piece) - width, reset_less=True)
            m.d.sync += held.eq(Mux(self.piece_valid, self.piece[width:], held >> width))
            with m.If(self.piece_valid):
                m.d.sync += left.eq(config.positions - 1)
            with m.Elif(left != 0):
                m.d.sync += left.eq(left - 1)
                m.d.comb += [feeding.eq(1), position.eq(held)]
        m.d.comb += [
            pool.clear.eq(self.start),
            pool.height.eq(d.rows),
            pool.width.eq(d.width),
            pool.words.eq(multiple(m, d.tile_pieces, d.time_chunks, config.time_chunks, name="words")),
            pool.input.valid.eq(feeding),
            pool.input.payload.eq(position),
            pool.output.ready.eq(1),
            self.valid.eq(pool.output.valid),
            self.spikes.eq(pool.output.payload.spikes),
            self.position.eq(pool.output.payload.position),
        ]
        return m
