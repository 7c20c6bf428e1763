"""The device's end of the serial link: frames in, accesses, frames out."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from amaranth.hdl import Cat

from hw.board.link import Link
from hw.board.link_protocol import CRC, END, ESC, IDENTITY_WORDS, MAX_WORDS, LinkStatus, Operation
from hw.verilog.emit import emit_component
from hw.verilog.lint import lint_warnings
from sim.verilator.toolchain import find_toolchain
from sw.driver.link_frames import AnswerReader, frame, request
from tests.hw.benches import simulate

MEMORY_BYTES = 4096
BROKEN_REGISTER = 0x100


class Device:
    """A link with what it reaches; sends bytes, collects answers."""

    def __init__(self):
        self.dut = Link(MEMORY_BYTES)
        self.memory = bytearray(random.Random(3).randbytes(MEMORY_BYTES))
        self.registers: dict[int, int] = {}
        self.writes = 0
        self.reader, self.answers = AnswerReader(), []
        self.frames = self.bad = 0

    def run(self, *chunks: bytes | str, gap: int = 3) -> None:
        """Send bytes one every `gap` cycles, after each chunk wait for silence; "error" is a damaged byte."""
        dut, self.answers = self.dut, []
        quiet = 0

        async def bench(ctx):
            nonlocal quiet
            for chunk in chunks:
                for byte in [None] if chunk == "error" else chunk:
                    ctx.set(dut.error if byte is None else dut.valid, 1)
                    if byte is not None:
                        ctx.set(dut.data, byte)
                    await ctx.tick()
                    ctx.set(dut.valid, 0)
                    ctx.set(dut.error, 0)
                    await ctx.tick().repeat(gap)
                quiet = 0
                while quiet < 60:
                    await ctx.tick()

        async def listen(ctx):
            nonlocal quiet
            ctx.set(dut.output.ready, 1)
            accesses = Cat(port.request for port in (dut.identity, dut.registers, dut.memory))
            async for _, _, valid, byte, good, bad, accessing in ctx.tick().sample(
                dut.output.valid, dut.output.payload, dut.frame, dut.bad_frame, accesses
            ):
                quiet = 0 if valid or accessing else quiet + 1
                self.frames, self.bad = self.frames + good, self.bad + bad
                if valid:
                    self.answers += self.reader.feed(bytes([byte]))

        simulate(dut, bench, listen, *(self.serve(name) for name in ("identity", "registers", "memory")))

    def serve(self, name):
        port = getattr(self.dut, name)

        async def process(ctx):
            rng = random.Random(name)
            while True:
                _, _, asked, write, address, data = await ctx.tick().sample(
                    port.request, port.write, port.address, port.write_data
                )
                if not asked:
                    continue
                await ctx.tick().repeat(rng.randrange(1, 4))
                self.writes += write
                if name == "memory" and write:
                    self.memory[address : address + 4] = data.to_bytes(4, "little")
                elif write:
                    self.registers[address] = data
                content = {
                    "memory": int.from_bytes(self.memory[address % MEMORY_BYTES :][:4], "little"),
                    "registers": self.registers.get(address, address ^ 0xC0DB),
                    "identity": 1000 + address,
                }[name]
                ctx.set(port.read_data, content)
                ctx.set(port.error, name == "registers" and address == BROKEN_REGISTER)
                ctx.set(port.done, 1)
                await ctx.tick()
                ctx.set(port.done, 0)

        return process

    def statuses(self):
        return [(answer.operation, answer.tag, answer.status) for answer in self.answers]


def test_words_are_written_and_read_back():
    device = Device()
    words = bytes([END, ESC, 0xDC, 0xDD]) * 3 + random.Random(1).randbytes(4 * 20)
    device.run(
        request(Operation.WRITE_MEMORY, 7, 64, 23, words), request(Operation.READ_MEMORY, 8, 60, 25),
        request(Operation.WRITE_REGISTERS, 9, 0x20, 2, struct.pack("<2I", 5, 0xC0DBC0DB)),
        request(Operation.READ_REGISTERS, 10, 0x1C, 4), request(Operation.IDENTIFY, 11, 4, IDENTITY_WORDS - 1),
    )  # fmt: skip
    assert [answer.status for answer in device.answers] == [LinkStatus.DONE] * 5
    written, read, _, registers, identity = device.answers
    assert written.words == b"" and device.memory[64 : 64 + 92] == words and read.words == device.memory[60:160]
    assert struct.unpack("<4I", registers.words) == (0x1C ^ 0xC0DB, 5, 0xC0DBC0DB, 0x28 ^ 0xC0DB)
    assert struct.unpack(f"<{IDENTITY_WORDS - 1}I", identity.words)[:2] == (1004, 1008)
    assert (device.frames, device.bad, device.reader.dropped) == (5, 0, 0)


def test_the_longest_frames_pass_and_longer_ones_are_dropped():
    device = Device()
    words = random.Random(2).randbytes(4 * MAX_WORDS)
    device.run(
        request(Operation.WRITE_MEMORY, 1, 0, MAX_WORDS, words), request(Operation.READ_MEMORY, 2, 0, MAX_WORDS),
        request(Operation.WRITE_MEMORY, 3, 0, MAX_WORDS, words + b"1"),
        gap=1,
    )  # fmt: skip
    assert device.answers[1].words == words and device.memory[: 4 * MAX_WORDS] == words
    assert len(device.answers) == 2 and device.bad == 1


REFUSED = {
    "unknown operation": request(5, 1, 0, 1),
    "not of whole words": request(Operation.READ_MEMORY, 1, 2, 1),
    "no words": request(Operation.READ_MEMORY, 1, 0, 0),
    "too many words": request(Operation.READ_MEMORY, 1, 0, MAX_WORDS + 1),
    "beyond the memory": request(Operation.READ_MEMORY, 1, MEMORY_BYTES - 4, 2),
    "far beyond the memory": request(Operation.READ_MEMORY, 1, 0xFFFF_FFFC, 2),
    "beyond the registers": request(Operation.READ_REGISTERS, 1, 1 << 14, 1),
    "beyond the identity": request(Operation.IDENTIFY, 1, 4, IDENTITY_WORDS),
    "fewer words than counted": request(Operation.WRITE_MEMORY, 1, 0, 2, bytes(4)),
    "more words than counted": request(Operation.WRITE_MEMORY, 1, 0, 1, bytes(8)),
    "a byte more": request(Operation.WRITE_MEMORY, 1, 0, 1, bytes(5)),
    "words to a read": request(Operation.READ_MEMORY, 1, 0, 1, bytes(4)),
}


def test_what_is_not_there_is_refused_and_nothing_touched():
    device = Device()
    before = bytes(device.memory)
    device.run(*REFUSED.values())
    statuses = [answer.status for answer in device.answers]
    assert dict(zip(REFUSED, statuses, strict=True)) == dict.fromkeys(REFUSED, LinkStatus.REFUSED)
    assert device.writes == 0 and device.memory == before


def test_an_access_error_is_told_and_ends_the_request():
    device = Device()
    words = struct.pack("<3I", 1, 2, 3)
    device.run(
        request(Operation.READ_REGISTERS, 1, BROKEN_REGISTER - 4, 3),
        request(Operation.WRITE_REGISTERS, 2, BROKEN_REGISTER - 4, 3, words),
        request(Operation.READ_REGISTERS, 3, 0, 1),
    )
    assert [answer.status for answer in device.answers] == [LinkStatus.ERROR, LinkStatus.ERROR, LinkStatus.DONE]
    assert device.answers[0].words == b"" and BROKEN_REGISTER + 4 not in device.registers and device.writes == 2


def test_a_write_that_comes_again_is_answered_and_not_executed():
    device = Device()
    first = request(Operation.WRITE_REGISTERS, 1, 0x0C, 1, struct.pack("<I", 1))
    failing = request(Operation.WRITE_REGISTERS, 3, BROKEN_REGISTER, 1, struct.pack("<I", 1))
    device.run(first, first, first, request(Operation.WRITE_REGISTERS, 2, 0x0C, 1, bytes(4)), failing, failing)
    assert device.statuses() == [
        *[(Operation.WRITE_REGISTERS, 1, LinkStatus.DONE)] * 3, (Operation.WRITE_REGISTERS, 2, LinkStatus.DONE),
        *[(Operation.WRITE_REGISTERS, 3, LinkStatus.ERROR)] * 2,
    ]  # fmt: skip
    assert device.writes == 3


@pytest.mark.parametrize("between", [request(Operation.IDENTIFY, 9, 0, 1), request(Operation.WRITE_MEMORY, 9, 2, 1)])
def test_behind_another_request_the_same_tag_is_a_new_write(between):
    device = Device()
    write = request(Operation.WRITE_REGISTERS, 1, 0x0C, 1, struct.pack("<I", 1))
    device.run(write, between, write)
    assert device.writes == 2


def test_damaged_frames_are_dropped_and_the_next_one_is_executed():
    device = Device()
    good = request(Operation.WRITE_MEMORY, 1, 0, 2, b"12345678")
    flips = [good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :] for at in range(1, len(good) - 1)]
    bad_escape = bytes([END]) + good[1:-1].replace(b"5", bytes([ESC, 0x35])) + bytes([END])
    cut_escape = good[:-1] + bytes([ESC, END])
    damaged = (*flips, bad_escape, cut_escape, good[:-8], good[:5] + bytes([END]), frame(b"short"), bytes([1]))
    before = bytes(device.memory)
    device.run(*[part for one in damaged for part in (one, request(Operation.READ_MEMORY, 2, 0, 2))], gap=1)
    assert device.statuses() == [(Operation.READ_MEMORY, 2, LinkStatus.DONE)] * len(damaged)
    assert {answer.words for answer in device.answers} == {before[:8]} and device.memory == before
    assert device.bad >= len(damaged)


def test_a_byte_without_its_stop_bit_spoils_its_frame():
    device = Device()
    good = request(Operation.READ_MEMORY, 1, 0, 1)
    device.run(good[:6], "error", good[6:], good)
    assert len(device.answers) == 1 and device.bad == 1


def test_a_frame_that_comes_while_another_is_executed_is_dropped():
    device = Device()
    one, other = request(Operation.READ_MEMORY, 1, 0, 40), request(Operation.READ_MEMORY, 2, 0, 1)
    device.run(one + other, other, gap=1)
    assert device.statuses() == [(Operation.READ_MEMORY, tag, LinkStatus.DONE) for tag in (1, 2)] and device.bad == 1


def test_ends_between_frames_are_nothing():
    device = Device()
    device.run(bytes([END]) * 5 + request(Operation.IDENTIFY, 1, 0, 1) + bytes([END]) * 2)
    assert len(device.answers) == 1 and device.bad == 0


def test_its_verilog_is_lint_clean(tmp_path):
    tools, path = find_toolchain(), tmp_path / "link.v"
    path.write_text(emit_component(Link(MEMORY_BYTES), "link"))
    assert lint_warnings(path, verilator=tools.verilator, environment=tools.environment, top="link") == []


def test_software_and_gateware_compute_the_same_crc():
    data = random.Random(5).randbytes(100)
    assert CRC.compute(data) == zlib.crc32(data)
