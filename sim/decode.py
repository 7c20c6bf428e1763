"""Turns the trace of one image back into tensors: which neuron fired when, and what the residual stream held."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.config import HardwareConfig
from hw.isa import Destination
from sim.trace import Events
from sw.compiler import Program, Step
from sw.network import Layer

UNWRITTEN = 255
"""Value of a tensor element that the accelerator never wrote."""

Tensor = NDArray[np.uint8]


@dataclass(frozen=True)
class Recorded:
    """What the accelerator computed for one image.

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


def decode_trace(program: Program, trace: dict[str, Events]) -> Recorded:
    """Rebuild every layer's tensors from the trace of one image.

    Elements that were never written hold `UNWRITTEN`; spikes of padding channels and positions are dropped.

    Parameters
    ----------
    program : Program
        Says where each layer writes.
    trace : dict of Events
        From `sim.trace.read_trace`.

    Returns
    -------
    Recorded
    """
    recorded = Recorded({}, {}, {})
    for index, step in enumerate(program.steps):
        layer = step.layer
        if layer is None or layer.kind == "head":
            continue
        events = {kind: found.of_layer(index) for kind, found in trace.items()}
        destination = step.fields.get("destination", 0)
        if destination in (Destination.KEYS.value, Destination.VALUES.value):
            recorded.spikes[layer.name] = _tokens(program.config, step, layer, events["token"])
            continue
        if layer.kind == "attention":
            recorded.spikes[layer.name] = _words(program.config, step, layer, events["spike"], layer.output_grid)
        else:
            recorded.spikes[layer.name] = _neurons(program.config, step, layer, events["neuron"])
            if destination == Destination.RESIDUAL.value:
                recorded.residuals[layer.name] = _residual(program.config, step, layer, events["residual"])
            else:
                written = _words(program.config, step, layer, events["spike"], layer.output_grid)
                if layer.pool:
                    recorded.pooled[layer.name] = written
                else:
                    # The neurons' words and what reached the memory must be the same.
                    agree = recorded.spikes[layer.name] == written
                    recorded.spikes[layer.name] = np.where(agree, written, UNWRITTEN).astype(np.uint8)
    return recorded


def _fold(config: HardwareConfig, words: Tensor, layer: Layer, grid: tuple[int, int], timesteps: int) -> Tensor:
    """Words ``[slice, group, P, T, I]`` to ``[T, C, H, W]``."""
    slices, groups = words.shape[:2]
    tensor = words.transpose(3, 0, 4, 1, 2).reshape(config.timesteps, slices * config.inputs, groups * config.positions)
    height, width = grid
    return tensor[:timesteps, : layer.out_channels, : height * width].reshape(timesteps, -1, height, width)


def _shape(config: HardwareConfig) -> tuple[int, int, int]:
    return config.positions, config.timesteps, config.inputs


def _empty(config: HardwareConfig, words: int, groups: int) -> Tensor:
    return np.full((words, groups, *_shape(config)), UNWRITTEN, np.uint8)


def _neurons(config: HardwareConfig, step: Step, layer: Layer, events: Events) -> Tensor:
    """Words in the neurons' order: output tile, position tile, group, word."""
    fields = step.fields
    order = []
    for output_tile in range(fields["output_tiles"]):
        last = output_tile == fields["output_tiles"] - 1
        count = fields["last_tile_words"] if last else fields["tile_words"]
        for group in range(fields["groups"]):  # position tiles follow each other
            order += [(output_tile * fields["tile_words"] + word, group) for word in range(count)]
    words = _empty(config, max(word for word, _ in order) + 1, fields["groups"])
    bits = events.bits(*_shape(config))[: len(order)]
    index = np.array(order)[: len(bits)]
    words[index[:, 0], index[:, 1]] = bits
    return _fold(config, words, layer, (layer.height, layer.width), fields["timesteps"])


def _write(words: Tensor, events: Events, base: int, config: HardwareConfig) -> Tensor:
    """Apply memory writes to flat `words` ``[address, P, T, I]``; writes outside are ignored."""
    address = events.fields["address"] - base
    inside = (address >= 0) & (address < len(words))
    bits = events.bits(*_shape(config))
    for bank in range(config.positions):
        chosen = inside & (events.fields["banks"] >> bank & 1 == 1)
        words[address[chosen], bank] = bits[chosen, bank]
    return words


def _words(config: HardwareConfig, step: Step, layer: Layer, events: Events, grid: tuple[int, int]) -> Tensor:
    """Writes to the spike memory."""
    fields = step.fields
    groups = fields["destination_slice_stride"]
    slices = -(-layer.out_channels // config.inputs)
    words = _empty(config, slices, groups).reshape(slices * groups, *_shape(config))
    words = _write(words, events, fields["destination_base"], config)
    return _fold(config, words.reshape(slices, groups, *_shape(config)), layer, grid, fields["timesteps"])


def _residual(config: HardwareConfig, step: Step, layer: Layer, events: Events) -> Tensor:
    """Writes to the residual memory: bit-planes of integers."""
    fields = step.fields
    planes, stride = fields["residual_planes_out"], fields["residual_plane_stride"]
    groups = fields["destination_slice_stride"]
    flat = np.full((planes * stride, *_shape(config)), UNWRITTEN, np.uint8)
    flat = _write(flat, events, fields.get("residual_base", 0), config)
    bits = flat.reshape(planes, stride // groups, groups, *_shape(config))
    values = (bits.astype(np.int64) << np.arange(planes).reshape(-1, *[1] * 5)).sum(axis=0)
    whole = (bits != UNWRITTEN).all(axis=0)
    integers = np.where(whole, values, UNWRITTEN).astype(np.uint8)
    return _fold(config, integers, layer, (layer.height, layer.width), fields["timesteps"])


def _tokens(config: HardwareConfig, step: Step, layer: Layer, events: Events) -> Tensor:
    """Writes to K or V: per channel and position tile a token vector, the tile's tokens at its top."""
    fields = step.fields
    capacity = fields["tiles"] * fields["tile_groups"] * config.positions
    tensor = np.full((config.timesteps, layer.out_channels, capacity), UNWRITTEN, np.uint8)
    vectors = events.bits(config.timesteps, config.chunk_tokens)
    for chunk in range(fields["tiles"]):
        last = chunk == fields["tiles"] - 1
        tokens = (fields["last_tile_groups"] if last else fields["tile_groups"]) * config.positions
        first = chunk * fields["tile_groups"] * config.positions
        is_value = int(fields["destination"] == Destination.VALUES.value)
        chosen = (events.fields["chunk"] == chunk) & (events.fields["value"] == is_value)
        chosen &= events.fields["channel"] < layer.out_channels
        channels = events.fields["channel"][chosen]
        tensor[:, channels, first : first + tokens] = vectors[chosen][:, :, config.chunk_tokens - tokens :].transpose(
            1, 0, 2
        )
    height, width = layer.height, layer.width
    return tensor[: fields["timesteps"], :, : height * width].reshape(fields["timesteps"], -1, height, width)
