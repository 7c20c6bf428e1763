"""Descriptors of the first convolutions, and of the loads of the image before them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from hw.descriptor import Descriptor, Opcode, Wait
from sw.compiler.emit_weights import weights
from sw.compiler.placement import Placement
from sw.compiler.program import Job


def stem(placement: Placement, weight_bits: int) -> Iterator[Job]:
    """The first convolutions, strip by strip; a strip of the image is loaded while the one before is computed.

    Its descriptor must lie before that one's, whose weights would keep it from being read. Then the strip before
    that one, which it replaces, has been walked, but perhaps not been written to the end.
    """
    yield Job("load", load(placement, 0))
    number, last = -1, len(placement.stem.image_strips) - 1
    for strip in placement.stem.strips:
        layer, wait = strip.layer, Wait.NONE
        if layer.reads_input:
            number += 1
            wait = Wait.ALL if number == last else Wait.ALL_BUT_NEWEST
        descriptor = weights(placement, layer, placement.strip(strip, number), weight_bits)
        if layer.reads_input and number < last:
            yield Job("load", load(placement, number + 1))
        descriptor = dataclasses.replace(descriptor, wait_load=wait)
        channels = range(layer.out_channels)
        yield Job(layer.name, descriptor, layer, channels, channels, strip.rows)


def load(placement: Placement, number: int) -> Descriptor:
    """The load of a strip of the image."""
    beats, strips = placement.geometry.config.group_beats, placement.stem.image_strips
    return Descriptor(
        opcode=Opcode.LOAD,
        wait_weights=Wait.ALL if number > 1 else Wait.NONE,
        destination_base=placement.strip_address(number),
        weight_beats=placement.strip_words(strips[number]) * beats,
        memory_address=sum(map(placement.strip_words, strips[:number])) * beats,
    )
