"""The cycle model: predicts the RTL's cycles, layer by layer, from the program alone.

It follows the few events that bound each other (beats of the program arriving, a table filled, a slice's steps, the
sums' way through the neurons, engines waiting for each other), not the signals: no data, no spikes, no simulation. For
a memory that answers after a fixed latency and then gives a beat per cycle the RTL takes exactly these cycles, if
program and images begin at multiples of 4 KB: where they begin decides how requests are cut into bursts.

Cycle 0 is the job's start pulse; every time is a cycle in which something happens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from golden.cycles.array import ArrayTiming
from golden.cycles.attention import attention_cycles
from golden.cycles.external_memory import ExternalMemory
from golden.cycles.filing import counted_elsewhere, counted_layers
from golden.cycles.jobs import Jobs, Loads
from golden.cycles.neurons import NeuronTiming
from golden.cycles.program_stream import ProgramStream
from hw.array.walker import Walker
from hw.core import written_latency
from hw.counters import WALKER_COUNTERS
from hw.descriptor import DESCRIPTOR, Opcode
from hw.external.axi_reader import OUTSTANDING_BURSTS
from hw.integers import ceil_div
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
class _Labels:
    """Which layer each part of the machine is in: first cycles and layers' numbers, see `golden.cycles.filing`."""

    array: list[tuple[int, int]] = field(default_factory=lambda: [(1, 0)])
    neurons: list[tuple[int, int]] = field(default_factory=lambda: [(1, 0)])
    attention: list[tuple[int, int]] = field(default_factory=lambda: [(1, 0)])

    def counted(self, names: tuple[str, ...], total: int) -> CycleModel:
        """What is counted for the layers, if the job is done in cycle `total`."""
        parts = (self.array, self.neurons, self.attention)
        of_parts = counted_layers(parts, FILED)
        array = [(min(first, total + 1), number) for first, number in of_parts[0]]
        ends = [first for first, _ in array[1:]] + [total + 1]
        layers = dict.fromkeys(names, 0)
        for (first, number), end in zip(array, ends, strict=True):
            layers[names[number]] += end - first
        pairs = (counted_elsewhere(labels, found) for labels, found in zip(parts, of_parts, strict=True))
        shared = frozenset(frozenset(names[number] for number in pair) for pair in set().union(*pairs))
        return CycleModel(layers, total, shared)


class _Machine:
    """The dispatcher, and how the engines' jobs follow one another."""

    def __init__(self, program: Program, latency: int):
        self.config = config = program.config
        length = len(program.memory) * WORD_BITS // config.memory_bits
        memory = ExternalMemory(latency, OUTSTANDING_BURSTS, adapter=True)
        self.stream = ProgramStream(config, length, memory, start=0)
        self.stream.header()
        self.neurons = NeuronTiming(config)
        self.array = ArrayTiming(config, self.stream, self.neurons)
        self.loads, self.weights, self.attention = Loads(config, self.stream), Jobs(), Jobs()
        self.accepted = 0  # when the last descriptor was
        self.weights_place_free, self.attention_place_free = 0, 0
        self.attention_idle = 0
        self.walker_left, self.handed_over = 0, 0
        self.tiles_written: list[int] = []  # when each output tile of the last layer with weights may be read
        self.load_began: int | None = None  # since the last layer with weights was accepted
        self.labels = _Labels()

    def run(self, fields: Fields) -> None:
        """Run one descriptor; they come in the order of the program."""
        offered = self.stream.descriptor(ready=self.accepted + 1)
        match Opcode(fields["opcode"]):
            case Opcode.LOAD:
                self._load(offered, fields)
            case Opcode.WEIGHTS:
                self._weights(offered, fields)
            case Opcode.ATTENTION:
                self._attention(offered, fields)
            case Opcode.END:
                ended = (jobs.all_ended() for jobs in (self.loads, self.weights, self.attention))
                self.accepted = max(offered, *ended) + LOOK_LATENCY

    def result(self, names: tuple[str, ...]) -> CycleModel:
        """What the counters say behind the last descriptor, whose acceptance ends the job."""
        return self.labels.counted(names, total=self.accepted)

    def _waits(self, fields: Fields) -> int:
        """First cycle in which all that a descriptor waits for is over."""
        return max(
            self.loads.satisfied(fields["wait_load"]),
            self.weights.satisfied(fields["wait_weights"]),
            self.attention.satisfied(fields["wait_attention"]),
        )

    def _load(self, offered: int, fields: Fields) -> None:
        self.accepted = max(offered, self.loads.all_ended(), self._waits(fields)) + LOOK_LATENCY
        self.load_began = self.accepted
        self.loads.begin(self.accepted + 1, fields)

    def _attention(self, offered: int, fields: Fields) -> None:
        self.accepted = max(offered, self.attention_place_free)
        begins = max(self.accepted + 1, self.attention_idle, self._waits(fields))
        start = begins + 1
        self.labels.attention.append((start + 1, fields["layer"]))
        job = {name: fields[name] for name in ("head_channels", "tiles", "groups", "time_chunks")}
        done = start + attention_cycles(self.config, **job)
        self.attention_place_free, self.attention_idle = begins + 1, done
        self.attention.ended.append(done + 1)

    def _weights(self, offered: int, fields: Fields) -> None:
        self.accepted = max(offered, self.weights_place_free)
        before = self.weights.all_ended()
        enter = max(self.accepted + 1, self.walker_left, self.handed_over + 1, self._waits(fields))
        self.weights_place_free = enter + 1
        self._label_array(fields["layer"])
        self.handed_over = max(enter + 1, self.neurons.idle, 0 if fields["overlaps"] else before)
        self.neurons.begin(start=self.handed_over + 1)
        self.labels.neurons.append((self.handed_over + self.neurons.latency + 2, fields["layer"]))
        inputs = self._inputs(fields, first=enter + 1 + Walker.start_latency)
        self.walker_left = self.array.run(fields, inputs, self.loads.word)
        latency = written_latency(self.config) + 1
        self.tiles_written = [cycle + latency for cycle in self.neurons.output_tiles_read]
        self.weights.ended.append(self.tiles_written[-1])

    def _label_array(self, layer: int) -> None:
        """A layer's cycles begin when it waits in front of an empty walker; before, those of a load that came last."""
        begins = max(self.accepted, self.walker_left)
        if self.load_began is not None and max(self.load_began, self.walker_left) < begins:
            self.labels.array.append((max(self.load_began, self.walker_left) + 1, LOAD_NUMBER))
        self.load_began = None
        self.labels.array.append((begins + 1, layer))

    def _inputs(self, fields: Fields, first: int) -> list[int]:
        """Cycles from which on each slice of a layer's input may be taken, `first` being that of any.

        A layer that follows the one before reads each slice as soon as the output tiles that it is made of are written.
        """
        if not fields["follows"]:
            return [first] * fields["slices"]
        all_written = self.weights.all_ended()
        inputs = []
        for number in range(fields["slices"]):
            tiles = ceil_div((number + 1) * self.config.word_pieces, self.config.tile_pieces)
            written = self.tiles_written[tiles - 1] if tiles <= len(self.tiles_written) else all_written
            inputs.append(max(first, min(written, all_written) + Walker.input_latency))
        return inputs
