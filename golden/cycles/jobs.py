"""When the jobs of the engines count as ended: what descriptors wait for."""

from __future__ import annotations

from collections.abc import Mapping

from golden.cycles.external_memory import Word
from golden.cycles.program_stream import ProgramStream
from hw.config import HardwareConfig
from hw.descriptor import Wait
from hw.external.axi_reader import split
from hw.external.memory_port import BURST_LENGTH_BITS


class Jobs:
    """Jobs of one engine, in order.

    Attributes
    ----------
    ended : list of int
        First cycle in which each of them counts as ended.
    """

    def __init__(self) -> None:
        self.ended: list[int] = []

    def all_ended(self) -> int:
        """First cycle in which all jobs dispatched so far have ended."""
        return max(self.ended, default=0)

    def satisfied(self, wait: int) -> int:
        """First cycle in which a wait for the jobs dispatched so far is over."""
        if wait == Wait.NONE.value:
            return 0
        if wait == Wait.ALL.value:
            return self.all_ended()
        return max(self._ended_but_newest(), default=0)

    def _ended_but_newest(self) -> list[int]:
        return self.ended[:-1]


class Loads(Jobs):
    """Jobs of the load engine. The end of the newest may not be known yet, see `ProgramStream.begin_load`.

    Parameters
    ----------
    config : HardwareConfig
    stream : ProgramStream
        Whose memory loads share.

    Attributes
    ----------
    word : Word, optional
        Of the newest job, as long as its end is not known.
    """

    def __init__(self, config: HardwareConfig, stream: ProgramStream):
        super().__init__()
        self._config, self._stream = config, stream
        self.word: Word | None = None

    def begin(self, offered: int, fields: Mapping[str, int]) -> None:
        """Start a job whose request is on offer in a cycle."""
        self.word = Word(self._config.group_beats)
        bursts: list[int] = []
        first, left = fields["memory_address"], fields["weight_beats"]
        while left:  # requests are as long as they can be, and each is cut at multiples of the longest burst
            some = min(left, 1 << BURST_LENGTH_BITS)
            bursts += split(first, some)
            first, left = first + some, left - some
        self._stream.begin_load(offered, bursts, self.word)

    def all_ended(self) -> int:
        """First cycle in which all jobs dispatched so far have ended; follows the newest to its end."""
        if self.word is not None:
            # Done the cycle after the last beat; that counts from the next cycle on.
            self.ended.append(self._stream.end_load()[1] + 2)
            self.word = None
        return super().all_ended()

    def _ended_but_newest(self) -> list[int]:
        return self.ended if self.word is not None else super()._ended_but_newest()
