"""Steps through a layer's loops, a slice of weights and a kernel tap at a time: one address, a step for every loop."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import ADDRESS_BITS, DESCRIPTOR


def slice_layout(config: HardwareConfig) -> data.StructLayout:
    """What the groups of one slice and tap have in common.

    Lane 0 of the first group is read from bank ``rotate`` of word ``address``. The tap reads the row ``above`` the one
    computed, or ``below``, the column to the ``left``, or to the ``right``. ``last_but_one`` is a group, if they are
    not ``single``.
    """
    flags = (
        "above",
        "below",
        "left",
        "right",
        "single",
        "first",
        "double",
        "final",
        "unsigned",
        "tile_end",
        "last_tile",
    )
    return data.StructLayout(
        {
            "rotate": max(1, (config.positions - 1).bit_length()),
            "address": ADDRESS_BITS,
            "slice": DESCRIPTOR["slices"].shape,
            "last_but_one": DESCRIPTOR["tile_groups"].shape,
            **dict.fromkeys(flags, 1),
        }
    )


class LoopNest(wiring.Component):
    """Keeps the address of the slice and tap that a layer has come to.

    Loops, innermost first: column and row of the taps, input slice, bit-plane (top first), half of 8-bit weights,
    position tile, output tile. When a loop goes on, and those within it begin again, its step is added to the address:
    it contains their way back. The next output tile begins where the first one did.

    An address is a word and a bank, and so is a step. Banks that pass the last one carry: on to the next position
    group, which is as many words away as there are time chunks.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1)
        Begins the layer in `descriptor`, which must hold still while it is `walking`.
    descriptor : In(DESCRIPTOR)
        The layer.
    walking : Out(1)
        From the cycle after `start` on: there is a slice `here`.
    here : Out(slice_layout(config))
        The slice and tap.
    go_on : In(1)
        While `walking`: `here` is the next one from the next cycle on.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "walking": Out(1),
                "here": Out(slice_layout(config)),
                "go_on": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        d = self.descriptor
        taps = Cat(Const(1, 1), d.kernel3)  # of a row or a column: 1 or 3
        counts = {
            "column": taps, "row": taps, "slice": d.slices, "plane": d.passes, "half": Cat(~d.wide, d.wide),
            "tile": d.tiles, "output_tile": d.output_tiles,
        }  # fmt: skip
        loops = {}
        inner_end: Value = Const(1, 1)
        for name, count in counts.items():
            loops[name] = _Loop(m, name, count, start=self.start, go_on=self.go_on, inner_end=inner_end)
            inner_end = loops[name].end
        with m.If(self.start | (self.go_on & inner_end)):
            m.d.sync += self.walking.eq(self.start)
        self._address(m, loops)
        self._describe(m, loops)
        return m

    def _address(self, m: Module, loops: dict[str, _Loop]) -> None:
        """Follow the address: a sum of banks in its lower bits, of words above."""
        d, lane_bits = self.descriptor, self._lane_bits
        place = Signal(lane_bits + ADDRESS_BITS)
        with m.If(self.start | (self.go_on & loops["tile"].end)):
            m.d.sync += place.eq(self._joined(d.source_base, d.source_rotate))
        with m.Elif(self.go_on):
            m.d.sync += place.eq(self._moved(m, place, self._step(loops)))
        m.d.comb += [self.here.rotate.eq(place[:lane_bits]), self.here.address.eq(place[lane_bits:])]

    @property
    def _lane_bits(self) -> int:
        return (self._config.positions - 1).bit_length()

    @property
    def _group_words(self) -> Value:
        """Words from a position group to the next one."""
        most = self._config.time_chunks
        return Const(1) if most == 1 else self.descriptor.time_chunks[: most.bit_length()]

    def _joined(self, words: Value, banks: Value) -> Value:
        return Cat(banks[: self._lane_bits], words)

    def _step(self, loops: dict[str, _Loop]) -> Value:
        """The step of the loop that goes on: the innermost one that is not at its last turn."""
        d = self.descriptor
        column = Const(1) if self._lane_bits else self._group_words  # one bank on, or one word
        step = self._joined(d.tile_step, d.rewind_rotate)
        for name, words in {"half": d.half_step, "plane": d.plane_step, "slice": d.slice_step}.items():
            step = Mux(loops[name].last, step, self._joined(words, d.rewind_rotate))
        step = Mux(loops["row"].last, step, self._joined(d.row_step, d.row_rotate))
        return Mux(loops["column"].last, step, column)

    def _moved(self, m: Module, place: Value, step: Value) -> Value:
        """The sum of both; where a position group has several words, the carry from bank to word is worth so many."""
        if self._config.time_chunks == 1:
            return place + step
        banks = Signal(self._lane_bits + 1)
        m.d.comb += banks.eq(place[: self._lane_bits] + step[: self._lane_bits])
        carried = Mux(banks[-1], self._group_words, 0)
        return Cat(banks[:-1], place[self._lane_bits :] + step[self._lane_bits :] + carried)

    def _describe(self, m: Module, loops: dict[str, _Loop]) -> None:
        """What the array and the padding are to know of the slice and tap."""
        d, here = self.descriptor, self.here
        begins = Signal()  # the first tap of the first slice
        top_plane = Signal()
        index = Signal.like(d.slices)
        with m.If(self.start):
            m.d.sync += [begins.eq(1), top_plane.eq(1), index.eq(0)]
        with m.Elif(self.go_on):
            m.d.sync += begins.eq(loops["slice"].end)
            with m.If(loops["row"].end):
                m.d.sync += index.eq(Mux(loops["slice"].last, 0, index + 1))
            with m.If(loops["slice"].end):
                m.d.sync += top_plane.eq(loops["plane"].last)
        groups = Mux(loops["tile"].last, d.last_tile_groups, d.tile_groups)
        m.d.comb += [
            here.slice.eq(index),
            here.above.eq(loops["row"].left == 3),
            here.below.eq(d.kernel3 & loops["row"].last),
            here.left.eq(loops["column"].left == 3),
            here.right.eq(d.kernel3 & loops["column"].last),
            here.single.eq(groups == 1),
            here.last_but_one.eq(groups - 2),
            here.first.eq(begins & top_plane),
            here.double.eq(begins & ~top_plane),
            here.final.eq(loops["plane"].end),
            here.unsigned.eq(d.wide & loops["half"].last & ~d.image),
            here.tile_end.eq(loops["half"].end),
            here.last_tile.eq(loops["tile"].last),
        ]


class _Loop:
    """Counts how many turns of a loop are `left`, with this one; that it is the `last` one is known a cycle before.

    `end` says that all loops within it are at their last turn, too.
    """

    def __init__(self, m: Module, name: str, count: Value, *, start: Value, go_on: Value, inner_end: Value):
        self.left, self.last = Signal(len(count), name=f"{name}s_left"), Signal(name=f"last_{name}")
        self.end = inner_end & self.last
        begins = start | self.last
        with m.If(start | (go_on & inner_end)):
            m.d.sync += [
                self.left.eq(Mux(begins, count, self.left - 1)),
                self.last.eq(Mux(begins, count == 1, self.left == 2)),
            ]
