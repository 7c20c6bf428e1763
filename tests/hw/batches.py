"""The order in which the neurons read a layer, from plain loops, and what must travel beside every batch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.lib import data

from hw.config import HardwareConfig
from hw.descriptor import Destination
from hw.neurons.batch import batch_layout
from hw.neurons.membranes import carry_cycles

CHANNEL_ORDER = (Destination.KEYS, Destination.VALUES, Destination.LOGITS)
"""Destinations whose batches come channel by channel."""

Fields = dict[str, Any]


def layer_fields(
    config: HardwareConfig,
    destination: Destination,
    *,
    positions: int,
    tile_groups: int = 4,
    output_tiles: int = 2,
    last_pieces: int | None = None,
    image: int = 0,
    time_chunks: int = 1,
    **fields: Any,
) -> Fields:
    """Descriptor of a layer; `tile_groups` are words of sums, of which one of an image has several position groups.

    With several time chunks a position group has so many words, in an image layer none of its own.
    """
    words = -(-positions // (config.lanes if image else config.positions)) * (1 if image else time_chunks)
    tiles = -(-words // tile_groups)
    last, in_group = words - (tiles - 1) * tile_groups, 1 if image else time_chunks
    whole, rest = divmod(positions, config.positions)
    if time_chunks > 1:
        least_pieces = 1 if destination in CHANNEL_ORDER else min(config.tile_pieces, last_pieces or config.tile_pieces)
        fields = {
            "chunk_groups": tile_groups // in_group,
            "last_chunk_groups": last // in_group,
            "pace": -(-carry_cycles(config) // (least_pieces * (1 + fields.get("wide", 0)))),
            **fields,
        }
    return {
        "time_chunks": time_chunks,
        "destination": destination,
        "timesteps": config.timesteps,
        "image": image,
        "positions": whole * config.positions * time_chunks + rest,
        "groups": -(-positions // config.positions),
        "tiles": tiles,
        "tile_groups": tile_groups,
        "last_tile_groups": last,
        "output_tiles": output_tiles,
        "tile_pieces": config.tile_pieces,
        "last_tile_pieces": last_pieces or config.tile_pieces,
        "destination_slice_stride": -(-positions // config.positions) + 3,
        **fields,
    }


@dataclass(frozen=True)
class Batch:
    """One batch of `neurons` channels of a position group.

    Attributes
    ----------
    cycle : int
        Of its read (of two halves, the second), from the first read of its tile.
    output_tile, tile, group, lane, select : int
        Where it is read: `group` in the position tile, of an image time-step lane `lane`; `select` in the output tile.
    first_channel, first_position, time_chunk : int
        What it is: its lowest channel and position of the layer, its time chunk.
    members : dict
        Fields of `batch_layout` that matter to its destination.
    """

    cycle: int
    output_tile: int
    tile: int
    group: int
    lane: int
    select: int
    first_channel: int
    first_position: int
    members: dict[str, int]
    time_chunk: int = 0


def _reads(
    config: HardwareConfig, fields: Fields, groups: int, pieces: int
) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Number of the read, group, lane, time chunk, batch within the output tile, and place in its piece or channel."""
    reads, chunks = config.piece // config.neurons, fields.get("time_chunks", 1)
    if fields["destination"] in CHANNEL_ORDER:
        in_chunk = groups // chunks
        pace = max(in_chunk, config.neurons, fields.get("pace", 0))
        for batch in range(pieces * reads):
            for chunk in range(chunks):
                for group in range(in_chunk):
                    end = (batch * chunks + chunk + 1) * pace
                    yield end - in_chunk + group, group * chunks + chunk, 0, chunk, batch, group
    else:
        joins, image = fields["destination"] == Destination.RESIDUAL, fields.get("image")
        pace = max(reads, fields.get("residual_planes_out", 0) if joins else 0, fields.get("pace", 0))
        piece_number = 0
        for group in range(groups):
            words = [(lane, chunk) for lane in range(config.timesteps) for chunk in range(chunks)]
            for lane, chunk in words if image else [(0, group % chunks)]:
                for piece in range(pieces):
                    for read in range(reads):
                        at = (piece_number + 1) * pace - reads + read
                        yield at, group, lane, chunk, piece * reads + read, read
                    piece_number += 1


def position_count(config: HardwareConfig, fields: Fields) -> int:
    """Positions of the layer; the descriptor counts those of whole groups once per time chunk."""
    whole, rest = divmod(fields["positions"], config.positions * fields.get("time_chunks", 1))
    return whole * config.positions + rest


def tile_batches(config: HardwareConfig, fields: Fields, output_tile: int, tile: int) -> Iterator[Batch]:
    """Batches of one position tile of one output tile."""
    groups = fields["last_tile_groups" if tile == fields["tiles"] - 1 else "tile_groups"]
    pieces = fields["last_tile_pieces" if output_tile == fields["output_tiles"] - 1 else "tile_pieces"]
    reads, wide = config.piece // config.neurons, fields.get("wide", 0)
    in_channel_order = fields["destination"] in CHANNEL_ORDER
    chunks = fields.get("time_chunks", 1)
    for number, group, lane, chunk, select, place in _reads(config, fields, groups, pieces):
        position_group = tile * fields["tile_groups"] + group
        if fields.get("image"):
            position_group = position_group * config.timesteps + lane
        else:
            position_group //= chunks
        left = position_count(config, fields) - position_group * config.positions
        lanes = (1 << max(0, min(config.positions, left))) - 1
        if not lanes:
            continue
        channel = output_tile * config.outputs + select * config.neurons
        members = {
            "valid": 1,
            "layer": fields.get("layer", 0),
            "destination": fields["destination"].value,
            "steps": (1 << (fields["timesteps"] if chunk == chunks - 1 else config.timesteps)) - 1,
            "lanes": lanes,
            "first": int(place == 0),
            "last": int(place == (groups // chunks if in_channel_order else reads) - 1),
        }
        if config.time_chunks > 1:
            members["time_chunk"] = chunk
        if in_channel_order:
            members |= {
                "token_buffer": fields.get("token_buffer", 0),
                "channel": channel,
                "chunk": tile,
                "first_tile": int(tile == 0 and chunk == 0),
                "last_tile": int(tile == fields["tiles"] - 1 and chunk == chunks - 1),
            }
        else:
            slice_number, piece = divmod(output_tile * config.tile_pieces + select // reads, config.word_pieces)
            members |= {
                "pool": fields.get("pool", 0),
                "piece": piece,
                "slice_address": fields.get("destination_base", 0) + slice_number * fields["destination_slice_stride"],
                "position_group": position_group * chunks + chunk,
            }
        yield Batch(
            cycle=number * (1 + wide) + wide,
            output_tile=output_tile,
            tile=tile,
            group=group,
            lane=lane,
            select=select,
            first_channel=channel,
            first_position=position_group * config.positions,
            members=members,
            time_chunk=chunk,
        )


def tile_cycles(config: HardwareConfig, fields: Fields, output_tile: int, tile: int) -> int:
    """Cycles for which a tile is read, up to its last read."""
    groups = fields["last_tile_groups" if tile == fields["tiles"] - 1 else "tile_groups"]
    pieces = fields["last_tile_pieces" if output_tile == fields["output_tiles"] - 1 else "tile_pieces"]
    *_, (last, *_) = _reads(config, fields, groups, pieces)
    return (last + 1) * (1 + fields.get("wide", 0))


def layer_tiles(fields: Fields) -> list[tuple[int, int]]:
    """Output tile and position tile, in the order in which they are read."""
    return [(o, p) for o in range(fields["output_tiles"]) for p in range(fields["tiles"])]


def layer_batches(config: HardwareConfig, fields: Fields) -> Iterator[tuple[int, Batch]]:
    """All batches with their cycles, if every tile waits for the one before."""
    start = 0
    for tile in layer_tiles(fields):
        for batch in tile_batches(config, fields, *tile):
            yield start + batch.cycle, batch
        start += tile_cycles(config, fields, *tile)


def layer_cycles(config: HardwareConfig, fields: Fields) -> int:
    """Cycles for which a layer is read without a pause."""
    return sum(tile_cycles(config, fields, *tile) for tile in layer_tiles(fields))


def batch_bits(config: HardwareConfig, members: Mapping[str, int], rng: random.Random) -> int:
    """A packed batch; what does not matter to its destination is random."""
    layout = batch_layout(config)
    bits = 0
    for name, field in layout:
        value = members[name] if name in members else rng.getrandbits(field.width)
        bits |= (value & (1 << field.width) - 1) << field.offset
    return bits


def members_of(layout: data.Layout, bits: int) -> dict[str, int]:
    """Fields of a packed structure, unsigned."""
    return {name: bits >> field.offset & (1 << field.width) - 1 for name, field in layout}
