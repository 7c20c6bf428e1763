"""Runs the walker beside a model of its timing and compares every cycle."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Module, Mux, Signal

from hw.array.step import DRAIN_BUFFERS
from hw.array.walker import Walker
from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from tests.hw.array.walks import FLAGS, Fields, Layer, Slice, Source, Step, loop_nest
from tests.hw.benches import Inputs, simulate

CYCLE_LIMIT = 6000
SLICES_BITS = DESCRIPTOR["slices"].shape.width


@dataclass(frozen=True)
class Rates:
    """Chances in a cycle: a table is there, a buffer is freed, a slice is written, the next layer starts."""

    table: float = 1.0
    free: float = 1.0
    written: float = 1.0
    start: float = 1.0


@dataclass
class Seen:
    """What happened in a layer; cycles count from its start pulse."""

    cycles: int = 0
    """From start to done, both included."""
    counts: dict[str, int] = field(
        default_factory=lambda: {"issuing": 0, "wait_weights": 0, "wait_drain": 0, "wait_data": 0}
    )
    issued: list[int] = field(default_factory=list)
    """Absolute cycles in which groups were issued."""
    first_step: int = -1
    """Absolute cycle of the first step."""


class Model:
    """The walker's timing as its docstring states it, one call per cycle."""

    def __init__(self) -> None:
        self.slices: list[Slice] = []
        self.active: list[Step] = []
        self.ready, self.used, self.cycle = 0, 0, 0
        self.done = True
        self.stalls = dict.fromkeys(("wait_weights", "wait_drain", "wait_data"), 0)

    def start(self, slices: list[Slice]) -> None:
        assert not self.slices and not self.active
        self.slices, self.ready = list(slices), self.cycle + Walker.start_latency

    def expect(self, *, starting: bool, has_input: bool, table: bool) -> dict[str, int]:
        """Outputs of the cycle, `step` aside."""
        wanted = bool(self.slices) and self.cycle >= self.ready and len(self.active) <= 1
        has_input = has_input or not wanted
        has_buffer = not wanted or not self.slices[0].final or self.used < DRAIN_BUFFERS
        self.take = wanted and has_input and table and has_buffer
        outputs = {
            "claim": int(self.take),
            "done": int(self.done),
            "issuing": int(bool(self.active)),
            **self.stalls,
        }
        self.done = not starting and not self.slices and len(self.active) <= 1
        self.stalls = {
            "wait_data": int(wanted and not has_input),
            "wait_weights": int(wanted and has_input and not table),
            "wait_drain": int(wanted and has_input and table and not has_buffer),
        }
        return outputs

    def step(self, freed: int) -> Step | None:
        """Go to the next cycle; returns the group that was issued in this one."""
        issued = self.active.pop(0) if self.active else None
        if self.take:
            one = self.slices.pop(0)
            self.active = list(one.steps)
            self.used += one.final
        self.used -= freed
        self.cycle += 1
        return issued


def run_layers(
    config: HardwareConfig, layers: list[Layer], rates: Rates = Rates(), *, seed: int = 1, limit: int | None = None
) -> list[Seen]:
    """Walk layers one after the other and compare every cycle; with a limit, stop there."""
    dut, source, rng, model = Walker(config), Source(config), random.Random(seed), Model()
    results: list[Seen] = []

    m = Module()
    m.submodules.dut = dut
    read_data = [Signal(config.positions * source.width, name=name) for name in ("spikes", "residual")]
    m.d.comb += dut.read_data.eq(Mux(dut.from_residual, read_data[True], read_data[False]))

    async def memory(ctx: Any) -> None:
        async for _, _, addresses, *reads in ctx.tick().sample(dut.read_addresses, dut.spike_reads, dut.residual_reads):
            for is_residual, data in enumerate(read_data):
                words = [
                    source.word(bool(is_residual), bank, addresses[bank]) if reads[is_residual] >> bank & 1
                    else rng.getrandbits(source.width)
                    for bank in range(config.positions)
                ]  # fmt: skip
                ctx.set(data, sum(word << bank * source.width for bank, word in enumerate(words)))

    async def bench(ctx: Any) -> None:
        in_flight: list[Step | None] = [None] * Walker.latency
        undrained, sums, running, pending = 0, 0, False, list(layers)
        fields: Fields = {}
        earlier = [(0, False)] * Walker.input_latency  # what was reported to be written
        inputs = Inputs(
            ctx, dut.start, dut.slices_written, dut.all_written, dut.buffers_freed, dut.table_available
        )  # fmt: skip
        names = ("claim", "done", "issuing", "wait_weights", "wait_drain", "wait_data")
        ticks = aiter(ctx.tick().sample(dut.step, dut.spikes, *(getattr(dut, name) for name in names)))
        while running or pending or undrained or any(in_flight):
            starting = not running and bool(pending) and rng.random() < rates.start
            if starting:
                fields, running, written, all_written = pending[0].fields, True, 0, False
                model.start(list(loop_nest(config, pending.pop(0), source, sums)))
                sums += sum(one.final for one in model.slices)
                results.append(Seen())
                ctx.set(dut.descriptor, fields)
            elif not running:
                # Nobody may look at the descriptor between `done` and `start`.
                ctx.set(dut.descriptor.as_value(), rng.getrandbits(DESCRIPTOR.size))
            if running and fields.get("follows"):
                all_written = all_written or (written == fields["slices"] and rng.random() < rates.written)
                written = min(written + (rng.random() < rates.written), fields["slices"])
                # The last slice may count as written only with everything.
                shown = written if written < fields["slices"] or rng.random() < 0.5 else written - 1
            else:
                shown, all_written = rng.getrandbits(SLICES_BITS), bool(rng.getrandbits(1))
            if running and fields.get("follows") and all_written:
                # Then it counts the slices of another layer.
                shown = 0
            freed = min(rng.choice([1, 2]), undrained) if rng.random() < rates.free else 0
            table = rng.random() < rates.table
            inputs.drive(starting, shown, all_written, freed, table)
            _, _, step, spikes, *outputs = await anext(ticks)
            index = model.slices[0].index if model.slices else 0
            earlier.append((shown, all_written))
            counted, everything = earlier[-1 - Walker.input_latency]
            has_input = not fields.get("follows") or everything or index < counted
            expected = model.expect(starting=starting, has_input=has_input, table=table)
            assert dict(zip(names, outputs, strict=True)) == expected, model.cycle
            assert sum(outputs[2:]) <= 1
            undrained -= freed
            shown_step = in_flight.pop(0)
            assert step.valid == (shown_step is not None), model.cycle
            if shown_step:
                assert spikes & shown_step.real == shown_step.spikes, model.cycle
                assert all(getattr(step, name) == getattr(shown_step, name) for name in FLAGS), model.cycle
                undrained += shown_step.last_of_tile
            if results:
                seen = results[-1]
                if running:
                    seen.cycles += 1
                    for name in seen.counts:
                        seen.counts[name] += expected[name]
                if expected["issuing"]:
                    seen.issued.append(model.cycle)
                if shown_step and seen.first_step < 0:
                    seen.first_step = model.cycle
            running = running and (starting or not expected["done"])
            in_flight.append(model.step(freed))
            if model.cycle == limit:
                return
            assert model.cycle < CYCLE_LIMIT

    simulate(m, bench, memory)
    return results
