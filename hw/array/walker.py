"""Walks a layer's loop nest and feeds the weight array one word of spikes per cycle."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.array.loop_nest import LoopNest, slice_layout
from hw.array.padding import PaddingMask
from hw.array.step import DRAIN_BUFFERS, step_layout
from hw.config import HardwareConfig
from hw.descriptor import ADDRESS_BITS, DESCRIPTOR


class Walker(wiring.Component):
    """Addresses, padding masks and array steps of one layer.

    Loops, outermost first: output tile, position tile, half (of 8-bit weights), bit-plane (top first), input slice,
    kernel tap, position group. Everything inside the position groups shares one slice of weights. Positions are a flat
    raster; a tap shifts the index by ``dy * width + dx``, the banks rotate accordingly, and lanes whose source lies
    outside the feature map are masked to zero.

    In a machine of several time chunks a position group has a word for each of them, side by side. "Group" here means
    such a word: a tap shifts by as many words per position group, and the rows and columns of the lanes go on with
    every last word of a group. (Words of an image have no chunks: they are not masked, and have no taps.)

    A layer that `follows` reads the output of the one before while its last words are still being written: a slice is
    begun once all its channels are complete. With slices outside the taps that rarely means waiting.

    The next slice's addresses are prepared while the current one runs, so slices follow each other without a gap when
    a table is available. `step` and `spikes` leave `latency` cycles after the issue; the first slice is ready
    `start_latency` cycles after `start`.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1)
        Begins the layer in `descriptor`, which must hold still until `done`.
    descriptor : In(DESCRIPTOR)
        The layer.
    done : Out(1)
        No group is left: from the cycle after the last one up to that of `start`, which is too soon to look at it.
    slices_written : In(10), all_written : In(1)
        Complete slices of the layer before; it is written to the end.
    table_available : In(1), claim : Out(1)
        The array's table handshake.
    buffers_freed : In(2)
        Drain buffers that the neurons have read.
    spike_reads, residual_reads : Out(positions), read_addresses : Out(ArrayLayout(20, positions))
        Banks of the spike or of the residual memory that are read, and where.
    from_residual : Out(1), read_data : In(group_bits)
        A cycle later: which memory `read_data` is taken from.
    step, spikes : Out
        To the weight array.
    issuing, wait_weights, wait_drain, wait_data : Out(1)
        For the counters: a group is issued; none is, because in the cycle before the next slice had no table; no drain
        buffer; not its input. At most one is high, and a layer takes ``layer_gap`` cycles more, from `start` to `done`,
        than they count.
    """

    latency = 3
    """Cycles from issue to `step`: address register, memory, rotation."""

    start_latency = 2
    """Cycles from `start` to the first slice's take."""

    input_latency = 2
    """Cycles from the report that a slice is written to its take."""

    layer_gap = start_latency + 2
    """Cycles without a group between two layers, the second one started in the cycle after `done`."""

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "done": Out(1, init=1),
                "slices_written": In(DESCRIPTOR["slices"].shape),
                "all_written": In(1),
                "table_available": In(1),
                "claim": Out(1),
                "buffers_freed": In(2),
                "spike_reads": Out(unsigned(config.positions)),
                "residual_reads": Out(unsigned(config.positions)),
                "read_addresses": Out(data.ArrayLayout(unsigned(ADDRESS_BITS), config.positions)),
                "from_residual": Out(1),
                "read_data": In(unsigned(config.group_bits)),
                "step": Out(step_layout(config)),
                "spikes": Out(unsigned(config.group_bits)),
                "issuing": Out(1),
                "wait_weights": Out(1),
                "wait_drain": Out(1),
                "wait_data": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        take = Signal()  # the slice and tap that is ahead begins in the next cycle
        ahead = self._prepare(m, take)
        issued = self._issue(m, ahead.slice, take)
        self._decide(m, ahead, issued.free, take)
        m.d.sync += self.done.eq(~self.start & ~ahead.walking & ~ahead.valid & issued.free)
        words, end_of_group = self._time_chunks(m, issued.active, take)
        inside = self._mask(m, issued, end_of_group, take)
        self._address_banks(m, issued, words)
        addressed = self._delayed(m, self._step(m, issued), "addressed")
        self._read(m, addressed, inside)
        self._pass_on(m, self._delayed(m, addressed, "arriving"), inside)
        return m

    def _prepare(self, m: Module, take: Value) -> _Ahead:
        """Keep the next slice and tap ready."""
        m.submodules.loop_nest = nest = LoopNest(self._config)
        ahead = Signal(slice_layout(self._config))
        ahead_valid = Signal()
        prepare = Signal()
        m.d.comb += [
            nest.start.eq(self.start),
            nest.descriptor.eq(self.descriptor),
            nest.go_on.eq(prepare),
            prepare.eq(nest.walking & (take | ~ahead_valid)),
        ]
        with m.If(prepare):
            m.d.sync += ahead.eq(nest.here)
        with m.If(take | ~ahead_valid):
            m.d.sync += ahead_valid.eq(nest.walking)
        # Two cycles before it is looked at.
        slices_written = Signal.like(self.slices_written)
        all_written = Signal()
        next_written = Signal()
        ahead_written = Signal()
        has_input = Signal()
        m.d.sync += [
            slices_written.eq(self.slices_written),
            all_written.eq(self.all_written | ~self.descriptor.follows),
        ]
        m.d.comb += [
            next_written.eq(nest.here.slice < slices_written),
            ahead_written.eq(ahead.slice < slices_written),
        ]
        m.d.sync += has_input.eq(all_written | Mux(prepare, next_written, ahead_written))
        return _Ahead(slice=ahead, valid=ahead_valid, has_input=has_input, walking=nest.walking)

    def _decide(self, m: Module, ahead: _Ahead, free: Value, take: Signal) -> None:
        """Take the slice that is ahead, if it has what it needs, or count for what it waits."""
        buffers_used = Signal(range(DRAIN_BUFFERS + 1))
        wanted = Signal()
        has_buffer = Signal()
        m.d.comb += [
            wanted.eq(ahead.valid & free),
            has_buffer.eq(~ahead.slice.final | (buffers_used != DRAIN_BUFFERS)),
            take.eq(wanted & ahead.has_input & has_buffer & self.table_available),
            self.claim.eq(take),
        ]
        # A take refused is a cycle without a group one later.
        m.d.sync += [
            self.wait_data.eq(wanted & ~ahead.has_input),
            self.wait_weights.eq(wanted & ahead.has_input & ~self.table_available),
            self.wait_drain.eq(wanted & ahead.has_input & self.table_available & ~has_buffer),
            buffers_used.eq(buffers_used + (take & ahead.slice.final) - self.buffers_freed),
        ]

    def _issue(self, m: Module, ahead: data.View, take: Value) -> _Issued:
        """Issue the groups of a slice, one a cycle."""
        now = Signal.like(ahead)
        address = Signal(ADDRESS_BITS)
        active = Signal()
        group = Signal.like(self.descriptor.tile_groups)
        last_group = Signal()
        free = Signal(init=1)
        with m.If(active):
            ends = group == now.last_but_one
            m.d.sync += [group.eq(group + 1), address.eq(address + 1), last_group.eq(ends), free.eq(last_group | ends)]
            with m.If(last_group):
                m.d.sync += active.eq(0)
        with m.If(take):
            m.d.sync += [
                active.eq(1), group.eq(0), address.eq(ahead.address), now.eq(ahead),
                last_group.eq(ahead.single), free.eq(ahead.single),
            ]  # fmt: skip
        m.d.comb += self.issuing.eq(active)
        return _Issued(now, address, active, group, last_group, free)

    def _time_chunks(self, m: Module, active: Value, take: Value) -> tuple[Value, Value]:
        """Words of a position group, and whether the word issued is its last one."""
        most = self._config.time_chunks
        if most == 1:
            return Const(1), Const(1, 1)
        word = Signal(range(most))
        last_word = Signal()
        words = self.descriptor.time_chunks[: most.bit_length()]
        m.d.comb += last_word.eq(word == words - 1)
        with m.If(active):
            m.d.sync += word.eq(Mux(last_word, 0, word + 1))
        with m.If(take):
            m.d.sync += word.eq(0)
        return words, last_word

    def _mask(self, m: Module, issued: _Issued, end_of_group: Value, take: Value) -> Value:
        """Which lanes of the word that was issued a cycle ago read inside the feature map."""
        m.submodules.padding = padding = PaddingMask(self._config)
        now = issued.now
        m.d.comb += [
            padding.start.eq(self.start),
            padding.first_row.eq(self.descriptor.first_row),
            padding.height.eq(self.descriptor.height),
            padding.width.eq(self.descriptor.width),
            padding.above.eq(now.above),
            padding.below.eq(now.below),
            padding.left.eq(now.left),
            padding.right.eq(now.right),
            padding.advance.eq(issued.active & end_of_group),
            padding.rewind.eq(take),
            padding.tile_end.eq(issued.active & issued.last_group & now.tile_end),
            padding.last_tile.eq(now.last_tile),
        ]
        return padding.inside

    def _address_banks(self, m: Module, issued: _Issued, words: Value) -> None:
        """Banks in front of lane 0 hold lanes of the next position group."""
        addresses = Signal.like(self.read_addresses)
        for bank in range(self._config.positions):
            m.d.sync += addresses[bank].eq(issued.address + Mux(bank < issued.now.rotate, words, 0))
        m.d.comb += self.read_addresses.eq(addresses)

    def _step(self, m: Module, issued: _Issued) -> data.View:
        """What goes beside the word: issue -> address register -> memory -> rotation register."""
        now, d = issued.now, self.descriptor
        buffer = Signal(range(DRAIN_BUFFERS))
        with m.If(issued.active & issued.last_group & now.final):
            m.d.sync += buffer.eq(buffer + 1)
        stage = Signal(_beside(self._config))
        m.d.comb += [
            stage.step.valid.eq(issued.active),
            stage.step.group.eq(issued.group),
            stage.step.buffer.eq(buffer),
            stage.step.first.eq(now.first),
            stage.step.double.eq(now.double),
            stage.step.final.eq(now.final),
            stage.step.unsigned.eq(now.unsigned),
            stage.step.last_group.eq(issued.last_group),
            stage.step.last_of_tile.eq(issued.last_group & now.final),
            stage.rotate.eq(now.rotate),
            stage.residual.eq(d.source_residual),
            stage.image.eq(d.image),
        ]
        return stage

    @staticmethod
    def _delayed(m: Module, stage: data.View, name: str) -> data.View:
        delayed = Signal.like(stage, name=name)
        m.d.sync += delayed.eq(stage)
        return delayed

    def _read(self, m: Module, stage: data.View, inside: Value) -> None:
        """Read the banks whose lanes are inside the feature map: any other word may be written at this time."""
        positions = self._config.positions
        banks = Signal(positions, name="banks_inside")
        with m.Switch(stage.rotate):
            for rotate in range(positions):
                with m.Case(rotate):
                    m.d.comb += banks.eq(Cat(inside[(bank - rotate) % positions] for bank in range(positions)))
        m.d.comb += [
            self.spike_reads.eq(Mux(stage.step.valid & ~stage.residual, banks | stage.image.replicate(positions), 0)),
            self.residual_reads.eq(Mux(stage.step.valid & stage.residual, banks, 0)),
        ]

    def _pass_on(self, m: Module, stage: data.View, inside: Value) -> None:
        """Rotate the banks' words to their lanes and mask what lies outside the feature map."""
        positions = self._config.positions
        width = self._config.group_bits // positions
        lanes = Signal(positions)
        m.d.sync += [self.step.eq(stage.step), lanes.eq(inside)]
        m.d.comb += self.from_residual.eq(stage.residual)
        for lane in range(positions):
            word = Signal(width, name=f"word{lane}")
            with m.Switch(stage.rotate):
                for rotate in range(positions):
                    with m.Case(rotate):
                        m.d.comb += word.eq(self.read_data.word_select((lane + rotate) % positions, width))
            m.d.sync += self.spikes.word_select(lane, width).eq(Mux(lanes[lane] | stage.image, word, 0))


def _beside(config: HardwareConfig) -> data.StructLayout:
    """What goes beside a word of spikes on its way to the array."""
    rotate = slice_layout(config)["rotate"].shape
    return data.StructLayout({"step": step_layout(config), "rotate": rotate, "residual": 1, "image": 1})


@dataclass(frozen=True, eq=False)
class _Ahead:
    """The next slice and tap; `valid` if there is one and `has_input` if it was written; more may be behind it."""

    slice: data.View
    valid: Signal
    has_input: Signal
    walking: Signal


@dataclass(frozen=True, eq=False)
class _Issued:
    """The group that is issued in this cycle, if `active`; no other one follows it if `free`."""

    now: data.View
    address: Signal
    active: Signal
    group: Signal
    last_group: Signal
    free: Signal
