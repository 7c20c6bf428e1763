"""A program, read from nothing but its memory image and the packed image, computes the golden model's logits."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR, FIELDS, Descriptor, Destination, Opcode
from hw.named_configs import BASE, LARGE, TINY
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.compiler.program import DESCRIPTOR_WORDS, Program, header_words
from sw.network import NetworkConfig
from tests.sw.compiler.reads import slice_bases

Integers = NDArray[np.int64]


def fire(descriptor: Descriptor, current: Integers, threshold: Integers | int) -> Integers:
    """Spikes of currents ``[T, C, N]``; time steps above those in use are silent."""
    spikes, membrane = np.zeros_like(current), np.zeros_like(current[0])
    for t in range(descriptor.timesteps):
        membrane = (membrane << descriptor.no_leak) + (current[t] << t)
        spikes[t] = (membrane << len(current) - 1 - t) >= threshold
        membrane = np.where(spikes[t], 0, membrane)
    return spikes


class Interpreter:
    """The instruction set in numpy; memories begin with noise."""

    def __init__(self, program: Program, image: NDArray[np.uint64]):
        self.program, self.config, self.image = program, program.config, image
        rng, config = np.random.default_rng(0), program.config
        word = (config.positions, config.timesteps, config.inputs)
        self.spikes = rng.integers(0, 2, (config.spike_words, *word))
        self.residual = rng.integers(0, 2, (config.residual_words, *word))
        self.tokens: dict[tuple[int, int], Integers] = {}

    def run(self) -> Integers:
        logits, word = np.zeros(0, np.int64), header_words(self.config)
        while True:
            bits = sum(int(self.program.memory[word + i]) << 64 * i for i in range(DESCRIPTOR_WORDS))
            view = DESCRIPTOR.from_bits(bits & (1 << DESCRIPTOR.size) - 1)
            descriptor = Descriptor(**{name: getattr(view, name) for name in FIELDS})
            word += DESCRIPTOR_WORDS
            if descriptor.opcode is Opcode.END:
                return logits
            if descriptor.opcode is Opcode.LOAD:
                self.load(descriptor)
            elif descriptor.opcode is Opcode.ATTENTION:
                self.attention(descriptor)
            else:
                word, bias, threshold, segments = self.stream(descriptor, word)
                sums = self.sums(descriptor, segments)
                current = (sums << self.config.bias_fraction_bits) + bias[:, None]
                if descriptor.destination is Destination.LOGITS:
                    total = sums[: descriptor.timesteps, :, : descriptor.positions].sum((0, 2))
                    logits = (total << self.config.bias_fraction_bits) + bias
                else:
                    current = np.broadcast_to(current, (self.config.timesteps, *current.shape[1:]))
                    self.write(descriptor, fire(descriptor, current, threshold[:, None]))

    def load(self, descriptor: Descriptor) -> None:
        config = self.config
        beat = config.memory_bits // 64
        start, words = descriptor.memory_address * beat, descriptor.weight_beats // config.group_beats
        packed = self.image[start : start + descriptor.weight_beats * beat].reshape(words, -1)
        bits = np.unpackbits(packed.view(np.uint8), axis=1, bitorder="little")[:, : config.group_bits]
        base = descriptor.destination_base
        self.spikes[base : base + words] = bits.reshape(words, *self.spikes.shape[1:])

    def stream(self, descriptor: Descriptor, word: int) -> tuple[int, Integers, Integers, Integers]:
        """Parameters, and weights as ``[segment, output, tap, input]``, behind a descriptor."""
        config, tiles = self.config, descriptor.output_tiles
        segments, taps = (1 + descriptor.wide) * (1 + descriptor.image), 9 if descriptor.kernel3 else 1
        per_tile = config.outputs + segments * descriptor.weight_beats * config.memory_bits // 64
        rows = self.program.memory[word : word + tiles * per_tile].reshape(tiles, -1)
        halves = np.ascontiguousarray(rows[:, : config.outputs]).view(np.int32).reshape(-1, 2).astype(np.int64)
        packed = np.ascontiguousarray(rows[:, config.outputs :]).view(np.uint8)
        weights = np.stack([packed & 15, packed >> 4], axis=-1).astype(np.int64)
        # A slice is four rows, row k of the weights k, 4 + k, 8 + k ... of every output; a row may be filled up.
        weights = weights.reshape(tiles, segments, descriptor.slices, taps, 4, -1)
        weights = weights[..., : config.outputs * config.inputs // 4]
        weights = weights.reshape(*weights.shape[:5], config.outputs, config.inputs // 4)
        weights = weights.transpose(1, 0, 5, 3, 2, 6, 4).reshape(segments, tiles * config.outputs, taps, -1)
        return word + tiles * per_tile, halves[:, 0], halves[:, 1], weights

    def words(self, memory: Integers, bases: Integers, groups: int) -> Integers:
        """``[slice, group, P, T, I]``."""
        return np.stack([memory[base : base + groups] for base in bases])

    def channels(self, words: Integers) -> Integers:
        """``[T, channels, positions]``."""
        slices, groups = words.shape[:2]
        shape = (self.config.timesteps, slices * self.config.inputs, groups * self.config.positions)
        return words.transpose(3, 0, 4, 1, 2).reshape(shape)

    def sums(self, descriptor: Descriptor, segments: Integers) -> Integers:
        """``[T, outputs, positions]``; of the image one for all time steps."""
        memory = self.residual if descriptor.source_residual else self.spikes
        groups, total = (descriptor.tiles - 1) * descriptor.tile_groups + descriptor.last_tile_groups, np.int64(0)
        above, below = around(descriptor)
        row, bases = descriptor.width // self.config.positions, slice_bases(self.config, descriptor)
        for half in range(1 + descriptor.wide):
            unsigned, joined = half == 1 and not descriptor.image, np.int64(0)
            for turn in range(descriptor.passes):
                words = self.words(memory, bases[turn] - above * row, groups + (above + below) * row)
                if descriptor.image:
                    inputs = words.transpose(0, 4, 1, 3, 2).reshape(1, descriptor.slices * self.config.inputs, -1)
                else:
                    inputs = self.channels(words)
                weights = segments[half * (1 + descriptor.image) + (descriptor.image and turn != 0)]
                joined = 2 * joined + self.convolve(descriptor, weights if unsigned else (weights ^ 8) - 8, inputs)
            total = 16 * total + joined
        return total

    def convolve(self, descriptor: Descriptor, weights: Integers, inputs: Integers) -> Integers:
        if not descriptor.kernel3:
            return np.einsum("oi,tin->ton", weights[:, 0], inputs)
        rows, width, (above, below) = descriptor.rows, descriptor.width, around(descriptor)
        there, count = rows + above + below, rows * width
        grid = inputs[:, :, : there * width].reshape(*inputs.shape[:2], there, width)
        grid = np.pad(grid, ((0, 0), (0, 0), (1 - above, 1 - below), (1, 1)))
        shifted = [grid[:, :, tap // 3 : tap // 3 + rows, tap % 3 : tap % 3 + width] for tap in range(9)]
        sums = sum(np.einsum("oi,tihw->tohw", weights[:, tap], shifted[tap]) for tap in range(9))
        beyond = inputs.shape[2] - there * width
        return np.pad(np.asarray(sums).reshape(*sums.shape[:2], count), ((0, 0), (0, 0), (0, beyond)))

    def write(self, descriptor: Descriptor, spikes: Integers) -> None:
        config, destination = self.config, descriptor.destination
        pieces = (descriptor.output_tiles - 1) * descriptor.tile_pieces + descriptor.last_tile_pieces
        spikes = spikes[:, : pieces * config.piece].copy()
        spikes[:, :, descriptor.positions :] = 0
        if destination in (Destination.KEYS, Destination.VALUES):
            self.tokens[descriptor.token_buffer, destination.value] = spikes
            return
        if descriptor.pool:
            grid = spikes[:, :, : descriptor.positions].reshape(*spikes.shape[:2], descriptor.rows, descriptor.width)
            pooled = torch.nn.functional.max_pool2d(torch.tensor(grid, dtype=torch.float32), 3, 2, 1)
            spikes = pooled.flatten(2).numpy().astype(np.int64)
        groups = -(-spikes.shape[2] // config.positions)
        spikes = np.pad(spikes, ((0, 0), (0, 0), (0, groups * config.positions - spikes.shape[2])))
        shape = (config.timesteps, pieces, config.piece, groups, config.positions)
        for piece, words in enumerate(spikes.reshape(shape).transpose(1, 3, 4, 0, 2)):
            k, place = divmod(piece, config.word_pieces)
            channels, at = (
                slice(place * config.piece, (place + 1) * config.piece),
                k * descriptor.destination_slice_stride,
            )
            if destination in (Destination.SPIKES, Destination.SPIKES_AND_RESIDUAL):
                base = descriptor.destination_base + at
                self.spikes[base : base + groups, :, :, channels] = words
            if destination == Destination.SPIKES_AND_RESIDUAL:
                self.residual[at : at + groups, :, :, channels] = words
            if destination == Destination.RESIDUAL:
                self.join(descriptor, at, groups, channels, words)

    def join(self, descriptor: Descriptor, at: int, groups: int, channels: slice, words: Integers) -> None:
        bases = [at + plane * descriptor.residual_plane_stride for plane in range(descriptor.residual_planes_out)]
        total = np.zeros_like(words)
        for plane, base in enumerate(bases[: descriptor.residual_planes_in]):
            total += self.residual[base : base + groups, :, :, channels] << plane
        total = (total + words, np.minimum(total + words, 3), total & (1 - words))[descriptor.residual_mode.value]
        for plane, base in enumerate(bases):
            self.residual[base : base + groups, :, :, channels] = total >> plane & 1

    def attention(self, descriptor: Descriptor) -> None:
        slices, groups = descriptor.head_channels // self.config.inputs, descriptor.groups
        query = self.words(self.spikes, descriptor.source_base + np.arange(slices) * descriptor.slice_step, groups)
        keys, values = (
            self.tokens[descriptor.token_buffer, kind.value] for kind in (Destination.KEYS, Destination.VALUES)
        )
        sums = np.einsum("tcn,tcd->tdn", self.channels(query), np.einsum("tcn,tdn->tcd", keys, values))
        spikes = fire(descriptor, sums, descriptor.attention_threshold)
        shape = (self.config.timesteps, slices, self.config.inputs, groups, self.config.positions)
        for k, words in enumerate(spikes.reshape(shape).transpose(1, 3, 4, 0, 2)):
            base = descriptor.destination_base + k * descriptor.destination_slice_stride
            self.spikes[base : base + groups] = words


def around(descriptor: Descriptor) -> tuple[int, int]:
    """Rows above and below those computed that a convolution reads."""
    if not descriptor.kernel3:
        return 0, 0
    return int(descriptor.first_row > 0), int(descriptor.first_row + descriptor.rows < descriptor.height)


LEFT_OVER = dataclasses.replace(TINY, outputs=32, inputs=16, positions=4, timesteps=8, neurons=4, attention_planes=8)
CASES: dict[str, tuple[dict[str, Any], HardwareConfig, int]] = {
    "tiny": ({}, TINY, 4),
    "fewer_time_steps": ({"timesteps": 3}, TINY, 4),
    "heads_do_not_fill_words": ({"embed_dim": 24, "heads": 4}, TINY, 4),
    "heads_of_half_a_word": ({"embed_dim": 64, "heads": 4, "image_channels": 3}, LARGE, 4),
    "heads_of_half_a_word_eight_bits": ({"embed_dim": 64, "heads": 4, "image_channels": 3}, LARGE, 8),
    "silent_channels_before_a_pool": ({"embed_dim": 24}, dataclasses.replace(TINY, outputs=12), 4),
    "fewer_outputs_than_inputs": (
        {"embed_dim": 64}, dataclasses.replace(TINY, outputs=8, inputs=16), 4,
    ),
    "positions_left_over": ({"image_size": 12, "pools": 1}, LEFT_OVER, 4),
    "base": ({"image_size": 28, "embed_dim": 64}, BASE, 4),
    "strips": ({}, dataclasses.replace(TINY, spike_words=768), 4),
    "strips_before_a_pool": ({"image_size": 32, "pools": 4}, dataclasses.replace(TINY, spike_words=1024), 4),
    "strips_of_two_convolutions": ({"image_size": 32, "embed_dim": 48}, dataclasses.replace(TINY, spike_words=2000), 4),
    "strips_of_pooled_convolutions": ({"image_size": 64, "pools": 4}, dataclasses.replace(TINY, spike_words=2000), 4),
    "clamp_eight_bits_wide_port": (
        {"residual_mode": "clamp"}, dataclasses.replace(TINY, weight_bits=8, memory_bits=128, accumulator_bits=18), 8,
    ),
    "iand": ({"residual_mode": "iand"}, BASE, 4),
    "without_leak": ({"neuron": "if", "timesteps": 3}, dataclasses.replace(TINY, if_neurons=True), 4),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_program_computes_the_logits(name):
    changes, config, bits = CASES[name]
    sizes = {"image_size": 16, "image_channels": 1, "classes": 3, "embed_dim": 32, "depth": 1, "heads": 2}
    network = NetworkConfig(**{**sizes, **changes})
    artifact, images = random_artifact(network, bits, seed=5), random_images(network, 2, seed=9)
    program = compile_artifact(artifact, config)
    assert (len(program.image_strips) > 1) == ("strips" in name)
    golden = GoldenModel(artifact).run(images)
    for image, expected in zip(images, golden.logits, strict=True):
        packed = pack_image(artifact, config, image.numpy(), program.image_strips)
        logits = Interpreter(program, packed).run()
        assert np.array_equal(logits[: network.classes], np.asarray(expected))
