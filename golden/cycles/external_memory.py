"""When the beats of requests come: exact times of an external memory that answers after a fixed latency.

No signals and no data. Its one assumption is that memory then gives a beat per cycle. All times are numbers of clock
cycles.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hw.external.axi_reader import REQUEST_LATENCY


@dataclass(frozen=True)
class Burst:
    """When a burst's request was accepted and when its first beat comes."""

    accepted: int
    first: int


@dataclass
class Word:
    """Beats that become words, of which the last one waits for its write.

    Attributes
    ----------
    beats : int
        Of a word.
    held : set of int
        Cycles in which no word can be written.
    """

    beats: int
    held: set[int] = field(default_factory=set)
    _part: int = 0

    def take(self, first: int, beats: int) -> int:
        """Take beats from cycle `first` on; returns the cycle of the last one."""
        cycle = first - 1
        while beats:
            some = min(beats, self.beats - self._part)
            cycle, beats, self._part = cycle + some, beats - some, (self._part + some) % self.beats
            while self._part == 0 and cycle in self.held:
                cycle += 1
        return cycle


class ExternalMemory:
    """Bursts answered in order: when requests are accepted and when their beats come.

    Parameters
    ----------
    latency : int
        Cycles from a burst's issue to its first beat, at least 1.
    outstanding : int, optional
        Bursts issued of which the last beat has not come; unlimited by default.
    adapter : bool
        Requests pass `hw.external.axi_reader.AxiMemory`: one is accepted as the one before is issued, and issued a
        cycle later. Otherwise they are issued as they are accepted.

    Attributes
    ----------
    free : int
        First cycle in which one more request can be accepted.
    last : int
        Cycle of the last beat requested so far.
    """

    def __init__(self, latency: int, outstanding: int | None = None, *, adapter: bool = False):
        self._latency, self._outstanding, self._adapter = latency, outstanding, adapter
        self._ends: deque[int] = deque(maxlen=outstanding)
        self.last = -1
        self.free = 0

    def burst(self, offered: int, beats: int, *, word: Word | None = None) -> Burst:
        """Request a burst; calls are in the order of acceptance.

        Parameters
        ----------
        offered : int
            Cycle from which on the request is on offer. What a request is cut into comes burst by burst, with anything
            early for all but the first.
        beats : int
            Length of the burst.
        word : Word, optional
            Holds beats up where they end a word. Without, they are taken cycle by cycle.
        """
        accepted = max(offered, self.free)
        issued = accepted + (REQUEST_LATENCY if self._adapter else 0)
        if self._outstanding is not None and len(self._ends) == self._outstanding:
            issued = max(issued, self._ends[0] + 1)
        if self._adapter:
            self.free = issued
        else:
            accepted, self.free = issued, issued + 1
        first = max(issued + self._latency, self.last + 1)
        self.last = first + beats - 1 if word is None else word.take(first, beats)
        if self._outstanding is not None:
            self._ends.append(self.last)
        return Burst(accepted, first)
