"""The reset behind `aresetn`."""

from __future__ import annotations

import re
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hw.named_configs import MINI
from hw.verilog.flat_ports import RESET_CYCLES, RESET_LATENCY, AxiPorts
from tests.hw.benches import simulate
from tests.hw.verilog.emitted import verilog_of


class Running(wiring.Component):
    """Up since its reset: a register that only a reset clears."""

    def __init__(self):
        super().__init__({"interrupt": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.interrupt.eq(1)
        return m


def running(resets: list[int]) -> list[int]:
    """`Running.interrupt` in every cycle, beside `aresetn`."""
    dut = Running()
    top = AxiPorts(dut)
    seen = []

    async def bench(ctx: Any) -> None:
        for reset in resets:
            ctx.set(top.ports["aresetn"][0], reset)
            seen.append((await ctx.tick("sync").sample(dut.interrupt))[2])

    simulate(top, bench)
    return seen


def test_power_up_is_a_reset():
    assert running([1] * 6) == [0] * (RESET_LATENCY + 1) + [1] * (5 - RESET_LATENCY)


def test_a_reset_comes_and_goes_behind_two_registers():
    low, high = RESET_CYCLES, 8
    up = running([1] * high + [0] * low + [1] * high)[high:]
    # The first cycle behind `aresetn`: everything is in reset, and stays so as long as it was.
    assert up == [1] * (RESET_LATENCY + 1) + [0] * low + [1] * (high - RESET_LATENCY - 1)
    assert up[low] == 0


def test_registers_behind_the_reset_are_told_to_be_a_synchroniser():
    verilog = verilog_of(MINI)
    top = verilog[verilog.index("module spikeloom(") :].split("endmodule", 1)[0]
    marked = re.findall(r"\(\* ASYNC_REG = \"TRUE\" \*\)\n  reg (\w+) = 1'h1;", top)
    assert len(marked) == RESET_LATENCY == 2 and verilog.count("ASYNC_REG") - top.count("ASYNC_REG") == 0
    # From the one to the other without logic, and from the last one to every part.
    first, last = marked
    assert re.search(rf"^    {last} <= {first};$", top, re.MULTILINE)
    assert top.count(f".rst({last})") > 4
    # Thousands hang on the core's reset: it is a register of its own.
    control = verilog[verilog.index(r"module \spikeloom.job_control ") :].split("endmodule", 1)[0]
    assert "  reg core_reset = 1'h1;" in control and ".core_reset(core_rst)" in top and ".core_rst(core_rst)" in top
