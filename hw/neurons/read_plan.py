"""How long the reads of a tile of sums take: as a number, and in hardware as the plan of a layer."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import WEIGHT_BITS, HardwareConfig
from hw.descriptor import DESCRIPTOR, Destination

CHANNEL_ORDER = (Destination.KEYS, Destination.VALUES, Destination.LOGITS)
"""Destinations that are read channel by channel."""

BESIDE_ATTENTION = 2
"""Fewest cycles of a piece that may be written to the spike memory beside attention, whose write it holds for one."""


def drain_cycles(config: HardwareConfig, fields: Mapping[str, int], groups: int, pieces: int) -> int:
    """Cycles in which the neurons read one position tile of one output tile.

    Parameters
    ----------
    config : HardwareConfig
    fields : mapping
        The layer's descriptor; what is missing is 0.
    groups, pieces : int
        Words of sums and pieces of the tile.
    """
    reads = config.piece // config.neurons
    destination = Destination(fields.get("destination", 0))
    halves, pace = 1 + fields.get("wide", 0), fields.get("pace", 0)
    chunks = max(1, fields.get("time_chunks", 0))
    if destination in CHANNEL_ORDER:
        return pieces * reads * chunks * max(groups // chunks, config.neurons, pace) * halves
    behind = 0
    if destination == Destination.RESIDUAL:
        behind = fields.get("residual_planes_out", 0)
    elif destination == Destination.SPIKES and fields.get("overlaps"):
        behind = BESIDE_ATTENTION // halves
    words = groups * config.timesteps * chunks if fields.get("image") else groups
    return words * pieces * max(reads, behind, pace) * halves


def tile_lengths(config: HardwareConfig) -> data.StructLayout:
    """Lengths of a position tile, in reads.

    A *beat* is a piece of a word or, in channel order, a batch of channels (with several time chunks, one of its
    chunks). ``last_beat`` is the number of a beat's last read; the first ``lead`` reads are a pause. ``last_group`` is
    the number of the tile's last word of sums. ``one_beat``, ``at_once`` and ``one_group`` say of each whether it is 0.
    """
    reads = config.piece // config.neurons
    longest = range(1 + max(config.tile_groups, reads, 1 << DESCRIPTOR[_least_field(config)].width))
    return data.StructLayout(
        {
            "last_beat": longest,
            "one_beat": 1,
            "lead": longest,
            "at_once": 1,
            "last_group": DESCRIPTOR["tile_groups"].shape,
            "one_group": 1,
        }
    )


class ReadPlan(wiring.Component):
    """What a layer's descriptor asks of its reads.

    Two orders, by destination. Words for the spike or residual memory: position group, piece, batch; a piece takes the
    time of ``max(piece / neurons, residual_planes_out)`` reads, in a layer that overlaps at least `BESIDE_ATTENTION`
    cycles. K, V and logits: batch, position group; a batch takes the time of ``max(groups, neurons)`` reads. With
    several time chunks either takes at least ``pace`` reads. Where the time is more than the reads, the pause comes in
    front of them.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    descriptor : In(DESCRIPTOR)
        The layer; holds still.
    wide : Out(1), time_chunks : Out
        8-bit weights: a read takes two cycles. Time chunks of the layer; 1 in a machine of a single one.
    channel_order : Out(1)
        Of the two orders, the one of K, V and logits.
    lengths, last_lengths : Out(tile_lengths(config))
        Of the position tiles of an output tile but the last one, and of that one; from `latency` cycles after the
        descriptor came.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "descriptor": In(DESCRIPTOR),
                "wide": Out(1),
                "time_chunks": Out(range(max(2, config.time_chunks + 1))),
                "channel_order": Out(1),
                "lengths": Out(tile_lengths(config)),
                "last_lengths": Out(tile_lengths(config)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from `descriptor` to `lengths` and `last_lengths`."""
        return 2

    def elaborate(self, platform):
        m = Module()
        config, d = self._config, self.descriptor
        m.d.comb += [
            self.wide.eq(d.wide if config.weight_bits > WEIGHT_BITS else 0),
            self.time_chunks.eq(d.time_chunks if config.time_chunks > 1 else 1),
        ]
        m.d.sync += self.channel_order.eq(_is_one_of(d.destination, CHANNEL_ORDER))
        least = self._least_reads(m)
        self._measure(m, self.lengths, d.tile_groups, d.chunk_groups, least)
        self._measure(m, self.last_lengths, d.last_tile_groups, d.last_chunk_groups, least)
        return m

    def _least_reads(self, m: Module) -> Signal:
        """Reads, less one, whose time a beat takes at least."""
        config, d = self._config, self.descriptor
        beside: Value | int = 0
        if config.piece // config.neurons < BESIDE_ATTENTION:  # a read more; of 8-bit weights one is two cycles already
            beside = (d.destination == Destination.SPIKES) & d.overlaps & ~self.wide
        of_word = Mux(d.destination == Destination.RESIDUAL, d.residual_planes_out - 1, beside)
        wanted = Mux(_is_one_of(d.destination, CHANNEL_ORDER), config.neurons - 1, of_word)
        if config.time_chunks > 1:
            wanted = Mux(wanted + 1 < d.pace, d.pace - 1, wanted)
        least = Signal.like(d[_least_field(config)], name="least")
        m.d.sync += least.eq(wanted)
        return least

    def _measure(self, m: Module, lengths: data.View, groups: Value, chunk_groups: Value, least: Signal) -> None:
        """Lengths of a tile of `groups` words of sums, of which `chunk_groups` are of one time chunk."""
        reads = self._config.piece // self._config.neurons
        of_channel = chunk_groups - 1 if self._config.time_chunks > 1 else lengths.last_group
        wanted = Signal.like(lengths.last_beat, name="wanted")
        short = Signal(name="short")
        m.d.comb += [
            wanted.eq(Mux(self.channel_order, of_channel, reads - 1)),  # less one
            short.eq(wanted < least),
        ]
        m.d.sync += [
            lengths.last_group.eq(groups - 1),
            lengths.one_group.eq(groups == 1),
            lengths.last_beat.eq(Mux(short, least, wanted)),
            lengths.one_beat.eq(~short & (wanted == 0)),
            lengths.lead.eq(Mux(short, least - wanted, 0)),
            lengths.at_once.eq(~short),
        ]


def _least_field(config: HardwareConfig) -> str:
    """Field of the descriptor that holds the least reads of a beat, which no other one exceeds."""
    return "pace" if config.time_chunks > 1 else "residual_planes_out"


def _is_one_of(value: Value, choices: tuple[Destination, ...]) -> Value:
    """Whether a destination is one of several."""
    return Cat(value == choice for choice in choices).any()
