"""The write of a word of K or V: what the neurons' write-back hands to the attention engine."""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hw.config import HardwareConfig


class TokenWrite(wiring.Signature):
    """One word of K or V: the spikes of one channel of a head for all tokens of a position tile.

    Members
    -------
    valid : Out(1)
        Write this cycle.
    is_value : Out(1)
        V, else K.
    buffer : Out(1)
        Which of the two buffers; heads alternate.
    channel : Out(range(head_channels))
        Channel of the head.
    chunk : Out(range(token_chunks))
        Position tile.
    time_chunk : Out(range(time_chunks))
        Time chunk; only with several.
    data : Out(timesteps * chunk_tokens)
        ``[timesteps][chunk_tokens]``, tokens fastest.
    """

    def __init__(self, config: HardwareConfig):
        chunked = {"time_chunk": Out(range(config.time_chunks))} if config.time_chunks > 1 else {}
        super().__init__(
            {
                "valid": Out(1),
                "is_value": Out(1),
                "buffer": Out(1),
                "channel": Out(range(max(2, config.head_channels))),
                "chunk": Out(range(max(2, config.token_chunks))),
                "data": Out(unsigned(config.timesteps * config.chunk_tokens)),
                **chunked,
            }
        )
