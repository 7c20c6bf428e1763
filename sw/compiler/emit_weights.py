"""Descriptors of layers with weights: convolutions, linear layers and the head."""

from __future__ import annotations

from typing import Any

from hw.config import WEIGHT_BITS
from hw.descriptor import Descriptor, Destination, Opcode, ResidualMode, Wait
from hw.integers import ceil_div
from hw.neurons.membranes import carry_cycles
from hw.neurons.read_plan import CHANNEL_ORDER
from hw.program.ring import region_limit
from sw.compiler.fit import require
from sw.compiler.heads import reads_heads
from sw.compiler.placement import Part, Placement
from sw.compiler.walk_steps import walk_steps
from sw.compiler.weight_pack import OutputTiles, output_tiles
from sw.layer import Layer


def weights(placement: Placement, layer: Layer, part: Part, weight_bits: int) -> Descriptor:
    """A part of a layer.

    Parameters
    ----------
    placement : Placement
    layer : Layer
    part : Part
        What of it the descriptor computes.
    weight_bits : int
        Of the artifact.

    Raises
    ------
    UserError
        If the weights of an output tile do not fit the program's buffer.
    """
    geometry, source = placement.geometry, part.source
    destination = _destination(placement, layer)
    tiles = output_tiles(geometry.config, geometry.network, layer)
    image, wide, kernel3 = layer.source == "image", weight_bits > WEIGHT_BITS, layer.taps == 9 and not layer.reads_input
    beats = (9 if kernel3 else 1) * source.slices * geometry.config.slice_beats
    descriptor = Descriptor(
        opcode=Opcode.WEIGHTS,
        layer=placement.numbers[layer.name],
        wait_attention=Wait.ALL if reads_heads(layer) else Wait.NONE,
        follows=not layer.reads_input and not reads_heads(layer),
        destination=destination,
        source_residual=layer.source == "residual",
        image=image,
        kernel3=kernel3,
        pool=layer.pool,
        pool_before=layer.pool_first,
        no_leak=not geometry.network.leaky,
        wide=wide,
        passes=source.planes,
        time_chunks=geometry.time_chunks,
        timesteps=geometry.last_timesteps,
        slices=source.slices,
        height=layer.height,
        first_row=part.rows.start,
        rows=len(part.rows),
        width=layer.width,
        positions=geometry.counted_positions(len(part.rows) * layer.width),
        output_tiles=tiles.count,
        tile_pieces=tiles.pieces,
        last_tile_pieces=tiles.last_pieces,
        destination_base=part.destination,
        destination_slice_stride=placement.slice_stride(layer),
        weight_beats=beats,
        pace=_pace(placement, destination, tiles, halves=1 + wide),
        **part.tiles.fields,
        **walk_steps(geometry, source, part.tiles, layer.width if kernel3 else 0),
        **_joining(placement, layer),
    )
    need, limit = (1 + wide) * (1 + image) * beats, region_limit(geometry.config)
    require(need, limit, layer.name, "beats of the program's buffer for an output tile's weights")
    return descriptor


def _destination(placement: Placement, layer: Layer) -> Destination:
    if layer.kind == "head":
        return Destination.LOGITS
    if layer.residual:
        return Destination.RESIDUAL
    if layer == placement.seed:
        return Destination.SPIKES_AND_RESIDUAL
    part = layer.part
    return {"k": Destination.KEYS, "v": Destination.VALUES}.get(part, Destination.SPIKES)


def _joining(placement: Placement, layer: Layer) -> dict[str, Any]:
    """How a layer joins the residual stream."""
    if not layer.residual:
        return {}
    network, before = placement.geometry.network, placement.residual_largest[layer.name]
    return {
        "residual_plane_stride": placement.residual_plane,
        "residual_planes_in": before.bit_length(),
        "residual_planes_out": network.residual_after(before).bit_length(),
        "residual_mode": ResidualMode[network.residual_mode.upper()],
    }


def _pace(placement: Placement, destination: Destination, tiles: OutputTiles, *, halves: int) -> int:
    """Least reads of a piece (of K, V and logits: a batch): membranes must be back for the next time chunk."""
    if placement.geometry.time_chunks == 1:
        return 0
    pieces = 1 if destination in CHANNEL_ORDER else min(tiles.pieces, tiles.last_pieces)
    return ceil_div(carry_cycles(placement.geometry.config), pieces * halves)
