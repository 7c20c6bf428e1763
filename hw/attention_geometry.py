"""Sizes of the attention engine that follow from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from .config import HardwareConfig


@dataclass(frozen=True)
class AttentionGeometry:
    """Derived sizes of the attention engine, one place for its parts and for the cycle model.

    Inputs, segment and columns divide the tokens of a word, ``tile_groups * positions``, a product of powers of two:
    all of them are powers of two, and every division below is exact or a shift.

    Parameters
    ----------
    config : HardwareConfig
        The accelerator.
    """

    config: HardwareConfig

    @property
    def word_bits(self) -> int:
        """Bits of a word of K, V or K^T V: ``[timesteps][chunk_tokens]``."""
        return self.config.timesteps * self.config.chunk_tokens

    @property
    def segments(self) -> int:
        """Bit-planes of K^T V side by side in a word."""
        return self.config.chunk_tokens // self.config.attention_segment

    @property
    def plane_words(self) -> int:
        """Most words for the bit-planes of one segment of channels."""
        return -(-self.config.attention_planes // self.segments)

    @property
    def head_segments(self) -> int:
        """Most segments of channels in a head."""
        return self.config.head_channels // self.config.attention_segment

    @property
    def key_words(self) -> int:
        """Words of K in each bank."""
        return -(-self.config.token_channels // self.config.attention_columns) * self.config.token_chunks

    @property
    def value_words(self) -> int:
        """Words of V."""
        return self.config.token_channels * self.config.token_chunks

    @property
    def key_value_words(self) -> int:
        """Words of K^T V in each bank, behind those of K."""
        columns = self.config.head_channels // self.config.attention_columns
        return columns * self.head_segments * self.plane_words

    @property
    def sum_bits(self) -> int:
        """Bits of an attention sum, ``head_channels * (2**attention_planes - 1)`` at most."""
        return (self.config.head_channels * ((1 << self.config.attention_planes) - 1)).bit_length()

    @property
    def current_bits(self) -> int:
        """Width of the attention neuron's signed current."""
        return self.sum_bits + 1
