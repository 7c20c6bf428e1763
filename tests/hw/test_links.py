"""Members of the same names are connected as a group, and what does not fit is refused."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import ConnectionError, In, Out

from hw.links import link
from tests.hw.benches import simulate


def component(**members: Any) -> wiring.Component:
    class Part(wiring.Component):
        def elaborate(self, platform: Any) -> Module:
            return Module()

    return Part(members)


def test_members_go_both_ways_and_to_several_parts():
    asks, answers, listens = (
        component(ask=Out(4), answer=In(4), own=Out(4)), component(ask=In(4), answer=Out(4)), component(ask=In(4)),
    )  # fmt: skip
    m = Module()
    m.submodules += [asks, answers, listens]
    link(m, ("ask", "answer"), asks, answers)
    link(m, ("ask",), asks, listens)
    heard = Signal(4)
    m.d.sync += heard.eq(listens.ask)

    async def process(ctx: Any) -> None:
        ctx.set(asks.ask, 5)
        ctx.set(answers.answer, 6)
        await ctx.tick()
        assert (ctx.get(heard), ctx.get(answers.ask), ctx.get(asks.answer)) == (5, 5, 6)

    simulate(m, process)


@pytest.mark.parametrize("other", [Out(4), In(5), In(4, init=1)], ids=["two outputs", "width", "initial value"])
def test_what_does_not_fit_is_refused(other):
    with pytest.raises(ConnectionError, match="ask"):
        link(Module(), ("ask",), component(ask=Out(4)), component(ask=other))
