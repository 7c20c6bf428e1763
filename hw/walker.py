"""Walks a layer's loop nest and feeds the weight array one word of spikes per cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import HardwareConfig
from .isa import ADDRESS_BITS, DESCRIPTOR
from .weight_array import step_layout


class Walker(wiring.Component):
    """Addresses, padding masks and array steps of one layer.

    Loops, outermost first: output tile, position tile, bit-plane (top first), kernel tap, input slice, position group.
    Everything inside the position groups shares one weight slice. Positions are a flat raster; a tap shifts the index
    by ``dy * width + dx``, the banks rotate accordingly, and lanes whose source lies outside the feature map are
    masked to zero.

    The next slice's addresses are prepared while the current one runs, so slices follow each other without a gap when
    a table is available. `step` and `spikes` leave `latency` cycles after the issue.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1)
        Begins the layer in `descriptor`, which must hold still until the layer's end.
    descriptor : In(DESCRIPTOR)
        The layer.
    table_available : In(1), claim : Out(1)
        The array's table handshake.
    tile_drained : In(1)
        Pulse: a buffer of partial sums was read and is free again.
    read_addresses : Out(ArrayLayout(20, positions)), read_data : In(group_bits)
        The source memory, one cycle of latency.
    step, spikes : Out
        To the weight array.
    issuing, stall_weights, stall_drain : Out(1)
        For the counters: a group is issued; the next slice waits for its table; it waits for free partial sums.
    """

    latency = 3
    """Cycles from issue to `step`: address register, memory, rotation."""

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "table_available": In(1),
                "claim": Out(1),
                "tile_drained": In(1),
                "read_addresses": Out(data.ArrayLayout(unsigned(ADDRESS_BITS), config.positions)),
                "read_data": In(unsigned(config.group_bits)),
                "step": Out(step_layout(config)),
                "spikes": Out(unsigned(config.group_bits)),
                "issuing": Out(1),
                "stall_weights": Out(1),
                "stall_drain": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        ahead, ahead_valid, take = self._prepare(m)
        self._issue(m, ahead, ahead_valid, take)
        return m

    def _prepare(self, m: Module):
        """Keep the next slice's addresses ready in `ahead`."""
        config, d = self._config, self.descriptor
        lane_bits = (config.positions - 1).bit_length()
        tap_x, tap_y, slice_index = Signal(2), Signal(2), Signal.like(d.slices)
        plane, tile, output_tile = Signal.like(d.passes), Signal.like(d.tiles), Signal.like(d.output_tiles)
        plane_base, slice_offset, tile_base = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        walking, take, ahead_valid = Signal(), Signal(), Signal()

        shift = Signal(signed(d.width.shape().width + 2))  # in positions
        with m.If(d.kernel3):
            m.d.comb += shift.eq(Mux(tap_y == 0, -d.width, Mux(tap_y == 2, d.width, 0)) + tap_x - 1)
        last_slice, last_x, last_y, last_plane, last_tile = (
            Signal(name=f"last_{n}") for n in ("slice", "x", "y", "plane", "tile")
        )
        last_tap, first_tap = Signal(), Signal()
        m.d.comb += [
            last_slice.eq(slice_index == d.slices - 1),
            last_x.eq((tap_x == 2) | ~d.kernel3),
            last_y.eq((tap_y == 2) | ~d.kernel3),
            last_tap.eq(last_x & last_y),
            last_plane.eq(plane == d.passes - 1),
            last_tile.eq(tile == d.tiles - 1),
            first_tap.eq((slice_index == 0) & (tap_x == 0) & (tap_y == 0)),
        ]
        ahead = Signal(
            data.StructLayout(
                {
                    "address": unsigned(ADDRESS_BITS),
                    "rotate": unsigned(max(1, lane_bits)),
                    "tap_x": unsigned(2),
                    "tap_y": unsigned(2),
                    "groups": d.tile_groups.shape(),
                    "first": unsigned(1),
                    "double": unsigned(1),
                    "negative": unsigned(1),
                    "tile_end": unsigned(1),
                    "last_tile": unsigned(1),
                }
            )
        )
        load = Signal()
        m.d.comb += load.eq(walking & (take | ~ahead_valid))
        with m.If(load):
            m.d.sync += [
                ahead.address.eq(plane_base + slice_offset + tile_base + (shift >> lane_bits)),
                ahead.rotate.eq(shift[:lane_bits] if lane_bits else 0),
                ahead.tap_x.eq(Mux(d.kernel3, tap_x, 1)),
                ahead.tap_y.eq(Mux(d.kernel3, tap_y, 1)),
                ahead.groups.eq(Mux(last_tile, d.last_tile_groups, d.tile_groups)),
                ahead.first.eq(first_tap & (plane == 0)),
                ahead.double.eq(first_tap & (plane != 0)),
                ahead.negative.eq(d.image & (plane == 0)),
                ahead.tile_end.eq(last_slice & last_tap & last_plane),
                ahead.last_tile.eq(last_tile),
                slice_index.eq(slice_index + 1),
                slice_offset.eq(slice_offset + d.source_slice_stride),
            ]
            with m.If(last_slice):
                m.d.sync += [slice_index.eq(0), slice_offset.eq(0), tap_x.eq(tap_x + 1)]
                with m.If(last_x):
                    m.d.sync += [tap_x.eq(0), tap_y.eq(tap_y + 1)]
                    with m.If(last_y):
                        m.d.sync += [tap_y.eq(0), plane.eq(plane + 1)]
                        m.d.sync += plane_base.eq(plane_base - d.source_plane_stride)
                        with m.If(last_plane):
                            m.d.sync += [plane.eq(0), plane_base.eq(d.source_base)]
                            m.d.sync += [tile.eq(tile + 1), tile_base.eq(tile_base + d.tile_groups)]
                            with m.If(last_tile):
                                m.d.sync += [tile.eq(0), tile_base.eq(0), output_tile.eq(output_tile + 1)]
                                with m.If(output_tile == d.output_tiles - 1):
                                    m.d.sync += walking.eq(0)
        with m.If(take | ~ahead_valid):
            m.d.sync += ahead_valid.eq(walking)
        with m.If(self.start):
            m.d.sync += [walking.eq(1), plane_base.eq(d.source_base), output_tile.eq(0)]
        return ahead, ahead_valid, take

    def _issue(self, m: Module, ahead, ahead_valid: Signal, take: Signal) -> None:
        """Issue the groups of a slice; follow each lane's row and column for the padding masks."""
        config, d = self._config, self.descriptor
        now = Signal.like(ahead)
        active, group, last_group = Signal(), Signal.like(d.tile_groups), Signal()
        buffer, buffers_used = Signal(), Signal(2)
        m.d.comb += [
            last_group.eq(group == now.groups - 1),
            take.eq(ahead_valid & (~active | last_group) & self.table_available & ~(ahead.first & (buffers_used == 2))),
            self.claim.eq(take),
            self.issuing.eq(active),
        ]
        with m.If(ahead_valid & (~active | last_group) & ~take):
            m.d.comb += [
                self.stall_drain.eq(self.table_available),
                self.stall_weights.eq(~self.table_available),
            ]
        m.d.sync += buffers_used.eq(buffers_used + (take & ahead.first) - self.tile_drained)
        with m.If(active):
            m.d.sync += group.eq(group + 1)
            with m.If(last_group):
                m.d.sync += active.eq(0)
        with m.If(take):
            m.d.sync += [active.eq(1), group.eq(0), now.eq(ahead)]

        valid_lanes = self._follow_lanes(m, now, active, last_group, take)

        # Issue -> address register -> memory -> rotation register: three stages beside the data.
        addresses = Signal.like(self.read_addresses)
        for bank in range(config.positions):
            wrapped = (bank < now.rotate) if config.positions > 1 else 0
            m.d.sync += addresses[bank].eq(now.address + group + wrapped)
        m.d.comb += self.read_addresses.eq(addresses)

        with m.If(active & last_group & now.tile_end):
            m.d.sync += buffer.eq(~buffer)
        stage = Signal(data.StructLayout({
            "step": step_layout(config), "rotate": now.rotate.shape(), "lanes": unsigned(config.positions),
        }))  # fmt: skip
        m.d.comb += [
            stage.step.valid.eq(active),
            stage.step.address.eq(Cat(group[: (config.tile_groups - 1).bit_length()], buffer)),
            stage.step.first.eq(now.first),
            stage.step.double.eq(now.double),
            stage.step.negative.eq(now.negative),
            stage.step.last_group.eq(last_group),
            stage.step.last_of_tile.eq(last_group & now.tile_end),
            stage.rotate.eq(now.rotate),
            stage.lanes.eq(valid_lanes),
        ]
        for _ in range(self.latency - 1):
            delayed = Signal.like(stage)
            m.d.sync += delayed.eq(stage)
            stage = delayed
        m.d.sync += self.step.eq(stage.step)
        width = config.group_bits // config.positions
        for lane in range(config.positions):
            word = Signal(width, name=f"word{lane}")
            with m.Switch(stage.rotate):
                for rotate in range(config.positions):
                    with m.Case(rotate):
                        m.d.comb += word.eq(self.read_data.word_select((lane + rotate) % config.positions, width))
            m.d.sync += self.spikes.word_select(lane, width).eq(Mux(stage.lanes[lane], word, 0))

    def _follow_lanes(self, m: Module, now, active: Signal, last_group: Signal, take: Signal) -> Signal:
        """Row and column of every lane; returns which lanes read inside the feature map."""
        config, d = self._config, self.descriptor
        bits = d.width.shape().width + 1
        valid = Signal(config.positions)
        for lane in range(config.positions):
            here, begin, following = (
                Signal(data.StructLayout({"y": bits, "x": bits}), name=f"{n}_{lane}")
                for n in ("here", "begin", "following")
            )
            m.d.comb += following.eq(here)
            with m.If(here.x + config.positions >= d.width):
                m.d.comb += [following.x.eq(here.x + config.positions - d.width), following.y.eq(here.y + 1)]
            with m.Else():
                m.d.comb += following.x.eq(here.x + config.positions)
            x, y = Signal(signed(bits + 2), name=f"x_{lane}"), Signal(signed(bits + 2), name=f"y_{lane}")
            m.d.comb += [
                x.eq(here.x + now.tap_x - 1),
                y.eq(here.y + now.tap_y - 1),
                valid[lane].eq((here.y < d.height) & (x >= 0) & (x < d.width) & (y >= 0) & (y < d.height)),
            ]
            # `begin` is where the current position tile starts: every slice of the tile walks it again.
            restart = Signal(name=f"restart_{lane}")
            m.d.comb += restart.eq(active & last_group & now.tile_end)
            start = Signal.like(begin, name=f"start_{lane}")
            m.d.comb += start.eq(begin)
            with m.If(restart):
                m.d.comb += start.eq(following)
                with m.If(now.last_tile):
                    m.d.comb += [start.y.eq(0), start.x.eq(lane)]
                m.d.sync += begin.eq(start)
            with m.If(active):
                m.d.sync += here.eq(following)
            with m.If(take):
                m.d.sync += here.eq(start)
            with m.If(self.start):
                m.d.sync += [begin.y.eq(0), begin.x.eq(lane)]
        return valid
