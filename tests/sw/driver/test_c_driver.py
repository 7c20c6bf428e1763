"""The C driver on a register file in Python: what it reads and writes, in which order, and how it ends."""

from __future__ import annotations

import ctypes
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hw.external.memory_port import BYTE_ADDRESS_BITS
from hw.host.registers import COUNTER_SLOTS, IDENTITY, REGISTERS, VERSION, Control, ErrorCause, Interrupt, Status
from hw.host.result_writer import LINE_BYTES, record_lines
from hw.named_configs import LARGE, MINI
from hw.program.header import PROGRAM_HEADER
from sw.checkout import ROOT
from sw.compiler.program import enclose
from tests.sw.driver import c_library
from tests.sw.driver.c_library import OUTCOMES, READ, SOURCES, TIME, WAIT, WRITE, CDriver, Device, Job, Result

COMPILERS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"there is no {name}"))
    for name in ("gcc", "clang")
]
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> CDriver:
    return CDriver(c_library.compile_library(tmp_path_factory.mktemp("driver"), MINI))


def address(name: str) -> int:
    return REGISTERS[name].address


class Registers:
    """A register file behind the driver's functions; busy up to a time, which every access moves on."""

    def __init__(self, *, busy_until: int = 0, failing: str = "", start: int = 0, **values: int):
        good = {"IDENTITY": IDENTITY, "VERSION": VERSION, "CONFIG": MINI.fingerprint}
        self.values = {address(name): value for name, value in (good | values).items()}
        self.busy_until, self.failing, self.now, self.start = busy_until, failing, 0, start
        self.written: list[tuple[int, int]] = []
        self.waits: list[int] = []
        self.device = Device(None, READ(self.read), WRITE(self.write), TIME(self.time), WAIT(self.wait), None)

    def read(self, _context, at, value):
        self.now += 1
        value[0] = self.values.get(at, 0)
        if at == address("STATUS") and self.now < self.busy_until:
            value[0] = Status.BUSY
        return not (self.failing and at == address(self.failing))

    def write(self, _context, at, value):
        self.now += 1
        self.written.append((at, value))
        return not (self.failing and at == address(self.failing))

    def time(self, _context):
        return (self.start + self.now) % (1 << 64)

    def wait(self, _context, left):
        self.waits.append(left)
        self.now += min(left, 10)


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("config", [MINI, LARGE], ids=lambda config: config.name)
def test_compiles_without_a_warning_and_needs_no_library(compiler, config, tmp_path):
    c_library.write_sources(tmp_path, config)
    for options in (["-O0"], ["-O2"], ["-Os"], ["-m32", "-fno-pic", "-O0"]):
        subprocess.run(
            [compiler, *c_library.STRICT, *options, "-c", "spikeloom_driver.c", "-o", "driver.o"],
            cwd=tmp_path, check=True,
        )  # fmt: skip
        needed = subprocess.run(["nm", "-u", "driver.o"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert needed.stdout == ""


def test_header_stands_alone_and_twice(tmp_path):
    c_library.write_sources(tmp_path, MINI)
    (tmp_path / "host.c").write_text('#include "spikeloom_driver.h"\n#include "spikeloom_driver.h"\nextern int x;\n')
    subprocess.run(["cc", *c_library.STRICT, "-c", "host.c"], cwd=tmp_path, check=True)


def test_the_example_of_the_documentation_compiles(tmp_path):
    (example,) = re.findall(r"```c\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8"), re.DOTALL)
    include, rest = example.split("\n", 1)
    own = "enum { TIMEOUT = 1000 };\nuint64_t read_timer(void);\nvoid report(const spikeloom_status *status);\n"
    own += "int classify(PROGRAM program, uint32_t program_bytes, uint64_t image, int32_t logits[10]);\n"
    (parameter,) = re.findall(r"int classify\((.*?)program,", rest)
    c_library.write_sources(tmp_path, MINI)
    (tmp_path / "host.c").write_text(f"{include}\n{own.replace('PROGRAM ', parameter)}{rest}")
    subprocess.run(["cc", *c_library.STRICT, "-fsyntax-only", "host.c"], cwd=tmp_path, check=True)


def test_outcomes_are_those_of_the_header():
    text = (SOURCES / "spikeloom_driver.h").read_text()
    body = re.search(r"typedef enum \{(.*?)\} spikeloom_outcome;", text, re.DOTALL)
    assert body is not None
    assert tuple(re.findall(r"SPIKELOOM_(\w+)(?: = 0)?,?  ?", re.sub(r"/\*.*?\*/", " ", body[1]))) == OUTCOMES


def test_check_accepts_this_device(driver):
    assert driver("check", Registers().device) == "OK"


@pytest.mark.parametrize(
    ("wrong", "outcome"),
    [
        ({"IDENTITY": 0}, "NO_DEVICE"),
        ({"VERSION": VERSION + 1}, "OTHER_VERSION"),
        ({"CONFIG": LARGE.fingerprint}, "OTHER_CONFIG"),
        ({"failing": "VERSION"}, "BUS_FAILED"),
    ],
)
def test_check_refuses_another_device(driver, wrong, outcome):
    bus = Registers(**wrong)
    assert driver("check", bus.device) == outcome
    assert not bus.written


@pytest.mark.parametrize("missing", ["read", "write", "time", "all"])
def test_check_refuses_a_device_without_its_functions(driver, missing):
    device, none = Registers().device, {"read": READ, "write": WRITE, "time": TIME}
    for name, kind in none.items():
        if missing in (name, "all"):
            setattr(device, name, kind())
    assert driver("check", device) == "BAD_ARGUMENT"


def test_mapped_registers_need_no_functions(driver):
    bus = Registers()
    words = (ctypes.c_uint32 * (1 << 12))()
    for at, value in bus.values.items():
        words[at // 4] = value
    device = Device(words, READ(), WRITE(), TIME(bus.time), WAIT(), None)
    assert driver("check", device) == "OK"
    assert driver("start", device, Job(program=0x2_0000_1000, image=0x3000, program_bytes=512)) == "OK"
    expected = {"PROGRAM_ADDRESS_LOW": 0x1000, "PROGRAM_ADDRESS_HIGH": 2, "IMAGE_ADDRESS_LOW": 0x3000}
    expected |= {"PROGRAM_BYTES": 512, "CONTROL": Control.START}
    assert {name: words[address(name) // 4] for name in expected} == expected
    assert not bus.written


def test_start_writes_everything_before_the_start_bit(driver):
    bus = Registers()
    job = Job(program=0x12_3456_7000, image=0xFF_FFFF_FFF8, record=0x40, program_bytes=999, write_record=True)
    assert driver("start", bus.device, job) == "OK"
    assert dict(bus.written) == {
        address("PROGRAM_ADDRESS_LOW"): 0x3456_7000,
        address("PROGRAM_ADDRESS_HIGH"): 0x12,
        address("PROGRAM_BYTES"): 999,
        address("IMAGE_ADDRESS_LOW"): 0xFFFF_FFF8,
        address("IMAGE_ADDRESS_HIGH"): 0xFF,
        address("RESULT_ADDRESS_LOW"): 0x40,
        address("RESULT_ADDRESS_HIGH"): 0,
        address("RESULT_ENABLE"): 1,
        address("CONTROL"): Control.START,
    }
    assert bus.written[-1] == (address("CONTROL"), Control.START)


def test_start_without_a_record_switches_it_off(driver):
    bus = Registers()
    assert driver("start", bus.device, Job(record=0x8)) == "OK"
    assert (address("RESULT_ENABLE"), 0) in bus.written
    assert address("RESULT_ADDRESS_LOW") not in dict(bus.written)


@pytest.mark.parametrize(
    "wrong",
    [
        {"program": 4}, {"image": 1 << BYTE_ADDRESS_BITS}, {"image": MINI.memory_bits // 8 - 1},
        {"record": LINE_BYTES // 2, "write_record": True}, {"record": 1 << BYTE_ADDRESS_BITS, "write_record": True},
    ],
)  # fmt: skip
def test_start_refuses_addresses(driver, wrong):
    bus = Registers()
    assert driver("start", bus.device, Job(**wrong)) == "BAD_ARGUMENT"
    assert not bus.written


def test_start_refuses_a_busy_device(driver):
    bus = Registers(STATUS=Status.BUSY)
    assert driver("start", bus.device, Job()) == "STILL_BUSY"
    assert not bus.written


@pytest.mark.parametrize("start", [0, (1 << 64) - 15])
def test_wait_ends_with_the_job_also_where_time_wraps(driver, start):
    bus = Registers(busy_until=40, start=start, STATUS=Status.DONE)
    assert driver("wait", bus.device, 1000, None) == "OK"
    assert 40 <= bus.now < 52 and not bus.written
    assert bus.waits and all(left <= 1000 for left in bus.waits)


def test_a_failed_job_shows_its_status(driver):
    bus = Registers(STATUS=Status.DONE | Status.ERROR, ERROR=ErrorCause.MEMORY_ERROR, JOBS=3)
    status = c_library.Status()
    assert driver("wait", bus.device, 10, status) == "JOB_FAILED"
    assert (status.status, status.error, status.jobs) == (Status.DONE | Status.ERROR, ErrorCause.MEMORY_ERROR, 3)
    assert driver("wait", bus.device, 10, None) == "JOB_FAILED"


def test_a_job_that_does_not_end_is_given_up_with_its_status(driver):
    bus = Registers(busy_until=1 << 30, CYCLES=123, DESCRIPTORS=4, JOBS=7, INTERRUPT_STATUS=4)
    status = c_library.Status()
    assert driver("wait", bus.device, 50, status) == "TIMED_OUT"
    assert status.values() == {
        "status": Status.BUSY, "error": 0, "interrupts": Interrupt.IGNORED, "cycles": 123, "descriptors": 4, "jobs": 7,
    }  # fmt: skip
    assert 50 <= bus.now < 75 and not bus.written


def test_a_timeout_of_zero_looks_once(driver):
    bus = Registers(busy_until=1 << 30)
    assert driver("wait", bus.device, 0, None) == "TIMED_OUT"
    assert bus.now == 1 and not bus.waits


def test_without_a_wait_function_it_looks_all_the_time(driver):
    bus = Registers(busy_until=30)
    bus.device.wait = WAIT()
    assert driver("wait", bus.device, 100, None) == "OK"
    assert bus.now == 30 and not bus.waits


@pytest.mark.parametrize("call", ["wait", "reset", "read_status"])
def test_an_error_of_the_bus_ends_the_call(driver, call):
    bus = Registers(failing="STATUS")
    arguments = (c_library.Status(),) if call == "read_status" else (10, None)
    assert driver(call, bus.device, *arguments) == "BUS_FAILED"


def test_an_error_of_the_bus_keeps_a_job_from_starting(driver):
    bus = Registers(failing="IMAGE_ADDRESS_LOW")
    assert driver("start", bus.device, Job()) == "BUS_FAILED"
    assert address("CONTROL") not in dict(bus.written)


def test_reset_waits_and_clears_interrupts(driver):
    bus = Registers(busy_until=500, INTERRUPT_STATUS=5)
    assert driver("reset", bus.device, 1000, None) == "OK"
    assert bus.written == [(address("CONTROL"), Control.RESET), (address("INTERRUPT_STATUS"), 5)]
    assert bus.now >= 500


def test_a_reset_that_is_given_up_may_be_waited_for_again(driver):
    bus, status = Registers(busy_until=100, CYCLES=9), c_library.Status()
    assert driver("reset", bus.device, 50, status) == "TIMED_OUT" and status.cycles == 9
    assert driver("reset", bus.device, 100, None) == "OK"


def test_interrupts_are_chosen_read_and_cleared(driver):
    bus, happened = Registers(INTERRUPT_STATUS=3), ctypes.c_uint32()
    assert driver("enable_interrupts", bus.device, Interrupt.DONE | Interrupt.ERROR) == "OK"
    assert driver("take_interrupts", bus.device, ctypes.byref(happened)) == "OK"
    assert happened.value == 3
    assert bus.written == [(address("INTERRUPT_ENABLE"), 3), (address("INTERRUPT_STATUS"), 3)]


@pytest.fixture(scope="module")
def program() -> bytes:
    """A program of nothing but its frame and some words."""
    return enclose(np.arange(40, dtype=np.uint64) << np.uint64(33), MINI).astype("<u8").tobytes()


def test_a_whole_program_is_accepted(driver, program):
    assert driver("check_program", program, len(program)) == "OK"


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (lambda program: b"XYZ" + program[3:], "NO_PROGRAM"),
        (lambda program: program[:3] + bytes([VERSION - 1]) + program[4:], "NO_PROGRAM"),
        (lambda program: program[:-8], "NO_PROGRAM"),
        (lambda program: program + bytes(8), "NO_PROGRAM"),
        (lambda program: program[:8], "NO_PROGRAM"),
        (lambda program: b"", "NO_PROGRAM"),
    ],
)
def test_what_is_no_program_is_refused(driver, program, change, outcome):
    wrong = change(program)
    assert driver("check_program", wrong, len(wrong)) == outcome


def test_any_flipped_bit_of_a_program_is_seen(driver, program):
    header = PROGRAM_HEADER.size // 8
    for bit in range(8 * len(program)):
        wrong = bytearray(program)
        wrong[bit // 8] ^= 1 << bit % 8
        expected = "NO_PROGRAM" if bit < 8 * header else "PROGRAM_DAMAGED"
        assert driver("check_program", bytes(wrong), len(wrong)) == expected


def test_watchdog_is_set(driver):
    bus = Registers()
    assert driver("set_watchdog", bus.device, 12345) == "OK"
    assert bus.written == [(address("WATCHDOG"), 12345)]


WORDS = (0xFFFF_FFFE, 0x7FFF_FFFF, 1 << 31, 0)


def test_result_reads_signed_logits_and_counters_of_layers(driver):
    bus = Registers(PREDICTION=1, CYCLES=900, DESCRIPTORS=5, JOBS=2, ERROR=6)
    bus.values |= {address("LOGITS") + 4 * i: word for i, word in enumerate(WORDS)}
    bus.values |= {address("PROFILE") + 4 * i: 10 + i for i in range(MINI.max_layers * COUNTER_SLOTS)}
    result, logits = driver.result(bus.device, len(WORDS))
    assert result.values() == {"prediction": 1, "cycles": 900, "error": 6, "descriptors": 5, "jobs": 2}
    assert logits == [-2, 2**31 - 1, -(2**31), 0]
    assert driver.layer(bus.device, 1) == list(range(18, 26))
    last = MINI.max_layers - 1
    assert driver.layer(bus.device, last)[0] == 10 + COUNTER_SLOTS * last


def test_nothing_is_read_that_answers_with_an_error_while_busy(driver):
    bus = Registers(STATUS=Status.BUSY)
    logits, layer = (ctypes.c_int32 * 4)(), c_library.Layer()
    assert driver("read_result", bus.device, Result(), logits, 4) == "STILL_BUSY"
    assert driver("read_layer", bus.device, 0, layer) == "STILL_BUSY"
    assert bus.now == 2


def test_more_than_there_is_cannot_be_read(driver):
    bus = Registers()
    logits, layer = (ctypes.c_int32 * 2000)(), c_library.Layer()
    record = bytes(record_lines(MINI.max_classes) * LINE_BYTES)
    assert driver("read_result", bus.device, Result(), logits, MINI.max_classes + 1) == "BAD_ARGUMENT"
    assert driver("read_layer", bus.device, MINI.max_layers, layer) == "BAD_ARGUMENT"
    assert driver("decode_record", record, Result(), logits, MINI.max_classes + 1) == "BAD_ARGUMENT"
    assert bus.now == 0


def test_a_record_is_taken_apart(driver):
    line = [3, 900, ErrorCause.RESULT_ERROR, 7, *[0xDEAD_BEEF] * 11, 42]
    record = struct.pack("<32I", *line, *WORDS, *[0] * 12)
    result, logits = Result(), (ctypes.c_int32 * 4)()
    assert driver("decode_record", record, result, logits, 4) == "OK"
    assert result.values() == {"prediction": 3, "cycles": 900, "error": 6, "descriptors": 7, "jobs": 42}
    assert list(logits) == [-2, 2**31 - 1, -(2**31), 0]


@pytest.mark.parametrize("config", [MINI, LARGE], ids=lambda config: config.name)
def test_room_for_a_record_is_what_is_written(config, tmp_path: Path):
    c_library.write_sources(tmp_path, config)
    size = record_lines(config.max_classes) * LINE_BYTES
    check = f"typedef char exact[SPIKELOOM_RECORD_BYTES == {size} ? 1 : -1];"
    (tmp_path / "size.c").write_text(f'#include "spikeloom_driver.h"\n{check}\nextern exact unused;\n')
    subprocess.run(["cc", *c_library.STRICT, "-c", "size.c"], cwd=tmp_path, check=True)
