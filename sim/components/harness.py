"""What simulations of components share: parameters, clock and reset, a pipeline and a pair of streams."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping, Sequence
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

PARAMETERS_VARIABLE = "SPIKELOOM_COMPONENT"
"""Environment variable with the parameters of a component's simulation, as JSON."""

MAX_IDLE_CYCLES = 10_000
"""Cycles without a transfer after which a simulation gives up."""


def parameters() -> Any:
    """What `sim.components.run.simulate_component` was given."""
    return json.loads(os.environ[PARAMETERS_VARIABLE])


async def start(dut: Any, inputs: Mapping[str, int]) -> None:
    """Start the clock, drive inputs, reset."""
    for name, value in inputs.items():
        getattr(dut, name).value = value
    dut.rst.value = 1
    Clock(dut.clk, 10, "ns", impl="gpi").start()
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def pipeline(dut: Any, sets: Sequence[Mapping[str, int]], output: str, latency: int) -> list[int]:
    """Drive one set of inputs per cycle and collect the output `latency` cycles later."""
    outputs = []
    # A value driven after one edge is sampled at the next, and an output is read just before an edge.
    lag = latency + 1
    for cycle in range(len(sets) + lag):
        if cycle >= lag:
            outputs.append(int(getattr(dut, output).value))
        if cycle < len(sets):
            for name, value in sets[cycle].items():
                getattr(dut, name).value = value
        await RisingEdge(dut.clk)
    return outputs


async def streams(
    dut: Any, words: Sequence[int], fields: Sequence[str], count: int, stall: float, rng: random.Random
) -> tuple[list[tuple[int, ...]], int]:
    """Send words into `input` and collect transfers of `output`.

    Parameters
    ----------
    dut : handle
    words : sequence of int
        For `input_data`.
    fields : sequence of str
        Ports of the output's payload.
    count : int
        Transfers to wait for; some cycles more are run to see that nothing follows.
    stall : float
        Probability that either end pauses in a cycle.
    rng : Random
        Decides the pauses.

    Returns
    -------
    outputs : list of tuple of int
        Values of `fields` per transfer.
    cycles : int
        From the first word offered to the last transfer.
    """
    outputs: list[tuple[int, ...]] = []
    sent, cycles, idle, last = 0, 0, 0, 0
    held: tuple[int, ...] | None = None
    offered = accepting = False
    while idle < (MAX_IDLE_CYCLES if sent < len(words) or len(outputs) < count else 50):
        if not offered and sent < len(words) and rng.random() >= stall:
            dut.input_data.value = words[sent]
            offered = True
        accepting = rng.random() >= stall
        dut.input_valid.value, dut.output_ready.value = int(offered), int(accepting)
        await RisingEdge(dut.clk)
        cycles, idle = cycles + 1, idle + 1
        if offered and dut.input_ready.value:
            sent, offered, idle = sent + 1, False, 0
        if dut.output_valid.value:
            payload = tuple(int(getattr(dut, field).value) for field in fields)
            assert held in (None, payload), f"output changed from {held} to {payload} while it waited"
            held = None if accepting else payload
            if accepting:
                outputs.append(payload)
                idle, last = 0, cycles
        else:
            assert held is None, f"output {held} was withdrawn"
    assert sent == len(words), f"only {sent} of {len(words)} words were accepted"
    return outputs, last
