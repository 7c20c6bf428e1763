"""A memory that errs or stops answering, and a program that waits for ever: each ends in a cause; a reset returns.

When memory is alive again the next job is exact in every logit, cycle and counter.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from hw.named_configs import MINI
from sim.testbench.protocol import CHANNELS, Disturbance
from sw.compiler.program import DESCRIPTOR_WORDS, sealed
from sw.network import NetworkConfig
from tests.sim.small_network import Network

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=3, embed_dim=16, depth=1, heads=2, mlp_ratio=2)
WATCHDOG = 1500


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Network:
    network = Network(images=32, network=NETWORK, config=MINI)
    network.alone = network.run(tmp_path_factory.mktemp("alone"), 32)
    return network


def test_an_error_in_any_beat_ends_the_job_and_the_next_is_exact(network, tmp_path):
    """The first ones and the last ones, the header and the CRC among them, the image's, and some in between."""
    total = network.alone[0].beats_read
    beats = [*range(3), 64, 65, *sorted(random.Random(3).sample(range(66, total - 2), 9)), total - 2, total - 1]
    wrong = tuple(Disturbance(image=2 * number, read_error_beat=beat) for number, beat in enumerate(beats))
    for image in network.run(tmp_path, 32, record=True, disturbances=wrong):
        assert image.job is not None and image.record is not None
        assert (image.record.error, image.record.job) == (image.job.error, image.image + 1)
        if image.image % 2 == 0:
            assert image.job.error == "MEMORY_ERROR", beats[image.image // 2]
        else:
            network.check(image)


def deaths(network: Network) -> list[tuple[str, int]]:
    """Channels, and the cycle in which each of them dies: at once, in the middle, for writes in front of the record."""
    middle = network.cycles // 8
    return [*((channel, cycle) for channel in ("ar", "r") for cycle in (0, 60, middle)), ("aw", 0), ("w", 0)]


@pytest.mark.parametrize("stalls", [0, 50])
def test_a_memory_that_does_not_answer_ends_the_job_with_a_cause_and_the_next_is_exact(network, tmp_path, stalls):
    dead = [*deaths(network)[:7], ("b", 0)] if stalls else deaths(network)
    wrong = tuple(
        Disturbance(image=2 * number, dead=(channel,), dead_cycle=cycle) for number, (channel, cycle) in enumerate(dead)
    )
    images = network.run(tmp_path, 16, stalls=stalls, record=True, watchdog=WATCHDOG, disturbances=wrong)
    for jobs, image in enumerate(images, 1):
        assert image.jobs == jobs
        if image.image % 2 == 0:
            assert image.fault is None and image.job is not None
            assert image.job.error == "MEMORY_TIMEOUT", dead[image.image // 2]
        else:
            network.check(image, stalls=stalls)
            assert image.record is not None
            assert (image.record.job, image.record.error, image.record.logits) == (jobs, "NONE", image.job.logits)


def test_a_memory_that_stays_dead_ends_every_job_with_a_cause(network, tmp_path):
    dead = {0: ("r",), 1: ("r",), 2: CHANNELS, 4: ("b",), 5: ("b",), 6: CHANNELS}
    wrong = tuple(
        Disturbance(image=image, dead=channels, dead_cycle=0 if image in (1, 2, 5, 6) else 300)
        for image, channels in dead.items()
    )
    images = network.run(tmp_path, 8, record=True, watchdog=WATCHDOG, disturbances=wrong)
    for image in images:
        if image.image in dead:
            assert image.job is not None and image.job.error == "MEMORY_TIMEOUT"
            # The job before is still waited for: this one has not begun.
            assert image.image in (0, 4) or (image.job.cycles, image.job.descriptors) == (0, 0)
            assert image.elapsed < network.cycles + 2 * WATCHDOG + 600
        else:
            network.check(image)
            assert image.record is not None
            assert (image.record.job, image.record.logits) == (image.jobs, image.job.logits)


@pytest.mark.parametrize("watchdog", [0, 1 << 20])
def test_a_reset_returns_though_memory_never_answers(network, tmp_path, watchdog):
    """In any state of a job: requests on offer, beats outstanding, a record on its way."""
    behind = network.cycles + 80  # the record is being written
    resets = [
        ("ar", 0, 200),
        ("r", 0, 200),
        ("r", 200, 900),
        ("aw", 0, behind),
        ("w", 0, behind),
        ("b", 0, behind + 99),
    ]
    wrong = tuple(
        Disturbance(image=2 * number, dead=(channel,), dead_cycle=dies, reset_cycle=reset)
        for number, (channel, dies, reset) in enumerate(resets)
    )
    images = network.run(tmp_path, 12, record=True, watchdog=watchdog, disturbances=wrong)
    jobs = 0
    for image in images:
        assert image.fault is None and image.jobs is not None
        if image.image % 2 == 0:
            assert image.reset and image.job is None
            assert image.elapsed < resets[image.image // 2][2] + 500
        else:
            network.check(image)
            assert image.record is not None
            assert (image.record.job, image.record.logits) == (image.jobs, image.job.logits)
            assert image.jobs in (jobs + 1, jobs + 2)
            jobs = image.jobs


def test_a_program_that_waits_for_what_never_comes_ends_with_a_cause(network, tmp_path):
    """The head wants more weights than there are: nothing is asked of memory any more, and nothing goes on."""
    memory = network.program.memory.copy()
    step = network.program.steps_of("head")[0]
    hungry = dataclasses.replace(step.descriptor, slices=step.descriptor.slices + 1)
    words = np.frombuffer(hungry.encode().to_bytes(8 * DESCRIPTOR_WORDS, "little"), np.uint64)
    memory[step.address : step.address + DESCRIPTOR_WORDS] = words
    images = network.run_programs(tmp_path, [sealed(memory), network.program.memory], watchdog=WATCHDOG)
    assert images[0].job is not None
    assert (images[0].job.error, images[0].job.descriptors) == ("STALLED", len(network.program.steps) - 1)
    network.check(dataclasses.replace(images[1], image=0))
