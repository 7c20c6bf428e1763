"""Operation counts equal brute force, and the energy arithmetic is the paper's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from golden.accounting.energy import (
    LayerEnergy,
    counted_j,
    dense_j,
    executed_sops,
    layer_energies,
    operations_j,
    paper_j,
    published_j,
)
from golden.accounting.operations import (
    OperationCounter,
    count_ones,
    dense_operations,
    paper_layer_macs,
    paper_macs,
    reached_positions,
)
from golden.model import GoldenModel, GoldenResult
from golden.random_artifact import random_artifact, random_images
from sw.network import NetworkConfig

TINY = NetworkConfig(image_size=12, image_channels=2, classes=3, embed_dim=16, depth=1, heads=2)
IMAGES = 3


IMAGENET_8_512 = NetworkConfig(image_size=224, image_channels=3, classes=1000, embed_dim=512, depth=8, heads=8, pools=4)


def cifar(dim: int, depth: int, heads: int) -> NetworkConfig:
    return NetworkConfig(image_size=32, image_channels=3, classes=10, embed_dim=dim, depth=depth, heads=heads)


def measured() -> tuple[OperationCounter, GoldenModel, torch.Tensor, GoldenResult]:
    model, images = GoldenModel(random_artifact(TINY, 4, seed=21)), random_images(TINY, IMAGES, seed=22)
    counter = OperationCounter(TINY)
    result = model.record(images, internals=True, observers=(counter,))
    return counter, model, images, result


@pytest.mark.parametrize(
    ("network", "macs"),
    [(cifar(256, 4, 8), 418_217_984), (cifar(384, 4, 12), 934_035_456), (IMAGENET_8_512, 8_358_920_192)],
)
def test_dense_macs_of_the_paper_networks(network, macs):
    assert paper_macs(network) == macs


@pytest.mark.parametrize(
    ("network", "macs"),
    [
        (cifar(256, 4, 8), 2 * 64 * 64 * 256),
        (IMAGENET_8_512, 2 * 196 * 64 * 512),
        (dataclasses.replace(IMAGENET_8_512, attention_scale=0.25), 2 * 196 * 196 * 512),
    ],
)
def test_attention_is_multiplied_in_the_order_of_the_authors_code(network, macs):
    attention = next(layer for layer in network.layers() if layer.kind == "attention")
    assert paper_layer_macs(network, attention) == macs


def test_dense_operations_count_the_image_once():
    by_name = {layer.name: layer for layer in dense_operations(cifar(256, 4, 8))}
    assert by_name["conv0"].dense_sops == 1024 * 9 * 3 * 32
    assert by_name["conv0"].plane_sops == 8 * by_name["conv0"].dense_sops
    assert by_name["conv1"].dense_sops == 4 * 1024 * 9 * 32 * 64
    assert by_name["block1.q"].planes == 3  # integers 0..4
    assert by_name["block1.q"].plane_sops == 3 * 4 * 64 * 256 * 256
    attention = by_name["block0.attention"]
    assert attention.dense_sops == 4 * 2 * 64 * 32 * 32 * 8
    assert attention.planes == 7  # entries 0..64
    assert attention.plane_sops == attention.dense_sops // 2 * 8
    assert by_name["head"].dense_sops == 4 * 64 * 256 * 10


@pytest.mark.parametrize("bits", [1, 5, 8])
def test_dense_operations_count_event_frames_at_every_step(bits):
    network = NetworkConfig(
        image_size=16, image_channels=2, classes=3, embed_dim=16, depth=1, heads=2, timesteps=10, event_bits=bits
    )
    first = dense_operations(network)[0]
    assert (first.steps, first.planes, first.macs) == (10, bits, 16 * 16 * 9 * 2 * 2)
    assert first.plane_sops == 10 * bits * first.macs


@pytest.mark.parametrize("bits", [1, 8])
def test_executed_operations_of_event_frames_are_the_bits_of_their_counts(bits):
    network = dataclasses.replace(TINY, event_bits=bits)
    model, images = GoldenModel(random_artifact(network, 4, seed=51)), random_images(network, 2, seed=52)
    counter = OperationCounter(network)
    model.run(images, observers=(counter,))
    first, conv0 = counter.report()[0], network.layers()[0]
    frames = images.transpose(0, 1).long().numpy()
    assert first.executed_sops == brute_force_convolution(frames, 8, conv0.out_channels) / 2
    assert first.input_rate == (frames > 0).mean() and first.input_mean == pytest.approx(frames.mean())
    assert executed_sops(conv0, first) == first.executed_sops  # no multiply-accumulate, whatever the counts


def test_ones_of_twos_complement():
    values = torch.arange(-128, 256)
    assert count_ones(values).tolist() == [(value & 0xFF).bit_count() for value in values.tolist()]


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (5, 3)])
def test_reached_positions_are_exact_at_borders(size):
    ones = torch.ones(1, 1, *size)
    kernel = torch.ones(1, 1, 3, 3)
    expected = torch.nn.functional.conv_transpose2d(ones, kernel, padding=1)[0, 0]
    assert torch.equal(reached_positions(*size), expected.long())


def brute_force_convolution(inputs: np.ndarray, planes: int, out_channels: int) -> int:
    """Walk every output position, tap, channel and plane of [T, B, C, H, W] and count the ones."""
    height, width = inputs.shape[-2:]
    count = 0
    for row in range(height):
        for column in range(width):
            window = inputs[..., max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            count += sum(int(((window >> plane) & 1).sum()) for plane in range(planes))
    return count * out_channels


def test_executed_convolutions_equal_brute_force():
    counter, model, images, result = measured()
    layers = {layer.name: layer for layer in TINY.layers()}
    executed = {layer.name: layer.executed_sops for layer in counter.report()}
    image = model.quantise_image(images).permute(0, 1, 4, 2, 3).long().numpy()
    inputs = {
        "conv0": image,
        "conv1": result.spikes["conv0"].numpy(),
        "conv2": result.spikes["conv1"].numpy(),
        "conv3": result.pooled["conv2"].numpy(),
        "rpe": result.pooled["conv3"].numpy(),
    }
    for name, values in inputs.items():
        layer = layers[name]
        expected = brute_force_convolution(values, layer.input_planes, layer.out_channels)
        assert executed[name] == expected / IMAGES, name


def test_executed_linear_layers_equal_brute_force():
    counter, _, _, result = measured()
    report = {layer.name: layer for layer in counter.report()}
    inputs = {
        "block0.q": (result.residuals["rpe"], 16),
        "block0.proj": (result.spikes["block0.attention"], 16),
        "block0.fc1": (result.residuals["block0.proj"], 64),
        "block0.fc2": (result.spikes["block0.fc1"], 16),
        "head": (result.residuals["block0.fc2"], 3),
    }
    for name, (values, fan_out) in inputs.items():
        ones = sum(value.bit_count() for value in values.flatten().tolist())
        assert report[name].executed_sops == ones * fan_out / IMAGES, name
        assert report[name].input_mean == pytest.approx(float(values.double().mean()), rel=1e-12)
        assert report[name].input_rate == int(values.count_nonzero()) / values.numel()


def test_executed_attention_equals_brute_force():
    counter, _, _, result = measured()
    q, k, v = (
        result.spikes[f"block0.{part}"].flatten(3).unflatten(2, (2, 8)).numpy().astype(np.int64) for part in "qkv"
    )  # [T, B, heads, d, N]
    products = k[:, :, :, :, None, :] & v[:, :, :, None, :, :]
    kv = products.sum(axis=-1)
    assert np.array_equal(kv, result.key_values["block0.attention"].numpy())
    count = int(products.sum())
    for plane in range(4):  # entries 0..9
        count += int((q[:, :, :, :, None, :] & ((kv >> plane) & 1)[..., None]).sum())
    executed = {layer.name: layer.executed_sops for layer in counter.report()}
    assert executed["block0.attention"] == count / IMAGES


def test_executed_never_exceeds_plane_operations():
    counter, *_ = measured()
    for layer in counter.report():
        assert layer.executed_sops is not None and 0 < layer.executed_sops <= layer.plane_sops, layer.name


def test_batches_add_up():
    model, images = GoldenModel(random_artifact(TINY, 4, seed=21)), random_images(TINY, IMAGES, seed=22)
    counter = OperationCounter(TINY)
    for _ in model.stream(images, batch_size=1, observers=(counter,)):
        pass
    assert counter.images == IMAGES
    assert counter.report() == measured()[0].report()


def test_paper_prices():
    assert operations_j(77e6, 0) == pytest.approx(354.2e-6, rel=1e-12)
    assert operations_j(0, 5.5e6) == pytest.approx(4.95e-6, rel=1e-12)


@pytest.mark.parametrize(("sops", "energy_mj"), [(11.09e9, 11.577), (22.09e9, 21.477)])
def test_published_energies_hold_the_first_convolution_of_8_512_four_times(sops, energy_mj):
    """So it is in the row of 8-768 too, although its own first convolution has 96 channels, not 64."""
    first = 224 * 224 * 9 * 3 * 64
    assert operations_j(4 * first, sops) * 1e3 == pytest.approx(energy_mj, abs=0.001)


def test_published_energy_counts_the_first_convolution_at_every_time_step():
    network, first = cifar(256, 4, 8), 1024 * 9 * 3 * 32
    halves = [dataclasses.replace(layer, input_rate=0.5) for layer in dense_operations(network)]
    assert published_j(network, halves) == pytest.approx(paper_j(network, halves) + 3 * 4.6e-12 * first)


def test_paper_formula_at_a_rate_of_one_half():
    network = cifar(256, 4, 8)
    halves = [dataclasses.replace(layer, input_rate=0.5) for layer in dense_operations(network)]
    first = 1024 * 9 * 3 * 32
    expected = 4.6e-12 * first + 0.9e-12 * 0.5 * 4 * (418_217_984 - first)
    assert paper_j(network, halves) == pytest.approx(expected, rel=1e-12)
    assert dense_j(network) == pytest.approx(4.6e-12 * 4 * 418_217_984, rel=1e-12)


def test_sop_energy_counts_executed_operations():
    counter, *_ = measured()
    report = counter.report()
    executed = sum(layer.executed_sops for layer in report[1:])
    expected = 4.6e-12 * report[0].macs + 0.9e-12 * executed
    assert counted_j(TINY, report) == pytest.approx(expected, rel=1e-12)


def test_layers_hold_both_accountings_and_add_up_to_the_totals():
    counter, *_ = measured()
    report = counter.report()
    energies = {layer.name: layer for layer in layer_energies(TINY, report)}
    counts = {layer.name: layer for layer in report}
    assert list(energies) == [layer.name for layer in TINY.layers()]
    assert energies["conv0"] == LayerEnergy(
        name="conv0", macs=144 * 9 * 2 * 2, paper_sops=0.0, executed_sops=0.0
    )  # 12x12 positions, nine taps, two channels to two
    assert energies["conv0"].paper_j == energies["conv0"].counted_j == pytest.approx(4.6e-12 * 5184, rel=1e-12)
    fc1 = energies["block0.fc1"]
    assert fc1.paper_sops == counts["block0.fc1"].input_rate * 4 * 9 * 16 * 64
    assert fc1.executed_sops == counts["block0.fc1"].executed_sops
    assert (fc1.paper_j, fc1.counted_j) == (0.9e-12 * fc1.paper_sops, 0.9e-12 * fc1.executed_sops)
    assert energies["block0.attention"].paper_sops == counts["block0.attention"].input_rate * 4 * 2 * 9 * 9 * 16
    assert energies["head"].paper_sops == 0.0 and energies["head"].executed_sops == counts["head"].executed_sops
    assert sum(layer.paper_j for layer in energies.values()) == pytest.approx(paper_j(TINY, report), rel=1e-12)
    assert sum(layer.counted_j for layer in energies.values()) == pytest.approx(counted_j(TINY, report), rel=1e-12)
    assert fc1.to_dict() == {
        "name": "block0.fc1", "macs": 0, "paper_sops": fc1.paper_sops, "executed_sops": fc1.executed_sops,
        "paper_j": fc1.paper_j, "counted_j": fc1.counted_j,
    }  # fmt: skip


def test_report_before_measuring_wrong():
    with pytest.raises(
        ValueError, match=r"^images measured must be at least 1, not 0: run the model with this observer"
    ):
        OperationCounter(TINY).report()


def test_energy_without_measurement_wrong():
    dense = dense_operations(TINY)
    with pytest.raises(ValueError, match=r"^conv1 must have a measured input_rate, not None: use OperationCounter$"):
        paper_j(TINY, dense)
    with pytest.raises(
        ValueError, match=r"^conv1 must have a measured executed count, not None: use OperationCounter$"
    ):
        counted_j(TINY, dense)
