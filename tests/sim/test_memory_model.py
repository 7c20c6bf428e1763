"""The testbench's external memory and watchdog, exercised by a small device."""

from __future__ import annotations

import random

import pytest

from sim.runner import build_design

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
    assert image.job.cycles == 2 * latency + 16 + beats + 1


def test_four_requests_may_be_outstanding(reader):
    latency, bursts = 20, [(i, 1) for i in range(12)]
    image = reader.run(bursts, latency=latency).images[0]
    assert reader.span(image) == 3 + 2 * (latency + 1)


def test_stalls_slow_down_and_repeat_with_their_seed(reader):
    def cycles(**options):
        return reader.run(BURSTS, **options).images[0].job.cycles

    ideal, first, other = cycles(), cycles(stall_percent=50), cycles(stall_percent=50, stall_seed=2)
    beats = sum(beats for _, beats in BURSTS)
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


def test_limit_that_suffices_is_no_timeout(reader):
    cycles = reader.run(BURSTS).images[0].elapsed
    assert reader.run(BURSTS, cycle_limit=cycles + 2).images[0].failure is None


def test_read_beyond_the_memory_image_is_reported(reader):
    image = reader.run([(len(reader.data) - 2, 4)]).images[0]
    assert image.failure == f"image 0: read beyond the end of the memory image (beat {16 + len(reader.data)})"


def test_request_that_changes_before_it_is_accepted_is_reported(reader):
    device = (reader.build.folder / "memory_reader.v").read_text()
    restless = device.replace("image_address + burst[31:0]", "image_address + burst[31:0] + cycles[0]")
    assert restless != device
    reader.build = build_design("restless_reader", restless, waves=False)
    image = reader.run([(i, 1) for i in range(15)], stall_percent=50).images[0]
    assert "memory request changed before it was accepted" in image.failure
