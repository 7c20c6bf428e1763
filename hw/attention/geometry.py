"""Sizes of the attention engine that follow from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from hw.config import HardwareConfig
from hw.integers import ceil_div

TABLE_CHANNELS = 4
"""Channels per table of subset sums: 4 spikes of Q address 16 sums of K^T V."""

SHORTEST_TOKEN = 2
"""Fewest cycles per token in Q (K^T V): a write may be held for one of them."""

TOKENS_APART = 2
"""A time step's lane works on a token that many tokens after the lane of the step before."""


@dataclass(frozen=True)
class AttentionGeometry:
    """Derived sizes of the attention engine, one place for its parts and for the cycle model.

    Inputs and columns divide the tokens of a word, ``tile_groups * positions``, a product of powers of two: they are
    powers of two, and every division below is exact or a shift.

    Parameters
    ----------
    config : HardwareConfig
        The accelerator.
    """

    config: HardwareConfig

    @property
    def word_bits(self) -> int:
        """Bits of a word of K or V: ``[timesteps][chunk_tokens]``."""
        return self.config.timesteps * self.config.chunk_tokens

    @property
    def channel_bits(self) -> int:
        """Bits of a channel of a head."""
        return max(1, (self.config.head_channels - 1).bit_length())

    @property
    def chunk_bits(self) -> int:
        """Bits of a position tile's number."""
        return max(1, (self.config.token_chunks - 1).bit_length())

    @property
    def groups(self) -> int:
        """Most position groups."""
        return self.config.token_chunks * self.config.tile_groups

    @property
    def carried_words(self) -> int:
        """Most tokens times sets of columns of a head whose time steps are several chunks.

        A position tile then has half as many position groups at most.
        """
        tokens = self.config.token_chunks * (self.config.tile_groups // 2) * self.config.positions
        return tokens * self.config.head_channels // self.config.attention_columns

    @property
    def step_channels(self) -> int:
        """Channels of Q (K^T V) that a time step sums in a cycle, those of the tables that it looks up."""
        return self.config.attention_tables * TABLE_CHANNELS

    @property
    def steps(self) -> int:
        """Most steps of a token in Q (K^T V)."""
        return self.token_steps(self.config.head_channels)

    def token_steps(self, head_channels: int) -> int:
        """Cycles of a token of a head in Q (K^T V)."""
        return max(SHORTEST_TOKEN, ceil_div(head_channels, self.step_channels))

    @property
    def entry_bits(self) -> int:
        """Bits of a table's entry, the sum of up to `TABLE_CHANNELS` entries of K^T V."""
        return (TABLE_CHANNELS * ((1 << self.config.attention_planes) - 1)).bit_length()

    @property
    def sum_bits(self) -> int:
        """Bits of an attention sum, ``head_channels * (2**attention_planes - 1)`` at most."""
        return (self.config.head_channels * ((1 << self.config.attention_planes) - 1)).bit_length()

    @property
    def threshold_bits(self) -> int:
        """Bits of the attention neuron's threshold, which is not negative."""
        return self.sum_bits + self.config.max_timesteps

    @property
    def carried_bits(self) -> int:
        """Bits of a membrane between time chunks, with a fractional bit for every step that may come before."""
        return self.sum_bits + self.config.max_timesteps - self.config.timesteps
