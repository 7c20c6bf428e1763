"""Whatever order the waits of a program leave open, every layer reads what its source wrote."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from hw.descriptor import Wait
from tests.sw.compiler.executor import Executor
from tests.sw.compiler.networks import COMPILED, compiled
from tests.sw.compiler.order import Order


@pytest.mark.parametrize("name", COMPILED)
def test_every_layer_reads_what_its_source_wrote(name):
    """Whatever order the waits leave open: no word is overwritten before its last reader, none read too early."""
    artifact, program = compiled(name)
    Executor(artifact, program).run()


@pytest.mark.parametrize(
    ("name", "step", "which", "changes", "message"),
    [
        ("many_heads", "block0.k", 2, {"wait_attention": Wait.NONE}, "overwrites what step"),
        ("many_heads", "block0.k", -1, {"wait_attention": Wait.NONE}, "overwrites what step"),
        ("many_heads", "block0.k", -1, {"token_buffer": 0}, "overwrites what step"),
        ("many_heads", "block1.attention", -1, {"wait_weights": Wait.NONE}, "is read before step"),
        ("many_heads", "block1.attention", -1, {"wait_weights": Wait.ALL_BUT_NEWEST}, "is read before step"),
        ("many_heads", "block0.proj", 0, {"wait_attention": Wait.NONE}, "is read before step"),
        ("many_heads", "block0.proj", 0, {"wait_attention": Wait.ALL_BUT_NEWEST}, "is read before step"),
        ("tiny", "conv1", 0, {"follows": 0}, "is read before step"),
        ("tiny", "head", 0, {"follows": 0}, "is read before step"),
        ("many_heads", "block1.q", 0, {"follows": 0}, "is read before step"),
        ("tiny", "conv0", 0, {"wait_load": Wait.NONE}, "image0 is read before step"),
        ("many_strips", "conv0", -1, {"wait_load": Wait.NONE}, r"image\d+ is read before step"),
        ("many_strips", "load", -1, {"wait_weights": Wait.NONE}, "overwrites what step"),
        ("many_strips", "load", -1, {"wait_weights": Wait.ALL_BUT_NEWEST}, "overwrites what step"),
        ("strips_before_a_pool", "conv0", -1, {"overlaps": 1}, "write the same words in any order"),
    ],
)
def test_executor_misses_every_wait(name, step, which, changes, message):
    """The test above fails if a wait is missing: one descriptor of a layer goes without it."""
    artifact, program = compiled(name)
    at = [i for i, other in enumerate(program.steps) if other.name == step][which]
    steps = list(program.steps)
    changed = dataclasses.replace(steps[at].descriptor, **changes)
    steps[at] = dataclasses.replace(steps[at], descriptor=changed)
    with pytest.raises(AssertionError, match=message):
        Executor(artifact, dataclasses.replace(program, steps=tuple(steps))).run()


def test_heads_hide_behind_each_other():
    """What may run side by side: q, k, v of a head and the attention of the head before; a strip and the next load."""
    _, program = compiled("many_heads")
    order, names = Order(program.steps), [step.name for step in program.steps]
    attention = [i for i, name in enumerate(names) if name == "block0.attention"]
    for here, after in itertools.pairwise(attention):
        for later in range(here + 1, after):
            assert not order.before((here, "end"), (later, "start"))
            assert program.steps[later].descriptor.overlaps
    _, program = compiled("many_strips")
    order, names = Order(program.steps), [step.name for step in program.steps]
    loads = [i for i, name in enumerate(names) if name == "load"]
    assert len(loads) > 3
    for number, load in enumerate(loads[1:-1], start=1):
        strip = program.steps_of("conv0")[number - 1]
        i = program.steps.index(strip)
        assert not order.before((load, "end"), (i, "start"))
        assert not order.before((i, "start"), (load, "start"))
