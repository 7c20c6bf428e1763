"""A program that makes a memory's ports meet in a word stops the simulation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from golden.random_artifact import random_artifact, random_images
from hw.named_configs import TINY
from sim.rtl import RtlSimulation
from sim.runner import build
from sw.compiler.compiler import compile_artifact
from sw.compiler.program import DESCRIPTOR_WORDS, Program, sealed
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=3, embed_dim=16, depth=1, heads=2)


def with_descriptor(program: Program, name: str, **fields: int) -> Program:
    """The program with other numbers in fields of a layer's first descriptor."""
    step = program.steps_of(name)[0]
    descriptor = dataclasses.replace(step.descriptor, **fields)
    memory = program.memory.copy()
    words = np.frombuffer(descriptor.encode().to_bytes(DESCRIPTOR_WORDS * 8, "little"), np.uint64)
    memory[step.address : step.address + DESCRIPTOR_WORDS] = words
    return dataclasses.replace(program, memory=sealed(memory))


def test_a_layer_that_writes_what_it_reads_stops_the_simulation(tmp_path: Path) -> None:
    artifact, images = random_artifact(NETWORK, 4, seed=7), random_images(NETWORK, 1, seed=4).numpy()
    program = compile_artifact(artifact, TINY)
    source = program.steps_of("conv0")[0].descriptor.destination_base
    tile = program.steps_of("conv1")[0].descriptor.tile_groups
    # The first tile's spikes go where the second one's are read at the same time.
    wrong = with_descriptor(program, "conv1", destination_base=source + tile)
    simulation = RtlSimulation(simulator=build(TINY, optimise=False), artifact=artifact, program=wrong, folder=tmp_path)
    with pytest.raises(RuntimeError, match=r"core\.spikes\S*: a word of bank\d is read and written in one cycle"):
        simulation.run(images)
    right = dataclasses.replace(simulation, program=program)
    assert right.run(images).jobs[0].error == "NONE"
