"""Addresses of a head's spikes in the order in which attention reads Q."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class QueryWalk(wiring.Component):
    """Walk ``base + slice * stride + group * step``: for each group, lane, slice; behind the last one from `base`.

    Additions only. `address` and the flags are registered and follow `start` or `step` by one cycle; a step per cycle.

    Parameters
    ----------
    address_bits : int
        Width of an address.
    lanes : int
        Times each group's slices are walked (positions in a group).
    groups, slices : int
        Most groups and slices.
    group_words : int
        Largest distance of groups.

    Members
    -------
    start : In(1)
        Go to the first address.
    step : In(1)
        Go to the next.
    base, stride : In(address_bits)
        First address, distance of slices.
    group_step : In(range(group_words + 1))
        Distance of groups; a member only if it can be more than 1.
    last_group, last_slice : In
        Counts less one. Stable while walking, like the addresses.
    address : Out(address_bits)
        The current address.
    lane : Out(range(lanes))
        The current lane.
    slice : Out
        The current slice.
    slices_end : Out(1)
        It is the last one.
    walk_end : Out(1)
        It is the very last one before `base`.
    """

    def __init__(self, address_bits: int, lanes: int, groups: int, slices: int, *, group_words: int = 1):
        self._lanes, self._group_words = lanes, group_words
        address = unsigned(address_bits)
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "base": In(address),
                "stride": In(address),
                "last_group": In(range(max(2, groups))),
                "last_slice": In(range(max(2, slices))),
                "address": Out(address),
                "lane": Out(range(max(2, lanes))),
                "slice": Out(range(max(2, slices))),
                "slices_end": Out(1),
                "walk_end": Out(1),
                **({"group_step": In(range(group_words + 1))} if group_words > 1 else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        group = Signal.like(self.last_group)
        group_start = Signal.like(self.address)
        group_step = self.group_step if self._group_words > 1 else 1
        last_lane = Signal()
        last_group = Signal()
        following = Signal.like(self.address)
        m.d.comb += [
            self.slices_end.eq(self.slice == self.last_slice),
            last_lane.eq(self.lane == self._lanes - 1),
            last_group.eq(group == self.last_group),
            self.walk_end.eq(self.slices_end & last_lane & last_group),
            following.eq(Mux(last_lane, Mux(last_group, self.base, group_start + group_step), group_start)),
        ]
        with m.If(self.step):
            m.d.sync += [self.slice.eq(self.slice + 1), self.address.eq(self.address + self.stride)]
            with m.If(self.slices_end):
                m.d.sync += [
                    self.slice.eq(0),
                    self.lane.eq(Mux(last_lane, 0, self.lane + 1)),
                    self.address.eq(following),
                    group_start.eq(following),
                ]
                with m.If(last_lane):
                    m.d.sync += group.eq(Mux(last_group, 0, group + 1))
        with m.If(self.start):
            m.d.sync += [
                self.address.eq(self.base),
                group_start.eq(self.base),
                self.slice.eq(0),
                self.lane.eq(0),
                group.eq(0),
            ]
        return m
