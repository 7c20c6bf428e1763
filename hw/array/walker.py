"""Walks a layer's loop nest and feeds the weight array one word of spikes per cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.array.padding import PaddingMask
from hw.array.step import DRAIN_BUFFERS, step_layout
from hw.config import HardwareConfig
from hw.descriptor import ADDRESS_BITS, DESCRIPTOR
from hw.parts.small_multiple import multiple


def slice_layout(config: HardwareConfig) -> data.StructLayout:
    """What the groups of one slice and tap have in common; ``last_but_one`` is a group, if they are not ``single``."""
    groups = DESCRIPTOR["tile_groups"].shape
    return data.StructLayout(
        {
            "address": unsigned(ADDRESS_BITS),
            "rotate": unsigned(max(1, (config.positions - 1).bit_length())),
            "tap_x": unsigned(2),
            "tap_y": unsigned(2),
            "slice": DESCRIPTOR["slices"].shape,
            "single": unsigned(1),
            "last_but_one": groups,
            "first": unsigned(1),
            "double": unsigned(1),
            "final": unsigned(1),
            "unsigned": unsigned(1),
            "tile_end": unsigned(1),
            "last_tile": unsigned(1),
        }
    )


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
    read_addresses : Out(ArrayLayout(20, positions)), from_residual : Out(1), read_data : In(group_bits)
        The source memory, one cycle of latency; `from_residual` says which memory `read_data` is taken from.
    step, spikes : Out
        To the weight array.
    issuing, stall_weights, stall_drain, stall_data : Out(1)
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
                "read_addresses": Out(data.ArrayLayout(unsigned(ADDRESS_BITS), config.positions)),
                "from_residual": Out(1),
                "read_data": In(unsigned(config.group_bits)),
                "step": Out(step_layout(config)),
                "spikes": Out(unsigned(config.group_bits)),
                "issuing": Out(1),
                "stall_weights": Out(1),
                "stall_drain": Out(1),
                "stall_data": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._has_input = Signal()  # the slice in `ahead` has been written
        ahead, ahead_valid, walking, take = self._prepare(m)
        issuing_more = self._issue(m, ahead, ahead_valid, take)
        m.d.sync += self.done.eq(~self.start & ~walking & ~ahead_valid & ~issuing_more)
        return m

    def _prepare(self, m: Module):
        """Keep the next slice's addresses ready in `ahead`."""
        config, d = self._config, self.descriptor
        lane_bits = (config.positions - 1).bit_length()
        tap_x = Signal(2)
        tap_y = Signal(2)
        slice_base, plane_base, tile_base = (Signal(ADDRESS_BITS, name=f"{n}_base") for n in ("slice", "plane", "tile"))
        walking = Signal()
        take = Signal()
        ahead_valid = Signal()
        prepare = Signal()
        low = Signal()
        slice_index, plane, tile, output_tile = (
            _Count(m, getattr(d, field), self.start, field) for field in ("slices", "passes", "tiles", "output_tiles")
        )

        # In positions: from -width - 1, which is ~width, on, row by row of the taps.
        shift = Signal(signed(d.width.shape().width + 2))
        first_shift = Signal(signed(d.width.shape().width + 1))
        next_row = Signal(signed(d.width.shape().width + 1))
        shifted = multiple(m, shift >> lane_bits, d.time_chunks, config.time_chunks, name="shifted")
        m.d.comb += first_shift.eq(Mux(d.kernel3, Cat(~d.width, 1).as_signed(), 0))
        m.d.sync += next_row.eq(d.width - 2)
        last_x, last_tap, last_half = (Signal(name=f"last_{n}") for n in ("x", "tap", "half"))
        first = Signal()
        last = Signal()
        groups = Signal.like(d.tile_groups)
        m.d.comb += [
            last_x.eq((tap_x == 2) | ~d.kernel3),
            last_half.eq(low | ~d.wide),
            first.eq((slice_index.value == 0) & (tap_x == 0) & (tap_y == 0)),
            last.eq(slice_index.last & last_tap & plane.last),
            groups.eq(Mux(tile.last, d.last_tile_groups, d.tile_groups)),
            prepare.eq(walking & (take | ~ahead_valid)),
        ]
        ahead = Signal(slice_layout(config))
        following_tile = Signal(ADDRESS_BITS)
        m.d.comb += following_tile.eq(Mux(tile.last, d.source_base, tile_base + d.tile_groups))
        with m.If(prepare):
            m.d.sync += [
                ahead.address.eq(slice_base + shifted),
                ahead.rotate.eq(shift[:lane_bits] if lane_bits else 0),
                ahead.tap_x.eq(Mux(d.kernel3, tap_x, 1)),
                ahead.tap_y.eq(Mux(d.kernel3, tap_y, 1)),
                ahead.slice.eq(slice_index.value),
                ahead.single.eq(groups == 1),
                ahead.last_but_one.eq(groups - 2),
                ahead.first.eq(first & (plane.value == 0)),
                ahead.double.eq(first & (plane.value != 0)),
                ahead.final.eq(last),
                ahead.unsigned.eq(low & ~d.image),
                ahead.tile_end.eq(last & last_half),
                ahead.last_tile.eq(tile.last),
                tap_x.eq(tap_x + 1),
                shift.eq(shift + Mux(last_x, next_row, 1)),
                last_tap.eq((tap_x == 1) & (tap_y == 2)),
            ]
            with m.If(last_x):
                m.d.sync += [tap_x.eq(0), tap_y.eq(tap_y + 1)]
            with m.If(last_tap):
                m.d.sync += [
                    tap_y.eq(0),
                    last_tap.eq(~d.kernel3),
                    shift.eq(first_shift),
                    slice_base.eq(slice_base + d.source_slice_stride),
                ]
                slice_index.step(m)
                with m.If(slice_index.last):
                    below = plane_base - d.source_plane_stride
                    m.d.sync += [slice_base.eq(below), plane_base.eq(below)]
                    plane.step(m)
            with m.If(last):
                m.d.sync += [slice_base.eq(tile_base), plane_base.eq(tile_base), low.eq(~last_half)]
                with m.If(last_half):
                    m.d.sync += [base.eq(following_tile) for base in (slice_base, plane_base, tile_base)]
                    tile.step(m)
                    with m.If(tile.last):
                        output_tile.step(m)
                        with m.If(output_tile.last):
                            m.d.sync += walking.eq(0)
        with m.If(take | ~ahead_valid):
            m.d.sync += ahead_valid.eq(walking)
        with m.If(self.start):
            m.d.sync += [walking.eq(1), shift.eq(first_shift), last_tap.eq(~d.kernel3)]
            m.d.sync += [base.eq(d.source_base) for base in (slice_base, plane_base, tile_base)]

        # Two cycles before it is looked at.
        slices_written = Signal.like(self.slices_written)
        all_written = Signal()
        m.d.sync += [slices_written.eq(self.slices_written), all_written.eq(self.all_written | ~d.follows)]
        written = [Signal(name=name) for name in ("next_written", "ahead_written")]
        m.d.comb += [
            written[0].eq(slice_index.value < slices_written),
            written[1].eq(ahead.slice < slices_written),
        ]
        m.d.sync += self._has_input.eq(all_written | Mux(prepare, *written))
        return ahead, ahead_valid, walking, take

    def _issue(self, m: Module, ahead, ahead_valid: Signal, take: Signal) -> Signal:
        """Issue the groups of a slice; returns whether a group follows this cycle's."""
        config, d = self._config, self.descriptor
        now = Signal.like(ahead)
        address = Signal(ADDRESS_BITS)
        active = Signal()
        group = Signal.like(d.tile_groups)
        last_group = Signal()
        free = Signal(init=1)  # no group follows this cycle's
        buffer = Signal(range(DRAIN_BUFFERS))
        buffers_used = Signal(range(DRAIN_BUFFERS + 1))
        wanted = Signal()
        has_input = self._has_input
        has_buffer = Signal()
        m.d.comb += [
            wanted.eq(ahead_valid & free),
            has_buffer.eq(~ahead.final | (buffers_used != DRAIN_BUFFERS)),
            take.eq(wanted & has_input & has_buffer & self.table_available),
            self.claim.eq(take),
            self.issuing.eq(active),
        ]
        # A take refused is a cycle without a group one later.
        m.d.sync += [
            self.stall_data.eq(wanted & ~has_input),
            self.stall_weights.eq(wanted & has_input & ~self.table_available),
            self.stall_drain.eq(wanted & has_input & self.table_available & ~has_buffer),
        ]
        m.d.sync += buffers_used.eq(buffers_used + (take & ahead.final) - self.buffers_freed)
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

        advance, words = active, None
        if config.time_chunks > 1:
            word = Signal(range(config.time_chunks))
            last_word = Signal()
            words = d.time_chunks[: config.time_chunks.bit_length()]
            m.d.comb += last_word.eq(word == words - 1)
            advance = active & last_word
            with m.If(active):
                m.d.sync += word.eq(Mux(last_word, 0, word + 1))
            with m.If(take):
                m.d.sync += word.eq(0)

        m.submodules.padding = padding = PaddingMask(config)
        m.d.comb += [
            padding.start.eq(self.start),
            padding.first_row.eq(d.first_row),
            padding.height.eq(d.height),
            padding.width.eq(d.width),
            padding.tap_x.eq(now.tap_x),
            padding.tap_y.eq(now.tap_y),
            padding.advance.eq(advance),
            padding.rewind.eq(take),
            padding.tile_end.eq(active & last_group & now.tile_end),
            padding.last_tile.eq(now.last_tile),
        ]

        # Issue -> address register -> memory -> rotation register: three stages beside the data.
        addresses = Signal.like(self.read_addresses)
        for bank in range(config.positions):
            wrapped = (bank < now.rotate) if config.positions > 1 else 0
            if words is not None:
                wrapped = Mux(wrapped, words, 0)
            m.d.sync += addresses[bank].eq(address + wrapped)
        m.d.comb += self.read_addresses.eq(addresses)

        with m.If(active & last_group & now.final):
            m.d.sync += buffer.eq(buffer + 1)
        stage = Signal(data.StructLayout({
            "step": step_layout(config), "rotate": now.rotate.shape(), "residual": unsigned(1), "image": unsigned(1),
        }))  # fmt: skip
        m.d.comb += [
            stage.step.valid.eq(active),
            stage.step.group.eq(group),
            stage.step.buffer.eq(buffer),
            stage.step.first.eq(now.first),
            stage.step.double.eq(now.double),
            stage.step.final.eq(now.final),
            stage.step.unsigned.eq(now.unsigned),
            stage.step.last_group.eq(last_group),
            stage.step.last_of_tile.eq(last_group & now.final),
            stage.rotate.eq(now.rotate),
            stage.residual.eq(d.source_residual),
            stage.image.eq(d.image),
        ]
        for _ in range(self.latency - 1):
            delayed = Signal.like(stage)
            m.d.sync += delayed.eq(stage)
            stage = delayed
        lanes = Signal(config.positions)
        m.d.sync += [self.step.eq(stage.step), lanes.eq(padding.inside)]
        m.d.comb += self.from_residual.eq(stage.residual)
        width = config.group_bits // config.positions
        for lane in range(config.positions):
            word = Signal(width, name=f"word{lane}")
            with m.Switch(stage.rotate):
                for rotate in range(config.positions):
                    with m.Case(rotate):
                        m.d.comb += word.eq(self.read_data.word_select((lane + rotate) % config.positions, width))
            m.d.sync += self.spikes.word_select(lane, width).eq(Mux(lanes[lane] | stage.image, word, 0))
        more = Signal()
        m.d.comb += more.eq(~free)
        return more


class _Count:
    """A loop's counter from 0 on, and whether it is at its end, which is known a cycle before."""

    def __init__(self, m: Module, length: Signal, start: Signal, name: str):
        self.value, self.last = Signal.like(length, name=f"{name}_index"), Signal(name=f"{name}_last")
        self._single, self._last_but_one = length == 1, Signal.like(length, name=f"{name}_last_but_one")
        m.d.sync += self._last_but_one.eq(length - 2)
        with m.If(start):
            m.d.sync += self.last.eq(self._single)

    def step(self, m: Module) -> None:
        """Go on; behind the end comes the beginning."""
        m.d.sync += [self.value.eq(self.value + 1), self.last.eq(self.value == self._last_but_one)]
        with m.If(self.last):
            m.d.sync += [self.value.eq(0), self.last.eq(self._single)]
