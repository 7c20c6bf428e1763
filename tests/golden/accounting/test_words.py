"""Zero planes and words equal a slow count, bit by bit, in the layouts of image packing and compiler."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from golden.accounting.words import WordCounter, tensor_readers
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from golden.walk import walk
from hw.descriptor import Opcode
from hw.named_configs import BASE, LARGE, TINY
from sw.artifact.file import load
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.network import NetworkConfig

IMAGES = 2
NETWORK = NetworkConfig(image_size=12, image_channels=2, classes=3, embed_dim=16, depth=1, heads=2)
COMMITTED = Path(__file__).resolve().parents[3] / "models" / "fashion-2-64.spikeloom"

CASES = {
    "tiny": (NETWORK, TINY),
    # Heads of 8 channels filled up to words of 32, fewer steps than lanes, 9 tokens in words of 2.
    "padded": (dataclasses.replace(NETWORK, timesteps=2), LARGE),
    # Six steps in lanes of 4, four positions in a word.
    "chunks": (dataclasses.replace(NETWORK, timesteps=6), dataclasses.replace(TINY, positions=4, neurons=1)),
    "iand": (dataclasses.replace(NETWORK, residual_mode="iand"), BASE),
    "events": (dataclasses.replace(NETWORK, event_bits=1, timesteps=6), TINY),
    "counts": (dataclasses.replace(NETWORK, event_bits=5, timesteps=6), TINY),
}


def measured(network, config, batch_size=IMAGES):
    artifact = random_artifact(network, 4, seed=41)
    model, images = GoldenModel(artifact), random_images(network, IMAGES, seed=42)
    counter = WordCounter(network, config)
    for _ in model.stream(images, batch_size, observers=(counter,)):
        pass
    return artifact, images, model.record(images), counter


def tensors_of(result):
    """What is read by name: integers [T, B, C, H, W], a layer's spikes behind its pool."""
    return {**result.spikes, **result.pooled, **result.residuals}


def words_of(plane, network, config, taps, per_head):
    """Every word that a pass reads for one image, tap by tap, as integers; `plane` holds bits [T, C, H, W]."""
    steps, channels, height, width = plane.shape
    places = list(range(channels))
    if per_head:
        padded = -(-network.head_dim // config.inputs) * config.inputs
        places = [channel // network.head_dim * padded + channel % network.head_dim for channel in range(channels)]
    at = dict(zip(places, range(channels), strict=True))
    offsets = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)] if taps == 9 else [(0, 0)]
    for first_step in range(0, steps, config.timesteps):
        for first in range(0, max(places) + 1, config.inputs):
            for dy, dx in offsets:
                for group in range(0, height * width, config.positions):
                    word = 0
                    for position in range(group, min(group + config.positions, height * width)):
                        row, column = position // width + dy, position % width + dx
                        if not (0 <= row < height and 0 <= column < width):
                            continue
                        for step in range(first_step, min(first_step + config.timesteps, steps)):
                            for place in range(first, first + config.inputs):
                                bit = int(plane[step, at[place], row, column]) if place in at else 0
                                word = word << 1 | bit
                    yield word


@pytest.mark.parametrize("case", CASES)
def test_words_of_spikes_and_residuals_equal_a_slow_count(case):
    network, config = CASES[case]
    _, _, result, counter = measured(network, config)
    readers, values = tensor_readers(network), tensors_of(result)
    report = {tensor.name: tensor for tensor in counter.report()}
    assert list(report) == list(readers) == [
        network.layers()[0].source, "conv0", "conv1", "conv2", "conv3", "rpe", "block0.attention", "block0.proj",
        "block0.fc1", "block0.fc2",
    ]  # fmt: skip
    for name in list(report)[1:]:
        layer, per_head = readers[name][0], name.endswith("attention")
        for plane in report[name].planes:
            bits = values[name].numpy() >> plane.plane & 1
            stored = [list(words_of(bits[:, b], network, config, 1, per_head)) for b in range(IMAGES)]
            read = [list(words_of(bits[:, b], network, config, layer.taps, per_head)) for b in range(IMAGES)]
            assert (plane.words, plane.reads) == (len(stored[0]), len(read[0])), name
            assert plane.zero_words == sum(words.count(0) for words in stored) / IMAGES, name
            assert plane.zero_reads == sum(words.count(0) for words in read) / IMAGES, name
            assert plane.empty == sum(not any(words) for words in stored) / IMAGES, name
            channels_per_head = -(-network.head_dim // config.inputs) * config.inputs
            size = bits.size * channels_per_head // network.head_dim if per_head else bits.size
            assert plane.rate == int(bits.sum()) / size, name


@pytest.mark.parametrize("case", CASES)
def test_words_of_the_input_are_those_that_the_host_packs(case):
    network, config = CASES[case]
    artifact, images, _, counter = measured(network, config)
    rows = (range(network.image_size),)
    packed = np.stack([pack_image(artifact, config, image.numpy(), rows) for image in images])
    first = network.layers()[0]
    words = packed.reshape(IMAGES, first.input_planes, -1, config.group_beats * config.memory_bits // 64)
    (image,) = (tensor for tensor in counter.report() if tensor.name == first.source)
    for plane in image.planes:
        zero = ~words[:, plane.plane].any(axis=-1)
        assert plane.words == plane.reads == zero.shape[1]
        assert plane.zero_words == plane.zero_reads == zero.sum() / IMAGES
        assert plane.empty == zero.all(axis=-1).sum() / IMAGES
        ones = int(np.bitwise_count(words[:, plane.plane]).sum())
        steps = network.timesteps if network.events else 1
        assert plane.rate == ones / (IMAGES * steps * network.image_size**2 * 9 * network.image_channels)


@pytest.mark.parametrize(
    ("artifact", "config"),
    [
        (random_artifact(NETWORK, 4, seed=41), TINY),
        (random_artifact(dataclasses.replace(NETWORK, timesteps=2), 4, seed=41), LARGE),
        (load(COMMITTED), BASE),
    ],
)
def test_reads_are_the_words_that_the_program_makes_the_array_take(artifact, config):
    network = artifact.network
    counter = WordCounter(network, config)
    GoldenModel(artifact).run(random_images(network, 1, seed=43), observers=(counter,))
    taken = dict.fromkeys((layer.name for layer in network.layers()), 0)
    for step in compile_artifact(artifact, config).steps:
        if step.fields["opcode"] == Opcode.WEIGHTS.value:
            fields = step.fields
            groups = (fields["tiles"] - 1) * fields["tile_groups"] + fields["last_tile_groups"]
            taps = 9 if fields["kernel3"] else 1
            taken[step.name] += fields["output_tiles"] * fields["passes"] * fields["slices"] * taps * groups
    for tensor in counter.report():
        assert tensor.reads == sum(taken[name] for name in tensor.readers), tensor.name


def walked(config, spike=None):
    """A network of two images in which nothing fires but one neuron of conv1, if `spike` says which."""
    counter = WordCounter(NETWORK, config)

    def step(layer, inputs):
        if layer.kind == "head":
            return torch.zeros(2, NETWORK.classes)
        spikes = torch.zeros(NETWORK.timesteps, 2, layer.height, layer.width, layer.out_channels)
        if layer.name == "conv1" and spike is not None:
            spikes[spike] = 1
        return spikes

    walk(NETWORK, torch.zeros(1, 2, 12, 12, 2), step, (counter,))
    return {tensor.name: tensor for tensor in counter.report()}


def test_all_is_zero_where_nothing_fires():
    for tensor in walked(TINY).values():
        assert tensor.zero_reads == tensor.reads > 0
        for plane in tensor.planes:
            assert (plane.rate, plane.empty, plane.zero_words) == (0, 1, plane.words)


def test_a_spike_at_the_border_is_read_by_the_taps_that_reach_it():
    conv1 = walked(TINY, spike=(1, 0, 5, 0, 3))["conv1"]  # time step, image, row, column, channel
    (plane,) = conv1.planes
    assert plane.empty == 0.5
    assert plane.words - plane.zero_words == 0.5  # one word in one of two images
    assert plane.reads - plane.zero_reads == 3.0  # six taps: three rows, and no column to the left
    assert plane.rate == 1 / (4 * 2 * 12 * 12 * 4)


def test_readers_share_a_tensor_and_count_their_output_tiles():
    report = {tensor.name: tensor for tensor in measured(*CASES["tiny"])[3].report()}
    rpe = report["rpe"]
    assert (rpe.residual, rpe.readers, rpe.title) == (
        True, ("block0.q", "block0.k", "block0.v"), "after rpe"
    )  # fmt: skip
    assert rpe.output_tiles == 3 * 2  # three layers, two heads of 8 channels in tiles of 8
    assert report["block0.proj"].output_tiles == 64 // 8
    assert report["block0.fc2"].readers == ("head",)
    assert rpe.reads == rpe.output_tiles * sum(plane.reads for plane in rpe.planes)
    figures = rpe.to_dict()
    assert figures["zero_reads"] == rpe.zero_reads and figures["planes"][1]["words"] == rpe.planes[1].words


@pytest.mark.parametrize("case", ["tiny", "chunks"])
def test_batches_add_up(case):
    assert measured(*CASES[case], batch_size=1)[3].report() == measured(*CASES[case])[3].report()


def test_report_before_measuring_wrong():
    with pytest.raises(ValueError, match=r"^images measured must be at least 1, not 0: run the model with this obs"):
        WordCounter(NETWORK, TINY).report()
