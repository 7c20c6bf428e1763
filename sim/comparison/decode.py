"""Turns the trace of one image back into tensors: which neuron fired when, and what the residual stream held."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.config import HardwareConfig
from hw.descriptor import Destination
from hw.integers import ceil_div
from sim.comparison.trace import Events
from sw.compiler.program import Program, Step
from sw.compiler.strips import fired_rows, written_rows
from sw.layer import Layer

UNWRITTEN = 255
"""Value of a tensor element that the accelerator never wrote."""

Tensor = NDArray[np.uint8]


KINDS = {"spikes": "spikes", "pooled": "pooled spikes", "residuals": "residual"}
"""Fields of `Recorded`, in the order in which a layer gives them, and what they are called."""


@dataclass(frozen=True)
class Recorded:
    """What golden model or accelerator computed for one image.

    Attributes
    ----------
    spikes : dict of uint8 array [T, C, H, W]
        By layer name, before a pool.
    pooled : dict of uint8 array [T, C, H/2, W/2]
        By layer name.
    residuals : dict of uint8 array [T, C, H, W]
        After each layer that adds to the residual stream.
    """

    spikes: dict[str, Tensor]
    pooled: dict[str, Tensor]
    residuals: dict[str, Tensor]

    def beside(self, other: Recorded) -> Iterator[tuple[str, str, Tensor, Tensor]]:
        """Every tensor that both have, in order of execution: layer, one of `KINDS`, this one's and the other's."""
        for layer in self.spikes:
            for kind in KINDS:
                mine, others = getattr(self, kind), getattr(other, kind)
                if layer in mine:
                    yield layer, kind, mine[layer], others[layer]


def decode_trace(program: Program, trace: dict[str, Events]) -> Recorded:
    """Rebuild every layer's tensors from the trace of one image.

    Elements that were never written hold `UNWRITTEN`; spikes of padding channels and positions are dropped.

    Parameters
    ----------
    program : Program
        Says where each layer writes.
    trace : dict of Events
        From `sim.comparison.trace.read_trace`.

    Returns
    -------
    Recorded
    """
    recorded, config = Recorded({}, {}, {}), program.config
    for number, name in enumerate(program.names):
        steps = program.steps_of(name)
        layer = steps[0].layer
        if layer is None or layer.kind == "head":
            continue
        events = {kind: found.of_layer(number) for kind, found in trace.items()}
        destination = steps[0].fields.get("destination", 0)
        if destination in (Destination.KEYS.value, Destination.VALUES.value):
            recorded.spikes[name] = _tokens(config, steps, layer, events["token"])
            continue
        if layer.kind == "attention":
            recorded.spikes[name] = _words(config, steps, layer, events["spike"])
            continue
        recorded.spikes[name] = _neurons(config, steps, layer, events["neuron"])
        if destination == Destination.RESIDUAL.value:
            recorded.residuals[name] = _residual(config, steps, layer, events["residual"])
            continue
        written = _words(config, steps, layer, events["spike"])
        if layer.pools_spikes:
            recorded.pooled[name] = written
        else:
            # The neurons' words and what reached the memory must be the same.
            agree = recorded.spikes[name] == written
            recorded.spikes[name] = np.where(agree, written, UNWRITTEN).astype(np.uint8)
    return recorded


def _fold(config: HardwareConfig, words: Tensor, steps: tuple[Step, ...], grid: tuple[int, int]) -> Tensor:
    """Words ``[slice, group * time chunk, P, T, channels]`` to ``[T, C, H, W]``.

    The silent channels between heads are dropped.
    """
    chunks, timesteps = steps[0].fields["time_chunks"], _timesteps(config, steps[0].fields)
    slices, _, _, _, channels = words.shape
    split = words.reshape(slices, -1, chunks, *words.shape[2:])
    # [slice, group, chunk, P, T, channel] -> [chunk, T, slice, channel, group, P]
    tensor = split.transpose(2, 4, 0, 5, 1, 3).reshape(chunks * config.timesteps, slices * channels, -1)
    height, width = grid
    places = {channel: place for step in steps for channel, place in zip(step.channels, step.places, strict=False)}
    chosen = [places[channel] for channel in range(len(places))]
    return tensor[:timesteps, chosen, : height * width].reshape(timesteps, -1, height, width)


def _timesteps(config: HardwareConfig, fields: dict[str, int]) -> int:
    """Time steps of the network."""
    return (fields["time_chunks"] - 1) * config.timesteps + fields["timesteps"]


def _neurons(config: HardwareConfig, steps: tuple[Step, ...], layer: Layer, events: Events) -> Tensor:
    """Pieces in the neurons' order: output tile, position tile, group, piece.

    The last word of an image's sums may hold whole position groups behind the image: these have no pieces. Where a pool
    comes before the neurons a piece is one pooled position, in the first lane.
    """
    positions = 1 if layer.pool_first else config.positions
    height, width = layer.output_grid if layer.pool_first else (layer.height, layer.width)
    order: list[tuple[int, int]] = []
    for step in steps:
        fields, rows = step.fields, fired_rows(layer, step.rows)
        chunks = fields["time_chunks"]
        first = rows.start * width // positions * chunks
        groups = range(first, first + ceil_div(len(rows) * width, positions) * chunks)
        piece = step.places.start // config.piece
        for output_tile in range(fields["output_tiles"]):
            last = output_tile == fields["output_tiles"] - 1
            count = fields["last_tile_pieces" if last else "tile_pieces"]
            order += [(piece + i, group) for group in groups for i in range(count)]  # tiles follow each other
            piece += count
    shape = (positions, config.timesteps, config.piece)
    pieces = np.full((*(1 + np.max(order, axis=0)), *shape), UNWRITTEN, np.uint8)
    bits = events.bits(config.positions, *shape[1:])[: len(order), :positions]
    index = np.array(order)[: len(bits)]
    pieces[index[:, 0], index[:, 1]] = bits
    return _fold(config, pieces, steps, (height, width))


def _word(config: HardwareConfig) -> tuple[int, int, int]:
    """Positions, time steps and inputs of a memory word."""
    return config.positions, config.timesteps, config.inputs


def _written(config: HardwareConfig, events: Events, base: int, count: int) -> Tensor:
    """Memory words ``[address, P, T, I]`` from `base` up after the writes of their banks and pieces."""
    shape = _word(config)
    words = np.full((count, *shape), UNWRITTEN, np.uint8)
    address = events.fields["address"] - base
    inside = (address >= 0) & (address < count)
    bits = events.bits(*shape)
    for bank in range(config.positions):
        for piece in range(config.word_pieces):
            chosen = inside & (events.fields["banks"] >> bank & events.fields["pieces"] >> piece & 1 == 1)
            channels = slice(piece * config.piece, (piece + 1) * config.piece)
            words[address[chosen], bank, :, channels] = bits[chosen, bank, :, channels]
    return words


def _words(config: HardwareConfig, steps: tuple[Step, ...], layer: Layer, events: Events) -> Tensor:
    """Writes to the spike memory; of strips, which may follow each other in one place, one after the other."""
    slices = ceil_div(max(step.places.stop for step in steps), config.inputs)
    if len({step.rows for step in steps}) == 1:
        groups = steps[0].fields["destination_slice_stride"]
        base = min(step.fields["destination_base"] for step in steps)
        words = _written(config, events, base, slices * groups).reshape(slices, groups, *_word(config))
        return _fold(config, words, steps, layer.output_grid)
    height, width = layer.output_grid
    row = width // config.positions * steps[0].fields["time_chunks"]
    words = np.full((slices, height * row, *_word(config)), UNWRITTEN, np.uint8)
    first = 0
    for step in steps:
        fields, rows = step.fields, written_rows(layer, step.rows)
        pieces = (fields["output_tiles"] - 1) * fields["tile_pieces"] + fields["last_tile_pieces"]
        # A pool writes position by position, without it all banks are written at once.
        written = fired_rows(layer, step.rows) if layer.pool_first else rows
        count = pieces * len(written) * row * (config.positions if layer.pool else 1)
        stride = fields["destination_slice_stride"]
        found = _written(config, events.part(first, count), fields["destination_base"], slices * stride)
        part = found.reshape(slices, stride, *_word(config))[:, : len(rows) * row]
        words[:, rows.start * row : rows.stop * row] = part
        first += count
    return _fold(config, words, steps, layer.output_grid)


def _residual(config: HardwareConfig, steps: tuple[Step, ...], layer: Layer, events: Events) -> Tensor:
    """Writes to the residual memory: bit-planes of integers."""
    fields = steps[0].fields
    planes, stride = fields["residual_planes_out"], fields["residual_plane_stride"]
    groups = fields["destination_slice_stride"]
    flat = _written(config, events, 0, planes * stride)
    bits = flat.reshape(planes, stride // groups, groups, *flat.shape[1:])
    values = (bits.astype(np.int64) << np.arange(planes).reshape(-1, *[1] * 5)).sum(axis=0)
    whole = (bits != UNWRITTEN).all(axis=0)
    integers = np.where(whole, values, UNWRITTEN).astype(np.uint8)
    return _fold(config, integers, steps, (layer.height, layer.width))


def _tokens(config: HardwareConfig, steps: tuple[Step, ...], layer: Layer, events: Events) -> Tensor:
    """Writes to K or V: per head, channel, position tile and time chunk a vector, the tile's tokens at its top.

    A position tile is numbered in the lower bits, a time chunk above them.
    """
    fields = steps[0].fields
    tiles, time_chunks = fields["tiles"], fields["time_chunks"]
    capacity = tiles * fields["chunk_groups"] * config.positions
    tensor = np.full((time_chunks, config.timesteps, layer.out_channels, capacity), UNWRITTEN, np.uint8)
    tile_bits = (max(2, config.token_chunks) - 1).bit_length()
    vectors = events.bits(config.timesteps, config.chunk_tokens)
    is_value = int(fields["destination"] == Destination.VALUES.value)
    seen = 0
    for step in steps:
        of_head = slice(seen, seen + len(step.places) * tiles * time_chunks)
        seen = of_head.stop
        chunks, channels = events.fields["chunk"][of_head], events.fields["channel"][of_head]
        right = (events.fields["value"][of_head] == is_value) & (channels < len(step.channels))
        for tile, time_chunk in itertools.product(range(tiles), range(time_chunks)):
            groups = fields["last_chunk_groups" if tile == tiles - 1 else "chunk_groups"]
            tokens, first = groups * config.positions, tile * fields["chunk_groups"] * config.positions
            chosen = right & (chunks == tile + (time_chunk << tile_bits))
            spikes = vectors[of_head][chosen][:, :, config.chunk_tokens - tokens :].transpose(1, 0, 2)
            tensor[time_chunk, :, step.channels.start + channels[chosen], first : first + tokens] = spikes.transpose(
                1, 0, 2
            )
    height, width, timesteps = layer.height, layer.width, _timesteps(config, fields)
    flat = tensor.reshape(time_chunks * config.timesteps, layer.out_channels, capacity)
    return flat[:timesteps, :, : height * width].reshape(timesteps, -1, height, width)
