"""The accelerator's parameters: one validated dataclass with named instances."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

MEMORY_BEAT_BITS = 64
"""Width of the external memory's read port."""

IMAGE_PLANES = 8
"""Bit-planes of the signed image; they travel in the time-step lanes of the first layer."""

TABLE_INPUTS = 4
"""Input channels per subset-sum table: 4 spikes address 16 sums."""

THRESHOLD_BITS = 32
"""Width of a threshold in the external memory."""

LIMITS = {
    "spike_words": 1 << 20, "residual_words": 1 << 20, "token_channels": 1 << 14, "token_chunks": 255,
    "max_layers": 255, "max_classes": 256,
}  # fmt: skip
"""Most of what the descriptor's fields and the windows of the register map can address."""


@dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """Size of one accelerator.

    Every cycle the weight array performs ``outputs * inputs * positions * timesteps`` synaptic operations (one
    operation: one spike gates one weight into one accumulator).

    Attributes
    ----------
    name : str
        Name of the configuration; names the emitted files.
    outputs : int
        Output channels computed together (an output tile).
    inputs : int
        Input channels consumed per cycle (a slice); a multiple of 4, one subset-sum table per four.
    positions : int
        Neighbouring positions (pixels or tokens) computed together; a power of two.
    timesteps : int
        Time steps as parallel lanes: 1, 2, 4 or 8 (they must divide the image's 8 bit-planes).
    neurons : int
        Output channels per cycle the neurons take from the partial sums; a power of two. Times `positions` it divides
        `inputs`: a word of `inputs` channels then takes at least as long as the pool needs for its positions.
    weight_bits : int
        Width of a weight, 4 or 8.
    accumulator_bits : int
        Width of a signed partial sum, 8 to 26; the membrane that follows from it has at most 32 bits.
    bias_fraction_bits : int
        Fractional bits of the bias and the threshold, in accumulator units.
    tile_groups : int
        Position groups per tile: depth of the partial sums, a power of two from 16 to 128.
    attention_columns : int
        Columns of V (and of the attention output) computed together; divides `inputs`.
    attention_segment : int
        Channels of one head that one popcount of Q (K^T V) covers; divides ``tile_groups * positions``.
    attention_planes : int
        Most bit-planes of a K^T V entry; at most ``2**attention_planes - 1`` tokens.
    spike_words, residual_words : int
        Depth of the spike and the residual memory, in words of one position group and one slice.
    token_channels, token_chunks : int
        Most channels of K and V, and most position tiles per channel, in the attention engine's memories.
    head_channels : int
        Largest head size, for the K^T V memory.
    max_layers : int
        Layers whose counters are kept.
    max_classes : int
        Most outputs of the head.

    Raises
    ------
    ValueError
        Naming the field, its value and the limit.
    """

    name: str
    outputs: int
    inputs: int
    positions: int
    timesteps: int
    neurons: int
    weight_bits: int = 4
    accumulator_bits: int = 18
    bias_fraction_bits: int = 4
    tile_groups: int = 32
    attention_columns: int
    attention_segment: int
    attention_planes: int = 8
    spike_words: int
    residual_words: int
    token_channels: int
    token_chunks: int
    head_channels: int = 64
    max_layers: int = 64
    max_classes: int = 16

    def __post_init__(self) -> None:
        def require(condition: bool, field: str, rule: str) -> None:
            if not condition:
                raise ValueError(f"{field} must {rule}, not {getattr(self, field)} (configuration {self.name!r})")

        def power_of_two(value: int) -> bool:
            return value > 0 and value & (value - 1) == 0

        require(self.inputs >= TABLE_INPUTS and self.inputs % TABLE_INPUTS == 0, "inputs", "be a multiple of 4")
        require(self.outputs >= self.inputs and self.outputs % self.inputs == 0, "outputs", "be a multiple of inputs")
        require(power_of_two(self.positions) and self.positions <= 8, "positions", "be 1, 2, 4 or 8")
        require(self.timesteps in (1, 2, 4, 8), "timesteps", "be 1, 2, 4 or 8")
        require(
            power_of_two(self.neurons) and self.inputs % (self.neurons * self.positions) == 0,
            "neurons",
            f"be a power of two and, times positions, divide inputs = {self.inputs}",
        )
        require(self.weight_bits in (4, 8), "weight_bits", "be 4 or 8")
        require(8 <= self.accumulator_bits <= 26, "accumulator_bits", "be 8 to 26")
        require(0 <= self.bias_fraction_bits <= 6, "bias_fraction_bits", "be 0 to 6")
        require(
            self.membrane_bits <= THRESHOLD_BITS,
            "accumulator_bits",
            f"be at most {THRESHOLD_BITS - 1 - self.bias_fraction_bits - self.timesteps}, so that a threshold at "
            f"{self.bias_fraction_bits} fraction bits and {self.timesteps} time steps has {THRESHOLD_BITS} bits",
        )
        require(
            power_of_two(self.tile_groups) and 16 <= self.tile_groups <= 128,
            "tile_groups",
            "be a power of two from 16 to 128",
        )
        columns = self.attention_columns
        require(columns >= 1 and self.inputs % columns == 0, "attention_columns", "divide inputs")
        segment = self.attention_segment
        require(
            segment % self.inputs == 0 and self.chunk_tokens % segment == 0,
            "attention_segment",
            f"be a multiple of inputs and divide tile_groups * positions = {self.chunk_tokens}",
        )
        require(1 <= self.attention_planes <= 12, "attention_planes", "be 1 to 12")
        require(self.head_channels % segment == 0, "head_channels", "be a multiple of attention_segment")
        for field, most in LIMITS.items():
            require(1 <= getattr(self, field) <= most, field, f"be 1 to {most}")
        beats = self.outputs * self.inputs * self.weight_bits
        require(beats % MEMORY_BEAT_BITS == 0, "outputs", "make a weight slice whole 64-bit beats")

    @property
    def lanes(self) -> int:
        """Accumulators per output: positions times time steps."""
        return self.positions * self.timesteps

    @property
    def sops_per_cycle(self) -> int:
        """Dense synaptic operations per cycle."""
        return self.outputs * self.inputs * self.lanes

    @property
    def group_bits(self) -> int:
        """Bits of one memory word over all banks: ``[positions][timesteps][inputs]``, inputs fastest."""
        return self.lanes * self.inputs

    @property
    def chunk_tokens(self) -> int:
        """Tokens in one K or V word: those of one position tile."""
        return self.tile_groups * self.positions

    @property
    def weight_slice_beats(self) -> int:
        """Memory beats of the weights of one output tile and one input slice."""
        return self.outputs * self.inputs * self.weight_bits // MEMORY_BEAT_BITS

    @property
    def group_beats(self) -> int:
        """Memory beats of one word over all banks, for the image."""
        return -(-self.group_bits // MEMORY_BEAT_BITS)

    @property
    def image_passes(self) -> int:
        """Words per image position and slice: 8 planes over the time-step lanes."""
        return IMAGE_PLANES // self.timesteps

    @property
    def current_bits(self) -> int:
        """Width of the signed input current: accumulator, fraction, and one bit for the bias."""
        return self.accumulator_bits + self.bias_fraction_bits + 1

    @property
    def membrane_bits(self) -> int:
        """Width of the signed membrane after the last time step."""
        return self.current_bits + self.timesteps

    def to_dict(self) -> dict[str, int | str]:
        """Fields as plain JSON values."""
        return dataclasses.asdict(self)


TINY = HardwareConfig(
    name="tiny", outputs=8, inputs=4, positions=2, timesteps=4, neurons=2, accumulator_bits=16, tile_groups=16,
    attention_columns=2, attention_segment=8, attention_planes=7, spike_words=4096, residual_words=2048,
    token_channels=128, token_chunks=4, head_channels=32,
)  # fmt: skip
"""256 operations per cycle: tests and small FPGAs."""

BASE = HardwareConfig(
    name="base", outputs=16, inputs=8, positions=1, timesteps=4, neurons=4,
    attention_columns=4, attention_segment=16, spike_words=16384, residual_words=4096,
    token_channels=256, token_chunks=4,
)  # fmt: skip
"""512 operations per cycle: Spikformer-2-64 on 28x28 and 32x32 images."""

LARGE = HardwareConfig(
    name="large", outputs=32, inputs=16, positions=2, timesteps=4, neurons=4,
    attention_columns=8, attention_segment=32, spike_words=8192, residual_words=4096,
    token_channels=512, token_chunks=4,
)  # fmt: skip
"""4,096 operations per cycle."""

CONFIGS = {config.name: config for config in (TINY, BASE, LARGE)}
"""Named configurations."""
