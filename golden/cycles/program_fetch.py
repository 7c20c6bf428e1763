"""When the program's beats come: what the program buffer requests of the external memory, and when it has the room.

A recurrence over bursts. A load of the image, or of a strip of it, shares the memory. Its beats may wait for writes of
the layer that runs beside it, which the model does not know yet when it comes to the load: the load is followed when a
beat of the program is wanted that comes behind it, or its end.
"""

from __future__ import annotations

from collections.abc import Sequence

from golden.cycles.external_memory import ExternalMemory, Word
from hw.config import HardwareConfig
from hw.program.fetch import FETCH_BURST, FETCH_OUTSTANDING


class FetchTiming:
    """The program buffer's bursts, and the loads between them.

    Parameters
    ----------
    config : HardwareConfig
    length : int
        Beats of the program.
    memory : ExternalMemory
        May be shared, see `load`.
    start : int
        Cycle of the reader's `start`, with nothing outstanding.
    """

    def __init__(self, config: HardwareConfig, length: int, memory: ExternalMemory, start: int):
        self._room, self._length, self._memory = config.program_beats // FETCH_BURST, length, memory
        self._next_offer = start + 1  # of a request
        self._arrivals: list[int] = []  # of the first beat of every burst requested so far
        self._freed: list[int] = []  # when the last beat of every burst was read for the last time
        self._load: tuple[int, Sequence[int], Word] | None = None  # requested next, as soon as it must be known
        self._load_span = 0, 0

    @property
    def requested(self) -> int:
        """The first beat that is not requested yet."""
        return len(self._arrivals) * FETCH_BURST

    def arrival(self, beat: int) -> int:
        """When a beat of the program comes."""
        burst, offset = divmod(beat, FETCH_BURST)
        while len(self._arrivals) <= burst:
            self.end_load()
            offered = self._offered()
            assert offered is not None, f"beat {beat} has no room: its region is too large"
            self._request(offered)
        return self._arrivals[burst] + offset

    def free(self, beat: int, cycle: int) -> None:
        """A beat is read for the last time: with the last one of its burst there is room for one more burst."""
        if (beat + 1) % FETCH_BURST == 0 and len(self._freed) == beat // FETCH_BURST:
            self._freed.append(cycle)

    def request_before(self, load: int, *, load_first: bool) -> bool:
        """Request the next burst if it goes before a load's request that is on offer from cycle `load` on.

        Parameters
        ----------
        load : int
            That cycle.
        load_first : bool
            The load's port goes before the program buffer's.

        Returns
        -------
        bool
            Whether it was requested.
        """
        own = self._offered()
        if own is None:
            return False
        # A request on offer stays on offer, whoever asks meanwhile.
        free = self._memory.free
        if own >= load if load_first else max(own, free) > max(load, free):
            return False
        self._request(own)
        return True

    def load(self, offered: int, bursts: Sequence[int], word: Word) -> None:
        """Request a load behind all that is requested by now, see `ProgramStream.begin_load`."""
        self._load = offered, bursts, word

    def end_load(self) -> tuple[int, int]:
        """Cycles of the first and the last beat of the load begun last."""
        if self._load is not None:
            (offered, bursts, word), self._load = self._load, None
            cut = [self._memory.burst(offered, beats, word=word) for beats in bursts]
            self._load_span = cut[0].first, self._memory.last
        return self._load_span

    def _offered(self) -> int | None:
        """When the next burst is on offer, or None if that depends on beats not yet read, or there is none."""
        burst = len(self._arrivals)
        if burst * FETCH_BURST >= self._length:
            return None
        cycle = self._next_offer
        if burst >= FETCH_OUTSTANDING:
            cycle = max(cycle, self._arrivals[burst - FETCH_OUTSTANDING] + FETCH_BURST)
        blocking = burst - self._room
        if blocking >= len(self._freed):
            return None
        return cycle if blocking < 0 else max(cycle, self._freed[blocking] + 1)

    def _request(self, offered: int) -> None:
        beats = min(FETCH_BURST, self._length - len(self._arrivals) * FETCH_BURST)
        burst = self._memory.burst(offered, beats)
        self._arrivals.append(burst.first)
        self._next_offer = burst.accepted + 1
