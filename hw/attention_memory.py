"""Memories of the attention engine: K and K^T V in banks, V."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .attention_geometry import AttentionGeometry
from .config import HardwareConfig
from .delay import delayed


class TokenWrite(wiring.Signature):
    """One word of K or V: the spikes of one channel for all tokens of a position tile.

    Members
    -------
    valid : Out(1)
        Write this cycle.
    is_value : Out(1)
        V, else K.
    channel : Out(range(token_channels))
        Channel of the embedding, ``head * head_channels + channel of the head``.
    chunk : Out(range(token_chunks))
        Position tile.
    data : Out(timesteps * chunk_tokens)
        ``[timesteps][chunk_tokens]``, tokens fastest.
    """

    def __init__(self, config: HardwareConfig):
        super().__init__(
            {
                "valid": Out(1),
                "is_value": Out(1),
                "channel": Out(range(max(2, config.token_channels))),
                "chunk": Out(range(max(2, config.token_chunks))),
                "data": Out(unsigned(AttentionGeometry(config).word_bits)),
            }
        )


class AttentionMemory(wiring.Component):
    """K in `attention_columns` banks, K^T V behind it in the same banks, V in a memory of its own.

    Channel i of K lies in bank ``i % columns`` at ``(i // columns) * token_chunks + chunk``, channel j of V at
    ``j * token_chunks + chunk``. A bank serves K in one half of the work and K^T V in the other, so one read port
    feeds the popcounters without a multiplexer.

    Reads are two cycles, address to data (the second one is the block RAM's output register), one per cycle. Writes
    take one cycle to the memory, one per cycle.

    No word is read in the cycle in which it is written, so the emulation logic for that collision is switched off:
    read enables are on only for steps; tokens are written only between jobs and the last one at least one cycle
    before the first step; K^T V is written while only K and V are read, its last word two cycles before its first
    read, and of the next head no word before the last read.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    token_write : In(TokenWrite)
        K and V, never with `plane_write`.
    plane_write : In(1), plane_bank : In, plane_address : In, plane_word : In(word_bits)
        A word of K^T V.
    bank_read, value_read : In(1)
        Read enables of all banks and of V.
    bank_address, value_address : In
        Word of K, or of K^T V with the words of K added; word of V.
    bank_words : Out(ArrayLayout(word_bits, columns))
        The banks' words of two cycles ago.
    value_word : Out(word_bits)
        V's word of *one* cycle ago: its register lies behind the multiplexer with Q.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        self._geometry = geometry = AttentionGeometry(config)
        word = unsigned(geometry.word_bits)
        super().__init__(
            {
                "token_write": In(TokenWrite(config)),
                "plane_write": In(1),
                "plane_bank": In(range(max(2, config.attention_columns))),
                "plane_address": In(range(max(2, geometry.key_value_words))),
                "plane_word": In(word),
                "bank_read": In(1),
                "value_read": In(1),
                "bank_address": In(range(geometry.key_words + geometry.key_value_words)),
                "value_address": In(range(max(2, geometry.value_words))),
                "bank_words": Out(data.ArrayLayout(word, config.attention_columns)),
                "value_word": Out(word),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, geometry, token = self._config, self._geometry, self.token_write
        columns = config.attention_columns
        bank_depth = geometry.key_words + geometry.key_value_words
        bank_bits = (columns - 1).bit_length()
        word = Signal(geometry.word_bits, reset_less=True)
        bank_address = Signal.like(self.bank_address, name="bank_write_address", reset_less=True)
        value_address = Signal.like(self.value_address, name="value_write_address", reset_less=True)
        bank_write, value_write = Signal(columns), Signal()
        m.d.sync += [
            word.eq(Mux(self.plane_write, self.plane_word, token.data)),
            bank_address.eq(
                Mux(
                    self.plane_write,
                    self.plane_address + geometry.key_words,
                    (token.channel >> bank_bits) * config.token_chunks + token.chunk,
                )
            ),
            value_address.eq(token.channel * config.token_chunks + token.chunk),
            value_write.eq(token.valid & token.is_value),
        ]
        for bank in range(columns):
            key = token.valid & ~token.is_value & (token.channel[:bank_bits] == bank)
            m.d.sync += bank_write[bank].eq(Mux(self.plane_write, self.plane_bank == bank, key))

        for bank in range(columns):
            read = _memory(m, f"bank{bank}", bank_depth, bank_address, word, bank_write[bank])
            m.d.comb += [read.addr.eq(self.bank_address), read.en.eq(self.bank_read)]
            # Without reset, to become the block RAM's own output register.
            m.d.comb += self.bank_words[bank].eq(delayed(m, read.data, 1, name=f"bank{bank}_word"))
        read = _memory(m, "value", geometry.value_words, value_address, word, value_write)
        m.d.comb += [
            read.addr.eq(self.value_address),
            read.en.eq(self.value_read),
            self.value_word.eq(read.data),
        ]
        return m


def _memory(m: Module, name: str, depth: int, address: Signal, word: Signal, enable: Value) -> memory.ReadPort:
    """A block RAM with its write port connected; returns its read port."""
    ram = memory.Memory(shape=unsigned(len(word)), depth=depth, init=[], attrs={"no_rw_check": 1, "ram_style": "block"})
    m.submodules[name] = ram
    write = ram.write_port()
    m.d.comb += [write.addr.eq(address), write.data.eq(word), write.en.eq(enable)]
    return ram.read_port()
