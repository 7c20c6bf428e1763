"""The cycle model: predicts the RTL's cycles, layer by layer, from the program alone.

It follows the few events that bound each other (a weight slice arriving, its table, its steps, the partial sums' way
through the neurons), not the signals: no data, no spikes, no simulation. For a memory that answers after a fixed
latency and then gives a beat per cycle the RTL takes exactly these cycles.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from golden.attention_cycles import attention_cycles
from hw.accelerator import flush_cycles
from hw.config import HardwareConfig
from hw.isa import DESCRIPTOR_BEATS, Destination, Opcode
from hw.walker import Walker
from hw.weight_array import FILL_CYCLES, TABLE_ENTRIES, array_latency
from sw.compiler import Program

OUTSTANDING_BURSTS = 4
"""Bursts that the external memory accepts ahead."""

CHANNEL_ORDER = (Destination.KEYS.value, Destination.VALUES.value, Destination.LOGITS.value)


@dataclass(frozen=True)
class CycleModel:
    """Predicted cycles.

    Attributes
    ----------
    layers : dict of str to int
        Cycles of every step of the program, by name: from the request of its descriptor to the next one's.
    total : int
        Cycles of an image, from start to done.
    """

    layers: dict[str, int]
    total: int


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
    # Request, beats, check.
    fetch = memory_latency + DESCRIPTOR_BEATS + 1
    layers = {step.name: fetch + _run(program.config, step.fields, memory_latency) for step in program.steps}
    return CycleModel(layers, sum(layers.values()))


def _run(config: HardwareConfig, fields: dict[str, int], latency: int) -> int:
    """Cycles from an engine's start pulse to the end of its layer, both included."""
    opcode = fields["opcode"]
    if opcode == Opcode.END.value:
        return 0
    if opcode == Opcode.LOAD.value:
        return 1 + latency + fields["weight_beats"] + 1  # start and request, beats, end
    if opcode == Opcode.ATTENTION.value:
        names = ("heads", "head_channels", "tiles", "groups", "attention_planes")
        return attention_cycles(config, *(fields[name] for name in names)) + 1
    return _weight_layer(config, fields, latency)


def drain_cycles(config: HardwareConfig, fields: dict[str, int], groups: int, words: int) -> int:
    """Cycles in which the neurons read one tile of partial sums.

    Parameters
    ----------
    config : HardwareConfig
    fields : dict
        The layer's descriptor.
    groups, words : int
        Position groups and output words of the tile.
    """
    batches = config.inputs // config.neurons
    if fields.get("destination", 0) in CHANNEL_ORDER:
        return words * batches * (groups + config.neurons)
    adding = fields.get("destination", 0) == Destination.RESIDUAL.value
    return groups * words * max(batches, fields["residual_planes_out"] if adding else 0)


class _Memory:
    """Bursts answered in order: when the next beat can be taken."""

    def __init__(self, latency: int, first_request: int):
        self.latency, self.next_request = latency, first_request
        self.ends: deque[int] = deque(maxlen=OUTSTANDING_BURSTS)
        self.last_taken = -1
        self.available = 0

    def burst(self) -> None:
        """Request the next burst as soon as one may be outstanding."""
        if len(self.ends) == OUTSTANDING_BURSTS:
            self.next_request = max(self.next_request, self.ends[0] + 1)
        self.available = self.next_request + self.latency
        self.next_request += 1

    def take(self, beats: int, ready: int) -> int:
        """Take `beats` beats from the cycle `ready` on; returns the cycle of the last."""
        first = max(ready, self.available, self.last_taken + 1)
        self.last_taken = first + beats - 1
        return self.last_taken

    def end_burst(self) -> None:
        """The last beat taken ends its burst."""
        self.ends.append(self.last_taken)


def _weight_layer(config: HardwareConfig, fields: dict[str, int], latency: int) -> int:
    """Cycles of a layer with weights; cycle 0 is the start pulse."""
    beats = config.weight_slice_beats
    slices_per_pass = fields["weight_beats"] // beats
    memory = _Memory(latency, first_request=1)
    loaded = -TABLE_ENTRIES  # when the table writer took the last slice
    released = deque([-1, -1], maxlen=2)  # when the last two tables were free again
    drained = deque([-1, -1], maxlen=2)  # when the last two tiles' sums had been read
    tile_drained = deque([-1, -1], maxlen=2)  # when the last two output tiles' parameters were free
    issued = 0  # when the array took the last slice's table
    groups = 1

    for output_tile in range(fields["output_tiles"]):
        last_output = output_tile == fields["output_tiles"] - 1
        words = fields["last_tile_words"] if last_output else fields["tile_words"]
        for tile in range(fields["tiles"]):
            for plane in range(fields["passes"]):
                memory.burst()
                if tile == 0 and plane == 0:
                    memory.take(config.outputs, ready=tile_drained[0] + 1)
                for index in range(slices_per_pass):
                    arrived = memory.take(beats, ready=loaded)
                    loaded = max(arrived + 1, loaded + TABLE_ENTRIES, released[0] + 1)
                    ready = max(loaded + FILL_CYCLES, issued + groups)
                    if plane == 0 and index == 0:
                        ready = max(ready, drained[0] + 1)
                    issued = ready
                    groups = fields["last_tile_groups"] if tile == fields["tiles"] - 1 else fields["tile_groups"]
                    released.append(issued + groups + Walker.latency)
                memory.end_burst()
            summed = issued + groups + Walker.latency + array_latency(config)
            drained.append(max(summed + 1, drained[-1]) + drain_cycles(config, fields, groups, words))
        tile_drained.append(drained[-1])
    return drained[-1] + 1 + flush_cycles(config) + 1
