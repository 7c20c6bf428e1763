"""When the program reader offers descriptors, parameters and weights: exact times, given when they are taken.

No signals and no data: a recurrence over the beats that `golden.cycles.program_fetch` brings. All times are numbers of
clock cycles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from golden.cycles.external_memory import ExternalMemory, Word
from golden.cycles.program_fetch import FetchTiming
from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR_BITS
from hw.integers import ceil_div
from hw.program.fetch import FETCH_BURST
from hw.program.header import HEADER_BEATS


def segment_deliveries(
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

    Calls follow the program: `header`, `descriptor`; behind that of a layer with weights, per output tile `parameters`,
    then `begin_weights` and `weights` until all of them are taken. Each is told from which cycle on its consumer is
    ready. A consumer of another kind uses `offer` and `take`, beat by beat.

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
        self._config, self._fetch = config, FetchTiming(config, length, memory, start)
        self._may_read = 0  # the reader knows what to read next
        self._moved, self._taken = start, start
        self._region = 0
        self._deliveries: Iterator[tuple[int, bool]] = iter(())
        self._segment, self._last, self._left, self._beats = 0, False, 0, 0
        self._position = 0

    def header(self) -> None:
        """Read the header, which is taken as it comes."""
        self._run(self._position, HEADER_BEATS, ready=0)
        self._position += HEADER_BEATS

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
        self._deliveries = segment_deliveries(beats, tiles=tiles, passes=passes, wide=wide, image=image)
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
        self._look_ahead()
        while self._fetch.request_before(offered, load_first=first):
            self._look_ahead()
        self._fetch.load(offered, bursts, word)

    def end_load(self) -> tuple[int, int]:
        """Cycles of the first and the last beat of the load begun last."""
        return self._fetch.end_load()

    def offer(self, beat: int, *, last: bool = True) -> int:
        """When the buffer offers a beat as its next one; `take` must follow.

        Parameters
        ----------
        beat : int
            Its number in the program.
        last : bool
            It will not be delivered again.
        """
        read = max(self._moved, self._fetch.arrival(beat) + 1, self._may_read)
        if last:
            self._fetch.free(beat, read)
        self._moved = max(read + 1, self._taken)
        return self._moved + 1

    def take(self, cycle: int) -> int:
        """Take the beat on offer; returns `cycle`."""
        self._taken = cycle
        return cycle

    def _run(self, beat: int, count: int, *, ready: int, last: bool = True) -> int:
        """Take `count` beats as fast as they come, from cycle `ready` on; returns the cycle of the last one."""
        for done in range(count):
            # From the third beat on, with all of them in the ring, one leaves per cycle, read two cycles before.
            if done == 2 and self._fetch.arrival(beat + count - 1) < self._moved and self._taken == self._moved + 1:
                return self._take_every_cycle(beat + done, count - done, last=last)
            self.take(max(self.offer(beat + done, last=last), ready))
        return self._taken

    def _take_every_cycle(self, beat: int, count: int, *, last: bool) -> int:
        """Take `count` beats, one in every cycle; returns the cycle of the last one."""
        if last:
            for end in range(ceil_div(beat + 1, FETCH_BURST) * FETCH_BURST, beat + count + 1, FETCH_BURST):
                self._fetch.free(end - 1, self._taken + end - beat - 2)
        self._taken += count
        self._moved = self._taken - 1
        return self._taken

    def _look_ahead(self) -> None:
        """Two beats of the descriptor behind a load's are read before that is accepted: they may free a burst."""
        moved = self._moved
        for beat in range(self._position, min(self._position + 2, self._fetch.requested)):
            moved = max(moved, self._fetch.arrival(beat) + 1, self._may_read)
            self._fetch.free(beat, moved)
            moved += 1
