"""Cycles of the attention engine, exactly, from the latencies of its components."""

from __future__ import annotations

from hw.attention.attention import Attention
from hw.attention.counts import SETS_AHEAD, counts_latency
from hw.attention.geometry import TABLE_CHANNELS, TOKENS_APART, AttentionGeometry
from hw.attention.query import LOAD_OVERHEAD
from hw.attention.tables import SubsetTables
from hw.config import HardwareConfig
from hw.integers import ceil_div


def attention_cycles(config: HardwareConfig, head_channels: int, tiles: int, groups: int, time_chunks: int = 1) -> int:
    """Cycles from `start` to `done` of `hw.attention.attention.Attention`: the RTL takes exactly this many.

    K^T V of a set of columns starts when its tables are free, Q (K^T V) of a set when they are full and the set before
    is through; the latter moves in units of a token, and waits for a token's Q too. Behind the last token come the
    lanes of the other time steps, the sums, the write and `done`.

    Parameters
    ----------
    config : HardwareConfig
        The accelerator.
    head_channels, tiles, groups, time_chunks : int
        The job, as in its descriptor; one round like another for each time chunk.

    Returns
    -------
    int
        The cycle in which `done` is high less the cycle in which `start` is.
    """
    row = config.attention_columns * tiles
    token = AttentionGeometry(config).token_steps(head_channels)
    slices = head_channels // config.inputs
    tokens = config.positions * groups
    # Tokens are taken at the ends of tokens: cycles 1 + k * token behind `begin`, which is cycle 1.
    lanes = TOKENS_APART * (config.timesteps - 1) * token

    counted: list[int] = []  # cycle of each set's last step of K^T V
    taken: list[int] = []  # cycle in which each set's last token is taken
    freed: list[int] = []  # cycle from which each set's tables are free
    loaded = 2 + slices + LOAD_OVERHEAD  # cycle from which the next token's Q is there
    for index in range(head_channels // config.attention_columns):
        start = 3 if index == 0 else counted[-1] + 2
        if index >= SETS_AHEAD:
            start = max(start, freed[index - SETS_AHEAD] + 2)
        end = max(start + row, counted[-1] + 1 + (1 << TABLE_CHANNELS - 1) if index else 0)
        for channel in range(1, head_channels):
            end += max(row, 1 << (channel - 1) % TABLE_CHANNELS)
        counted.append(end - 1)
        ready = counted[-1] + counts_latency(config) + (1 << TABLE_CHANNELS - 1) + SubsetTables.filled_latency + 1
        first = 1 + _up(max(ready, loaded) - 1, token)
        # Tables that are ready just in time could not announce the first `take`.
        loads = [_up(slices, token)] * tokens
        loads[0] = _up(slices + LOAD_OVERHEAD * (ready == first), token)
        taken.append(first + sum(loads[:-1]))
        loaded = taken[-1] + loads[-1]
        freed.append(taken[-1] + lanes + token)
    return time_chunks * (freed[-1] + Attention.latency)


def _up(value: int, unit: int) -> int:
    """The least multiple of `unit` that is at least `value`."""
    return ceil_div(value, unit) * unit
