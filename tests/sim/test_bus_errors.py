"""The accelerator on its buses: what ends a job early leaves a cause, and the next job is as if nothing had been."""

from __future__ import annotations

import copy
import dataclasses
import random

import numpy as np
import pytest

from golden.cycles.cycle_model import predict_cycles
from hw.named_configs import TINY
from sim.runner import ImageResult
from sim.testbench.job import RESET_LIMIT
from sim.testbench.protocol import Disturbance
from sw.compiler.program import enclose, frame_words, header_words
from sw.network import NetworkConfig
from tests.sim.small_network import Network

IN_STRIPS = NetworkConfig(
    image_size=32, image_channels=3, classes=4, embed_dim=32, depth=1, heads=4, mlp_ratio=2, pools=4
)


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Network:
    network = Network(images=12)
    network.alone = network.run(tmp_path_factory.mktemp("alone"), 12)
    for image in network.alone:
        network.check(image)
    return network


@pytest.mark.parametrize("stalls", [0, 50])
def test_an_error_of_the_memory_stops_the_job_and_the_next_is_exact(network, tmp_path, stalls):
    rng = random.Random(1)
    total = network.alone[0].beats_read
    beats = {0: 0, 2: rng.randrange(8, 60), 4: rng.randrange(100, total), 6: total - 1}
    wrong = tuple(Disturbance(image=image, read_error_beat=beat) for image, beat in beats.items())
    images = network.run(tmp_path, 8, stalls=stalls, disturbances=wrong)
    for image in images:
        if image.image in beats:
            assert image.job is not None
            assert image.failure == f"image {image.image}: the accelerator stopped with error MEMORY_ERROR"
            # What had been asked for still came: at most the bursts under way.
            assert beats[image.image] < image.beats_read <= total
        else:
            network.check(image, stalls=stalls)
            assert image.beats_read == total


@pytest.mark.parametrize("stalls", [0, 50])
def test_a_reset_at_any_cycle_leaves_nothing_behind(network, tmp_path, stalls):
    rng = random.Random(stalls)
    # The first ones are in the fetch of the first descriptor, the others anywhere.
    cycles = [45, 60, 70, *(rng.randrange(80, network.cycles) for _ in range(3))]
    wrong = tuple(Disturbance(image=2 * i, reset_cycle=cycle) for i, cycle in enumerate(cycles))
    images = network.run(tmp_path, 12, stalls=stalls, disturbances=wrong)
    for image in images:
        if image.image % 2:
            network.check(image, stalls=stalls)
        else:
            assert image.reset and image.job is None and image.fault is None


@pytest.mark.parametrize("stalls", [0, 50])
def test_a_reset_of_the_device_at_any_cycle_leaves_nothing_behind(network, tmp_path, stalls):
    rng = random.Random(10 + stalls)
    cycles = [45, 60, 70, *(rng.randrange(80, network.cycles) for _ in range(3))]
    wrong = tuple(Disturbance(image=2 * i, reset_cycle=cycle, device_reset=True) for i, cycle in enumerate(cycles))
    images = network.run(tmp_path, 12, stalls=stalls, disturbances=wrong)
    for image in images:
        if image.image % 2:
            network.check(image, stalls=stalls)
            assert image.jobs == 1
        else:
            assert image.reset and image.job is None and image.fault is None and image.jobs == 0


@pytest.mark.parametrize("stalls", [0, 50])
def test_result_records_hold_what_the_registers_show(network, tmp_path, stalls):
    wrong = (Disturbance(image=1, read_error_beat=100),)
    images = network.run(tmp_path, 3, stalls=stalls, record=True, disturbances=wrong)
    for number, image in enumerate(images):
        job, record = image.job, image.record
        assert job is not None and record is not None
        assert (record.prediction, record.cycles, record.error) == (job.prediction, job.cycles, job.error)
        assert record.descriptors == job.descriptors
        assert record.job == number + 1
        if number != 1:
            network.check(image, stalls=stalls)
            assert record.logits == job.logits
    assert images[1].job is not None and images[1].job.error == "MEMORY_ERROR"


def test_a_record_that_cannot_be_written_is_an_error(network, tmp_path):
    images = network.run(tmp_path, 2, record=True, disturbances=(Disturbance(image=0, write_error=True),))
    assert images[0].job is not None and images[0].job.error == "RESULT_ERROR"
    assert list(images[0].job.logits) == network.logits[0]
    network.check(images[1])


@pytest.mark.parametrize("stalls", [0, 50])
def test_a_reset_before_the_last_line_of_a_record_leaves_none(network, tmp_path, stalls):
    # The core files its last counts, then come some 90 cycles of the record; with stalls these are anywhere near.
    first = network.cycles + 50
    wrong = tuple(Disturbance(image=2 * i, reset_cycle=first + 15 * i) for i in range(6))
    images = network.run(tmp_path, 12, stalls=stalls, record=True, disturbances=wrong)
    jobs, without = 0, 0
    for image in images:
        assert image.jobs is not None and image.record is not None
        assert image.jobs in ((jobs, jobs + 1) if image.reset else (jobs + 1,))
        without += image.jobs == jobs
        jobs = image.jobs
        # The number in memory is that of the last job that counts, whether it was reset or not.
        assert image.record.job == jobs
        if image.image % 2:
            network.check(image, stalls=stalls)
    assert without >= 3


def test_a_job_behind_a_reset_waits_for_what_a_slow_memory_owes_and_counts_its_own_cycles(network, tmp_path):
    latency = 4000
    images = network.run(tmp_path, 2, latency=latency, disturbances=(Disturbance(image=0, reset_cycle=300),))
    assert images[0].reset and images[0].fault is None
    assert images[0].elapsed < 300 + RESET_LIMIT
    cycles = predict_cycles(network.program, latency).total
    assert images[1].job is not None and images[1].job.cycles == cycles
    assert list(images[1].job.logits) == network.logits[1]
    assert images[1].elapsed > cycles + latency - 300 - RESET_LIMIT


@pytest.mark.parametrize("stalls", [0, 50])
def test_a_job_waits_for_reads_behind_its_program_and_has_their_errors(network, tmp_path, stalls):
    """A program may go on behind its END: what is read in vain belongs to this job, in nothing to the next one."""
    stream = network.program.memory[header_words(TINY) : header_words(TINY) - frame_words(TINY)]
    longer = copy.copy(network)
    memory = enclose(np.concatenate([stream, np.full(5000, 0x5A, np.uint64)]), TINY)
    longer.program = dataclasses.replace(network.program, memory=memory)

    def run(*wrong: Disturbance) -> list[ImageResult]:
        return longer.run(tmp_path, 3, stalls=stalls, disturbances=wrong)

    images = run()
    for image in images:
        network.check(image, stalls=stalls)
        assert image.beats_read == network.alone[0].beats_read + 5000
    for beat in (network.alone[0].beats_read, images[0].beats_read - 1):
        images = run(Disturbance(image=0, read_error_beat=beat))
        assert images[0].job is not None and images[0].job.error == "MEMORY_ERROR"
        for image in images[1:]:
            network.check(image, stalls=stalls)


@pytest.mark.parametrize("stalls", [0, 50])
def test_registers_written_during_a_job_are_the_next_ones(tmp_path, stalls):
    """An image that is loaded in strips, and the place of its record, stay those of the start."""
    network = Network(3, IN_STRIPS)
    assert len(network.program.steps_of("load")) > 4
    wrong = tuple(Disturbance(image=image, overwrite=True) for image in (0, 2))
    for image in network.run(tmp_path, 3, stalls=stalls, record=True, disturbances=wrong):
        assert image.failure is None and image.job is not None and image.record is not None
        assert list(image.job.logits) == network.logits[image.image]
        assert image.record.logits == image.job.logits
        assert image.record.job == image.image + 1
