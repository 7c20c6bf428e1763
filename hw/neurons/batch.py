"""What travels beside a batch of sums, and beside its spikes, from the neurons' reads to the memories."""

from __future__ import annotations

from amaranth.hdl import Module, ShapeLike, Value, unsigned
from amaranth.lib import data

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR, Destination
from hw.memory.spike_memory import address_bits
from hw.parts.delay import delayed


def word_address_bits(config: HardwareConfig) -> int:
    """Bits of an address into the larger one of spike and residual memory."""
    return address_bits(max(config.spike_words, config.residual_words))


def channel_bits(config: HardwareConfig) -> int:
    """Bits of a channel of a head or of a class, those included that fill up the last output tile."""
    return (max(config.head_channels, config.max_classes) + config.outputs - 1).bit_length()


def batch_layout(config: HardwareConfig) -> data.StructLayout:
    """What travels beside one batch: `neurons` output channels of one position group.

    ``layer``, ``destination``, ``token_buffer``, ``pool`` and ``steps`` (a bit for each time step in use) are those of
    its layer. ``first`` and ``last`` frame a piece, or, where channels come one by one, a tile's position groups. A
    piece belongs at ``slice_address + position_group``, in piece ``piece`` of the words; ``lanes`` marks the lanes that
    are real positions, and a batch without any is not valid. ``channel`` is the batch's first channel in its head or
    among the classes, ``chunk`` its position tile, framed by ``first_tile`` and ``last_tile``.

    In a machine of several time chunks ``position_group`` counts words, one per position group and chunk,
    ``time_chunk`` is the batch's, and the first and the last tile are so in the first and the last chunk only. In one
    with `pool_before`, ``pool_before`` says that the batch was pooled: its lane 0 belongs in lane ``bank`` of the word.
    """
    optional: dict[str, ShapeLike] = {}
    if config.time_chunks > 1:
        optional["time_chunk"] = range(config.time_chunks)
    if config.pool_before:
        optional |= {"pool_before": unsigned(1), "bank": range(max(2, config.positions))}
    return data.StructLayout(
        {
            "valid": unsigned(1),
            "layer": DESCRIPTOR["layer"].shape,
            "destination": Destination,
            "token_buffer": unsigned(1),
            "pool": unsigned(1),
            "steps": unsigned(config.timesteps),
            "first": unsigned(1),
            "last": unsigned(1),
            "piece": range(max(2, config.word_pieces)),
            "slice_address": unsigned(word_address_bits(config)),
            "position_group": unsigned(min(word_address_bits(config), DESCRIPTOR["groups"].width)),
            "lanes": unsigned(config.positions),
            "channel": unsigned(channel_bits(config)),
            "chunk": range(max(2, config.token_chunks)),
            "first_tile": unsigned(1),
            "last_tile": unsigned(1),
            **optional,
        }
    )


def delay_batch(
    m: Module, batch: data.View, late: data.View, cycles: int, *, name: str, without: tuple[str, ...] = ()
) -> None:
    """Drive `late` with the `batch` of `cycles` cycles ago. Of its fields only `valid` needs a reset.

    Parameters
    ----------
    m : Module
        Gets the registers.
    batch, late : View of batch_layout
        What comes, and what leaves.
    cycles : int
        Length of the line.
    name : str
        Prefix of the registers' names.
    without : tuple of str
        Fields that are driven elsewhere.
    """
    for field, _ in batch.shape():
        if field not in without:
            value = Value.cast(batch[field])
            m.d.comb += late[field].eq(delayed(m, value, cycles, name=f"{name}_{field}", reset=field == "valid"))
