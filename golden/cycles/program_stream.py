"""When the program's beats come: exact times of the external memory, the program buffer and the program reader.

No signals and no data: a recurrence over bursts and beats. Its one assumption is an external memory that answers after
a fixed latency and then gives a beat per cycle. All times are numbers of clock cycles.

A load of the image, or of a strip of it, shares the memory. Its beats may wait for writes of the layer that runs beside
it, which the model does not know yet when it comes to the load: the load is followed when a beat of the program is
wanted that comes behind it, or its end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR_BITS
from hw.external.axi_reader import REQUEST_LATENCY
from hw.integers import ceil_div
from hw.program.fetch import FETCH_BURST, FETCH_OUTSTANDING


@dataclass(frozen=True)
class Burst:
    """When a burst's request was accepted and when its first beat comes."""

    accepted: int
    first: int


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


def segments(
    beats: int, *, tiles: int = 1, passes: int = 1, wide: bool = False, image: bool = False
) -> Iterator[tuple[int, bool]]:
    """Segments of a region as they are delivered: first beat in the region, and whether it is their last delivery."""
    for tile in range(tiles):
        for half in range(1 + wide):
            for turn in range(passes):
                later = image and turn > 0
                last = tile == tiles - 1 and (turn == passes - 1 or (image and turn == 0))
                yield (half * (1 + image) + later) * beats, last


class ProgramStream:
    """The program reader with its buffer, from the outside: when it offers what, given when it is taken.

    Calls follow the program: `descriptor`; behind that of a layer with weights, per output tile `parameters`, then
    `begin_weights` and `weights` until all of them are taken. Each is told from which cycle on its consumer is ready.
    A consumer of another kind uses `offer` and `take`, beat by beat.

    Parameters
    ----------
    config : HardwareConfig
    length : int
        Beats of the program.
    memory : ExternalMemory
        May be shared, see `begin_load`.
    start : int
        Cycle of the reader's `start`, with nothing outstanding.
    """

    def __init__(self, config: HardwareConfig, length: int, memory: ExternalMemory, start: int):
        self._config, self._length, self._memory = config, length, memory
        self._next_offer = start + 1  # of a request
        self._arrivals: list[int] = []  # of the first beat of every burst requested so far
        self.freed: list[int] = []  # when the last beat of every burst was read for the last time
        self._position = 0
        self._may_read = 0  # the reader knows what to read next
        self._moved, self._taken, self._taken_before = start, start, start
        self._load: tuple[int, Sequence[int], Word] | None = None  # requested next, as soon as it must be known
        self._load_span = 0, 0
        self._region = 0
        self._deliveries: Iterator[tuple[int, bool]] = iter(())
        self._segment, self._last, self._left, self._beats = 0, False, 0, 0

    # Bursts

    def _offered(self) -> int | None:
        """When the next burst is on offer, or None if that depends on beats not yet read, or there is none."""
        burst = len(self._arrivals)
        if burst * FETCH_BURST >= self._length:
            return None
        cycle = self._next_offer
        if burst >= FETCH_OUTSTANDING:
            cycle = max(cycle, self._arrivals[burst - FETCH_OUTSTANDING] + FETCH_BURST)
        blocking = burst - self._config.program_beats // FETCH_BURST
        if blocking >= len(self.freed):
            return None
        return cycle if blocking < 0 else max(cycle, self.freed[blocking] + 1)

    def _request(self, offered: int) -> None:
        beats = min(FETCH_BURST, self._length - len(self._arrivals) * FETCH_BURST)
        burst = self._memory.burst(offered, beats)
        self._arrivals.append(burst.first)
        self._next_offer = burst.accepted + 1

    def _arrival(self, beat: int) -> int:
        """When a beat of the program comes."""
        burst, offset = divmod(beat, FETCH_BURST)
        while len(self._arrivals) <= burst:
            self.end_load()
            offered = self._offered()
            assert offered is not None, f"beat {beat} has no room: its region is too large"
            self._request(offered)
        return self._arrivals[burst] + offset

    def begin_load(self, offered: int, bursts: Sequence[int], word: Word, *, first: bool = True) -> None:
        """A request of another port of the same arbiter: the image, or a strip of it.

        What holds its beats up may be told later: all of it that comes before a beat of the program is needed that was
        requested behind the load.

        Parameters
        ----------
        offered : int
            Cycle from which on the request is on offer.
        bursts : sequence of int
            Beats of what it is cut into.
        word : Word
            What becomes of the beats.
        first : bool
            The other port goes before the reader's.
        """
        self.end_load()
        while True:
            self._look_ahead()
            own = self._offered()
            if own is None:
                break
            # A request on offer stays on offer, whoever asks meanwhile.
            if own >= offered if first else max(own, self._memory.free) > max(offered, self._memory.free):
                break
            self._request(own)
        self._load = offered, bursts, word

    def end_load(self) -> tuple[int, int]:
        """Cycles of the first and the last beat of the load begun last."""
        if self._load is not None:
            (offered, bursts, word), self._load = self._load, None
            cut = [self._memory.burst(offered, beats, word=word) for beats in bursts]
            self._load_span = cut[0].first, self._memory.last
        return self._load_span

    def _look_ahead(self) -> None:
        """Two beats of the descriptor behind a load's are read before that is accepted: they may free a burst."""
        moved = self._moved
        for beat in range(self._position, min(self._position + 2, len(self._arrivals) * FETCH_BURST)):
            moved = max(moved, self._arrival(beat) + 1, self._may_read)
            if (beat + 1) % FETCH_BURST == 0 and len(self.freed) == beat // FETCH_BURST:
                self.freed.append(moved)
            moved += 1

    # Beats

    def offer(self, beat: int, *, last: bool = True) -> int:
        """When the buffer offers a beat as its next one; `take` must follow.

        Parameters
        ----------
        beat : int
            Its number in the program.
        last : bool
            It will not be delivered again.
        """
        read = max(self._moved, self._arrival(beat) + 1, self._may_read)
        if last and (beat + 1) % FETCH_BURST == 0 and len(self.freed) == beat // FETCH_BURST:
            self.freed.append(read)
        self._moved = max(read + 1, self._taken)
        return self._moved + 1

    def take(self, cycle: int) -> int:
        """Take the beat on offer; returns `cycle`."""
        self._taken = cycle
        return cycle

    def _run(self, beat: int, count: int, *, ready: int, last: bool = True) -> int:
        """Take `count` beats as fast as they come, from cycle `ready` on; returns the cycle of the last one."""
        done = 0
        while done < count:
            # From the third beat on, with all of them in the ring, one leaves per cycle, read two cycles before.
            if done == 2 and self._arrival(beat + count - 1) < self._moved and self._taken == self._moved + 1:
                if last:
                    for boundary in range(ceil_div(beat + done + 1, FETCH_BURST), (beat + count) // FETCH_BURST + 1):
                        self.freed.append(self._taken + boundary * FETCH_BURST - (beat + done) - 2)
                self._taken += count - done
                self._moved = self._taken - 1
                break
            self.take(max(self.offer(beat + done, last=last), ready))
            done += 1
        return self._taken

    # What the reader does with them

    def descriptor(self, ready: int) -> int:
        """Read the next descriptor.

        Parameters
        ----------
        ready : int
            The cycle after the acceptance of the descriptor before; anything for the first one.

        Returns
        -------
        int
            First cycle in which it can be accepted.
        """
        beats = DESCRIPTOR_BITS // self._config.memory_bits
        taken = self._run(self._position, beats, ready=ready)
        self._position += beats
        self._may_read = taken + 2
        return taken + 1

    def parameters(self, ready: int) -> int:
        """Write the parameters of the next output tile.

        Parameters
        ----------
        ready : int
            The cycle after the `output_tile_drained` of the tile before the one before.

        Returns
        -------
        int
            Cycle in which the last of them is written.
        """
        beats = self._config.parameter_beats
        taken = self._run(self._position, beats, ready=ready)
        self._position += beats
        return taken

    def begin_weights(self, beats: int, *, tiles: int, passes: int, wide: bool = False, image: bool = False) -> None:
        """Begin with the weights of an output tile, of which a segment has `beats` beats."""
        assert self._left == 0 and next(self._deliveries, None) is None, "weights left from the tile before"
        self._region, self._beats = self._position, beats
        self._deliveries = segments(beats, tiles=tiles, passes=passes, wide=wide, image=image)
        self._position += beats * (1 + wide) * (1 + image)

    def weights(self, count: int, ready: int) -> int:
        """Take the next weights, as fast as they come.

        Parameters
        ----------
        count : int
            Beats; not beyond the end of a segment.
        ready : int
            The first cycle in which the array takes a beat.

        Returns
        -------
        int
            Cycle in which the last of them is taken.
        """
        if self._left == 0:
            first, self._last = next(self._deliveries)
            self._segment, self._left = self._region + first, self._beats
        assert count <= self._left
        taken = self._run(self._segment, count, ready=ready, last=self._last)
        self._segment, self._left = self._segment + count, self._left - count
        return taken
