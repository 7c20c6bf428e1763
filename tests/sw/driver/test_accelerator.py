"""The host's side of an accelerator, over a device in plain Python."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from golden.expectation import expect
from golden.random_artifact import random_artifact
from hw.host.registers import VERSION, ErrorCause, Record
from hw.named_configs import MINI, TINY
from sw.driver.accelerator import Accelerator, built_config
from sw.driver.bus import DeviceTimeout, run_blocking
from sw.driver.driver import LONGEST_PAUSE
from sw.driver.job_runner import JobError, JobRunner
from sw.driver.layout import PAGE_BYTES, lay_out
from sw.driver.outcomes import ValidationTotals
from sw.errors import UserError
from tests.sw.driver.fake_device import FakeDevice
from tests.sw.driver.fake_network import ARTIFACT, IMAGES, NETWORK, PROGRAM, accelerator, answers, device, known


def test_images_are_classified_as_the_device_does():
    bus = device()
    found = run_blocking(accelerator(bus).classify(IMAGES, counters=True))
    assert found.logits.tolist() == answers(IMAGES)
    assert found.predictions.tolist() == np.argmax(found.logits, axis=1).tolist()
    assert found.cycles.tolist() == [bus.cycles] * 7
    assert [layer.busy for layer in found.jobs[3].layers] == [1000 * n + 1 for n in range(len(PROGRAM.names))]
    assert run_blocking(accelerator(bus).classify(IMAGES[:0])).jobs == ()


def test_the_program_is_written_once_and_the_next_image_while_one_runs():
    bus = device()
    unit = accelerator(bus)
    run_blocking(unit.prepare())
    layout = lay_out(
        bus.memory_address,
        bus.memory_bytes,
        program_bytes=PROGRAM.memory.nbytes,
        image_bytes=bus.image_bytes,
        record_bytes=128,
    )
    assert ("write", layout.program) in bus.log
    bus.log.clear()
    run_blocking(unit.classify(IMAGES[:3]))
    a, b = layout.images
    steps = [entry for entry in bus.log if entry[0] != "wait"]
    assert steps == [("write", a), ("start", a), ("write", b), ("start", b), ("write", a), ("start", a)]


def test_a_damaged_program_is_refused_before_it_is_written():
    memory = PROGRAM.memory.copy()
    memory[len(memory) // 2] ^= np.uint64(1 << 40)
    bus = device()
    with pytest.raises(UserError, match="the program is damaged: its CRC-32 is 0x"):
        JobRunner(bus, dataclasses.replace(PROGRAM, memory=memory), NETWORK.classes)
    assert bus.log == []


@pytest.mark.parametrize("offset", [0, 64, 4032])
def test_a_layout_is_inside_the_memory_and_nothing_overlaps(offset):
    bus = device(memory_address=0x2000_0000 + offset, memory_bytes=65536)
    layout = lay_out(bus.memory_address, bus.memory_bytes, program_bytes=9000, image_bytes=4097, record_bytes=100)
    spans = [(layout.program, 9000), *((at, 4097) for at in layout.images), *((at, 128) for at in layout.records)]
    assert all(at % PAGE_BYTES == 0 for at in (layout.program, *layout.images))
    assert all(at % 64 == 0 for at in layout.records)
    assert spans[0][0] >= bus.memory_address and spans[-1][0] + 128 <= bus.memory_address + bus.memory_bytes
    assert all(at + size <= after for (at, size), (after, _) in itertools.pairwise(spans))


def test_a_memory_with_room_for_one_image_runs_them_too():
    pages = -(-PROGRAM.memory.nbytes // PAGE_BYTES) + -(-8 * PROGRAM.image_words // PAGE_BYTES)
    bus = device(memory_bytes=pages * PAGE_BYTES + 128)
    assert run_blocking(accelerator(bus).classify(IMAGES)).logits.tolist() == answers(IMAGES)
    with pytest.raises(UserError, match=rf"needs {pages * PAGE_BYTES + 128:,} bytes of memory .* there are "):
        run_blocking(accelerator(device(memory_bytes=pages * PAGE_BYTES + 127)).prepare())


def test_the_configuration_is_found_or_the_device_refused():
    assert run_blocking(built_config(FakeDevice(TINY))) == TINY
    other = dataclasses.replace(MINI, name="other", spike_words=1024)
    with pytest.raises(
        UserError, match=rf"CONFIG reads 0x{other.fingerprint:08X}, none of mini, tiny, .*: give the .json"
    ):
        run_blocking(accelerator(FakeDevice(other)).prepare())
    with pytest.raises(UserError, match="another configuration"):
        run_blocking(accelerator(device(), config=TINY).prepare())


def test_another_version_or_device_is_refused_before_anything_is_written():
    for name, value, message in (
        ("VERSION", VERSION + 1, f"register map version {VERSION + 1}, this software version {VERSION}"),
        ("IDENTITY", 0xFFFF_FFFF, "no Spikeloom at this address: IDENTITY reads 0xFFFFFFFF"),
    ):
        bus = device()
        bus.registers[name] = value
        with pytest.raises(UserError, match=message):
            run_blocking(accelerator(bus).prepare())
        assert bus.log == []


def test_a_network_that_does_not_fit_is_refused_before_anything_is_written():
    wide = random_artifact(dataclasses.replace(NETWORK, classes=17), 4, seed=1)
    bus = device()
    with pytest.raises(UserError, match="head needs 17 classes, the configuration has 16"):
        run_blocking(Accelerator(bus, wide).prepare())
    assert bus.log == []


def test_a_memory_that_keeps_no_bit_is_found():
    bus = device()
    place = int(np.flatnonzero(np.frombuffer(PROGRAM.memory.tobytes(), np.uint8) & 4)[50])
    bus.stuck_bits[place] = 4
    with pytest.raises(UserError, match=f"does not keep the program: at 0x{0x1000_0000 + place:X} "):
        run_blocking(accelerator(bus).prepare())


def test_the_self_test_finds_another_answer():
    wrong = known(ARTIFACT, PROGRAM)
    logits = (*wrong.logits[:3], wrong.logits[3] ^ 1, *wrong.logits[4:])
    bus = device()
    unit = accelerator(bus, expect=lambda *_: dataclasses.replace(wrong, logits=logits))
    for _ in range(2):  # it stays so
        with pytest.raises(
            UserError, match=f"self-test failed: logit 3 of its image is {wrong.logits[3]}, not {logits[3]}"
        ):
            run_blocking(unit.classify(IMAGES))


def test_a_lost_interrupt_costs_time_and_nothing_else():
    bus, patient = device(), device()
    bus.loses_interrupts = True
    unit = accelerator(bus)
    assert run_blocking(unit.classify(IMAGES)).logits.tolist() == answers(IMAGES)
    run_blocking(accelerator(patient).classify(IMAGES))
    jobs = 8  # the self-test's too
    assert patient.now < bus.now < patient.now + jobs * unit.timeout * LONGEST_PAUSE


def test_a_job_that_does_not_end_is_reset_with_what_the_registers_show_and_the_next_is_exact():
    bus = device()
    unit = accelerator(bus)
    run_blocking(unit.prepare())
    bus.hangs = True
    with pytest.raises(DeviceTimeout, match=r"the job has not ended after 9001: .*\(STATUS BUSY, ERROR NONE"):
        run_blocking(unit.classify(IMAGES[:2]))
    assert bus.log[-1][0] == "reset" and not bus.busy
    bus.hangs = False
    bus.memory[:] = bytes(len(bus.memory))
    assert run_blocking(unit.classify(IMAGES)).logits.tolist() == answers(IMAGES)


def test_a_reset_that_does_not_end_is_told_and_not_waited_for_for_ever():
    bus = device()
    bus.hangs = bus.ignores_reset = True
    unit = accelerator(bus)
    with pytest.raises(DeviceTimeout, match="the job has not ended"):
        run_blocking(unit.classify(IMAGES[:1]))
    with pytest.raises(DeviceTimeout, match=r"after \d+ the reset "):
        run_blocking(unit.classify(IMAGES[:1]))


def test_a_job_with_an_error_says_the_cause_and_where_and_the_next_is_exact():
    bus = device()
    unit = accelerator(bus)
    run_blocking(unit.prepare())
    bus.cause = ErrorCause.MEMORY_ERROR
    layer = PROGRAM.steps[3].name
    with pytest.raises(JobError, match=rf"stopped with MEMORY_ERROR at descriptor 3 \({layer}\)") as caught:
        run_blocking(unit.classify(IMAGES))
    assert caught.value.result.cycles == bus.cycles
    bus.cause = ErrorCause.NONE
    assert run_blocking(unit.classify(IMAGES)).logits.tolist() == answers(IMAGES)


@pytest.mark.parametrize(
    ("word", "name"),
    [(Record.PREDICTION, "prediction"), (Record.CYCLES, "cycles"), (Record.JOB, "job"), (18, "logits")],
)
def test_a_record_that_is_not_what_the_registers_show_is_found(word, name):
    bus = device()
    unit = accelerator(bus)
    run_blocking(unit.prepare())

    def change(words):
        words[word] ^= 1

    bus.changes_record = change
    with pytest.raises(UserError, match=f"the result record in memory has {name} "):
        run_blocking(unit.classify(IMAGES[:1]))


def test_validation_counts_as_it_goes():
    truth = np.argmax(answers(IMAGES), axis=1)
    labels = truth.copy()
    labels[[1, 4]] = (labels[[1, 4]] + 1) % 5
    seen: list[ValidationTotals] = []
    totals = run_blocking(accelerator(device()).validate(IMAGES, labels, seen.append))
    assert [(one.images, one.correct) for one in seen] == [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 4), (7, 5)]
    assert totals == seen[-1] and totals.accuracy == 5 / 7
    with pytest.raises(UserError, match="3 labels for 7 images"):
        run_blocking(accelerator(device()).validate(IMAGES, labels[:3]))


def test_throughput_is_of_cycles_and_of_the_host():
    bus = device()
    found = run_blocking(accelerator(bus).throughput(IMAGES))
    assert (found.images, found.cycles, found.program_bytes) == (7, bus.cycles, PROGRAM.memory.nbytes)
    assert found.image_bytes == bus.image_bytes
    assert 7 * bus.cycles < found.elapsed < 8 * bus.cycles
    assert found.rate == 7 / found.elapsed and found.device_rate(2e6) == 2e6 / bus.cycles
    assert found.bandwidth(2e6) == 2e6 * (found.image_bytes + found.program_bytes) / bus.cycles
    with pytest.raises(UserError, match="0 images have no throughput"):
        run_blocking(accelerator(device()).throughput(IMAGES[:0]))


def test_images_of_another_shape_are_refused_and_the_next_ones_run():
    unit = accelerator(device())
    with pytest.raises(UserError, match=r"image is uint8 \[1, 9, 9\], the network takes uint8 \[1, 8, 8\]"):
        run_blocking(unit.classify(np.zeros((2, 1, 9, 9), np.uint8)))
    assert run_blocking(unit.classify(IMAGES)).logits.tolist() == answers(IMAGES)


def test_timeouts_follow_from_predicted_cycles_and_the_clock():
    bus = device()
    bus.cycles = 1
    unit = Accelerator(bus, ARTIFACT, expect=expect, frequency=1e6)
    with pytest.raises(UserError, match="self-test failed"):  # the device is no network
        run_blocking(unit.prepare())
    assert unit.expected is not None and unit.timeout == pytest.approx(10 * unit.expected.cycles / 1e6 + 1)
    assert accelerator(device(), expect=None).timeout == 60


def test_a_coroutine_that_suspends_is_not_run_blocking():
    class Suspends:
        def __await__(self):
            yield

    async def suspends():
        await Suspends()

    with pytest.raises(RuntimeError, match="waits in an event loop: await the coroutine"):
        run_blocking(suspends())
