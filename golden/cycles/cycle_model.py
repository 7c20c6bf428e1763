# amaranth: UnusedElaboratable=no
# A component made to ask for its latency is not elaborated.
"""The cycle model: predicts the RTL's cycles, layer by layer, from the program alone.

It follows the few events that bound each other (beats of the program arriving, a table filled, a slice's steps, the
sums' way through the neurons, engines waiting for each other), not the signals: no data, no spikes, no simulation. For
a memory that answers after a fixed latency and then gives a beat per cycle the RTL takes exactly these cycles, if
program and images begin at multiples of 4 KB: where they begin decides how requests are cut into bursts.

Cycle 0 is the job's start pulse; every time is a cycle in which something happens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from golden.cycles.attention import attention_cycles
from golden.cycles.filing import counted_elsewhere, counted_layers
from golden.cycles.program_stream import ExternalMemory, ProgramStream, Word
from golden.cycles.spike_writes import spike_writes
from hw.array.walker import Walker
from hw.array.weight_array import DRAIN_BUFFERS, FILL_CYCLES, TABLE_ENTRIES, done_latency
from hw.config import HardwareConfig
from hw.core import written_latency
from hw.counters import WALKER_COUNTERS
from hw.descriptor import DESCRIPTOR, Opcode, Wait
from hw.external.axi_reader import OUTSTANDING_BURSTS, split
from hw.external.memory_port import BURST_LENGTH_BITS
from hw.integers import ceil_div
from hw.neurons.neurons import Neurons
from hw.neurons.read_plan import drain_cycles
from hw.program.dispatcher import LOOK_LATENCY
from sw.compiler.image_pack import WORD_BITS
from sw.compiler.program import Program

Fields = dict[str, int]

LOAD_NUMBER = 0
"""What a load's cycles are counted under."""

FILED = (len(WALKER_COUNTERS), 1, 2)
"""Counts that are filed for a layer of the array, of the neurons (spikes), of attention (work and spikes)."""


@dataclass(frozen=True)
class CycleModel:
    """Predicted cycles.

    Attributes
    ----------
    layers : dict of str to int
        Cycles that are counted for every layer, by name: the array works on it, or waits to begin it. A layer that is
        through before the counts of the one before are filed is counted for that one until they are.
    total : int
        Cycles of an image, from start to done.
    shared : frozenset of frozenset of str
        Pairs of layers of which some of the one's work or spikes are counted for the other: it began while counts of a
        layer before were still being filed. The sum of both is right.
    """

    layers: dict[str, int]
    total: int
    shared: frozenset[frozenset[str]] = frozenset()


def predict_cycles(program: Program, memory_latency: int) -> CycleModel:
    """Predict the cycles of one image.

    Parameters
    ----------
    program : Program
        The compiled network.
    memory_latency : int
        Cycles from a request's acceptance to its first beat.

    Returns
    -------
    CycleModel
    """
    machine = _Machine(program, memory_latency)
    for step in program.steps:
        machine.run({**dict.fromkeys(DESCRIPTOR.members, 0), **step.fields})
    return machine.result(program.names)


@dataclass
class _Engine:
    """Jobs of one engine: when each of them counts as ended."""

    ended: list[int] = field(default_factory=list)

    def satisfied(self, wait: int) -> int:
        """First cycle in which a wait for the jobs dispatched so far is over."""
        if wait == Wait.NONE.value:
            return 0
        return max(self.ended[: len(self.ended) - (wait == Wait.ALL_BUT_NEWEST.value)], default=0)


@dataclass
class _Load:
    """The load engine. The end of its newest job may not be known yet, see `ProgramStream.begin_load`."""

    stream: ProgramStream
    word: Word | None = None
    free: int = 0
    ended: list[int] = field(default_factory=list)

    def begin(self, offered: int, fields: Fields, config: HardwareConfig) -> None:
        """Start a job whose request is on offer in a cycle."""
        self.word = Word(config.group_beats)
        bursts: list[int] = []
        first, left = fields["memory_address"], fields["weight_beats"]
        while left:  # requests are as long as they can be, and each is cut at multiples of the longest burst
            some = min(left, 1 << BURST_LENGTH_BITS)
            bursts += split(first, some)
            first, left = first + some, left - some
        self.stream.begin_load(offered, bursts, self.word)

    def end(self) -> None:
        """Follow the newest job to its end."""
        if self.word is not None:
            # Done the cycle after the last beat; that counts from the next cycle on.
            self.free = self.stream.end_load()[1] + 2
            self.ended.append(self.free)
            self.word = None

    def satisfied(self, wait: int) -> int:
        """First cycle in which a wait for the jobs dispatched so far is over."""
        if wait == Wait.NONE.value:
            return 0
        if wait == Wait.ALL.value:
            self.end()
        newest = wait == Wait.ALL_BUT_NEWEST.value and self.word is None
        return max(self.ended[: len(self.ended) - newest], default=0)


class _Machine:
    def __init__(self, program: Program, latency: int):
        self.config = config = program.config
        length = len(program.memory) * WORD_BITS // config.memory_bits
        memory = ExternalMemory(latency, OUTSTANDING_BURSTS, adapter=True)
        self.stream = ProgramStream(config, length, memory, start=0)
        self.accepted = 0
        self.load, self.weights, self.attention = _Load(self.stream), _Engine(), _Engine()
        self.neurons = _Neurons(config)
        self.array = _Array(config)
        self.weights_place_free, self.attention_place_free = 0, 0
        self.attention_idle = 0
        self.walker_left, self.handed_over = 0, 0
        self.slices_written: list[int] = []
        # First cycle that belongs to a layer, and its number: for the array, the neurons, attention.
        self.walked: list[tuple[int, int]] = [(1, 0)]
        self.read: list[tuple[int, int]] = [(1, 0)]
        self.attended: list[tuple[int, int]] = [(1, 0)]
        self.load_began: int | None = None  # since the last layer with weights was accepted
        self.total = 0

    def run(self, fields: Fields) -> None:
        """Run one descriptor; they come in the order of the program."""
        offered = self.stream.descriptor(ready=self.accepted + 1)
        if fields["opcode"] == Opcode.LOAD.value:
            self.load.end()
            self.accepted = self.load_began = max(offered, self.load.free, self._waits(fields)) + LOOK_LATENCY
            self.load.begin(self.accepted + 1, fields, self.config)
        elif fields["opcode"] == Opcode.WEIGHTS.value:
            self.accepted = max(offered, self.weights_place_free)
            self._weights(fields)
        elif fields["opcode"] == Opcode.ATTENTION.value:
            self.accepted = max(offered, self.attention_place_free)
            self._attention(fields)
        else:
            self.load.end()
            everything = (*self.load.ended, *self.weights.ended, *self.attention.ended)
            self.total = self.accepted = max(offered, *everything) + LOOK_LATENCY

    def result(self, names: tuple[str, ...]) -> CycleModel:
        layers = dict.fromkeys(names, 0)
        parts = (self.walked, self.read, self.attended)
        of_parts = counted_layers(parts, FILED)
        counted = [(min(first, self.total + 1), number) for first, number in of_parts[0]]
        ends = [first for first, _ in counted[1:]] + [self.total + 1]
        for (first, number), end in zip(counted, ends, strict=True):
            layers[names[number]] += end - first
        pairs = (counted_elsewhere(labels, found) for labels, found in zip(parts, of_parts, strict=True))
        shared = frozenset(frozenset(names[number] for number in pair) for pair in set().union(*pairs))
        return CycleModel(layers, self.total, shared)

    def _waits(self, fields: Fields) -> int:
        return max(
            self.load.satisfied(fields["wait_load"]),
            self.weights.satisfied(fields["wait_weights"]),
            self.attention.satisfied(fields["wait_attention"]),
        )

    def _attention(self, fields: Fields) -> None:
        waits = self._waits(fields)
        begins = max(self.accepted + 1, self.attention_idle, waits)
        start = begins + 1
        self.attended.append((start + 1, fields["layer"]))
        names = ("head_channels", "tiles", "groups", "time_chunks")
        done = start + attention_cycles(self.config, *(fields[name] for name in names))
        self.attention_place_free, self.attention_idle = begins + 1, done
        self.attention.ended.append(done + 1)

    def _weights(self, fields: Fields) -> None:
        waits = self._waits(fields)
        before = self.weights.ended[-1] if self.weights.ended else 0
        enter = max(self.accepted + 1, self.walker_left, self.handed_over + 1, waits)
        self.weights_place_free = enter + 1
        # The layer's cycles begin when it waits in front of an empty walker; before, those of a load that came last.
        begins = max(self.accepted, self.walker_left)
        if self.load_began is not None and max(self.load_began, self.walker_left) < begins:
            self.walked.append((max(self.load_began, self.walker_left) + 1, LOAD_NUMBER))
        self.load_began = None
        self.walked.append((begins + 1, fields["layer"]))
        self.handed_over = max(enter + 1, self.neurons.idle, 0 if fields["overlaps"] else before)
        self.neurons.begin(start=self.handed_over + 1)
        self.read.append((self.handed_over + self.neurons.latency + 2, fields["layer"]))
        written = self.slices_written if fields["follows"] else None
        self.walker_left = self.array.run(
            fields,
            self.stream,
            self.neurons,
            first=enter + 1 + Walker.start_latency,
            written=written,
            all_written=before,
            word=self.load.word,
        )
        latency = written_latency(self.config) + 1
        self.slices_written = [cycle + latency for cycle in self.neurons.output_tiles_read]
        self.weights.ended.append(self.neurons.layer_read + latency)


class _Array:
    """Program reader, tables, walker: when each slice is taken."""

    def __init__(self, config: HardwareConfig):
        self.config = config
        self.loaded = -TABLE_ENTRIES  # when the table writer took the last slice
        self.released = deque([-1, -1], maxlen=2)  # when the last two tables were free again
        self.taken, self.groups = -1, 1

    def run(
        self, fields: Fields, stream: ProgramStream, neurons: _Neurons, *, first: int, written: list[int] | None,
        all_written: int, word: Word | None,
    ) -> int:  # fmt: skip
        """Run a layer from the cycle of its first possible take; returns the cycle after its last group."""
        config = self.config
        wide, image = bool(fields["wide"]), bool(fields["image"])
        taps = 9 if fields["kernel3"] else 1
        earliest = first
        for _ in range(fields["output_tiles"]):
            stream.parameters(ready=neurons.parameters_free())
            stream.begin_weights(
                fields["weight_beats"], tiles=fields["tiles"], passes=fields["passes"], wide=wide, image=image
            )
            for tile in range(fields["tiles"]):
                groups = fields["last_tile_groups" if tile == fields["tiles"] - 1 else "tile_groups"]
                for _ in range(1 + wide):
                    for turn in range(fields["passes"]):
                        for index in range(fields["slices"] * taps):
                            final = turn == fields["passes"] - 1 and index == fields["slices"] * taps - 1
                            arrived = stream.weights(config.slice_beats, ready=self.loaded)
                            self.loaded = max(arrived + 1, self.loaded + TABLE_ENTRIES, self.released[0] + 1)
                            take = max(self.loaded + FILL_CYCLES, self.taken + self.groups, earliest)
                            if written is not None:
                                pieces = (index // taps + 1) * config.word_pieces
                                tiles_needed = ceil_div(pieces, config.tile_pieces)
                                complete = written[tiles_needed - 1] if tiles_needed <= len(written) else all_written
                                take = max(take, min(complete, all_written) + Walker.input_latency)
                            if final:
                                take = max(take, neurons.buffer_free())
                            self.taken, self.groups = take, groups
                            self.released.append(take + groups + Walker.latency)
                            if final:
                                neurons.sums_done(take + groups + Walker.latency + done_latency(config))
                begin, pieces = neurons.read(fields, groups)
                if word is not None:
                    first = tile * fields["tile_groups"]
                    word.held.update(
                        spike_writes(config, fields, begin + neurons.latency, range(first, first + groups), pieces)
                    )
            neurons.end_output_tile()
        return self.taken + self.groups + 1


class _Neurons:
    """The neurons' reads of the drain buffers, tile by tile."""

    def __init__(self, config: HardwareConfig):
        self._config = config
        self.latency = Neurons(config).latency  # from a read to its spikes
        self._done: deque[int] = deque()  # when the sums that wait to be read were complete
        self._freed = deque([-1] * DRAIN_BUFFERS, maxlen=DRAIN_BUFFERS)  # when the last buffers were read
        self._drained = deque([-1, -1], maxlen=2)  # when the last two output tiles' parameters were free
        self._earliest, self._output_tile = 0, 0
        self.idle = 0  # first cycle in which the next layer's descriptor may come
        self.layer_read = 0  # when the last read of the layer was made
        self.output_tiles_read: list[int] = []

    def begin(self, start: int) -> None:
        """A layer's descriptor comes with the start pulse in this cycle."""
        self._earliest, self._output_tile, self.output_tiles_read = start + 2, 0, []

    def buffer_free(self) -> int:
        """First cycle in which one more drain buffer can be claimed."""
        return self._freed[0] + 1

    def parameters_free(self) -> int:
        """First cycle in which the next output tile's parameters can be written."""
        return self._drained[0] + 1

    def sums_done(self, cycle: int) -> None:
        """One more drain buffer is complete."""
        self._done.append(cycle)

    def read(self, fields: Fields, groups: int) -> tuple[int, int]:
        """Read a position tile: one drain buffer, or two; returns the cycle before the first read, and the pieces."""
        buffers = 1 + fields["wide"]
        done = [self._done.popleft() for _ in range(buffers)][-1]
        last = self._output_tile == fields["output_tiles"] - 1
        pieces = fields["last_tile_pieces" if last else "tile_pieces"]
        begin = max(self._earliest, done + 1)
        self._earliest = begin + drain_cycles(self._config, fields, groups, pieces)
        self._freed.extend([self._earliest] * buffers)
        return begin, pieces

    def end_output_tile(self) -> None:
        """The tile read last was its output tile's last one."""
        self._drained.append(self._earliest)
        self.output_tiles_read.append(self._earliest)
        self._output_tile += 1
        self.layer_read, self.idle = self._earliest, self._earliest + 1
