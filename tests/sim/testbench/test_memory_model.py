"""The testbench's external memory and watchdog, exercised by a small device."""

from __future__ import annotations

import random

import pytest

import sim.runner

PROGRAM_BEATS = 256
BURSTS = [(0, 100), (7, 1), (8, 2), (2000, 64), (100, 1), (3, 300)]


@pytest.mark.parametrize(("stall", "slow"), [(0, False), (0, True), (40, False), (80, True)])
def test_beats_arrive_in_order(reader, stall, slow):
    rng = random.Random(stall)
    bursts = [(rng.randrange(2000), rng.choice([1, 2, 3, 8, 40, 200])) for _ in range(15)]
    results = reader.run(bursts, slow=slow, stall_percent=stall, stall_seed=3)
    results.check()
    assert results.images[0].job.logits == reader.logits(bursts)


def test_bursts_follow_each_other_without_a_gap(reader):
    image = reader.run(BURSTS).images[0]
    assert reader.span(image) == sum(beats for _, beats in BURSTS) - 1


@pytest.mark.parametrize("latency", [2, 20, 200])
def test_latency_counts_from_the_request_to_its_first_beat(reader, latency):
    # The job waits twice: for its program, and for the first burst. Cycles of the job besides: start, states, beats.
    beats = 5
    image = reader.run([(0, beats)], latency=latency).images[0]
    assert image.job.cycles == 2 * latency + PROGRAM_BEATS + beats + 1


def test_sixteen_bursts_may_be_outstanding(reader):
    latency, bursts = 20, [(i, 1) for i in range(48)]
    image = reader.run(bursts, latency=latency).images[0]
    assert reader.span(image) == 15 + 2 * (latency + 1)


@pytest.mark.parametrize("stall", [0, 40])
def test_beats_delivered_are_counted(reader, stall):
    results = reader.run(BURSTS, images=2, stall_percent=stall)
    beats = sum(beats for _, beats in BURSTS)
    assert [image.beats_read for image in results.images] == [PROGRAM_BEATS + beats] * 2


def test_stalls_slow_down_and_repeat_with_their_seed(reader):
    def cycles(**options):
        return reader.run(BURSTS, **options).images[0].job.cycles

    ideal, first, other = cycles(), cycles(stall_percent=50), cycles(stall_percent=50, stall_seed=2)
    beats = PROGRAM_BEATS + sum(beats for _, beats in BURSTS)
    assert 1.7 * beats < first < 2.6 * beats
    assert ideal < first != other
    assert cycles(stall_percent=50) == first


def test_watchdog_ends_a_job_and_the_next_image_runs(reader):
    results = reader.run(BURSTS, cycle_limit=100, images=2)
    for image in results.images:
        assert image.timeout
        assert image.job is None
        assert 100 <= image.elapsed <= 102
        assert image.failure.startswith(f"image {image.image}: not done after")


def test_an_offer_in_a_reset_is_reported(reader):
    # The watchdog resets the device, which has read its program by then.
    images = reader.run(BURSTS, fault="early offer", cycle_limit=400, images=2).images
    assert images[0].timeout and "m_axi_mem breaks the rule nothing_offered_behind_reset" in images[1].failure


def test_limit_that_suffices_is_no_timeout(reader):
    cycles = reader.run(BURSTS).images[0].elapsed
    assert reader.run(BURSTS, cycle_limit=cycles + 2).images[0].failure is None


def test_read_beyond_the_memory_image_is_reported(reader):
    image = reader.run([(len(reader.data) - 2, 4)]).images[0]
    address = 8 * (PROGRAM_BEATS + len(reader.data))
    assert image.failure == f"image 0: access beyond the end of the memory image (byte address 0x{address:X})"


@pytest.mark.parametrize(
    ("fault", "objection"),
    [
        ("too long", "m_axi_mem breaks the rule read_within_4_kb"),
        ("unaligned", "m_axi_mem breaks the rule read_address_aligned"),
        ("fixed", "m_axi_mem breaks the rule read_of_whole_beats_in_order"),
        ("early last", "m_axi_mem breaks the rule wlast_on_the_last_beat"),
        ("restless data", "m_axi_mem breaks the rule write_data_stays"),
        ("restless address", "m_axi_mem breaks the rule read_request_stays"),
        ("second answer", "s_axi_ctrl breaks the rule write_answered_once"),  # to the host, behind the job
    ],
)
def test_what_axi_forbids_is_reported(reader, fault, objection):
    bursts = [(i, 1) for i in range(200, 215)]
    assert reader.run(bursts, stall_percent=60, record_address=64).images[0].failure is None
    image = reader.run(bursts, fault=fault, stall_percent=60, record_address=64).images[0]
    assert image.failure == f"image 0: {objection}"


@pytest.fixture
def endless_last(tmp_path, monkeypatch) -> None:
    """A memory that says of every beat that it is the last one."""
    text = sim.runner.EXTERNAL_MEMORY.read_text()
    assert text.count("m_axi_mem_rlast <= put_last;") == 1
    wrong = tmp_path / "external_memory.sv"
    wrong.write_text(text.replace("m_axi_mem_rlast <= put_last;", "m_axi_mem_rlast <= put;"))
    monkeypatch.setattr(sim.runner, "EXTERNAL_MEMORY", wrong)


def test_a_memory_that_breaks_a_rule_is_reported_too(endless_last, reader):
    image = reader.run(BURSTS).images[0]
    assert image.failure == "image 0: m_axi_mem breaks the rule memory_ends_reads_at_their_length"
