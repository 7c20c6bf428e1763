"""Descriptors of self-attention: q, k and v head by head, and the attention of each head."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from hw.attention.geometry import AttentionGeometry
from hw.descriptor import Descriptor, Opcode, Wait
from sw.compiler.emit_weights import weights
from sw.compiler.heads import AttentionHead, heads
from sw.compiler.placement import Placement
from sw.compiler.program import Job
from sw.compiler.weight_pack import stored_thresholds
from sw.layer import Layer


def attention_block(placement: Placement, layer: Layer, weight_bits: int) -> Iterator[Job]:
    """q, k, v and attention of one head after the other: a head's attention runs beside the next one's q, k, v."""
    for head in heads(placement.geometry.config, placement.geometry.network):
        for name in layer.sources:
            source = placement.layers[name]
            descriptor = projection(placement, source, head, weight_bits, first=name == layer.source)
            yield Job(source.name, descriptor, source, head.channels, head.places, range(source.height))
        descriptor = attention(placement, layer, head)
        yield Job(layer.name, descriptor, layer, head.channels, head.places, range(layer.height))


def projection(placement: Placement, layer: Layer, head: AttentionHead, weight_bits: int, *, first: bool) -> Descriptor:
    """q, k or v of a head; `first` of the three, which waits for no attention."""
    part = placement.whole(layer)
    if layer.name in placement.addresses:
        part = dataclasses.replace(part, destination=_head_address(placement, layer, head))
    return dataclasses.replace(
        weights(placement, layer, part, weight_bits),
        token_buffer=head.token_buffer,
        follows=head.number == 0 and first,
        overlaps=head.number > 0 or not first,
        wait_attention=Wait.ALL_BUT_NEWEST if head.number > 1 and not first else Wait.NONE,
    )


def attention(placement: Placement, layer: Layer, head: AttentionHead) -> Descriptor:
    """Attention of a head."""
    geometry = placement.geometry
    config, network = geometry.config, geometry.network
    query, groups = placement.layers[layer.source], geometry.groups(layer.positions)
    bits = AttentionGeometry(config).threshold_bits
    threshold = stored_thresholds(np.array(network.attention_threshold), config, network, bits)
    return Descriptor(
        opcode=Opcode.ATTENTION,
        layer=placement.numbers[layer.name],
        no_leak=not network.leaky,
        wait_weights=Wait.ALL,
        token_buffer=head.token_buffer,
        time_chunks=geometry.time_chunks,
        timesteps=geometry.last_timesteps,
        head_channels=len(head.places),
        groups=groups,
        attention_threshold=int(threshold),
        source_base=_head_address(placement, query, head),
        slice_step=placement.slice_stride(query),
        destination_base=_head_address(placement, layer, head),
        destination_slice_stride=placement.slice_stride(layer),
        **geometry.position_tiles(groups, geometry.time_chunks).fields,
    )


def _head_address(placement: Placement, layer: Layer, head: AttentionHead) -> int:
    """First word of a head of the layer's output."""
    first_slice = placement.geometry.slices(head.places.start)
    return placement.addresses[layer.name] + first_slice * placement.slice_stride(layer)
