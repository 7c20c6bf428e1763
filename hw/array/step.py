"""What the weight array does with a word of spikes."""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import data

from hw.config import HardwareConfig

DRAIN_BUFFERS = 4
"""Position tiles of completed sums that wait for the neurons, or are read by them."""


def step_layout(config: HardwareConfig) -> data.StructLayout:
    """What the array does with one word of spikes.

    ``group`` is the address of the partial sums, ``first`` starts them at 0, ``double`` doubles them before adding
    (Horner's rule over bit-planes). ``final`` completes them: they go to drain buffer ``buffer``. In a step that is
    ``unsigned`` the claimed table holds weights 0 to 15 (low halves), else -8 to 7. ``last_group`` frees the table,
    ``last_of_tile`` (with ``final``) completes the tile.
    """
    return data.StructLayout(
        {
            "valid": unsigned(1),
            "group": range(config.tile_groups),
            "buffer": range(DRAIN_BUFFERS),
            "first": unsigned(1),
            "double": unsigned(1),
            "final": unsigned(1),
            "unsigned": unsigned(1),
            "last_group": unsigned(1),
            "last_of_tile": unsigned(1),
        }
    )
