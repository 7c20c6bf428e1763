# amaranth: UnusedElaboratable=no
# A component made to ask for its latency is not elaborated.
"""When the array takes each slice of weights: tables, walker, and what they wait for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from golden.cycles.external_memory import Word
from golden.cycles.neurons import NeuronTiming
from golden.cycles.program_stream import ProgramStream
from hw.array.table_write import TABLE_ENTRIES
from hw.array.walker import Walker
from hw.array.weight_array import WeightArray
from hw.config import HardwareConfig


class WeightSlice(NamedTuple):
    """A slice of weights, whose table the words of a position tile are looked up in, one a cycle.

    Attributes
    ----------
    input_slice : int
        The slice of the layer's input that it meets.
    groups : int
        Words of the tile.
    completes : bool
        Whether it completes the sums of a drain buffer.
    """

    input_slice: int
    groups: int
    completes: bool


def position_tiles(fields: Mapping[str, int]) -> Iterator[range]:
    """Words of sums of each position tile of a layer, from its descriptor."""
    for tile in range(fields["tiles"]):
        first = tile * fields["tile_groups"]
        yield range(first, first + fields["last_tile_groups" if tile == fields["tiles"] - 1 else "tile_groups"])


def weight_slices(fields: Mapping[str, int], groups: int) -> Iterator[WeightSlice]:
    """Slices of a position tile of `groups` words: for each half of wide weights and each pass, inputs, then taps."""
    taps = 9 if fields["kernel3"] else 1
    one_pass = [input_slice for input_slice in range(fields["slices"]) for _ in range(taps)]
    *first, last = one_pass * fields["passes"]
    for _ in range(1 + fields["wide"]):
        for input_slice in first:
            yield WeightSlice(input_slice, groups, completes=False)
        yield WeightSlice(last, groups, completes=True)


class ArrayTiming:
    """The array with its tables and its walker.

    Parameters
    ----------
    config : HardwareConfig
    stream : ProgramStream
        Brings parameters and weights.
    neurons : NeuronTiming
        Read the sums.
    """

    def __init__(self, config: HardwareConfig, stream: ProgramStream, neurons: NeuronTiming):
        self._config, self._stream, self._neurons = config, stream, neurons
        self._done_latency = WeightArray(config).done_latency
        self._loaded = -TABLE_ENTRIES  # when the table writer took the last slice
        self._released = deque([-1, -1], maxlen=2)  # when the last two tables were free again
        self._free = 0  # when the walker is through with the last slice

    def run(self, fields: Mapping[str, int], inputs: Sequence[int], load: Word | None) -> int:
        """Run a layer.

        Parameters
        ----------
        fields : mapping
            Its descriptor.
        inputs : sequence of int
            First cycle in which each slice of its input may be taken.
        load : Word, optional
            A load that waits where the layer's spikes are written.

        Returns
        -------
        int
            The cycle after its last word.
        """
        for _ in range(fields["output_tiles"]):
            self._begin_output_tile(fields)
            for groups in position_tiles(fields):
                for weights in weight_slices(fields, len(groups)):
                    self._take(weights, inputs[weights.input_slice])
                self._neurons.read(fields, groups, load)
            self._neurons.end_output_tile()
        return self._free + 1

    def _begin_output_tile(self, fields: Mapping[str, int]) -> None:
        self._stream.parameters(ready=self._neurons.parameters_free())
        self._stream.begin_weights(
            fields["weight_beats"],
            tiles=fields["tiles"],
            passes=fields["passes"],
            wide=bool(fields["wide"]),
            image=bool(fields["image"]),
        )

    def _take(self, weights: WeightSlice, readable: int) -> None:
        """Fill a table and walk the tile's words with it, once its input is readable."""
        arrived = self._stream.weights(self._config.slice_beats, ready=self._loaded)
        self._loaded = max(arrived + 1, self._loaded + TABLE_ENTRIES, self._released[0] + 1)
        taken = max(self._loaded + WeightArray.fill_latency, self._free, readable)
        if weights.completes:
            taken = max(taken, self._neurons.buffer_free())
        self._free = taken + weights.groups
        self._released.append(self._free + Walker.latency)
        if weights.completes:
            self._neurons.sums_done(self._free + Walker.latency + self._done_latency)
