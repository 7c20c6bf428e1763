"""When a layer writes the spike memory: what a load of the image beside it waits for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hw.config import HardwareConfig
from hw.descriptor import Destination
from hw.neurons.read_plan import drain_cycles
from hw.pool.or_pool import OrPool

COLLECT_LATENCY = 2
"""Cycles from a piece's last spikes to its write: the piece, the register in front of the memory."""


def spike_writes(
    config: HardwareConfig, fields: Mapping[str, int], leaves: int, groups: range, pieces: int
) -> Iterator[int]:
    """Cycles in which the spikes of a position tile of an output tile are written.

    Parameters
    ----------
    config : HardwareConfig
    fields : mapping
        The layer's descriptor; what is missing is 0.
    leaves : int
        The cycle before the neurons' first read of the tile, and `Neurons.latency` cycles more.
    groups : range
        The tile's words of sums.
    pieces : int
        Pieces of the output tile.

    Yields
    ------
    int
        A cycle in which `Writeback.spike_write` is valid.
    """
    if fields["destination"] not in (Destination.SPIKES.value, Destination.SPIKES_AND_RESIDUAL.value):
        return
    time_chunks = max(1, fields["time_chunks"])
    # The image's words of sums are read for each position group in them, and for each time chunk of that.
    words = config.timesteps * time_chunks if fields["image"] else 1
    whole, rest = divmod(fields["positions"], config.positions)
    existing = whole + (time_chunks if rest else 0)
    pace = drain_cycles(config, fields, 1, 1) // words
    written_from = leaves + COLLECT_LATENCY
    for word in range(groups.start * words, min(groups.stop * words, existing)):
        position = word // time_chunks * config.positions
        row, column = divmod(position, fields["width"])
        for piece in range(pieces):
            written = written_from + ((word - groups.start * words) * pieces + piece + 1) * pace
            if not fields["pool"]:
                yield written
            elif fields["pool_before"]:
                # The position or the pair of columns that completes a window is one piece by then. In a strip that does
                # not begin at the top the first windows are incomplete.
                first = 2 if fields["first_row"] else 0
                if row % 2 and row > first and (column + config.positions - 1) % 2:
                    yield written
            else:
                # A window is complete with its odd row and column; a piece's positions follow one another.
                for p in range(config.positions):
                    row, column = divmod(position + p, fields["width"])
                    if row % 2 and column % 2 and position + p < fields["rows"] * fields["width"]:
                        yield written + OrPool.latency + p
