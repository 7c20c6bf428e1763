# amaranth: UnusedElaboratable=no
# A component made to ask for its latency is not elaborated.
"""When the neurons read the drain buffers, tile by tile, and what is free from then on."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from golden.cycles.external_memory import Word
from golden.cycles.spike_writes import spike_writes
from hw.array.step import DRAIN_BUFFERS
from hw.config import HardwareConfig
from hw.neurons.neurons import Neurons
from hw.neurons.read_plan import drain_cycles


class NeuronTiming:
    """The neurons' reads of complete sums.

    Parameters
    ----------
    config : HardwareConfig

    Attributes
    ----------
    idle : int
        First cycle in which the next layer's descriptor may come.
    latency : int
        Cycles from a read to its spikes.
    output_tiles_read : list of int
        When the last read of each output tile of the layer was made.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        self.latency = Neurons(config).latency
        self._done: deque[int] = deque()  # when the sums that wait to be read were complete
        self._freed = deque([-1] * DRAIN_BUFFERS, maxlen=DRAIN_BUFFERS)  # when the last buffers were read
        self._drained = deque([-1, -1], maxlen=2)  # when the last two output tiles' parameters were free
        self._earliest = 0
        self.idle = 0
        self.output_tiles_read: list[int] = []

    def begin(self, start: int) -> None:
        """A layer's descriptor comes with the start pulse in this cycle."""
        self._earliest, self.output_tiles_read = start + 2, []

    def buffer_free(self) -> int:
        """First cycle in which one more drain buffer can be claimed."""
        return self._freed[0] + 1

    def parameters_free(self) -> int:
        """First cycle in which the next output tile's parameters can be written."""
        return self._drained[0] + 1

    def sums_done(self, cycle: int) -> None:
        """One more drain buffer is complete."""
        self._done.append(cycle)

    def read(self, fields: Mapping[str, int], groups: range, load: Word | None) -> None:
        """Read a position tile: one drain buffer, or two.

        Parameters
        ----------
        fields : mapping
            The layer's descriptor.
        groups : range
            The tile's words of sums.
        load : Word, optional
            A load that waits where spikes are written.
        """
        buffers = 1 + fields["wide"]
        done = [self._done.popleft() for _ in range(buffers)][-1]
        last = len(self.output_tiles_read) == fields["output_tiles"] - 1
        pieces = fields["last_tile_pieces" if last else "tile_pieces"]
        begin = max(self._earliest, done + 1)
        self._earliest = begin + drain_cycles(self._config, fields, len(groups), pieces)
        self._freed.extend([self._earliest] * buffers)
        if load is not None:
            load.held.update(spike_writes(self._config, fields, begin + self.latency, groups, pieces))

    def end_output_tile(self) -> None:
        """The tile read last was its output tile's last one."""
        self._drained.append(self._earliest)
        self.output_tiles_read.append(self._earliest)
        self.idle = self._earliest + 1
