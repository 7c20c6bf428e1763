"""Simulation of components without handshakes: one input set per cycle, outputs after `latency`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from amaranth.hdl import Module
from amaranth.lib.wiring import Component
from amaranth.sim import Simulator

Output = TypeVar("Output")


def run_pipeline(dut: Component, sets: Sequence[dict[str, object]], read: Callable[[object], Output]) -> list[Output]:
    """Feed one set of members per cycle and read the outputs `dut.latency` cycles later.

    Parameters
    ----------
    dut : Component
        Has a `latency` property.
    sets : sequence of dict
        Values by member name.
    read : callable
        Takes the testbench context, returns the outputs of one cycle.
    """
    top = Module()
    top.submodules.dut = dut
    simulator = Simulator(top)
    simulator.add_clock(1e-8)
    outputs: list[Output] = []

    async def bench(ctx):
        if dut.latency == 0:
            raise ValueError("a component without registers has no pipeline to run")
        for cycle in range(len(sets) + dut.latency):
            if cycle < len(sets):
                for member, value in sets[cycle].items():
                    ctx.set(getattr(dut, member), value)
            if cycle >= dut.latency:
                outputs.append(read(ctx))
            await ctx.tick()

    simulator.add_testbench(bench)
    simulator.run()
    return outputs
