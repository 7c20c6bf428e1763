"""Compiles an artifact for a configuration: descriptors, weights and where every tensor lies on the chip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR_BITS, Descriptor, Opcode
from hw.field_limits import MAX_DESCRIPTORS, MAX_PROGRAM_BYTES, check_fields
from sw.artifact.artifact import Artifact
from sw.compiler.emit_attention import attention_block
from sw.compiler.emit_stem import stem
from sw.compiler.emit_weights import weights
from sw.compiler.fit import REMEDY, check_fit, input_remedy, require
from sw.compiler.heads import is_per_head
from sw.compiler.image_pack import WORD_BITS
from sw.compiler.placement import Placement, place
from sw.compiler.program import Job, Program, Step, enclose, frame_words, header_words
from sw.compiler.weight_pack import pack_weights
from sw.errors import UserError


def compile_artifact(artifact: Artifact, config: HardwareConfig) -> Program:
    """Compile a network for an accelerator.

    Parameters
    ----------
    artifact : Artifact
        The network.
    config : HardwareConfig
        The accelerator.

    Returns
    -------
    Program

    Raises
    ------
    UserError
        If the network does not fit; names the layer, what it needs and the limit.
    """
    check_fit(artifact, config)
    placement = place(artifact.network, config)
    remedy = input_remedy(artifact.network)
    require(placement.spike_words, config.spike_words, "the network", "words of spike memory", remedy)
    require(placement.residual_words, config.residual_words, "the network", "words of residual memory")
    steps, stream = _assemble(artifact, config, _jobs(artifact, placement))
    require(len(steps), MAX_DESCRIPTORS, "the network", "descriptors")
    words = len(stream) + frame_words(config)
    require(words * WORD_BITS // 8, MAX_PROGRAM_BYTES, "the network", "bytes of program")
    return Program(
        config=config,
        steps=steps,
        names=("load", *placement.numbers),
        memory=enclose(stream, config),
        image_strips=placement.stem.image_strips,
        image_words=placement.image_words * config.group_beats * config.memory_bits // WORD_BITS,
        spike_words=placement.spike_words,
        residual_words=placement.residual_words,
    )


def _jobs(artifact: Artifact, placement: Placement) -> Iterator[Job]:
    """The program's descriptors, in their order."""
    bits = artifact.weight_bits
    yield from stem(placement, bits)
    for layer in list(placement.layers.values())[len(placement.stem.together) :]:
        if layer.kind == "attention":
            yield from attention_block(placement, layer, bits)
        elif not is_per_head(layer):
            descriptor = weights(placement, layer, placement.whole(layer), bits)
            channels = range(layer.out_channels)
            yield Job(layer.name, descriptor, layer, channels, channels, range(layer.height))
    yield Job("end", Descriptor(opcode=Opcode.END, layer=placement.numbers["head"]))


def _assemble(
    artifact: Artifact, config: HardwareConfig, jobs: Iterable[Job]
) -> tuple[tuple[Step, ...], NDArray[np.uint64]]:
    """Put descriptors, and behind each its parameters and weights, one after the other behind a header."""
    steps, blocks, address = [], [], header_words(config)
    for job in jobs:
        steps.append(Step(**vars(job), address=address))
        block = [_packed(job, config)]
        if job.layer is not None and job.layer.has_weights:
            block.append(pack_weights(artifact, config, job.layer, job.channels))
        blocks += block
        address += sum(map(len, block))
    return tuple(steps), np.concatenate(blocks)


def _packed(job: Job, config: HardwareConfig) -> NDArray[np.uint64]:
    """The words of a descriptor."""
    try:
        check_fields(config, job.descriptor)
    except ValueError as error:
        raise UserError(f"{job.name} does not fit configuration {config.name}: {error}; {REMEDY}") from error
    return np.frombuffer(job.descriptor.encode().to_bytes(DESCRIPTOR_BITS // 8, "little"), "<u8")
