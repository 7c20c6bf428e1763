"""Traces made from known tensors, in the order and layout of the hardware, decode back to them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from golden.random_artifact import random_artifact
from hw.config import HardwareConfig
from hw.descriptor import Destination
from hw.named_configs import BASE, LARGE, MINI, TINY
from sim.comparison.decode import UNWRITTEN, decode_trace
from sim.comparison.trace import KINDS, Events
from sw.artifact.artifact import Artifact
from sw.compiler.compiler import compile_artifact
from sw.compiler.program import Program, Step
from sw.layer import Layer
from sw.network import NetworkConfig

Spikes = NDArray[np.uint8]

CASES: dict[str, tuple[dict[str, Any], HardwareConfig]] = {
    "tiny": ({}, TINY),
    "fewer_time_steps": ({"timesteps": 3}, TINY),
    "several_tiles": ({"image_size": 32}, TINY),
    "heads_do_not_fill_words": ({"embed_dim": 24, "heads": 4}, TINY),
    "heads_of_half_a_word": ({"embed_dim": 32, "heads": 2, "image_size": 16}, LARGE),
    "base": ({}, BASE),
    "silent_channels_before_a_pool": ({"embed_dim": 24}, dataclasses.replace(TINY, outputs=12)),
    "positions_left_over": (
        {"image_size": 12, "pools": 1, "embed_dim": 32},
        dataclasses.replace(
            TINY, outputs=32, inputs=16, positions=4, timesteps=8, neurons=4, attention_planes=8
        ),
    ),
    "groups_behind_the_image": (
        {"image_size": 10, "pools": 1, "embed_dim": 40},
        dataclasses.replace(MINI, timesteps=8, neurons=4, head_channels=20),
    ),
    "strips": ({"image_size": 16}, dataclasses.replace(TINY, spike_words=512)),
    "strips_before_a_pool": ({"image_size": 32, "pools": 4}, dataclasses.replace(TINY, spike_words=1024)),
    "convolutions_in_strips": ({"image_size": 32}, dataclasses.replace(TINY, spike_words=900)),
    "pooled_convolutions_in_strips": ({"image_size": 64, "pools": 4}, dataclasses.replace(TINY, spike_words=1900)),
}  # fmt: skip


class Recorder:
    """Collects events as the testbench does."""

    def __init__(self, program: Program):
        self.program, self.config = program, program.config
        self.lines: dict[str, list[tuple[int, tuple[int, ...], NDArray[np.uint8]]]] = {
            kind: [] for kind, _ in KINDS.values()
        }

    def add(self, kind: str, layer: int, fields: tuple[int, ...], bits: Spikes) -> None:
        self.lines[kind].append((layer, fields, np.packbits(bits.reshape(-1), bitorder="little")))

    def events(self) -> dict[str, Events]:
        found = {}
        for kind, names in KINDS.values():
            lines = self.lines[kind]
            columns = {name: np.array([fields[i] for _, fields, _ in lines], np.int64) for i, name in enumerate(names)}
            data = np.stack([bits for _, _, bits in lines]) if lines else np.zeros((0, 0), np.uint8)
            found[kind] = Events(kind, np.array([layer for layer, _, _ in lines], np.int64), columns, data)
        return found

    def groups(self, spikes: Spikes) -> Spikes:
        """``[places, T, positions]`` to ``[group, place, P, T]``."""
        places, steps, positions = spikes.shape
        count = -(-positions // self.config.positions)
        padded = np.zeros((places, steps, count * self.config.positions), np.uint8)
        padded[:, :, :positions] = spikes
        return padded.reshape(places, steps, count, -1).transpose(2, 0, 3, 1)

    def neurons(self, number: int, step: Step, spikes: Spikes) -> None:
        """Output tile, position group, piece; none of groups behind an image, which its last words reach beyond."""
        config, fields = self.config, step.fields
        grouped = self.groups(spikes)
        piece = 0
        for output_tile in range(fields["output_tiles"]):
            last = output_tile == fields["output_tiles"] - 1
            pieces = fields["last_tile_pieces" if last else "tile_pieces"]
            for group in grouped:
                for i in range(piece, piece + pieces):
                    word = np.zeros((config.positions, config.timesteps, config.piece), np.uint8)
                    for c, lanes in enumerate(group[i * config.piece : (i + 1) * config.piece]):
                        word[:, :, c] = lanes
                    self.add("neuron", number, (), word)
            piece += pieces

    def write(self, kind: str, number: int, base: int, stride: int, spikes: Spikes, *, bank_wise: bool = False) -> None:
        """Write ``[places, T, positions]`` piece by piece; a pool writes position by position."""
        config = self.config
        for group, words in enumerate(self.groups(spikes)):
            for piece in range(-(-len(words) // config.piece)):
                data = np.ones(
                    (config.positions, config.timesteps, config.inputs), np.uint8
                )  # beside the piece: anything
                first = piece % config.word_pieces * config.piece
                data[:, :, first : first + config.piece] = 0
                for c, lanes in enumerate(words[piece * config.piece : (piece + 1) * config.piece]):
                    data[:, :, first + c] = lanes
                address = base + piece // config.word_pieces * stride + group
                everything = (1 << config.positions) - 1
                for banks in (1 << np.arange(config.positions)) if bank_wise else [everything]:
                    self.add(kind, number, (address, int(banks), 1 << piece % config.word_pieces), data)

    def tokens(self, number: int, step: Step, spikes: Spikes) -> None:
        config, fields = self.config, step.fields
        first = 0
        for chunk in range(fields["tiles"]):
            groups = fields["last_tile_groups" if chunk == fields["tiles"] - 1 else "tile_groups"]
            size = groups * config.positions
            for place in range(len(step.places)):
                vector = np.zeros((config.timesteps, config.chunk_tokens), np.uint8)
                if place < len(spikes):
                    part = spikes[place, :, first : first + size]
                    vector[:, config.chunk_tokens - size :][:, : part.shape[1]] = part
                is_value = int(fields["destination"] == Destination.VALUES.value)
                self.add("token", number, (is_value, place, chunk), vector)
            first += size


def spikes_of(layer: Layer, grid: tuple[int, int], artifact: Artifact, config: HardwareConfig, most: int = 1) -> Spikes:
    """Random ``[C, T, positions]``, silent above the network's time steps."""
    rng = np.random.default_rng([len(layer.name), *layer.name.encode(), *grid])
    values = rng.integers(0, most + 1, (layer.out_channels, config.timesteps, grid[0] * grid[1])).astype(np.uint8)
    values[:, artifact.network.timesteps :] = 0
    return values


def tensor(spikes: Spikes, artifact: Artifact, grid: tuple[int, int]) -> Spikes:
    return spikes.transpose(1, 0, 2).reshape(spikes.shape[1], spikes.shape[0], *grid)[: artifact.network.timesteps]


@pytest.mark.parametrize("name", CASES)
def test_decodes_what_was_recorded(name):
    changes, config = CASES[name]
    sizes = {"image_size": 8, "image_channels": 1, "classes": 3, "embed_dim": 16, "depth": 1, "heads": 2}
    artifact = random_artifact(NetworkConfig(**{**sizes, **changes}), 4, seed=2)
    program = compile_artifact(artifact, config)
    recorder = Recorder(program)
    spikes, pooled, residuals = {}, {}, {}
    for layer in artifact.network.layers():
        if layer.kind == "head":
            continue
        grid = layer.height, layer.width
        fired = spikes_of(layer, grid, artifact, config)
        spikes[layer.name] = tensor(fired, artifact, grid)
        if layer.pool:
            pools = spikes_of(layer, layer.output_grid, artifact, config)
            pooled[layer.name] = tensor(pools, artifact, layer.output_grid)
        for step in program.steps_of(layer.name):
            number, fields = step.fields["layer"], step.fields
            base, stride = fields.get("destination_base", 0), fields["destination_slice_stride"]
            rows = slice(step.rows.start * layer.width, step.rows.stop * layer.width)
            mine = fired[step.channels.start : step.channels.stop, :, rows]
            silent = np.zeros((len(step.places) - len(mine), *mine.shape[1:]), np.uint8)
            written = np.concatenate([mine, silent])
            if layer.kind == "attention":
                recorder.write("spike", number, base, stride, written)
                continue
            if fields["destination"] in (Destination.KEYS.value, Destination.VALUES.value):
                recorder.tokens(number, step, mine)
                continue
            recorder.neurons(number, step, written)
            if fields["destination"] == Destination.RESIDUAL.value:
                total = spikes_of(layer, grid, artifact, config, (1 << fields["residual_planes_out"]) - 1)
                residuals[layer.name] = tensor(total, artifact, grid)
                for plane in range(fields["residual_planes_out"]):
                    place = plane * fields["residual_plane_stride"]
                    recorder.write("residual", number, place, stride, total >> plane & 1)
            elif layer.pool:
                width = layer.output_grid[1]
                first = step.rows.start // 2
                part = pools[:, :, first * width : step.rows.stop // 2 * width].copy()
                if first:  # incomplete, to be written again
                    part[:, :, :width] ^= 1
                recorder.write("spike", number, base, stride, part, bank_wise=True)
            else:
                recorder.write("spike", number, base, stride, written)
    recorded = decode_trace(program, recorder.events())
    for found, expected in ((recorded.spikes, spikes), (recorded.pooled, pooled), (recorded.residuals, residuals)):
        assert found.keys() == expected.keys()
        for layer_name, values in expected.items():
            assert np.array_equal(found[layer_name], values), layer_name


def test_what_was_not_written_is_marked():
    artifact = random_artifact(
        NetworkConfig(image_size=8, image_channels=1, classes=3, embed_dim=24, depth=1, heads=4), 4, seed=2
    )
    program = compile_artifact(artifact, TINY)
    recorded = decode_trace(program, Recorder(program).events())
    tensors = [*recorded.spikes.values(), *recorded.pooled.values(), *recorded.residuals.values()]
    assert len(tensors) == 12 + 2 + 3
    for values in tensors:
        assert (values == UNWRITTEN).all()
