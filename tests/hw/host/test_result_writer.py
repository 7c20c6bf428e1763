"""The result record in memory: its words, the order of its lines, errors."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from amaranth.hdl import Array, Module

from hw.external.axi import Response
from hw.host.registers import RECORD_LINE_WORDS, ErrorCause, Record
from hw.host.result_writer import ResultWriter, record_lines
from hw.named_configs import TINY
from tests.hw.axi_models import WriteSlave
from tests.hw.benches import simulate

LINE = 0x3_1234_5678 & ~1
STATE = {"prediction": 9, "cycles": 0xFEDC_BA98, "descriptors": 21, "jobs": 0x0102_0304, "error": ErrorCause.BAD_CHECK}
WORDS = {
    "prediction": Record.PREDICTION,
    "cycles": Record.CYCLES,
    "descriptors": Record.DESCRIPTORS,
    "jobs": Record.JOB,
}


def run(classes: int, *, memory_bits: int = 64, rate: float = 1.0, records: int = 1, respond=None) -> tuple[Any, list]:
    config = dataclasses.replace(TINY, max_classes=classes, memory_bits=memory_bits)
    top = Module()
    top.submodules.dut = dut = ResultWriter(config)
    logits = [(-1) ** i * (i + 1) * 12345 for i in range(classes)]
    top.d.sync += dut.logit.eq(Array(logits)[dut.logit_index])
    slave = WriteSlave(dut.axi, data_bits=memory_bits, rate=rate, seed=2, respond=respond or (lambda _: Response.OKAY))
    failures = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.line, LINE)
        for name, value in STATE.items():
            ctx.set(getattr(dut, name), value)
        for record in range(records):
            ctx.set(dut.jobs, STATE["jobs"] + record)
            ctx.set(dut.start, 1)
            for _ in range(5000):
                _, _, done, failed = await ctx.tick().sample(dut.done, dut.failed)
                ctx.set(dut.start, 0)
                if done:
                    failures.append(bool(failed))
                    assert not ctx.get(dut.busy)
                    break
            else:
                raise AssertionError("the record is never complete")

    simulate(top, bench, slave.process)
    expected = [0] * RECORD_LINE_WORDS
    for name, place in WORDS.items():
        expected[place] = STATE[name] + (records - 1 if name == "jobs" else 0)
    expected[Record.ERROR] = STATE["error"]
    expected += [logit % (1 << 32) for logit in logits]
    expected += [0] * (-len(expected) % RECORD_LINE_WORDS)
    assert slave.words(64 * LINE, len(expected)) == expected
    assert len(slave.memory) == 4 * len(expected)
    return slave, failures


@pytest.mark.parametrize("memory_bits", [64, 128])
@pytest.mark.parametrize("classes", [1, 15, 16, 17, 100])
@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_record_holds_what_the_registers_show(classes, memory_bits, rate):
    _, failures = run(classes, memory_bits=memory_bits, rate=rate, records=2)
    assert failures == [False, False]


@pytest.mark.parametrize(
    ("at", "complete"), [(1, False), (2, False), (20, False), (60, False), (84, False), (100, False), (150, True)]
)
def test_a_record_that_is_stopped_lacks_its_number_unless_that_was_on_its_way(at, complete):
    config = dataclasses.replace(TINY, max_classes=20)
    dut = ResultWriter(config)
    slave = WriteSlave(dut.axi, rate=0.8, seed=at)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.line, LINE)
        ctx.set(dut.jobs, STATE["jobs"])
        numbered = False
        for cycle in range(500):
            ctx.set(dut.start, cycle == 0)
            ctx.set(dut.stop, cycle == at)  # once is enough
            _, _, last, done, busy = await ctx.tick().sample(dut.last, dut.done, dut.busy)
            numbered |= bool(last)
            assert cycle < at or not last
            assert cycle <= at or not busy  # nobody's logits are read for it any more
            if done:
                break
        else:
            raise AssertionError("the record is never over")
        await ctx.tick().repeat(100)
        assert ctx.get(dut.idle)
        # Whole lines, from the last one on, but what comes behind the stop writes nothing; a response came for each.
        lines = [64 * (LINE + line) for line in reversed(range(record_lines(20)))]
        assert [address for address, _ in slave.bursts] == lines[: len(slave.bursts)]
        place = 64 * LINE + 4 * Record.JOB
        assert numbered == (place in slave.memory) == (len(slave.memory) == 64 * len(lines))
        assert not numbered or slave.words(place, 1) == [STATE["jobs"]]
        assert numbered == complete

    simulate(dut, bench, slave.process)


def test_line_with_the_number_is_written_last():
    slave, _ = run(40)
    lines = record_lines(40)
    assert slave.bursts == [(64 * (LINE + line), 8) for line in reversed(range(lines))]


@pytest.mark.parametrize("line", [0, 1, 2])
def test_an_error_of_any_line_is_reported(line):
    _, failures = run(
        20, records=2, respond=lambda address: Response.SLVERR if address == 64 * (LINE + line) else Response.OKAY
    )
    assert failures == [True, True]
