"""What the core's parts share: groups of members that go from one component to another under the same names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring

LOAD_JOB = ("start", "done")
"""Dispatcher to image load."""

LAYER_START = ("start", "descriptor")
"""Dispatcher to neurons and writeback: a layer begins."""

LAYER_WALK = (*LAYER_START, "done", "slices_written", "all_written")
"""Dispatcher to walker: a layer begins, and what the one before has written."""

LAYER_READS = ("done", "layer_done", "output_tile_drained")
"""Neurons to dispatcher: how far a layer is read."""

ATTENTION_JOB = ("start", "busy", "done")
"""Dispatcher to attention."""

WEIGHTS = ("weights", "unsigned_weights")
"""Program reader to weight array."""

ARRAY_STEPS = ("table_available", "claim", "step", "spikes")
"""Walker to weight array: a word of spikes and what to do with it."""

DRAIN_READ = ("tile_done", "drain_read", "drain_group", "drain_buffer", "drain_batch", "drain_sums")
"""Neurons to weight array: finished sums."""

FIRED_BATCHES = ("spikes", "batch")
"""Neurons to writeback."""

WALKER_EVENTS = ("issuing", "wait_weights", "wait_drain", "wait_data")
"""Walker to counters: what it does in a cycle."""

DISPATCH_EVENTS = ("layer", "waits_load", "waits_attention", "waits_neurons")
"""Dispatcher to counters: to which layer a cycle belongs, and what it waits for if it is without one."""


class MemberGroup:
    """Some members of a component, or of an interface, as an interface of their own.

    Parameters
    ----------
    owner : component or interface
    names : iterable of str
        Members that it has.
    """

    def __init__(self, owner: Any, names: Iterable[str]):
        self.signature = wiring.Signature({name: owner.signature.members[name] for name in names})
        for name in self.signature.members:
            setattr(self, name, getattr(owner, name))


def link(m: Module, names: Iterable[str], *owners: Any) -> None:
    """Connect the members of these names; of every one at most one owner has the output, the others the inputs.

    Raises
    ------
    amaranth.lib.wiring.ConnectionError
        If directions, shapes or initial values do not fit.
    """
    wiring.connect(m, *(MemberGroup(owner, names) for owner in owners))
