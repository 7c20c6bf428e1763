"""Addresses of a tensor of spikes head by head: the order in which attention reads Q and writes its output."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class SliceWalk(wiring.Component):
    """Walk ``base + (head * slices + slice) * stride + group``: for each head, group, lane, slice.

    Additions only: the next head's first address is noted while the head's first group is walked.

    `address` and the flags are registered and follow `start` or `step` by one cycle; a step per cycle.

    Parameters
    ----------
    address_bits : int
        Width of an address.
    lanes : int
        Times each group's slices are walked (positions in a group).

    Members
    -------
    start : In(1)
        Go to the first address.
    step : In(1)
        Go to the next.
    base, stride : In(address_bits)
        First address, distance of slices.
    last_head : In(6), last_group : In(17), last_slice : In(10)
        Counts less one. Stable while walking, like the addresses.
    address : Out(address_bits)
        The current address.
    lane : Out(range(lanes))
        The current lane.
    slices_end : Out(1)
        The current address is the last slice's.
    walk_end : Out(1)
        It is the very last.
    """

    def __init__(self, address_bits: int, lanes: int):
        self._lanes = lanes
        address = unsigned(address_bits)
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "base": In(address),
                "stride": In(address),
                "last_head": In(6),
                "last_group": In(17),
                "last_slice": In(10),
                "address": Out(address),
                "lane": Out(range(max(2, lanes))),
                "slices_end": Out(1),
                "walk_end": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        head, group, index = (Signal.like(last) for last in (self.last_head, self.last_group, self.last_slice))
        group_start, next_head, beyond, head_start = (
            Signal.like(self.address, name=name) for name in ("group_start", "next_head", "beyond", "head_start")
        )
        last_lane, last_group = Signal(), Signal()
        m.d.comb += [
            self.slices_end.eq(index == self.last_slice),
            last_lane.eq(self.lane == self._lanes - 1),
            last_group.eq(group == self.last_group),
            self.walk_end.eq(self.slices_end & last_lane & last_group & (head == self.last_head)),
            beyond.eq(self.address + self.stride),
            head_start.eq(Mux(group == 0, beyond, next_head)),
        ]
        with m.If(self.step):
            with m.If(~self.slices_end):
                m.d.sync += [index.eq(index + 1), self.address.eq(beyond)]
            with m.Else():
                m.d.sync += [index.eq(0), self.lane.eq(Mux(last_lane, 0, self.lane + 1)), next_head.eq(head_start)]
                with m.If(~last_lane):
                    m.d.sync += self.address.eq(group_start)
                with m.Elif(~last_group):
                    m.d.sync += [
                        group.eq(group + 1),
                        self.address.eq(group_start + 1),
                        group_start.eq(group_start + 1),
                    ]
                with m.Else():
                    m.d.sync += [
                        group.eq(0),
                        head.eq(head + 1),
                        self.address.eq(head_start),
                        group_start.eq(head_start),
                    ]
        with m.If(self.start):
            m.d.sync += [
                self.address.eq(self.base),
                group_start.eq(self.base),
                self.lane.eq(0),
                index.eq(0),
                group.eq(0),
                head.eq(0),
            ]
        return m
