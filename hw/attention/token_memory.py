"""Memories of the attention engine: K and V of two heads."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.attention.geometry import AttentionGeometry
from hw.attention.token_write import TokenWrite
from hw.config import HardwareConfig
from hw.parts.delay import delayed
from hw.parts.dual_port import dual_port_memory


class AttentionMemory(wiring.Component):
    """K and V, two heads of each: one is read by a job while the other one is written.

    Channel i of a buffer lies at ``(buffer, i, chunk)``, each rounded up to whole bits; with several time chunks at
    ``(buffer, i, time_chunk, chunk)``. A word of K and a word of V per
    cycle, `latency` cycles later; a write takes one cycle.

    No word is read in the cycle in which it is written: a job reads words of its own buffer only, and these are written
    between jobs only, the last one before `start`.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    token_write : In(TokenWrite)
        A word of K or V.
    read : In(1)
        Read enable.
    buffer : In(1), key_channel, value_channel : In(channel bits), chunk : In(chunk bits)
        What is read.
    time_chunk : In(range(time_chunks))
        Of it; only with several.
    key, value : Out(word_bits)
        The words, ``[timesteps][chunk_tokens]``.
    """

    latency = 2
    """Cycles from addresses to words: block RAM and its output register."""

    def __init__(self, config: HardwareConfig):
        self._config = config
        geometry = AttentionGeometry(config)
        word = unsigned(geometry.word_bits)
        chunked = {"time_chunk": In(range(config.time_chunks))} if config.time_chunks > 1 else {}
        super().__init__(
            {
                "token_write": In(TokenWrite(config)),
                "read": In(1),
                "buffer": In(1),
                "key_channel": In(unsigned(geometry.channel_bits)),
                "value_channel": In(unsigned(geometry.channel_bits)),
                "chunk": In(unsigned(geometry.chunk_bits)),
                "key": Out(word),
                "value": Out(word),
                **chunked,
            }
        )

    def elaborate(self, platform):
        m = Module()
        token = self.token_write
        written, chunk = Cat(token.chunk, token.channel, token.buffer), self.chunk
        if self._config.time_chunks > 1:
            written = Cat(token.chunk, token.time_chunk, token.channel, token.buffer)
            chunk = Cat(self.chunk, self.time_chunk)
        for is_value, name, channel in ((0, "key", self.key_channel), (1, "value", self.value_channel)):
            # Left to itself a tool may take LUTs for so few words.
            read, write = dual_port_memory(
                m, name=f"{name}s", width=len(token.data), depth=1 << len(written), block=True
            )
            m.d.comb += [
                write.addr.eq(written),
                write.data.eq(token.data),
                write.en.eq(token.valid & (token.is_value == is_value)),
                read.addr.eq(Cat(chunk, channel, self.buffer)),
                read.en.eq(self.read),
                # Without reset, to become the block RAM's own output register.
                getattr(self, name).eq(delayed(m, read.data, self.latency - 1, name=f"{name}_word")),
            ]
        return m
