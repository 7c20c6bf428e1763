"""The accelerator's parameters: one validated dataclass with named instances."""

from __future__ import annotations

import dataclasses
import json
import zlib
from dataclasses import dataclass

from hw.integers import ceil_div, is_power_of_two
from hw.user_text import check_name, listed, quoted

WEIGHT_BITS = 4
"""Width of a weight in the array; an 8-bit weight is two of them, a pass of the array for each."""

PARAMETER_BITS = 64
"""Bias and threshold of an output channel in external memory, 32 bits each; see `HardwareConfig.threshold_offset`."""

IMAGE_PLANES = 8
"""Bit-planes of the signed image; they travel in the time-step lanes of the first layer."""

TABLE_INPUTS = 4
"""Input channels per subset-sum table: 4 spikes address 16 sums."""

THRESHOLD_BITS = 32
"""Width of a threshold in the external memory, unless time chunks need more."""

MAX_TIMESTEPS = 16
"""Most time steps of a network, in one time chunk or several."""

SIZE_BITS = 31
"""Most bits of any size, so that what is computed from them stays a number one can read."""

LIMITS = {
    "spike_words": 1 << 20, "residual_words": 1 << 20, "token_chunks": 255, "head_channels": 1023, "max_layers": 255,
    "max_classes": 1024,
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
        Name of the configuration; names the emitted files: 1 to 48 letters, digits, ``_`` and ``-``, not a digit or
        ``-`` first, and no reserved word of Verilog or C.
    outputs : int
        Output channels computed together (an output tile); a multiple of `inputs`, or a half, a quarter ... of it.
    inputs : int
        Input channels consumed per cycle (a slice); a multiple of 4, one subset-sum table per four.
    positions : int
        Neighbouring positions (pixels or tokens) computed together; a power of two.
    timesteps : int
        Time steps as parallel lanes: 1, 2, 4 or 8.
    neurons : int
        Output channels per cycle the neurons take from the sums; a power of two. Times `positions` it divides a piece
        (the smaller one of `outputs` and `inputs`): a piece then takes at least as long as the pool needs for its
        positions.
    weight_bits : int
        Widest weight, 4 or 8; 8-bit weights take two passes of the array, one for each half of them.
    accumulator_bits : int
        Width of a signed partial sum, 8 to 18.
    bias_fraction_bits : int
        Fractional bits of the bias and the threshold, in accumulator units.
    memory_bits : int
        Width of the external memory's port, 64 or 128: a beat.
    program_beats : int
        Depth of the buffer for the program (descriptors, parameters, weights) in beats, a power of two: the weights of
        an output tile must fit.
    tile_groups : int
        Words of spikes per position tile: depth of the partial sums, 16 or 32.
    attention_columns : int
        Columns of V (and of the attention output) computed together; divides `inputs`.
    attention_tables : int
        Tables of four channels of K^T V that a time step of attention looks up in a cycle: 2, or 4 for half as many
        columns.
    attention_planes : int
        Most bit-planes of a K^T V entry; at most ``2**attention_planes - 1`` tokens.
    spike_words, residual_words : int
        Depth of the spike and the residual memory, in words of one position group and one slice.
    token_chunks : int
        Most position tiles of a channel of K and V.
    time_chunks : int
        Most time chunks: a network of more than `timesteps` steps runs in chunks of them, with the membranes carried
        from one to the next. With 1 there is nothing that keeps a membrane.
    pool_before : bool
        Whether it also runs networks of `pool_order` before, which pool currents; takes 1 or 2 `positions`.
    if_neurons : bool
        Whether it also runs networks of `neuron` if, whose neurons do not leak.
    head_channels : int
        Largest head, a multiple of `inputs`, at most 1,023.
    max_layers : int
        Layers whose counters are kept.
    max_classes : int
        Most outputs of the head.

    Raises
    ------
    ValueError
        Naming the field, its value and the limit; also for a size that is not an `int`, an option that is not a `bool`.
    """

    name: str
    outputs: int
    inputs: int
    positions: int
    timesteps: int
    neurons: int
    weight_bits: int = 4
    accumulator_bits: int = 16
    bias_fraction_bits: int = 4
    memory_bits: int = 64
    program_beats: int
    tile_groups: int = 32
    attention_columns: int
    attention_tables: int = 2
    attention_planes: int = 8
    spike_words: int
    residual_words: int
    token_chunks: int
    time_chunks: int = 1
    pool_before: bool = False
    if_neurons: bool = False
    head_channels: int = 64
    max_layers: int = 64
    max_classes: int = 16

    def __post_init__(self) -> None:
        check_name(self.name)
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            if isinstance(part.default, bool):
                valid, rule = type(value) is bool, "true or false"
            else:
                valid = part.name == "name" or (type(value) is int and value.bit_length() <= SIZE_BITS)
                rule = f"an integer of at most {SIZE_BITS} bits"
            if not valid:
                raise ValueError(f"{part.name} must be {rule}, not {quoted(value)} (configuration {self.name!r})")

        def require(condition: bool, field: str, rule: str) -> None:
            if not condition:
                raise ValueError(f"{field} must {rule}, not {getattr(self, field)} (configuration {self.name!r})")

        require(self.inputs >= TABLE_INPUTS and self.inputs % TABLE_INPUTS == 0, "inputs", "be a multiple of 4")
        require(
            self.outputs >= 2 and (self.outputs % self.inputs == 0 or self.inputs % self.outputs == 0),
            "outputs",
            f"be a multiple or a divisor of inputs = {self.inputs}",
        )
        require(is_power_of_two(self.word_pieces), "outputs", f"be inputs = {self.inputs} over a power of two")
        require(self.tile_pieces < 16, "outputs", f"be at most 15 times inputs = {self.inputs}")
        require(is_power_of_two(self.positions) and self.positions <= 8, "positions", "be 1, 2, 4 or 8")
        require(self.positions <= 2 or not self.pool_before, "positions", "be 1 or 2 with pool_before")
        require(self.timesteps in (1, 2, 4, 8), "timesteps", "be 1, 2, 4 or 8")
        require(self.weight_bits in (4, 8), "weight_bits", "be 4 or 8")
        require(
            is_power_of_two(self.neurons) and self.piece % (self.neurons * self.positions) == 0,
            "neurons",
            f"be a power of two and, times positions, divide the smaller one of inputs and outputs, {self.piece}",
        )
        require(8 <= self.accumulator_bits <= 18, "accumulator_bits", "be 8 to 18")
        require(0 <= self.bias_fraction_bits <= 6, "bias_fraction_bits", "be 0 to 6")
        most_chunks = MAX_TIMESTEPS // self.timesteps
        require(1 <= self.time_chunks <= most_chunks, "time_chunks", f"be 1 to {most_chunks}")
        if self.time_chunks == 1:
            require(
                self.membrane_bits <= THRESHOLD_BITS,
                "accumulator_bits",
                f"be at most {self.accumulator_bits + THRESHOLD_BITS - self.membrane_bits}, so that a threshold at "
                f"{self.bias_fraction_bits} fraction bits and {self.timesteps} time steps has {THRESHOLD_BITS} bits",
            )
        else:
            excess = self.current_bits + self.membrane_bits - PARAMETER_BITS
            require(
                excess <= 0,
                "accumulator_bits",
                f"be at most {self.accumulator_bits - ceil_div(excess, 2)}, so that bias and threshold at "
                f"{self.bias_fraction_bits} fraction bits and {self.max_timesteps} time steps have {PARAMETER_BITS} "
                "bits together",
            )
        require(self.memory_bits in (64, 128), "memory_bits", "be 64 or 128")
        require(
            is_power_of_two(self.program_beats) and 256 <= self.program_beats <= 1 << 16,
            "program_beats",
            f"be a power of two from 256 to {1 << 16}",
        )
        require(self.tile_groups in (16, 32), "tile_groups", "be 16 or 32")
        columns = self.attention_columns
        require(columns >= 1 and self.inputs % columns == 0, "attention_columns", "divide inputs")
        require(self.attention_tables in (2, 4), "attention_tables", "be 2 or 4")
        require(self.chunk_tokens % self.inputs == 0, "inputs", f"divide tile_groups * positions = {self.chunk_tokens}")
        require(1 <= self.attention_planes <= 12, "attention_planes", "be 1 to 12")
        require(self.head_channels % self.inputs == 0, "head_channels", f"be a multiple of inputs = {self.inputs}")
        for field, most in LIMITS.items():
            require(1 <= getattr(self, field) <= most, field, f"be 1 to {most}")
        require(self.outputs * PARAMETER_BITS % self.memory_bits == 0, "outputs", "make parameters whole beats")
        require(
            self.parameter_beats < self.program_beats,
            "program_beats",
            f"be more than the {self.parameter_beats} beats of an output tile's parameters",
        )

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
    def piece(self) -> int:
        """Channels written together: those of an output tile, at most those of a word."""
        return min(self.outputs, self.inputs)

    @property
    def word_pieces(self) -> int:
        """Pieces of a word: more than one where an output tile has fewer channels than a word."""
        return self.inputs // self.piece

    @property
    def tile_pieces(self) -> int:
        """Pieces of an output tile: more than one where it has more channels than a word."""
        return self.outputs // self.piece

    @property
    def chunk_tokens(self) -> int:
        """Tokens in one K or V word: those of one position tile."""
        return self.tile_groups * self.positions

    @property
    def weight_row_bits(self) -> int:
        """Bits of a row of weights: the k-th one of every subset-sum table."""
        return self.outputs * self.inputs // TABLE_INPUTS * WEIGHT_BITS

    @property
    def beat_rows(self) -> int:
        """Rows of weights in a beat, a power of two; 1 where a row is a beat or several."""
        return min(TABLE_INPUTS, 1 << max(1, self.memory_bits // self.weight_row_bits).bit_length() - 1)

    @property
    def row_beats(self) -> int:
        """Memory beats of a row of weights; the last one may be filled up."""
        return ceil_div(self.weight_row_bits, self.memory_bits)

    @property
    def slice_beats(self) -> int:
        """Memory beats of the weights of one output tile and one input slice, a row for each input of a table."""
        return TABLE_INPUTS // self.beat_rows * self.row_beats

    @property
    def parameter_beats(self) -> int:
        """Memory beats of the parameters of one output tile."""
        return self.outputs * PARAMETER_BITS // self.memory_bits

    @property
    def group_beats(self) -> int:
        """Memory beats of one word over all banks; the last one may be filled up."""
        return ceil_div(self.group_bits, self.memory_bits)

    @property
    def sum_bits(self) -> int:
        """Width of a neuron's signed sum: a partial sum, or for 8-bit weights two of them, one shifted by 4."""
        return self.accumulator_bits + (self.weight_bits - WEIGHT_BITS)

    @property
    def current_bits(self) -> int:
        """Width of the signed input current: sum, fraction, and one bit for the bias."""
        return self.sum_bits + self.bias_fraction_bits + 1

    @property
    def max_timesteps(self) -> int:
        """Most time steps of a network."""
        return self.timesteps * self.time_chunks

    @property
    def membrane_bits(self) -> int:
        """Width of the signed membrane after the last time step, and of a threshold."""
        return self.current_bits + self.max_timesteps

    @property
    def threshold_offset(self) -> int:
        """Lowest bit of a threshold in a channel's parameters: 32, or less where it is wider than the bits above."""
        return min(PARAMETER_BITS - THRESHOLD_BITS, PARAMETER_BITS - self.membrane_bits)

    @property
    def carried_bits(self) -> int:
        """Width of the signed membrane that is carried from one time chunk to the next."""
        return self.membrane_bits - self.timesteps

    @property
    def fingerprint(self) -> int:
        """CRC-32 of every field but the name: what the CONFIG register holds, so that hosts know what was built."""
        fields = {name: value for name, value in self.to_dict().items() if name != "name"}
        return zlib.crc32(json.dumps(fields, sort_keys=True).encode())

    def to_dict(self) -> dict[str, int | bool | str]:
        """Fields as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> HardwareConfig:
        """Inverse of `to_dict`; what has a default may be left out.

        Raises
        ------
        ValueError
            If it is no dictionary, its keys are not the fields, or a value is refused.
        """
        if not isinstance(values, dict):
            raise ValueError(f"a configuration must be an object of fields, not {quoted(values)}")
        fields = {part.name: part.default is dataclasses.MISSING for part in dataclasses.fields(cls)}
        if unknown := [key for key in values if key not in fields]:
            raise ValueError(f"unknown fields: {listed(map(str, unknown))}")
        if missing := [name for name, needed in fields.items() if needed and name not in values]:
            raise ValueError(f"missing fields: {listed(missing)}")
        return cls(**values)
